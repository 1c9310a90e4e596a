//! Transports by name, and where the name comes from.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::common::{Run, inside, ipq_cli, sim, skipped, traffic};

/// `ipq-cli passer`, with `--transport` and `IPQ_TRANSPORT` as given.
#[track_caller]
fn run(option: Option<&str>, variable: Option<&OsStr>) -> Run {
    let mut command = ipq_cli();
    command.args(["passer", "--quiet"]);
    if let Some(name) = option {
        command.args(["--transport", name]);
    }
    if let Some(name) = variable {
        command.env("IPQ_TRANSPORT", name);
    }
    Run::of(&mut command)
}

#[test]
fn a_name_that_is_no_transports_is_wrong_usage() {
    for (name, problem) in [
        ("", "there is no such name"),
        ("ipqueue", "there is no such name"),
        ("IP_QUEUE", "there is no such name"),
        ("file:x.pcap", "there is no such name"),
        ("sim", "the path is missing"),
        ("sim:", "the path is missing"),
        ("unix:", "the path is missing"),
        ("auto:", "nothing comes after it"),
        ("nfqueue", "the queue number is missing"),
        ("nfqueue:", "a queue is a number up to 65535"),
        ("nfqueue:65536", "a queue is a number up to 65535"),
        ("nfqueue:2-1", "the first queue is after the last one"),
    ] {
        let quoted = format!("{name:?} is no transport: {problem}");
        let run = run(Some(name), None).ended(2).says(&[&quoted, "sim:FILE", "--help"]);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn the_variable_says_it_if_the_option_does_not() {
    let (ssh, babel) = (sim(&traffic("ssh.pcap")), sim(&traffic("babel.pcap")));
    run(None, Some(ssh.as_ref())).ended(0).says(&["54 packets"]);
    run(Some(&babel), Some(ssh.as_ref())).ended(0).says(&["25 packets"]);
    run(Some(&ssh), Some("garbage".as_ref())).ended(0).says(&["54 packets"]);
    run(Some(&ssh), Some("".as_ref())).ended(0).says(&["54 packets"]);
}

#[test]
fn a_variable_that_is_no_transports_is_wrong_usage() {
    let problem = "ipq-cli: IPQ_TRANSPORT: \"garbage\" is no transport: there is no such name";
    let run_ = run(None, Some("garbage".as_ref())).ended(2).says(&[problem, "--help"]);
    assert_eq!(run_.stdout, "");
    let no_text = OsStr::from_bytes(b"sim:\xff");
    run(None, Some(no_text)).ended(2).says(&["ipq-cli: IPQ_TRANSPORT is no UTF-8"]);
}

#[test]
fn a_kernel_without_ip_queue_is_told_with_what_to_use_instead() {
    let test = "transports::a_kernel_without_ip_queue_is_told_with_what_to_use_instead";
    if Path::new("/proc/net/ip_queue").exists() || Path::new("/proc/net/ip6_queue").exists() {
        return skipped(test, "this kernel has ip_queue");
    }
    inside(test, || {
        let run = run(Some("ip_queue"), None).ended(1);
        assert_eq!(run.stdout, "");
        run.says(&["ipq-cli: opening ", "ip_queue", "nfnetlink_queue", "sim:FILE"]);
    });
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let run = run(Some("unix:/nonexistent"), None).ended(1);
    assert_eq!(run.stdout, "");
    run.says(&["ipq-cli: connecting to the simulated kernel at /nonexistent: ENOENT", "sim serve"]);
}
