//! `dump` and `drop`: which packets they show, and what of them.

use insta::assert_snapshot;

use crate::common::{Capture, Run, ipq_cli, packets_of, sim, traffic, tshark, udp4, udp6};

/// A run of a command on a capture, with the words of an expression.
fn run(command: &str, capture: &str, args: &[&str]) -> Run {
    Run::of(ipq_cli().args([command, "--transport", &sim(&traffic(capture))]).args(args))
}

#[test]
fn the_packets_that_match_are_shown_and_all_are_accepted() {
    let run = run("dump", "ssh.pcap", &["-c", "2", "src", "port", "22"]).ended(0);
    assert_snapshot!(run.seen(&traffic("ssh.pcap")), @"
    10:50:09.916918 PRE_ROUTING in eth0 IP 223.132.53.222.22 > 202.108.87.165.62146: Flags [S.], seq 2455219014, ack 4082233689, win 28960, length 0
    10:50:09.944464 PRE_ROUTING in eth0 IP 223.132.53.222.22 > 202.108.87.165.62146: Flags [.], seq 2455219015, ack 4082233710, win 227, length 0
    ---
    5 packets, 277 bytes in 0.053 s: 5 accepted, 0 dropped
    ");
    let run = self::run("dump", "ssh.pcap", &["--json", "src port 22"]).was_silent();
    let packets = run.events("packet");
    assert!((1..54).contains(&packets.len()));
    assert!(packets.iter().all(|packet| packet["summary"].as_str().unwrap().contains(".22 > ")));
    run.sums_up("packets 54, accepted 54, dropped 0");
}

#[test]
fn verbose_and_hex_show_more() {
    let run = run("dump", "ssh.pcap", &["-v", "-x", "-c", "1"]).ended(0);
    assert_snapshot!(run.stdout, @"
    10:50:09.891237 PRE_ROUTING in eth0 IP 202.108.87.165.62146 > 223.132.53.222.22: Flags [S], seq 4082233688, win 65535, length 0
        ip_queue id 0xffff880003779000, hook PRE_ROUTING, protocol 0x0800, in eth0, from 8c:85:90:3f:77:dd (type 1)
        (tos 0x0, ttl 64, id 0, offset 0, flags [DF], proto TCP (6), length 64)
        0x0000:  4500 0040 0000 4000 4006 0344 ca6c 57a5
        0x0010:  df84 35de f2c2 0016 f351 f158 0000 0000
        0x0020:  b002 ffff ec12 0000 0204 05b4 0103 0306
        0x0030:  0101 080a 7422 c7ce 0000 0000 0402 0000
    ");
    let file = Capture::of_packets(&[udp6(&[1, 2, 3])]);
    let run = Run::of(ipq_cli().args(["dump", "-vx", "--transport", &sim(&file.path)])).ended(0);
    assert_snapshot!(run.stdout, @"
    12:00:00.000000 PRE_ROUTING in eth0 IP6 fd00::1.40000 > fd00::2.53: UDP, length 3
        ip6_queue id 0xffff880006ef3000, hook PRE_ROUTING, protocol 0x86dd, in eth0
        (flowlabel 0x00000, hlim 64, next-header UDP (17), payload length 11)
        0x0000:  6000 0000 000b 1140 fd00 0000 0000 0000
        0x0010:  0000 0000 0000 0001 fd00 0000 0000 0000
        0x0020:  0000 0000 0000 0002 9c40 0035 000b 655c
        0x0030:  0102 03
    ");
}

#[test]
fn what_is_written_has_the_packets_that_match_and_what_is_known_of_them() {
    let test = "what_is_written_has_the_packets_that_match_and_what_is_known_of_them";
    let there = Capture::of_bytes(&[]);
    let written = there.beside("seen.pcapng");
    let path = written.to_str().unwrap();
    run("dump", "ssh.pcap", &["--write", path, "tcp[tcpflags] & tcp-syn != 0"]).ended(0);
    let packets = packets_of(&written);
    let all = packets_of(&traffic("ssh.pcap"));
    assert_eq!(packets.len(), 2);
    let times = |packets: &[ipq_sim::capture::CapturedPacket]| {
        packets.iter().map(|packet| (packet.timestamp, packet.data.clone())).collect::<Vec<_>>()
    };
    assert_eq!(times(&packets), times(&all[..2]));
    let fields = ["frame.interface_name", "frame.comment", "tcp.flags.syn"];
    let Some(rows) = tshark_lines(test, &written, &fields) else { return };
    assert_snapshot!(rows.join("\n"), @"
    eth0,verdict accept, ip_queue id 0xffff880003779000, hook PRE_ROUTING, protocol 0x0800, in eth0, from 8c:85:90:3f:77:dd (type 1),1
    eth0,verdict accept, ip_queue id 0xffff880003779000, hook PRE_ROUTING, protocol 0x0800, in eth0, from d4:ca:6d:2e:7f:67 (type 1),1
    ");
}

/// What tshark says of each frame, a line each: comments have commas in them.
fn tshark_lines(test: &str, file: &std::path::Path, fields: &[&str]) -> Option<Vec<String>> {
    let rows = tshark(test, file, fields)?;
    Some(rows.into_iter().map(|row| row.join(",")).collect())
}

#[test]
fn drop_drops_what_matches_and_accepts_the_rest() {
    let there = Capture::of_bytes(&[]);
    let log = there.beside("log.jsonl");
    let args = ["--json", "--log", log.to_str().unwrap(), "dst", "port", "22"];
    let run = run("drop", "ssh.pcap", &args).was_silent();
    let shown = run.events("packet");
    assert!(shown.iter().all(|packet| packet["verdict"] == "drop"));
    let summary = run.summary();
    assert_eq!(summary["dropped"], shown.len());
    assert_eq!(summary["accepted"].as_u64(), Some(54 - shown.len() as u64));
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().count(), 54);
    assert_eq!(log.lines().filter(|line| line.contains("\"drop\"")).count(), shown.len());
    let run = self::run("drop", "ssh.pcap", &["-c", "1", "tcp"]).ended(0);
    assert_snapshot!(run.stderr, @"1 packet, 64 bytes in 0.000 s: 0 accepted, 1 dropped");
}

#[test]
fn passer_gives_its_verdict_only_to_packets_that_the_filter_means() {
    let args = ["--json", "--verdict", "drop", "--filter", "dst port 22"];
    let run = Run::passer(&traffic("ssh.pcap"), &args).was_silent();
    let packets = run.events("packet");
    assert_eq!(packets.len(), 54);
    for packet in packets {
        let is_match = packet["summary"].as_str().unwrap().contains(".22: ");
        assert_eq!(packet["verdict"], if is_match { "drop" } else { "accept" }, "{packet}");
    }
}

#[test]
fn a_filter_that_is_none_is_wrong_usage() {
    for args in [
        &["dump", "tcp", "prot", "80"][..],
        &["drop", "tcp prot 80"],
        &["passer", "--filter", "tcp prot 80"],
    ] {
        let run = Run::of(ipq_cli().args(args)).ended(2);
        assert_eq!(run.stdout, "");
        run.says(&["put 'and' before it", "\n  tcp prot 80\n      ^", "--help"]);
    }
    Run::of(ipq_cli().arg("drop")).ended(2).says(&["<EXPR>"]);
    let copy = ["passer", "--copy", "meta", "--filter", "tcp"];
    Run::of(ipq_cli().args(copy)).ended(2).says(&["--filter looks at the packets"]);
}

#[test]
fn colours_are_only_for_who_wants_them() {
    let file = Capture::of_packets(&[udp4(&[])]);
    let transport = sim(&file.path);
    let args = ["passer", "--transport", &transport];
    assert!(!Run::of(ipq_cli().args(args)).ended(0).stdout.contains('\x1b'));
    let forced = Run::of(ipq_cli().args(args).env("CLICOLOR_FORCE", "1")).ended(0);
    assert!(forced.stdout.ends_with(" -> \x1b[32maccept\x1b[0m\n"), "{forced:?}");
    let refused = Run::of(ipq_cli().args(args).env("NO_COLOR", "1")).ended(0);
    assert!(!refused.stdout.contains('\x1b'));
}
