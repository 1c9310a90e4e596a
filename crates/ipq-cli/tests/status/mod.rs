//! `status`, `completions` and `man`.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::common::{Run, Started, inside, ipq_cli, shape, skipped};
use crate::exposition::parse;

/// The program as root of the machine, in a network of its own, where `/proc` tells about queues.
fn as_root(test: &str) -> Option<Command> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "cat", "/proc/self/net/netfilter/nfnetlink_queue"]);
    let may_read = unshare.output().is_ok_and(|output| output.status.success());
    if !may_read {
        skipped(test, "only root of the machine may make a network and read of its queues");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c"]).env_remove("IPQ_TRANSPORT");
    Some(command)
}

/// Runs `passer` on two queues, and beside it `status` with these arguments.
fn status_beside_passer(test: &str, args: &str) -> Option<Run> {
    let program = env!("CARGO_BIN_EXE_ipq-cli");
    // What it prints to the pipe, it prints after it has claimed its queues.
    let script = format!(
        "{program} passer --transport nfqueue:3-4 --range 100 & passer=$!
         until [ \"$(wc -l < /proc/self/net/netfilter/nfnetlink_queue)\" = 2 ] && \
               grep -q ' 2 *100 ' /proc/self/net/netfilter/nfnetlink_queue; do :; done
         {program} status {args}; status=$?
         kill -INT $passer; wait $passer; exit $status"
    );
    Some(Run::of(as_root(test)?.arg(script)))
}

#[test]
fn queues_are_shown_with_who_has_them() {
    let test = "status::queues_are_shown_with_who_has_them";
    let Some(run) = status_beside_passer(test, "") else { return };
    let run = run.ended(0);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{run:?}");
    assert!(lines[0].starts_with("QUEUE    WAITING"), "{run:?}");
    for (line, queue) in lines[1..].iter().zip(["queue 3", "queue 4"]) {
        assert!(line.starts_with(queue), "{line}");
        assert!(line.contains("100 bytes"), "{line}");
        assert!(line.contains("ipq-cli ("), "{line}");
    }
}

#[test]
fn json_has_the_documented_keys_and_types() {
    let test = "status::json_has_the_documented_keys_and_types";
    let Some(run) = status_beside_passer(test, "--json --watch=10ms --count 3") else { return };
    let run = run.ended(0);
    assert_eq!(run.events("status").len(), 3);
    for status in run.events("status") {
        assert_eq!(
            shape(&status),
            "event string, time number, ip_queues array, nfqueues array, problems array"
        );
        let queues = status["nfqueues"].as_array().unwrap();
        assert_eq!(queues.len(), 2);
        for queue in queues {
            assert_eq!(
                shape(queue),
                "queue count, port_id count, queue_length count, copy_mode count, copy_range count, \
                 queue_dropped count, user_dropped count, last_id count, pid count, program string"
            );
            assert_eq!((&queue["program"], &queue["copy_range"]), (&"ipq-cli".into(), &100.into()));
        }
    }
}

#[test]
fn prometheus_reads_it() {
    let test = "status::prometheus_reads_it";
    let Some(run) = status_beside_passer(test, "--prometheus") else { return };
    let run = run.ended(0);
    let samples = parse(&run.stdout);
    assert_eq!(samples.len(), 2 * 3, "{samples:?}");
    for queue in ["nfqueue:3", "nfqueue:4"] {
        let labels = vec![("queue".to_owned(), queue.to_owned())];
        for name in ["queue_length", "queue_dropped_total", "user_dropped_total"] {
            assert_eq!(samples[&(format!("ipq_kernel_{name}"), labels.clone())], 0, "{name}");
        }
    }
    let refused = Run::of(ipq_cli().args(["status", "--prometheus", "--json"])).ended(2);
    refused.says(&["cannot be used with"]);
}

#[test]
fn a_user_namespace_is_told_where_to_look_from() {
    let test = "status::a_user_namespace_is_told_where_to_look_from";
    inside(test, || {
        let run = Run::of(ipq_cli().arg("status"));
        if run.stderr.is_empty() {
            // Root of the machine: there is a queue file, and nobody has a queue.
            run.ended(0);
        } else {
            let run = run.ended(1);
            assert_eq!(run.stdout, "no queue that may be seen\n");
            run.says(&["nfnetlink_queue", "only root", "nsenter --target PID --net"]);
        }
    });
}

#[test]
fn a_signal_ends_watching() {
    let watching = Started::new(ipq_cli().args(["status", "--json", "--watch=1h"]));
    let mut watching = watching;
    watching.line();
    let run = watching.end_by(Signal::SIGINT);
    assert_eq!(run.events("status").len(), 1);
    Run::of(ipq_cli().args(["status", "--count", "3"])).ended(2).says(&["--watch"]);
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, start) in [
        ("bash", "_ipq__cli()"),
        ("zsh", "#compdef ipq-cli"),
        ("fish", "# Print an optspec"),
        ("elvish", "use builtin"),
        ("powershell", "using namespace"),
    ] {
        let run = Run::of(ipq_cli().args(["completions", shell])).was_silent();
        assert!(run.stdout.trim_start().starts_with(start), "{shell}: {}", &run.stdout[..100]);
        for command in ["passer", "decode", "replay", "--transport"] {
            assert!(run.stdout.contains(command.trim_start_matches('-')), "{shell} {command}");
        }
    }
    Run::of(ipq_cli().args(["completions", "tcsh"])).ended(2);
}

#[test]
fn every_command_has_a_manual_page() {
    let run = Run::of(ipq_cli().arg("man")).was_silent();
    assert!(run.stdout.contains(".TH ipq-cli 1"), "{}", run.stdout);
    let folder = tempfile::TempDir::new().unwrap();
    let dir = folder.path().join("man/man1");
    Run::of(ipq_cli().args(["man", "--dir", dir.to_str().unwrap()])).was_silent();
    for page in ["ipq-cli", "ipq-cli-passer", "ipq-cli-dump", "ipq-cli-sim", "ipq-cli-sim-run"] {
        let text = std::fs::read_to_string(dir.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    Run::of(ipq_cli().args(["man", "--dir", "/proc/version/x"])).ended(1).says(&["writing /proc"]);
}
