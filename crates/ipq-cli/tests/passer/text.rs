//! Lines for people, as they are seen.

use etherparse::icmpv6::DestUnreachableCode as Unreachable6;
use etherparse::{IcmpEchoHeader, Icmpv4Type, Icmpv6Type, icmpv4};
use insta::assert_snapshot;
use ipq_sim::capture::{Precision, Writer};

use crate::common::{
    Capture, Run, fragment4, fragment6, icmp4, icmp6, noon, other4, pcap, tcp4, traffic, udp4, udp6,
};

/// What is seen of a file of the folder.
fn seen(name: &str, args: &[&str]) -> String {
    Run::passer(&traffic(name), args).ended(0).seen(&traffic(name))
}

/// What is seen of these packets, without what is the same in every line.
fn lines(packets: &[Vec<u8>], args: &[&str]) -> String {
    let run = Capture::of_packets(packets).passer(args).ended(0);
    let line = |line: &str| {
        let (_, line) = line.split_once(" PRE_ROUTING in eth0 ").expect("each has these words");
        format!("{}\n", line.strip_suffix(" -> accept").expect("and these"))
    };
    run.stdout.lines().map(line).collect()
}

#[test]
fn shows_a_conversation() {
    assert_snapshot!(seen("ssh.pcap", &["--count", "6"]), @"
    10:50:09.891237 PRE_ROUTING in eth0 IP 202.108.87.165.62146 > 223.132.53.222.22: Flags [S], seq 4082233688, win 65535, length 0 -> accept
    10:50:09.916918 PRE_ROUTING in eth0 IP 223.132.53.222.22 > 202.108.87.165.62146: Flags [S.], seq 2455219014, ack 4082233689, win 28960, length 0 -> accept
    10:50:09.916972 PRE_ROUTING in eth0 IP 202.108.87.165.62146 > 223.132.53.222.22: Flags [.], seq 4082233689, ack 2455219015, win 4096, length 0 -> accept
    10:50:09.917574 PRE_ROUTING in eth0 IP 202.108.87.165.62146 > 223.132.53.222.22: Flags [P.], seq 4082233689, ack 2455219015, win 4096, length 21 -> accept
    10:50:09.944464 PRE_ROUTING in eth0 IP 223.132.53.222.22 > 202.108.87.165.62146: Flags [.], seq 2455219015, ack 4082233710, win 227, length 0 -> accept
    10:50:09.945545 PRE_ROUTING in eth0 IP 223.132.53.222.22 > 202.108.87.165.62146: Flags [P.], seq 2455219015, ack 4082233710, win 227, length 39 -> accept
    ---
    6 packets, 368 bytes in 0.054 s: 6 accepted, 0 dropped
    ");
}

#[test]
fn shows_ipv6() {
    assert_snapshot!(seen("dhcpv6-ia-na.pcap", &[]), @"
    15:34:54.978692 PRE_ROUTING in eth0 IP6 fe80::201:2ff:fe03:405.546 > ff02::1:2.547: UDP, length 48 -> accept
    15:34:54.980436 PRE_ROUTING in eth0 IP6 fe80::211:22ff:fe33:4455.547 > fe80::201:2ff:fe03:405.546: UDP, length 80 -> accept
    15:34:56.018625 PRE_ROUTING in eth0 IP6 fe80::201:2ff:fe03:405.546 > ff02::1:2.547: UDP, length 94 -> accept
    15:34:56.019017 PRE_ROUTING in eth0 IP6 fe80::211:22ff:fe33:4455.547 > fe80::201:2ff:fe03:405.546: UDP, length 80 -> accept
    ---
    4 packets, 494 bytes in 1.040 s: 4 accepted, 0 dropped
    ");
}

#[test]
fn shows_udp() {
    assert_snapshot!(seen("dns-badcookie.pcap", &[]), @"
    01:16:43.306396 PRE_ROUTING in eth0 IP 127.0.0.1.54954 > 127.0.0.1.53: UDP, length 40 -> accept
    01:16:43.306644 PRE_ROUTING in eth0 IP 127.0.0.1.53 > 127.0.0.1.54954: UDP, length 56 -> accept
    01:16:43.306944 PRE_ROUTING in eth0 IP 127.0.0.1.49830 > 127.0.0.1.53: UDP, length 56 -> accept
    01:16:43.307171 PRE_ROUTING in eth0 IP 127.0.0.1.53 > 127.0.0.1.49830: UDP, length 131 -> accept
    ---
    4 packets, 395 bytes in 0.001 s: 4 accepted, 0 dropped
    ");
}

#[test]
fn shows_fragments_of_a_real_file() {
    let all = seen("afs.pcap", &["--verdict", "drop"]);
    let fragments: Vec<_> = all.lines().filter(|line| line.contains("frag")).take(4).collect();
    assert_snapshot!(fragments.join("\n"), @"
    21:47:31.872588 PRE_ROUTING in eth0 IP 131.151.1.146 > 131.151.32.21: UDP, length 1480 (frag 573:1480@0+) -> drop
    21:47:31.873045 PRE_ROUTING in eth0 IP 131.151.1.146 > 131.151.32.21: UDP, length 1480 (frag 573:1480@1480+) -> drop
    21:47:31.873238 PRE_ROUTING in eth0 IP 131.151.1.146 > 131.151.32.21: UDP, length 1480 (frag 573:1480@2960+) -> drop
    21:47:31.873323 PRE_ROUTING in eth0 IP 131.151.1.146 > 131.151.32.21: UDP, length 1260 (frag 573:1260@4440) -> drop
    ");
}

#[test]
fn shows_fragments() {
    let payload = [0; 24];
    let packets = [
        fragment4(0, true, &payload),
        fragment4(3, true, &payload),
        fragment4(6, false, &payload[..5]),
        fragment6(0, true, &payload),
        fragment6(3, false, &payload),
    ];
    assert_snapshot!(lines(&packets, &[]), @"
    IP 10.0.0.1 > 10.0.0.2: UDP, length 24 (frag 4711:24@0+)
    IP 10.0.0.1 > 10.0.0.2: UDP, length 24 (frag 4711:24@24+)
    IP 10.0.0.1 > 10.0.0.2: UDP, length 5 (frag 4711:5@48)
    IP6 :: > ::: UDP, length 24 (fragment)
    IP6 :: > ::: UDP, length 24 (fragment)
    ");
    assert_snapshot!(lines(&packets[..1], &["--range", "30"]), @"IP 10.0.0.1 > 10.0.0.2: UDP, length 10 (frag 4711:24@0+)");
}

#[test]
fn shows_icmp() {
    let echo = IcmpEchoHeader { id: 7, seq: 3 };
    let unreachable = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    let packets = [
        icmp4(Icmpv4Type::EchoRequest(echo), &[0; 56]),
        icmp4(Icmpv4Type::EchoReply(echo), &[]),
        icmp4(Icmpv4Type::DestinationUnreachable(unreachable), &udp4(&[])),
        icmp6(Icmpv6Type::EchoRequest(echo), &[0; 56]),
        icmp6(Icmpv6Type::EchoReply(echo), &[]),
        icmp6(Icmpv6Type::DestinationUnreachable(Unreachable6::Port), &udp6(&[])),
    ];
    assert_snapshot!(lines(&packets, &[]), @"
    IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 3, length 64
    IP 10.0.0.1 > 10.0.0.2: ICMP echo reply, id 7, seq 3, length 8
    IP 10.0.0.1 > 10.0.0.2: ICMP type 3 code 4, length 36
    IP6 fd00::1 > fd00::2: ICMP6, echo request, id 7, seq 3, length 64
    IP6 fd00::1 > fd00::2: ICMP6, echo reply, id 7, seq 3, length 8
    IP6 fd00::1 > fd00::2: ICMP6, type 1 code 4, length 56
    ");
}

#[test]
fn shows_the_flags_of_tcp() {
    let packets = [
        tcp4(|tcp| tcp.syn = true, &[]),
        tcp4(
            |tcp| {
                (tcp.syn, tcp.ack, tcp.acknowledgment_number) = (true, true, 1001);
            },
            &[],
        ),
        tcp4(|tcp| (tcp.psh, tcp.ack) = (true, true), b"GET /"),
        tcp4(|tcp| (tcp.fin, tcp.ack) = (true, true), &[]),
        tcp4(|tcp| tcp.rst = true, &[]),
        tcp4(|_| (), &[]),
        tcp4(
            |tcp| {
                (tcp.fin, tcp.syn, tcp.rst, tcp.psh) = (true, true, true, true);
                (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) = (true, true, true, true);
                (tcp.sequence_number, tcp.window_size) = (u32::MAX, u16::MAX);
            },
            &[],
        ),
    ];
    assert_snapshot!(lines(&packets, &[]), @"
    IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S], seq 1000, win 512, length 0
    IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S.], seq 1000, ack 1001, win 512, length 0
    IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [P.], seq 1000, ack 0, win 512, length 5
    IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [F.], seq 1000, ack 0, win 512, length 0
    IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [R], seq 1000, win 512, length 0
    IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [none], seq 1000, win 512, length 0
    IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [FSRP.UEW], seq 4294967295, ack 0, win 65535, length 0
    ");
}

#[test]
fn shows_what_it_cannot_take_apart() {
    let mut lying_header_len = udp4(&[]);
    lying_header_len[0] = 0x4f;
    let mut lying_total_len = udp4(&[]);
    lying_total_len[3] = 200;
    let mut no_header = udp4(&[]);
    no_header[0] = 0x44;
    let mut endless = udp6(&[]);
    endless[6] = 0;
    endless[40..].copy_from_slice(&[0, 255, 0, 0, 0, 0, 0, 0]);
    let mut short_udp = udp4(&[]);
    short_udp.truncate(24);
    short_udp[3] = 24;
    let packets = [
        other4(47, &[0; 10]),
        other4(2, &[0x11, 0, 0, 0, 224, 0, 0, 1]),
        other4(59, &[]),
        other4(253, &[0; 10]),
        lying_header_len,
        lying_total_len,
        no_header,
        endless,
        short_udp,
    ];
    assert_snapshot!(lines(&packets, &[]), @"
    IP 10.0.0.1 > 10.0.0.2: GRE, length 10
    IP 10.0.0.1 > 10.0.0.2: IGMP, length 8
    IP 10.0.0.1 > 10.0.0.2: IPv6-NoNxt, length 0
    IP 10.0.0.1 > 10.0.0.2: ip-proto-253, length 10
    IP malformed, 28 bytes
    IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 0 [cut]
    IP malformed, 28 bytes
    IP6 fd00::1 > fd00::2: HOPOPT, length 8
    IP 10.0.0.1 > 10.0.0.2: UDP, length 4
    ");
}

#[test]
fn shows_a_packet_that_the_capture_cut() {
    let whole = [udp4(&[0; 100]), udp6(&[0; 100])];
    let mut writer = Writer::new(Vec::new(), Precision::Microseconds).unwrap();
    for packet in &whole {
        for len in [40, 60] {
            writer.write_cut(noon(0), &packet[..len], packet.len()).unwrap();
        }
    }
    let file = Capture::of_bytes(&writer.finish().unwrap());
    let run = file.passer(&[]).ended(0);
    assert_snapshot!(run.seen(&file.path), @"
    12:00:00.000000 PRE_ROUTING in eth0 IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 12 [cut] -> accept
    12:00:00.000000 PRE_ROUTING in eth0 IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 32 [cut] -> accept
    12:00:00.000000 PRE_ROUTING in eth0 IP6 fd00::1 > fd00::2: UDP, length 0 [cut] -> accept
    12:00:00.000000 PRE_ROUTING in eth0 IP6 fd00::1.40000 > fd00::2.53: UDP, length 12 [cut] -> accept
    ---
    4 packets, 200 bytes in 0.000 s: 4 accepted, 0 dropped
    ");
}

#[test]
fn shows_metadata_alone() {
    assert_snapshot!(seen("ssh.pcap", &["--count", "2", "--copy", "meta"]), @"
    10:50:09.891237 PRE_ROUTING in eth0 IP (no payload) -> accept
    10:50:09.916918 PRE_ROUTING in eth0 IP (no payload) -> accept
    ---
    2 packets, 0 bytes in 0.026 s: 2 accepted, 0 dropped
    ");
    assert_snapshot!(seen("LINKTYPE_IPV6.pcap", &["--copy", "meta"]), @"
    17:59:26.204450 PRE_ROUTING in eth0 IP6 (no payload) -> accept
    ---
    1 packet, 0 bytes in 0.000 s: 1 accepted, 0 dropped
    ");
}

#[test]
fn shows_as_much_as_was_asked_for() {
    assert_snapshot!(seen("ssh.pcap", &["--count", "2", "--range", "21"]), @"
    10:50:09.891237 PRE_ROUTING in eth0 IP 202.108.87.165 > 223.132.53.222: TCP, length 1 [cut] -> accept
    10:50:09.916918 PRE_ROUTING in eth0 IP 223.132.53.222 > 202.108.87.165: TCP, length 1 [cut] -> accept
    ---
    2 packets, 42 bytes in 0.026 s: 2 accepted, 0 dropped
    ");
    assert_snapshot!(seen("ssh.pcap", &["--count", "2", "--range", "1"]), @"
    10:50:09.891237 PRE_ROUTING in eth0 IP length 1 [cut] -> accept
    10:50:09.916918 PRE_ROUTING in eth0 IP length 1 [cut] -> accept
    ---
    2 packets, 2 bytes in 0.026 s: 2 accepted, 0 dropped
    ");
    assert_snapshot!(seen("LINKTYPE_IPV6.pcap", &["--range", "41"]), @"
    17:59:26.204450 PRE_ROUTING in eth0 IP6 2001:db8::1 > 2620:fe::9: UDP, length 1 [cut] -> accept
    ---
    1 packet, 41 bytes in 0.000 s: 1 accepted, 0 dropped
    ");
    let more_than_there_is = seen("ssh.pcap", &["--range", "4294967295"]);
    assert_eq!(more_than_there_is, seen("ssh.pcap", &[]));
}

#[test]
fn shows_packets_above_64_kib() {
    assert_snapshot!(seen("bigtcp-ipv4.pcap", &[]), @"
    15:05:40.030951 PRE_ROUTING in eth0 IP 10.25.132.13.35871 > 10.25.132.11.36425: Flags [P.], seq 4155358606, ack 17023525, win 635, length 80000 -> accept
    ---
    1 packet, 80052 bytes in 0.000 s: 1 accepted, 0 dropped
    ");
    assert_snapshot!(seen("bigtcp-ipv6.pcap", &["--range", "65536"]), @"
    15:09:21.939724 PRE_ROUTING in eth0 IP6 2604:1380:4091:ce00::b.43267 > 2604:1380:4091:ce00::d.41219: Flags [P.], seq 2265425561, ack 3850636772, win 426, length 65463 -> accept
    ---
    1 packet, 65535 bytes in 0.000 s: 1 accepted, 0 dropped
    ");
}

#[test]
fn names_file_and_packet_of_a_malformed_frame() {
    assert_snapshot!(seen("LINKTYPE_IPV4_invalid.pcap", &[]), @"
    ---
    ipq-cli: F: packet 1: link type says IPv4, the header says version 6; skipped
    0 packets, 0 bytes in 0.000 s: 0 accepted, 0 dropped, 1 malformed frame
    ");
    let (good, bad) = (udp4(&[]), [0x50; 20]);
    let file = Capture::of_packets(&[&good, &bad[..], &bad[..1], &good, &[]]);
    let run = file.passer(&["--quiet"]).ended(0);
    assert_snapshot!(run.seen(&file.path), @"
    ---
    ipq-cli: F: packet 2: the header says version 5, which is no IP; skipped
    ipq-cli: F: packet 3: the header says version 5, which is no IP; skipped
    ipq-cli: F: packet 5: 0 bytes are too few for an IP header; skipped
    2 packets, 56 bytes in 3.000 s: 2 accepted, 0 dropped, 3 malformed frames
    ");
}

#[test]
fn the_summary_has_words_for_one_and_for_many() {
    assert_snapshot!(seen("empty.pcapng", &[]), @"
    ---
    0 packets, 0 bytes in 0.000 s: 0 accepted, 0 dropped
    ");
    assert_snapshot!(seen("LINKTYPE_IPV4.pcap", &["--quiet", "--range", "1"]), @"
    ---
    1 packet, 1 byte in 0.000 s: 1 accepted, 0 dropped
    ");
    assert_snapshot!(seen("slow-ossp.pcap", &[]), @"
    ---
    0 packets, 0 bytes in 0.000 s: 0 accepted, 0 dropped, 1 frame without IP
    ");
    assert_snapshot!(seen("802.1ad_QinQ.pcap", &[]), @"
    ---
    0 packets, 0 bytes in 0.000 s: 0 accepted, 0 dropped, 2 frames without IP
    ");
    assert_snapshot!(seen("ssh.pcap", &["--quiet", "--verdict", "stop"]), @"
    ---
    54 packets, 11204 bytes in 0.575 s: 0 accepted, 0 dropped, 54 given another verdict
    ");
    assert_snapshot!(seen("babel.pcap", &["--family", "ipv4"]), @"
    ---
    0 packets, 0 bytes in 76.019 s: 0 accepted, 0 dropped, 25 of a family not asked for
    ");
}

#[test]
fn the_summary_tells_what_went_wrong() {
    let mut giant = udp4(&[]);
    giant[2..4].fill(0);
    giant.resize(600_000, 0);
    let file = Capture::of_bytes(&pcap(&[((1, 0), &giant)]));
    let run = file.passer(&["--quiet"]).ended(0);
    assert_snapshot!(run.seen(&file.path), @"
    ---
    ipq-cli: a message of 600112 bytes was cut
    1 packet, 524280 bytes in 0.000 s: 1 accepted, 0 dropped, 1 error
    ");
    let file = Capture::of_bytes(&pcap(&[((1, 0), &giant), ((2, 0), &giant)]));
    let run = file.passer(&["--quiet"]).ended(0);
    assert_snapshot!(run.seen(&file.path), @"
    ---
    ipq-cli: a message of 600112 bytes was cut
    ipq-cli: a message of 600112 bytes was cut
    2 packets, 1048560 bytes in 1.000 s: 2 accepted, 0 dropped, 2 errors
    ");
}

#[test]
fn times_wrap_at_midnight_and_may_be_missing() {
    let packet = udp4(&[]);
    let times = [(0, 0), (0, 1), (86_399, 999_999), (86_400, 0), (u32::MAX, 0)];
    let file = Capture::of_bytes(&pcap(&times.map(|time| (time, packet.as_slice()))));
    let run = file.passer(&[]).ended(0);
    let times: Vec<_> = run.stdout.lines().map(|line| &line[..15]).collect();
    assert_snapshot!(times.join("\n"), @"
    --:--:--.------
    00:00:00.000001
    23:59:59.999999
    00:00:00.000000
    06:28:15.000000
    ");
}
