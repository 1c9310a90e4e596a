//! Programs of ip_queue, unmodified, over the `nfnetlink_queue` of the real kernel, in a network of their own.

use core::time::Duration;
use std::fs;
use std::time::Instant;

use crate::common::{Rule, Run, Started, inside, live, ping_is_answered};

use super::support::{Compiled, run_unlimited};

const IPV4: Rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 3");
/// Rules for both families that name the same queue.
const SHARED: [Rule; 2] = [IPV4, ("ip6tables", "-A OUTPUT -p icmpv6 -j NFQUEUE --queue-num 3")];

/// The same, as `-j QUEUE` would have it.
const FIRST: [Rule; 2] = [
    ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 0"),
    ("ip6tables", "-A OUTPUT -p icmpv6 -j NFQUEUE --queue-num 0"),
];
const IPV6: Rule = ("ip6tables", "-A OUTPUT -p icmpv6 -j NFQUEUE --queue-num 4");

/// Starts a program over these queues, and waits until so many of them copy packets.
fn start(program: &Compiled, transport: &str, args: &[&str], queues: usize) -> Started {
    let mut command = run_unlimited(transport, &[]);
    let started = Started::new(command.arg(&program.path).args(args));
    wait_for(queues);
    started
}

/// Waits until so many queues copy packets.
#[track_caller]
fn wait_for(queues: usize) {
    const TABLE: &str = "/proc/self/net/netfilter/nfnetlink_queue";
    let give_up = Instant::now() + Duration::from_secs(20);
    let copies = |line: &&str| line.split_whitespace().nth(3) == Some("2");
    while fs::read_to_string(TABLE).unwrap_or_default().lines().filter(copies).count() < queues {
        assert!(Instant::now() < give_up, "{:?}", fs::read_to_string(TABLE));
        std::thread::yield_now();
    }
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

#[track_caller]
fn both_families_share(test: &str, rules: &[Rule], transport: &str) {
    live(test, rules, || {
        let Some(program) = Compiled::of(test, "old", &[]) else { return };
        // That it copies for IPv4 is seen; who answers for IPv4 has asked for IPv6 as well.
        for count in ["8", "4"] {
            let started = start(&program, transport, &[count], 1);
            let pings = count.parse::<usize>().expect("a number") / 4;
            for _ in 0..pings {
                ping_is_answered("127.0.0.1");
                ping_is_answered("::1");
            }
            let run = started.end().was_silent();
            let replaced = if pings == 2 { 2 } else { 1 };
            let each = 2 * pings;
            assert_eq!(run.stdout, format!("ipv4 {each}, ipv6 {each}, replaced {replaced}\n"));
        }
    });
}

#[test]
fn both_families_share_a_queue_of_the_real_kernel() {
    const TEST: &str = "run::live::both_families_share_a_queue_of_the_real_kernel";
    both_families_share(TEST, &SHARED, "nfqueue:3");
}

#[test]
fn both_families_share_the_first_queue_by_themselves() {
    const TEST: &str = "run::live::both_families_share_the_first_queue_by_themselves";
    both_families_share(TEST, &FIRST, "auto");
}

#[test]
fn a_program_that_ends_leaves_the_other_family_what_waits() {
    const TEST: &str = "run::live::a_program_that_ends_leaves_the_other_family_what_waits";
    live(TEST, &SHARED, || {
        let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
        let mut command = run_unlimited("nfqueue:3", &[]);
        // One shell, two programs of it: that of IPv6 goes on when that of IPv4 has ended.
        let script = "\"$1\" -n 2 & \"$1\" -6 -n 4 &
            for name in ip_queue ip6_queue; do
                until grep -q '^Copy mode.*: 2$' /proc/net/$name 2>&-; do :; done
            done
            echo ready; wait";
        let mut started = Started::new(command.args(["sh", "-c", script, "sh"]).arg(&program.path));
        assert_eq!(started.line(), "ready\n");
        ping_is_answered("::1");
        ping_is_answered("127.0.0.1");
        ping_is_answered("::1");
        let run = started.end().was_silent();
        let mut lines: Vec<_> = run.stdout.lines().filter(|line| *line != "ready").collect();
        lines.sort_unstable();
        let [two, four] = lines[..] else { panic!("{:?}", run.stdout) };
        assert!(two.starts_with("packets 2, bytes 168, "), "{two}");
        assert!(four.starts_with("packets 4, bytes 416, "), "{four}");
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
        wait_for(1);
        ping_is_answered("127.0.0.1");
        assert!(started.end().ended(0).stdout.ends_with("packets 2\n"));
    });
}
