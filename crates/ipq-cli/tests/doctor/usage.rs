//! `doctor` from outside, wherever it runs.

use insta::assert_snapshot;

use crate::common::{Run, ipq_cli};

#[test]
fn explains_itself() {
    let text = Run::of(ipq_cli().args(["doctor", "--help"])).was_silent().stdout;
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn wrong_usage_is_told_from_what_is_missing() {
    for args in [&["--queue", "65536"][..], &["--queue", "0-3"], &["--hook", "ingress"], &["now"]] {
        Run::of(ipq_cli().arg("doctor").args(args)).ended(2).says(&["error: ", "--help"]);
    }
}

#[test]
fn says_the_same_to_people_and_to_programs() {
    let run = |args: &[&str]| Run::of(ipq_cli().arg("doctor").args(args));
    let (text, json) = (run(&[]), run(&["--json"]));
    for finding in json.events("finding") {
        let message = finding["message"].as_str().expect("a string");
        assert!(text.stdout.contains(message), "{message:?} is missing in {text:#?}");
    }
    let summary = json.summary();
    let is_missing = |finding: &serde_json::Value| finding["level"] == "missing";
    assert_eq!(summary["missing"], json.events("finding").iter().filter(|f| is_missing(f)).count());
    let status = i32::from(summary["works"] != true);
    let tools: Vec<_> =
        json.events("command").iter().map(|command| command["tool"].clone()).collect();
    assert_eq!(tools, ["iptables", "ip6tables", "nft"]);
    json.ended(status);
    text.ended(status);
}
