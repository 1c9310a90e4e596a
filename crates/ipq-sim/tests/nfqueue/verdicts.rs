//! What becomes of packets by their verdicts.

use ipq_proto::nfqueue::{VERDICT, VERDICT_BATCH, VerdictMsg};
use ipq_proto::{CopyMode, Errno, Family, Hook, Verdict};
use ipq_sim::{Fate, Match, Reason, Table, Target};

use super::program::Program;
use super::{QUEUE, World, send};
use crate::common::{builder, udp, udp_payload};

#[test]
fn accept_drop_and_those_that_a_program_may_not_say() {
    let mut world = World::new();
    let id = world.queued(b"x").id();
    for refused in [2, 6, 0xff] {
        let verdict = VerdictMsg::new(QUEUE, id, Verdict(refused));
        assert_eq!(world.program.ask(VERDICT, verdict, &[]), Some(Errno::EINVAL));
        assert_eq!(world.program.ask(VERDICT_BATCH, verdict, &[]), Some(Errno::EINVAL));
    }
    assert_eq!(world.counts().0, 1);
    world.program.verdict(QUEUE, id, Verdict::Accept);
    assert_eq!(world.outcome().fate, Fate::Delivered);
    let id = world.queued(b"x").id();
    world.program.verdict(QUEUE, id, Verdict::Drop);
    assert_eq!(world.outcome().fate, Fate::Dropped(Reason::Verdict));
}

#[test]
fn a_batch_decides_over_all_that_came_before() {
    let mut world = World::new();
    for number in 0..6_u8 {
        world.send(&[number]);
    }
    world.program.ids();
    world.program.verdict(QUEUE, 2, Verdict::Drop);
    world.program.batch(QUEUE, 4, Verdict::Accept);
    let outcomes = world.kernel.take_outcomes();
    let payloads: Vec<_> = outcomes.iter().map(|outcome| udp_payload(&outcome.data)).collect();
    assert_eq!(payloads, [[1], [0], [2], [3]]);
    assert_eq!(world.counts().0, 2);
}

#[test]
fn what_a_batch_queues_again_is_new_and_not_decided_again() {
    let mut world = World::new();
    for _ in 0..3 {
        world.send(b"x");
    }
    assert_eq!(world.program.ids().len(), 3);
    world.program.batch(QUEUE, u32::MAX / 2, Verdict(3 | u32::from(QUEUE) << 16));
    assert_eq!(world.program.ids(), [(QUEUE, 4), (QUEUE, 5), (QUEUE, 6)]);
}

#[test]
fn a_replacement_takes_the_packets_place() {
    let mut world = World::new();
    let id = world.queued(b"before").id();
    let replacement = udp(Family::Ipv4, b"and something longer after");
    world.program.replace(QUEUE, id, &replacement);
    let outcome = world.outcome();
    assert_eq!((outcome.fate, outcome.data), (Fate::Delivered, replacement));
    let id = world.queued(b"before").id();
    world.program.replace(QUEUE, id, &[]);
    assert_eq!(world.outcome().fate, Fate::Dropped(Reason::Malformed));
}

#[test]
fn a_mark_stays_with_the_packet() {
    let mut world = World::new();
    for mark in [5, 0, u32::MAX] {
        let packet = udp(Family::Ipv4, b"x");
        world.kernel.send_marked(Family::Ipv4, &packet, 9);
        world.kernel.run();
        let told = world.program.packet();
        assert_eq!(told.packet().mark, Some(9));
        world.program.verdict_with_mark(QUEUE, told.id(), Verdict::Accept, mark);
        assert_eq!(world.outcome().mark, mark);
    }
}

#[test]
fn queue_moves_a_packet_to_another_queue() {
    let mut world = World::new();
    let mut other = Program::open(&world.kernel);
    other.bind(7);
    other.set_mode(7, CopyMode::Metadata);
    let id = world.queued(b"x").id();
    world.program.verdict(QUEUE, id, Verdict(3 | 7 << 16));
    assert_eq!(other.ids(), [(7, 1)]);
    other.verdict(7, 1, Verdict::Accept);
    assert_eq!(world.outcome().fate, Fate::Delivered);
    // Where nobody has it, only if the verdict says so does the packet pass.
    for (bypass, fate) in [(0, Fate::Dropped(Reason::NoPeer)), (0x8000, Fate::Delivered)] {
        let id = world.queued(b"x").id();
        world.program.verdict(QUEUE, id, Verdict(3 | bypass | 8 << 16));
        assert_eq!(world.outcome().fate, fate);
    }
}

#[test]
fn repeat_goes_back_to_the_table_and_stop_past_all() {
    let kernel = builder().build();
    kernel.rule_in(Table::Mangle, Hook::LocalOut, Match::any().not_mark(1), Target::nfqueue(1));
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(2));
    let mut program = Program::open(&kernel);
    for queue in [1, 2] {
        program.bind(queue);
        program.set_mode(queue, CopyMode::Metadata);
    }
    send(&kernel, b"x");
    program.verdict(1, 1, Verdict::Repeat);
    assert_eq!(program.ids(), [(1, 1), (1, 2)]);
    program.verdict_with_mark(1, 2, Verdict::Repeat, 1);
    assert_eq!(program.ids(), [(2, 1)]);
    program.verdict(2, 1, Verdict::Accept);
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Delivered);
    send(&kernel, b"y");
    program.verdict(1, 3, Verdict::Stop);
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Delivered);
    send(&kernel, b"z");
    program.verdict(1, 4, Verdict(4 | 0x5_0000));
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::Verdict));
}
