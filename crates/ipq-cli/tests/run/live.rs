//! Programs of ip_queue, unmodified, over the `nfnetlink_queue` of the real kernel, in a network of their own.

use core::time::Duration;
use std::fs;
use std::time::Instant;

use crate::common::{Rule, Run, Started, inside, live, ping_is_answered};

use super::support::{Compiled, run_unlimited};

const IPV4: Rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 3");
const IPV6: Rule = ("ip6tables", "-A OUTPUT -p icmpv6 -j NFQUEUE --queue-num 4");

/// Starts a program over these queues, and waits until so many of them copy packets.
fn start(program: &Compiled, transport: &str, args: &[&str], queues: usize) -> Started {
    const TABLE: &str = "/proc/self/net/netfilter/nfnetlink_queue";
    let mut command = run_unlimited(transport, &[]);
    let started = Started::new(command.arg(&program.path).args(args));
    let give_up = Instant::now() + Duration::from_secs(20);
    let copies = |line: &&str| line.split_whitespace().nth(3) == Some("2");
    while fs::read_to_string(TABLE).unwrap_or_default().lines().filter(copies).count() < queues {
        assert!(Instant::now() < give_up, "{:?}", fs::read_to_string(TABLE));
        std::thread::yield_now();
    }
    started
}

#[test]
fn raw_programs_pass_packets_of_the_real_kernel() {
    const TEST: &str = "run::live::raw_programs_pass_packets_of_the_real_kernel";
    live(TEST, &[IPV4], || {
        let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
        for args in [
            &["-n", "4"][..],
            &["-n", "4", "-b", "-r", "recvmsg", "-w", "epoll"],
            &["-n", "4", "-c", "-w", "select", "-r", "read", "-d"],
            &["-n", "4", "-w", "nonblock", "-r", "peek"],
        ] {
            let started = start(&program, "nfqueue:3", args, 1);
            // There and back, twice.
            ping_is_answered("127.0.0.1");
            ping_is_answered("127.0.0.1");
            let run = started.end().was_silent();
            assert_eq!(run.stdout, "packets 4, bytes 336, dropped 0, overruns 0\n", "{args:?}");
        }
    });
}

#[test]
fn old_programs_pass_both_families_of_the_real_kernel() {
    const TEST: &str = "run::live::old_programs_pass_both_families_of_the_real_kernel";
    live(TEST, &[IPV4, IPV6], || {
        let Some(program) = Compiled::of(TEST, "old", &[]) else { return };
        let started = start(&program, "nfqueue:3-4", &["4"], 2);
        ping_is_answered("127.0.0.1");
        ping_is_answered("::1");
        let run = started.end().was_silent();
        assert_eq!(run.stdout, "ipv4 2, ipv6 2, replaced 1\n");
    });
}

#[test]
fn status_files_and_settings_tell_of_the_real_kernel() {
    const TEST: &str = "run::live::status_files_and_settings_tell_of_the_real_kernel";
    inside(TEST, || {
        let Some(program) = Compiled::of(TEST, "files", &[]) else { return };
        let mut command = run_unlimited("nfqueue:3-4", &[]);
        let run = Run::of(command.arg(&program.path)).was_silent();
        for line in [
            "the peer is this process",
            "by write: maxlen 2048, in the status 2048",
            "by a program: maxlen 78, in the status 78",
            "rubbish: -1 EINVAL",
        ] {
            assert!(run.stdout.lines().any(|said| said == line), "no {line:?} in {}", run.stdout);
        }
    });
}

#[test]
fn a_queue_that_is_taken_is_an_error_with_its_owner() {
    const TEST: &str = "run::live::a_queue_that_is_taken_is_an_error_with_its_owner";
    inside(TEST, || {
        let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
        let _first = start(&program, "nfqueue:3", &[], 1);
        let mut command = run_unlimited("nfqueue:3", &[]);
        let run = Run::of(command.arg(&program.path)).ended(1);
        run.says(&["socket: ", "ipq-cli: ", "queue 3"]);
    });
}

#[test]
fn programs_of_nfqueue_are_left_to_the_real_kernel() {
    const TEST: &str = "run::live::programs_of_nfqueue_are_left_to_the_real_kernel";
    live(TEST, &[IPV4], || {
        let Some(program) = Compiled::of(TEST, "mnl", &["-lnetfilter_queue", "-lmnl"]) else {
            return;
        };
        let mut command = run_unlimited("nfqueue:9", &[]);
        let mut started = Started::new(command.arg(&program.path).args(["3", "2"]));
        for line in ["bind: 0\n", "bind again: -16\n"] {
            assert_eq!(started.line(), line);
        }
        // Whether it has connection tracking is its own business.
        assert!(started.line().starts_with("conntrack: "));
        ping_is_answered("127.0.0.1");
        assert!(started.end().ended(0).stdout.ends_with("packets 2\n"));
    });
}
