//! What the receiver of a packet checks: lengths and checksums, and before which hook.

use etherparse::{IpHeaders, IpNumber, Ipv4Options, Ipv6RawExtHeader, PacketBuilder};
use ipq_proto::{CopyMode, Family, Hook, Verdict};
use ipq_sim::{Fate, Match, Outcome, Reason, SocketOptions, Target};

use crate::common::{
    Program, echo_on, fix_header, fragment_on, inbound, ip_headers, router, set_ip_len, tcp_on,
    through, transport_offset, udp_on,
};

const SHORT: Fate = Fate::Dropped(Reason::Short);
const MALFORMED: Fate = Fate::Dropped(Reason::Malformed);
const WRONG: Fate = Fate::Dropped(Reason::TransportChecksum);

/// A packet of each checked protocol, and where in its transport header the checksum lies.
fn checked(family: Family, payload: &[u8]) -> [(&'static str, Vec<u8>, usize); 3] {
    let way = inbound(family);
    [
        ("udp", udp_on(way, payload), 6),
        ("tcp", tcp_on(way, payload), 16),
        ("icmp", echo_on(way, payload), 2),
    ]
}

fn outcome(family: Family, data: &[u8]) -> Outcome {
    let kernel = router().build();
    kernel.receive("eth0", family, data);
    kernel.run();
    let mut outcomes = kernel.take_outcomes();
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

fn fate(family: Family, data: &[u8]) -> Fate {
    outcome(family, data).fate
}

#[test]
fn right_checksums_of_any_length_are_delivered() {
    for family in Family::ALL {
        for len in (0..40).chain([1399, 1400, 60_000]) {
            for (name, data, _) in checked(family, &vec![0xa5; len]) {
                let outcome = outcome(family, &data);
                assert_eq!(outcome.fate, Fate::Delivered, "{family} {name}, {len} bytes");
                assert_eq!(outcome.data, data);
            }
        }
    }
}

#[test]
fn wrong_checksums_are_not() {
    for family in Family::ALL {
        for (name, mut data, at) in checked(family, b"hello") {
            data[transport_offset(family) + at] ^= 0x10;
            assert_eq!(fate(family, &data), WRONG, "{family} {name}");
        }
    }
}

#[test]
fn any_wrong_bit_that_a_checksum_covers_is_noticed() {
    for family in Family::ALL {
        // An IPv4 header has a checksum over all of it; of an IPv6 header only the addresses are covered.
        let covered = if family == Family::Ipv4 { 0 } else { 8 };
        for (name, data, at) in checked(family, b"hello") {
            for bit in covered * 8..data.len() * 8 {
                let mut damaged = data.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let checksum = transport_offset(family) + at;
                let lost = damaged[checksum..checksum + 2] == [0, 0];
                assert!(!lost, "choose another payload: the checksum is one bit from none");
                // ICMP for IPv4 covers no address, but the IP header's own checksum does.
                assert_ne!(fate(family, &damaged), Fate::Delivered, "{family} {name}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_wrong_ip_header_ends_a_packet_before_the_first_hook() {
    let kernel = router().build();
    kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
    let mut data = udp_on(inbound(Family::Ipv4), b"x");
    data[8] ^= 1;
    kernel.receive("eth0", Family::Ipv4, &data);
    kernel.run();
    // With a queue and no program it would be dropped for another reason.
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::IpChecksum));
}

#[test]
fn a_wrong_transport_checksum_ends_it_only_at_its_receiver() {
    for family in Family::ALL {
        for way in [inbound(family), through(family)] {
            let kernel = router().build();
            kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
            let mut program = Program::open(&kernel, family, SocketOptions::default());
            program.set_mode(CopyMode::Packet { range: 0 });
            let mut data = udp_on(way, b"x");
            *data.last_mut().unwrap() ^= 1;
            kernel.receive("eth0", family, &data);
            kernel.run();
            let packet = program.packet();
            assert_eq!(packet.payload, data, "the queue does not look");
            program.verdict(packet.id, Verdict::Accept);
            assert_eq!(kernel.take_outcomes()[0].fate, WRONG);
        }
    }
}

#[test]
fn a_packet_shorter_than_its_header_says_is_dropped() {
    for family in Family::ALL {
        for (name, data, _) in checked(family, b"hello") {
            for len in 0..data.len() {
                let expected = if len < family.header_len() { MALFORMED } else { SHORT };
                assert_eq!(fate(family, &data[..len]), expected, "{family} {name}, {len} bytes");
            }
        }
    }
}

#[test]
fn what_follows_the_length_in_the_header_is_cut_off_before_the_first_hook() {
    for family in Family::ALL {
        let kernel = router().build();
        kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
        let mut program = Program::open(&kernel, family, SocketOptions::default());
        program.set_mode(CopyMode::Packet { range: 0 });
        let data = udp_on(inbound(family), b"hello");
        kernel.receive("eth0", family, &[&data[..], b" and padding"].concat());
        kernel.run();
        let packet = program.packet();
        assert_eq!(packet.payload, data);
        program.verdict(packet.id, Verdict::Accept);
        assert_eq!(kernel.delivered()[0].data, data);
    }
}

#[test]
fn fragments_are_not_checked() {
    for family in Family::ALL {
        for (offset, more) in [(0, true), (1, true), (100, false)] {
            let data = fragment_on(through(family), offset, more, &[0x41; 64]);
            assert_eq!(fate(family, &data), Fate::Delivered, "{family}, offset {offset}");
        }
        // In one piece, the same datagram is wrong: its UDP length says more than there is.
        let data = fragment_on(inbound(family), 0, false, &[0x41; 64]);
        assert_eq!(fate(family, &data), SHORT);
    }
}

#[test]
fn the_ip_header_of_a_fragment_is_checked() {
    let mut data = fragment_on(inbound(Family::Ipv4), 1, true, &[0x41; 64]);
    data[10] ^= 1;
    assert_eq!(fate(Family::Ipv4, &data), Fate::Dropped(Reason::IpChecksum));
}

#[test]
fn udp_without_a_checksum_is_good_in_ipv4_and_bad_in_ipv6() {
    for family in Family::ALL {
        let mut data = udp_on(inbound(family), b"hello");
        let at = transport_offset(family) + 6;
        data[at..at + 2].fill(0);
        let expected = if family == Family::Ipv4 { Fate::Delivered } else { WRONG };
        assert_eq!(fate(family, &data), expected);
    }
}

#[test]
fn tcp_and_icmp_without_a_checksum_are_bad() {
    for family in Family::ALL {
        for (name, mut data, at) in checked(family, b"hello").into_iter().skip(1) {
            let at = transport_offset(family) + at;
            data[at..at + 2].fill(0);
            assert_eq!(fate(family, &data), WRONG, "{family} {name}");
        }
    }
}

#[test]
fn a_transport_header_that_is_not_all_there_is_short() {
    for family in Family::ALL {
        for ((name, data, _), header_len) in checked(family, b"hello").into_iter().zip([8, 20, 8]) {
            for len in 0..header_len {
                let mut cut = data[..transport_offset(family) + len].to_vec();
                let claimed = if family == Family::Ipv4 { cut.len() } else { len };
                set_ip_len(&mut cut, u16::try_from(claimed).unwrap());
                assert_eq!(fate(family, &cut), SHORT, "{family} {name}, {len} bytes");
            }
        }
    }
}

#[test]
fn a_udp_length_that_lies_is_short() {
    for family in Family::ALL {
        let data = udp_on(inbound(family), b"hello");
        let at = transport_offset(family) + 4;
        for claimed in [1_u16, 7, 14, 0xffff] {
            let mut lying = data.clone();
            lying[at..at + 2].copy_from_slice(&claimed.to_be_bytes());
            assert_eq!(fate(family, &lying), SHORT, "{family}, {claimed}");
        }
    }
}

#[test]
fn a_udp_datagram_may_be_shorter_than_the_packet() {
    for family in Family::ALL {
        let mut data = udp_on(inbound(family), b"hello");
        data.extend(b"behind it");
        let len = if family == Family::Ipv4 { data.len() } else { data.len() - 40 };
        set_ip_len(&mut data, u16::try_from(len).unwrap());
        let outcome = outcome(family, &data);
        assert_eq!((outcome.fate, outcome.data), (Fate::Delivered, data));
    }
}

#[test]
fn other_protocols_are_not_checked() {
    for family in Family::ALL {
        for number in [IpNumber::SCTP, IpNumber(253), IpNumber::GRE] {
            let mut data = Vec::new();
            let step = PacketBuilder::ip(ip_headers(inbound(family)));
            step.write(&mut data, number, &[0x41; 33]).unwrap();
            assert_eq!(fate(family, &data), Fate::Delivered);
        }
    }
}

#[test]
fn the_icmp_of_the_other_family_is_a_protocol_like_any_other() {
    for (family, number) in [(Family::Ipv4, IpNumber::IPV6_ICMP), (Family::Ipv6, IpNumber::ICMP)] {
        let mut data = Vec::new();
        let step = PacketBuilder::ip(ip_headers(inbound(family)));
        step.write(&mut data, number, &[0x41; 33]).unwrap();
        assert_eq!(fate(family, &data), Fate::Delivered);
    }
}

#[test]
fn ipv4_options_are_part_of_the_header() {
    let mut headers = ip_headers(inbound(Family::Ipv4));
    if let IpHeaders::Ipv4(header, _) = &mut headers {
        header.options = Ipv4Options::from([1; 8]);
    }
    let mut data = Vec::new();
    PacketBuilder::ip(headers).udp(1, 2).write(&mut data, b"hello").unwrap();
    assert_eq!(data[0], 0x47);
    assert_eq!(fate(Family::Ipv4, &data), Fate::Delivered);
    data[24] ^= 2;
    assert_eq!(fate(Family::Ipv4, &data), Fate::Dropped(Reason::IpChecksum));
}

#[test]
fn ipv6_extensions_come_before_the_transport_header() {
    let mut headers = ip_headers(inbound(Family::Ipv6));
    if let IpHeaders::Ipv6(_, extensions) = &mut headers {
        let options = Ipv6RawExtHeader::new_raw(IpNumber::UDP, &[1, 4, 0, 0, 0, 0]).unwrap();
        extensions.hop_by_hop_options = Some(options.clone());
        extensions.destination_options = Some(options);
    }
    let mut data = Vec::new();
    PacketBuilder::ip(headers).udp(1, 2).write(&mut data, b"hello").unwrap();
    assert_eq!(fate(Family::Ipv6, &data), Fate::Delivered);
    *data.last_mut().unwrap() ^= 1;
    assert_eq!(fate(Family::Ipv6, &data), WRONG);
}

#[test]
fn an_ipv4_header_that_contradicts_itself_is_malformed() {
    let good = udp_on(inbound(Family::Ipv4), b"hello");
    for (what, byte, value) in
        [("version 5", 0, 0x55), ("header of 16", 0, 0x44), ("header beyond the end", 0, 0x4f)]
    {
        let mut data = good.clone();
        data[byte] = value;
        fix_header(&mut data);
        assert_eq!(fate(Family::Ipv4, &data), MALFORMED, "{what}");
    }
    for total_len in [0, 19] {
        let mut data = good.clone();
        set_ip_len(&mut data, total_len);
        assert_eq!(fate(Family::Ipv4, &data), MALFORMED, "total length {total_len}");
    }
}

#[test]
fn an_ipv6_header_of_another_version_is_malformed() {
    for version in [0, 4, 5, 7, 15] {
        let mut data = udp_on(inbound(Family::Ipv6), b"hello");
        data[0] = version << 4;
        assert_eq!(fate(Family::Ipv6, &data), MALFORMED);
    }
}

#[test]
fn an_ipv6_payload_length_of_zero_means_no_payload_unless_it_is_a_jumbogram() {
    let mut data = udp_on(inbound(Family::Ipv6), b"hello");
    set_ip_len(&mut data, 0);
    assert_eq!(fate(Family::Ipv6, &data), SHORT, "its UDP header is not part of it");

    // RFC 2675: the length is in a hop-by-hop option; the UDP length may be 0 as well.
    for (udp_len, payload_len) in [(13_u16, 5), (0, 5), (0, 70_000)] {
        let payload = vec![0x42; payload_len];
        let mut udp = udp_on(inbound(Family::Ipv6), &payload[..payload_len.min(60_000)]);
        set_ip_len(&mut udp, 0);
        udp[6] = 0;
        let udp_at = 40 + 8;
        let len = 8 + 8 + payload_len;
        let option = [&[17, 0, 0xc2, 4][..], &u32::try_from(len).unwrap().to_be_bytes()].concat();
        let mut data = [&udp[..40], &option, &udp[40..48], &payload].concat();
        data[udp_at + 4..udp_at + 6].copy_from_slice(&udp_len.to_be_bytes());
        set_udp_checksum_of_jumbogram(&mut data, udp_at);
        let outcome = outcome(Family::Ipv6, &data);
        assert_eq!(outcome.fate, Fate::Delivered, "{payload_len} bytes, length {udp_len}");
        assert_eq!(outcome.data.len(), data.len());
    }
}

fn set_udp_checksum_of_jumbogram(data: &mut [u8], udp_at: usize) {
    data[udp_at + 6..udp_at + 8].fill(0);
    let len = u32::try_from(data.len() - udp_at).unwrap();
    let sum = etherparse::checksum::Sum16BitWords::new()
        .add_slice(&data[8..40])
        .add_4bytes(len.to_be_bytes())
        .add_2bytes([0, 17])
        .add_slice(&data[udp_at..])
        .ones_complement();
    data[udp_at + 6..udp_at + 8].copy_from_slice(&sum.to_ne_bytes());
}

#[test]
fn what_this_host_sends_is_checked_by_its_receiver_too() {
    for family in Family::ALL {
        for way in [inbound(family), through(family)] {
            let kernel = router().build();
            let mut data = udp_on(way, b"hello");
            *data.last_mut().unwrap() ^= 1;
            kernel.send(family, &data);
            kernel.send(family, &udp_on(way, b"hello"));
            kernel.run();
            let fates: Vec<_> = kernel.take_outcomes().iter().map(|o| o.fate).collect();
            assert_eq!(fates, [WRONG, Fate::Delivered]);
        }
    }
}

#[test]
fn bytes_that_are_no_packet_at_all_end_as_malformed() {
    for family in Family::ALL {
        for data in [&[][..], &[0], &[0xff; 19], &[0; 2000], b"GET / HTTP/1.1"] {
            assert_eq!(fate(family, data), MALFORMED);
            let kernel = router().build();
            kernel.send(family, data);
            kernel.run();
            assert_eq!(kernel.take_outcomes()[0].fate, MALFORMED);
        }
    }
}
