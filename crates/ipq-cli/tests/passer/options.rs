//! What each option does to a run.

use crate::common::{Capture, Run, traffic, udp4, udp6};

/// A file with packets of both families, one of neither, and a gap of ten minutes before the last two.
fn mixed() -> Capture {
    Capture::of(&[
        (0, udp4(&[0; 1])),
        (10, udp6(&[0; 2])),
        (20, udp4(&[0; 3])),
        (30, vec![0x50; 20]),
        (600_000, udp4(&[0; 4])),
        (600_000, udp6(&[0; 5])),
    ])
}

#[track_caller]
fn check(args: &[&str], expected: &str) -> Run {
    let args = [args, &["--json"]].concat();
    mixed().passer(&args).was_silent().sums_up(expected)
}

/// Checks that the arguments are refused as wrong usage, and that this is said.
#[track_caller]
fn refuses(args: &[&str], fragments: &[&str]) {
    let run = mixed().passer(args).ended(2).says(fragments).says(&["--help"]);
    assert_eq!(run.stdout, "");
}

#[test]
fn family_says_which_packets_are_wanted() {
    const SKIPPED: &str = "skipped 1, malformed 1, errors 0, lost 0";
    check(&[], &format!("packets 5, accepted 5, bytes 195, unclaimed 0, {SKIPPED}"));
    check(&["--family", "both"], &format!("packets 5, unclaimed 0, {SKIPPED}"));
    let run = check(&["--family", "ipv4"], &format!("packets 3, unclaimed 2, {SKIPPED}"));
    assert!(run.events("packet").iter().all(|packet| packet["family"] == "ipv4"));
    let run = check(&["--family", "ipv6"], &format!("packets 2, unclaimed 3, {SKIPPED}"));
    assert!(run.events("packet").iter().all(|packet| packet["family"] == "ipv6"));
    refuses(&["--family", "ipx"], &["'ipx'", "a family is ipv4, ipv6 or both"]);
}

#[test]
fn packets_of_both_families_come_in_the_order_of_the_file() {
    let run = check(&[], "packets 5");
    let lens: Vec<_> = run.events("packet").iter().map(|it| it["data_len"].to_string()).collect();
    assert_eq!(lens, ["29", "50", "31", "32", "53"]);
}

#[test]
fn count_says_how_many() {
    for count in 1..=4 {
        let run = check(&["--count", &count.to_string()], &format!("packets {count}"));
        assert_eq!(run.events("packet").len(), count);
    }
    check(&["--count", "5"], "packets 5");
    check(&["--count", "6"], "packets 5");
    check(&["--count", "18446744073709551615"], "packets 5");
    refuses(&["--count", "0"], &["'0'", "--count"]);
    refuses(&["--count", "-1"], &["-1"]);
    refuses(&["--count", "18446744073709551616"], &["'18446744073709551616'"]);
}

#[test]
fn a_file_damaged_behind_the_last_packet_that_was_asked_for_is_good_enough() {
    let packet = udp4(&[]);
    let mut bytes = std::fs::read(Capture::of_packets(&[&packet, &packet]).path).unwrap();
    bytes.truncate(24 + 16 + packet.len() + 3);
    let file = Capture::of_bytes(&bytes);
    file.passer(&["--json", "--count", "1"]).was_silent().sums_up("packets 1, accepted 1");
    file.passer(&["--json", "--count", "2"]).ended(1).sums_up("packets 1, accepted 1");
}

#[test]
fn timeout_is_measured_by_the_clock_of_the_kernel() {
    check(&["--timeout", "9min 59s"], "packets 3, skipped 1");
    check(&["--timeout", "1s"], "packets 3, skipped 1");
    check(&["--timeout", "15ms"], "packets 3, skipped 1");
    check(&["--timeout", "5ms"], "packets 1, skipped 0");
    check(&["--timeout", "0s"], "packets 1, skipped 0");
    check(&["--timeout", "10m"], "packets 5, skipped 1");
    check(&["--timeout", "1s", "--family", "ipv4"], "packets 2, unclaimed 1");
    // Longer than any clock can count.
    check(&["--timeout", "584542046090years"], "packets 5");
    refuses(&["--timeout", "soon"], &["'soon'", "--timeout"]);
    refuses(&["--timeout", "5"], &["'5'", "time unit needed"]);
}

#[test]
fn copy_and_range_say_how_much_is_wanted() {
    check(&["--copy", "meta"], "packets 5, bytes 0, accepted 5");
    check(&["--copy", "packet"], "packets 5, bytes 195");
    check(&["--range", "30"], "packets 5, bytes 149");
    check(&["--range", "1"], "packets 5, bytes 5");
    check(&["--range", "4294967295"], "packets 5, bytes 195");
    // Nothing is wanted of nothing.
    check(&["--range", "0", "--copy", "meta"], "packets 5, bytes 0");
    refuses(&["--range", "21", "--copy", "meta"], &["--range", "--copy meta"]);
    refuses(&["--range", "4294967296"], &["'4294967296'"]);
    refuses(&["--copy", "none"], &["'none'", "meta, packet"]);
}

#[test]
fn packets_above_64_kib_are_whole_unless_a_range_is_given() {
    let file = traffic("bigtcp-ipv4.pcap");
    Run::passer(&file, &["--json"]).was_silent().sums_up("bytes 80052");
    Run::passer(&file, &["--json", "--range", "65535"]).was_silent().sums_up("bytes 65535");
    Run::passer(&file, &["--json", "--range", "65536"]).was_silent().sums_up("bytes 65535");
}

#[test]
fn verdict_says_what_becomes_of_the_packets() {
    check(&["--verdict", "accept"], "packets 5, accepted 5, dropped 0, other 0");
    check(&["--verdict", "drop"], "packets 5, accepted 0, dropped 5, other 0");
    check(&["--verdict", "stop"], "packets 5, accepted 0, dropped 0, other 5");
    refuses(&["--verdict", "steal"], &["'steal'", "accept, drop, repeat, queue, stop"]);
}

#[test]
fn a_packet_that_comes_back_needs_a_count() {
    for verdict in ["repeat", "queue"] {
        let run = check(&["--verdict", verdict, "--count", "7"], "packets 7, other 7, bytes 203");
        let lens = run.events("packet");
        assert!(lens.iter().all(|packet| packet["data_len"] == 29), "the first comes back");
        refuses(&["--verdict", verdict], &["--count", "for ever"]);
    }
}

#[test]
fn a_packet_that_comes_back_has_a_name_of_its_own_each_time() {
    for verdict in ["repeat", "queue"] {
        let run = check(&["--verdict", verdict, "--count", "4"], "packets 4");
        let packets = run.events("packet");
        for pair in packets.windows(2) {
            assert_ne!(pair[0]["id"], pair[1]["id"], "{verdict}");
        }
    }
}

#[test]
fn quiet_leaves_the_summary() {
    let run = Run::passer(&traffic("ssh.pcap"), &["--quiet"]).ended(0);
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr, "54 packets, 11204 bytes in 0.575 s: 54 accepted, 0 dropped\n");
}

#[test]
fn no_option_is_given_twice() {
    refuses(&["--count", "1", "--count", "2"], &["--count"]);
    refuses(&["--unheard-of"], &["--unheard-of"]);
    refuses(&["file.pcap"], &["file.pcap"]);
}
