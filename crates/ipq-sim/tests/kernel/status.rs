//! `/proc/net/ip_queue` and `/proc/net/ip6_queue`.

use ipq_proto::{CopyMode, Family};
use ipq_sim::IpQueueStatus;

use crate::common::{Program, World};

/// As recorded, blanks included: tests/vectors/ip_queue-3.4-packets.txt.
#[test]
fn reads_as_recorded() {
    let status = IpQueueStatus {
        family: Family::Ipv4,
        peer_port_id: 41,
        copy_mode: CopyMode::Packet { range: 65_535 },
        queue_length: 0,
        queue_max_length: 1024,
        queue_dropped: 0,
        netlink_dropped: 0,
    };
    assert_eq!(
        status.to_string(),
        "Peer PID          : 41\n\
         Copy mode         : 2\n\
         Copy range        : 65535\n\
         Queue length      : 0\n\
         Queue max. length : 1024\n\
         Queue dropped     : 0\n\
         Netlink dropped   : 0\n"
    );
}

#[test]
fn of_a_new_ipv6_queue_reads_as_recorded() {
    let world = World::silent(Family::Ipv6);
    assert_eq!(
        world.status().to_string(),
        "Peer PID          : 0\n\
         Copy mode         : 0\n\
         Copy range        : 0\n\
         Queue length      : 0\n\
         Queue max. length : 1024\n\
         Queue dropped     : 0\n\
         Netfilter dropped : 0\n"
    );
}

#[test]
fn every_line_says_what_it_is_about() {
    for family in Family::ALL {
        let mut world = World::new(family);
        world.program.set_mode(CopyMode::Packet { range: 77 });
        world.kernel.set_queue_max_length(family, 2);
        for _ in 0..5 {
            world.send(b"x");
        }
        let peer = world.program.port_id();
        let last = if family == Family::Ipv4 { "Netlink dropped" } else { "Netfilter dropped" };
        let expected = [
            ("Peer PID", peer),
            ("Copy mode", 2),
            ("Copy range", 77),
            ("Queue length", 2),
            ("Queue max. length", 2),
            ("Queue dropped", 3),
            (last, 0),
        ];
        let text = world.status().to_string();
        assert_eq!(text.lines().count(), expected.len());
        for (line, (label, number)) in text.lines().zip(expected) {
            assert_eq!(line.find(':'), Some(18), "the colon is in column 19");
            assert_eq!(line, format!("{label:18}: {number}"));
        }
    }
}

#[test]
fn numbers_of_any_size_are_printed() {
    let status = IpQueueStatus {
        family: Family::Ipv4,
        peer_port_id: u32::MAX,
        copy_mode: CopyMode::Metadata,
        queue_length: u64::MAX,
        queue_max_length: u32::MAX,
        queue_dropped: u32::MAX,
        netlink_dropped: u32::MAX,
    };
    let text = status.to_string();
    assert!(text.contains("Queue max. length : 4294967295\n"), "{text}");
    assert!(text.contains("Queue length      : 18446744073709551615\n"), "{text}");
}

#[test]
fn a_lost_message_is_counted_in_the_last_line() {
    let mut world = World::silent(Family::Ipv6);
    let mut other = Program::open(&world.kernel, Family::Ipv6, ipq_sim::SocketOptions::default());
    let body = crate::common::mode_body(crate::common::MODEL, 1, 0);
    other.request_as(7777, crate::common::MODE, crate::common::REQUEST, &body);
    world.send(b"x");
    assert!(world.status().to_string().ends_with("Netfilter dropped : 1\n"));
    world.program.hears_nothing();
}
