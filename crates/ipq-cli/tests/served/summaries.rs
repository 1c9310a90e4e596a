//! How a server ends, and what it says then.

use nix::sys::signal::Signal;

use super::support::{Serving, serve};
use crate::common::{Run, Started, traffic};

/// Five datagrams to port 53 and five to port 123; those to port 53 are expected not to arrive.
const FILTER: &str = r#"
    seed = 3
    rule = [{ hook = "LOCAL_OUT", target = "queue" }]
    traffic = [
        { name = "dns", kind = "udp", from = "here", to = "here", port = 53, count = 5 },
        { name = "ntp", kind = "udp", from = "here", to = "here", port = 123, count = 5 },
    ]
    expect = [
        { that = "dns.received", equals = 0 },
        { that = "ntp.received", equals = 5 },
        { that = "dropped: by a verdict", equals = 5 },
        { that = "application.packets", equals = 10 },
    ]
"#;

#[test]
fn expectations_are_checked_for_a_program_of_ones_own() {
    let serving = Serving::scenario(FILTER, &[]);
    Run::of(&mut serving.command("drop", &["dst port 53"])).ended(0);
    let run = serving.server.end().ended(0);
    assert_eq!(run.stdout.matches("ok: ").count(), 3, "{run:?}");
    assert!(run.stdout.contains("unknown: application.packets"), "{run:?}");
    assert!(run.stderr.contains("       5 dropped: by a verdict\n"), "{run:?}");

    let serving = Serving::scenario(FILTER, &["--json"]);
    Run::of(&mut serving.passer(&["--quiet"])).ended(0);
    let run = serving.server.end().ended(1);
    assert_eq!(run.events("expectation").len(), 4);
    let summary = run.summary();
    assert_eq!((&summary["expectations"], &summary["hold"]), (&3.into(), &1.into()));
    assert_eq!(summary["fates"]["delivered"], 10);
    assert_eq!(summary["clients"]["broken"], 0);
}

#[test]
fn a_signal_ends_it_with_a_summary() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let serving = Serving::capture(&traffic("ssh.pcap"), &["--keep"]);
        Run::of(&mut serving.passer(&["--quiet"])).ended(0);
        let run = serving.server.end_by(signal).ended(0);
        assert!(run.stderr.contains("      54 delivered\n"), "{run:?}");
    }
}

#[test]
fn traffic_waits_for_a_program_unless_it_is_told_not_to() {
    let serving = Serving::capture(&traffic("ssh.pcap"), &["--start", "now"]);
    serving.server.end().ended(0).says(&["      54 dropped: no program has the queue\n"]);
    let serving = Serving::capture(&traffic("ssh.pcap"), &[]);
    drop(ipq_sys::unix::Client::connect(serving.path()).unwrap());
    let run = serving.server.end_by(Signal::SIGTERM).ended(0);
    assert!(run.stderr.starts_with("0 packets in 0.000000 s"), "{run:?}");
}

#[test]
fn simulated_time_can_follow_real_time() {
    let serving = Serving::capture(&traffic("ssh.pcap"), &["--speed", "10", "--json"]);
    let start = std::time::Instant::now();
    Run::of(&mut serving.passer(&["--quiet"])).ended(0);
    let run = serving.server.end().ended(0);
    let seconds = run.summary()["seconds"].as_f64().unwrap();
    // The capture is of 0.575 seconds.
    assert!(start.elapsed().as_secs_f64() >= 0.057, "{:?}", start.elapsed());
    assert!(seconds >= 0.575, "{seconds}");
}

#[test]
fn wrong_usage_is_told() {
    let path = "/nowhere/kernel".as_ref();
    Run::of(&mut serve(path)).ended(2).says(&["--traffic"]);
    let file = traffic("ssh.pcap");
    let mut both = serve(path);
    Run::of(both.arg("--traffic").arg(&file).arg("--scenario").arg(&file)).ended(2);
    for wrong in [["--speed", "0"], ["--speed", "fast"], ["--queue", "auto"], ["--start", "later"]]
    {
        Run::of(serve(path).arg("--traffic").arg(&file).args(wrong)).ended(2).says(&[wrong[0]]);
    }
    Run::of(serve(path).args(["--traffic", "/nowhere/x.pcap"])).ended(1).says(&["/nowhere/x.pcap"]);
    let not_there = Started::new(serve(path).arg("--traffic").arg(&file));
    not_there.end().ended(1).says(&["listening on /nowhere/kernel"]);
}
