//! What forwarding does to a packet's hop limit, which IPv4 calls time to live.

use ipq_proto::{CopyMode, Family, Hook, Verdict};
use ipq_sim::{Fate, Kernel, Match, Outcome, Reason, SocketOptions, Target};

use crate::common::{Heard, Program, fix_header, inbound, router, through, udp_on};

/// A packet with so many hops left.
fn with_hops(family: Family, packet: Vec<u8>, hops: u8) -> Vec<u8> {
    let mut packet = packet;
    packet[place(family)] = hops;
    fix_header(&mut packet);
    packet
}

/// Where the hops are in an IP header.
fn place(family: Family) -> usize {
    match family {
        Family::Ipv4 => 8,
        Family::Ipv6 => 7,
    }
}

/// What becomes of a packet that comes in by `eth0`.
fn received(kernel: &Kernel, family: Family, packet: &[u8]) -> Outcome {
    kernel.receive("eth0", family, packet);
    kernel.run();
    kernel.take_outcomes().remove(0)
}

#[test]
fn a_forwarded_packet_has_one_hop_less_from_forward_on() {
    for family in Family::ALL {
        let kernel = router().build();
        for hook in Hook::ALL {
            kernel.rule(hook, Match::any(), Target::Queue);
        }
        let mut program = Program::open(&kernel, family, SocketOptions::default());
        program.set_mode(CopyMode::Packet { range: 0 });
        kernel.receive("eth0", family, &udp_on(through(family), b"onwards"));
        kernel.run();
        let mut hops = Vec::new();
        while let Some(Heard::Packet(packet)) = program.hear() {
            hops.push((packet.hook, packet.payload[place(family)]));
            program.verdict(packet.id, Verdict::Accept);
        }
        let expected = [(Hook::PreRouting, 64), (Hook::Forward, 63), (Hook::PostRouting, 63)];
        assert_eq!(hops, expected);
        assert_eq!(kernel.take_outcomes()[0].fate, Fate::Delivered);
    }
}

#[test]
fn the_header_checksum_stays_right_whatever_it_is() {
    let kernel = router().build();
    for identification in (0..=u16::MAX).step_by(7) {
        let mut packet = udp_on(through(Family::Ipv4), b"onwards");
        packet[4..6].copy_from_slice(&identification.to_be_bytes());
        let packet = with_hops(Family::Ipv4, packet, identification.to_be_bytes()[1].max(2));
        let outcome = received(&kernel, Family::Ipv4, &packet);
        // Whoever receives it looks at the checksum.
        assert_eq!(outcome.fate, Fate::Delivered, "{packet:02x?}");
        let mut expected = packet;
        expected[8] -= 1;
        fix_header(&mut expected);
        assert_eq!(outcome.data, expected);
    }
}

#[test]
fn a_wrong_header_checksum_is_not_made_right() {
    let kernel = router().build();
    kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
    let mut program = Program::open(&kernel, Family::Ipv4, SocketOptions::default());
    program.set_mode(CopyMode::Packet { range: 0 });
    let mut packet = udp_on(through(Family::Ipv4), b"onwards");
    kernel.receive("eth0", Family::Ipv4, &packet);
    kernel.run();
    packet[11] ^= 1;
    let id = program.packet().id;
    program.verdict_with(id, Verdict::Accept, &packet);
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::IpChecksum));
}

#[test]
fn a_packet_without_a_hop_left_is_not_forwarded() {
    for family in Family::ALL {
        let kernel = router().build();
        let fate = |hops| {
            let packet = with_hops(family, udp_on(through(family), b"onwards"), hops);
            received(&kernel, family, &packet).fate
        };
        assert_eq!(fate(0), Fate::Dropped(Reason::HopLimit));
        assert_eq!(fate(1), Fate::Dropped(Reason::HopLimit));
        assert_eq!(fate(2), Fate::Delivered);
        assert_eq!(fate(255), Fate::Delivered);
    }
}

#[test]
fn this_host_itself_takes_the_last_hop_and_none_away() {
    for family in Family::ALL {
        let packet = with_hops(family, udp_on(inbound(family), b"here"), 1);
        let outcome = received(&router().build(), family, &packet);
        assert_eq!(outcome.fate, Fate::Delivered);
        assert_eq!(outcome.data, packet);
    }
}
