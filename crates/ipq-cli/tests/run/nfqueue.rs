//! Programs of nfnetlink_queue, unmodified, on a simulated kernel.

use std::process::Command;

use crate::common::{Run, skipped};
use crate::served::support::Serving;

use super::support::{Compiled, capture, captured, quiet, run_over, source};

#[test]
fn programs_of_libnetfilter_queue_run_unchanged() {
    const TEST: &str = "programs_of_libnetfilter_queue_run_unchanged";
    let Some(program) = Compiled::of(TEST, "nfq", &["-lnetfilter_queue"]) else { return };
    for args in [&["-n", "54"][..], &["-n", "54", "-m"]] {
        let run = program.over(&captured(), args).was_silent();
        let mut lines = run.stdout.lines();
        let first = "packet 1 protocol 0x800 hook 0 device 2 hardware 6 length 64 version 4";
        assert_eq!(lines.next(), Some(first));
        assert_eq!(lines.last(), Some("packets 54, bytes 11204, dropped 13"));
    }
}

#[test]
fn programs_of_libmnl_run_unchanged() {
    const TEST: &str = "programs_of_libmnl_run_unchanged";
    let Some(program) = Compiled::of(TEST, "mnl", &["-lnetfilter_queue", "-lmnl"]) else { return };
    let run = program.over(&captured(), &["0", "54"]).was_silent();
    let start = "bind: 0\nbind again: -16\nconntrack: not here\npacket 1 hook 0 length 64\n";
    assert!(run.stdout.starts_with(start), "{}", run.stdout);
    assert!(run.stdout.ends_with("packets 54\n"), "{}", run.stdout);
}

#[test]
fn programs_of_libnetfilter_queue_run_on_a_server() {
    const TEST: &str = "programs_of_libnetfilter_queue_run_on_a_server";
    let Some(program) = Compiled::of(TEST, "nfq", &["-lnetfilter_queue"]) else { return };
    let serving = Serving::capture(&capture(), &[]);
    let run = program.over(&format!("unix:{}", serving.path().display()), &["-n", "54"]);
    assert_eq!(run.was_silent().stdout.lines().last(), Some("packets 54, bytes 11204, dropped 13"));
    let server = serving.server.end().ended(0);
    server.says(&["54 packets in", "41 delivered", "13 dropped: by a verdict"]);
}

#[test]
fn interpreters_with_a_binding_run_unchanged() {
    const TEST: &str = "interpreters_with_a_binding_run_unchanged";
    let load =
        "import ctypes.util, sys; sys.exit(ctypes.util.find_library('netfilter_queue') is None)";
    if !quiet(Command::new("python3").args(["-c", load])) {
        return skipped(TEST, "python3 finds no libnetfilter_queue");
    }
    let mut command = run_over(&captured(), &[]);
    let run = Run::of(command.arg("python3").arg(source("nfq.py")).arg("54")).was_silent();
    assert_eq!(run.stdout, "packets 54, bytes 11204\n");
}
