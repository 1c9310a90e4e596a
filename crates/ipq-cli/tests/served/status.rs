//! `status` of a kernel that is served.

use std::fs;

use nix::sys::signal::Signal;

use super::support::Serving;
use crate::common::{Run, Started, ipq_cli, sim, traffic};
use crate::exposition::parse;

/// A kernel whose packets hardly ever come, so that nothing ends before its time.
fn idle(queue: &str) -> Serving {
    Serving::capture(&traffic("ssh.pcap"), &["--speed", "0.001", "--queue", queue])
}

#[test]
fn tells_of_the_queues_of_that_kernel() {
    for (queue, name) in [("ip_queue", "ip_queue "), ("nfqueue:7", "queue 7 ")] {
        let serving = idle(queue);
        let passer = Started::ready(&mut serving.passer(&["--range", "100"]));
        let run = Run::of(&mut serving.command("status", &[""; 0])).was_silent();
        let lines: Vec<_> = run.stdout.lines().collect();
        assert!(lines[0].starts_with("QUEUE "), "{run:?}");
        let line = lines.iter().find(|line| line.starts_with(name)).unwrap();
        // Who has it is a port id of that kernel, which says nothing about the processes here.
        assert!(line.contains("100 bytes") && line.contains("unseen, port id "), "{line}");
        passer.end_by(Signal::SIGTERM).ended(0);
        serving.server.end_by(Signal::SIGTERM).ended(0);
    }
}

#[test]
fn the_environment_may_name_the_kernel() {
    let serving = idle("ip_queue");
    let passer = Started::ready(&mut serving.passer(&[]));
    let mut status = ipq_cli();
    status.args(["status", "--json"]);
    status.env("IPQ_TRANSPORT", format!("unix:{}", serving.path().display()));
    let run = Run::of(&mut status).was_silent();
    let [status] = run.events("status").try_into().unwrap();
    let queues = status["ip_queues"].as_array().unwrap();
    assert_eq!(queues.len(), 2, "{status}");
    assert!(queues.iter().all(|queue| queue["peer_port_id"] != 0 && queue["program"].is_null()));
    passer.end_by(Signal::SIGTERM).ended(0);
    serving.server.end_by(Signal::SIGTERM).ended(0);
}

#[test]
fn prometheus_reads_it_again_and_again() {
    let serving = idle("ip_queue");
    let passer = Started::ready(&mut serving.passer(&[]));
    let args = ["--prometheus", "--watch=1ms", "--count", "3"];
    let run = Run::of(&mut serving.command("status", &args)).was_silent();
    let texts: Vec<_> =
        run.stdout.split("\n\n").map(|text| format!("{}\n", text.trim_end())).collect();
    assert_eq!(texts.len(), 3, "{run:?}");
    assert!(texts.iter().all(|text| parse(text).len() == 2 * 4), "{run:?}");

    let file = serving.directory.path().join("ipq.prom");
    fs::write(&file, "what was there before\n".repeat(1000)).unwrap();
    let write = [&args[..], &["--write", file.to_str().unwrap()]].concat();
    let run = Run::of(&mut serving.command("status", &write)).was_silent();
    assert_eq!(run.stdout, "");
    assert_eq!(fs::read_to_string(&file).unwrap(), texts[0]);
    let mut left: Vec<_> = fs::read_dir(serving.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["ipq.prom", "kernel"], "nothing is left beside it");
    let nowhere = ["--prometheus", "--write", "/nonexistent/ipq.prom"];
    let run = Run::of(&mut serving.command("status", &nowhere)).ended(1);
    run.says(&["writing /nonexistent/ipq.prom: No such file"]);
    passer.end_by(Signal::SIGTERM).ended(0);
    serving.server.end_by(Signal::SIGTERM).ended(0);
}

#[test]
fn a_kernel_that_is_not_there_is_told() {
    let status = |transport: &str| Run::of(ipq_cli().args(["status", "--transport", transport]));
    status("unix:/nonexistent").ended(1).says(&["at /nonexistent: ENOENT", "ipq-cli sim serve"]);
    status(&sim(&traffic("ssh.pcap"))).ended(2).says(&["serve it with 'ipq-cli sim serve"]);
    let serving = idle("ip_queue");
    let mut watching = Started::new(&mut serving.command("status", &["--json", "--watch=1ms"]));
    watching.line();
    serving.server.end_by(Signal::SIGKILL);
    watching.end().ended(1).says(&["is gone: its server has ended"]);
}
