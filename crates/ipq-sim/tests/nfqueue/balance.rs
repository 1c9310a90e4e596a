//! Rules that lead to several queues, or past one that nobody has.

use std::collections::BTreeMap;

use ipq_proto::{CopyMode, Family, Hook};
use ipq_sim::{Fate, Kernel, Match, Reason, Target};

use super::program::Program;
use crate::common::{builder, router, udp, udp_on, way};

/// The queue among 10 to 13 that each of these packets goes to.
fn queues(seed: u64, packets: &[Vec<u8>]) -> Vec<u16> {
    let kernel = router().seed(seed).build();
    let target = Target::Nfqueue { first: 10, last: 13, bypass: false };
    kernel.rule(Hook::PreRouting, Match::any(), target);
    let mut program = Program::open(&kernel);
    for queue in 10..14 {
        program.bind(queue);
        program.set_mode(queue, CopyMode::Metadata);
    }
    for packet in packets {
        kernel.receive("eth0", Family::of_packet(packet).unwrap(), packet);
        kernel.run();
    }
    program.ids().into_iter().map(|(queue, _)| queue).collect()
}

/// Packets from and to each of many addresses, in turn.
fn there_and_back() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for number in 1..40 {
        for prefix in ["10.7.1.", "fd00:7::1:"] {
            let (near, far) =
                if prefix.contains(':') { ("fd00:7::1", number) } else { ("10.7.0.1", number) };
            let far = format!("{prefix}{far}");
            packets.push(udp_on(way(&far, near), b"there"));
            packets.push(udp_on(way(near, &far), b"back"));
        }
    }
    packets
}

#[test]
fn the_same_two_addresses_lead_to_the_same_queue_in_both_directions() {
    let queues = queues(1, &there_and_back());
    let mut uses = BTreeMap::new();
    for pair in queues.chunks(2) {
        assert_eq!(pair[0], pair[1]);
        *uses.entry(pair[0]).or_insert(0) += 1;
    }
    assert_eq!(uses.keys().copied().collect::<Vec<_>>(), [10, 11, 12, 13]);
    assert!(uses.values().all(|&uses| uses > 5), "{uses:?}");
}

#[test]
fn the_seed_decides() {
    let packets = there_and_back();
    assert_eq!(queues(1, &packets), queues(1, &packets));
    assert_ne!(queues(1, &packets), queues(2, &packets));
}

#[test]
fn ports_do_not_matter() {
    let mut packets = Vec::new();
    for port in 1..20 {
        let mut way = way("10.7.0.9", "10.7.0.1");
        way.ports.0 = port;
        packets.push(udp_on(way, b"x"));
    }
    let queues = queues(3, &packets);
    assert!(queues.iter().all(|queue| *queue == queues[0]), "{queues:?}");
}

/// What becomes of a packet that a rule queues, before anybody has done anything.
fn fate(kernel: &Kernel, bypass: bool) -> Fate {
    kernel.rule(Hook::LocalOut, Match::any(), Target::Nfqueue { first: 5, last: 5, bypass });
    super::send(kernel, b"x");
    kernel.take_outcomes()[0].fate
}

#[test]
fn a_queue_that_nobody_has_can_be_passed() {
    assert_eq!(fate(&builder().build(), true), Fate::Delivered);
    assert_eq!(fate(&builder().build(), false), Fate::Dropped(Reason::NoPeer));
    assert_eq!(fate(&builder().without_nfqueue().build(), true), Fate::Delivered);
    assert_eq!(fate(&builder().without_nfqueue().build(), false), Fate::Dropped(Reason::NoQueue));
}

#[test]
fn a_queue_that_somebody_has_is_not_passed() {
    let kernel = builder().build();
    let mut program = Program::open(&kernel);
    program.bind(5);
    assert_eq!(fate(&kernel, true), Fate::Dropped(Reason::CopyModeNone));
    program.set_mode(5, CopyMode::Metadata);
    program.set_max_length(5, 0);
    kernel.send(Family::Ipv4, &udp(Family::Ipv4, b"y"));
    kernel.run();
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::QueueFull));
}
