//! Ids, and verdicts for a deep queue.

use std::collections::BTreeSet;

use ipq_proto::{CopyMode, Family, Verdict};
use ipq_sim::{Fate, SocketOptions};

use crate::common::{World, builder, udp};

/// If a verdict had to look for its packet, this would take minutes.
#[test]
fn a_hundred_thousand_verdicts_in_reverse_order_find_their_packets() {
    const PACKETS: u64 = 100_000;
    for family in Family::ALL {
        let options = SocketOptions { receive_buffer: usize::MAX, ..SocketOptions::default() };
        let mut world = World::of(builder().seed(7), family, options);
        world.kernel.set_queue_max_length(family, u32::MAX);
        world.program.set_mode(CopyMode::Metadata);
        let data = udp(family, b"");
        for _ in 0..PACKETS {
            world.kernel.send(family, &data);
        }
        world.kernel.run();
        assert_eq!(world.kernel.totals().queued, PACKETS);
        let ids: Vec<u64> = world.program.packets().iter().map(|packet| packet.id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len() as u64, PACKETS);

        let verdict =
            |index: usize| if index.is_multiple_of(3) { Verdict::Drop } else { Verdict::Accept };
        for (index, id) in ids.iter().enumerate().rev() {
            world.program.verdict(*id, verdict(index));
        }
        world.program.hears_nothing();
        let outcomes = world.kernel.take_outcomes();
        assert_eq!(outcomes.len() as u64, PACKETS);
        for (outcome, index) in outcomes.iter().zip((0..ids.len()).rev()) {
            assert_eq!(outcome.number, index as u64 + 1);
            let is_delivered = outcome.fate == Fate::Delivered;
            assert_eq!(is_delivered, verdict(index) == Verdict::Accept);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_ids_and_another_one_others() {
    let ids = |seed| {
        Family::ALL.map(|family| {
            let mut world = World::of(builder().seed(seed), family, SocketOptions::default());
            world.program.set_mode(CopyMode::Metadata);
            world.queued(b"x").id
        })
    };
    let mut seen = BTreeSet::new();
    for seed in [0, 1, 2, 3, 7, 1 << 17, 1 << 40, u64::MAX] {
        assert_eq!(ids(seed), ids(seed));
        seen.extend(ids(seed));
    }
    assert_eq!(seen.len(), 16, "two families, eight seeds: {seen:x?}");
}

#[test]
fn clones_are_one_kernel() {
    let world = World::new(Family::Ipv4);
    let clone = world.kernel.clone();
    clone.send(Family::Ipv4, &udp(Family::Ipv4, b"x"));
    assert_eq!(world.kernel.totals().entered, 1);
    assert_eq!(world.program.socket.kernel().totals(), clone.totals());
}
