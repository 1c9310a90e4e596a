//! The ids that packets have: from 1 in each queue, and again from 0 after 2^32.

use ipq_proto::nfqueue::{VERDICT, VERDICT_BATCH, VerdictMsg};
use ipq_proto::{CopyMode, Errno, Hook, Verdict};
use ipq_sim::{Fate, Match, Target};

use super::program::Program;
use super::{QUEUE, World, send};
use crate::common::builder;

#[test]
fn count_from_one_in_each_queue() {
    let kernel = builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(1));
    kernel.rule(Hook::LocalIn, Match::any(), Target::nfqueue(2));
    let mut program = Program::open(&kernel);
    for queue in [1, 2] {
        program.bind(queue);
        program.set_mode(queue, CopyMode::Metadata);
    }
    for _ in 0..3 {
        send(&kernel, b"x");
    }
    program.verdict(1, 2, Verdict::Accept);
    program.verdict(1, 1, Verdict::Accept);
    kernel.run();
    assert_eq!(program.ids(), [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]);
}

#[test]
fn count_anew_when_the_queue_is_bound_anew() {
    let mut world = World::new();
    world.queued(b"x");
    world.program.command(QUEUE, ipq_proto::nfqueue::Command::UNBIND, 0);
    world.program.bind(QUEUE);
    world.program.set_mode(QUEUE, CopyMode::Metadata);
    assert_eq!(world.queued(b"y").id(), 1);
}

#[test]
fn wrap_around_and_pass_over_those_that_wait() {
    let mut world = World::new();
    assert_eq!(world.queued(b"one").id(), 1);
    world.kernel.set_last_nfqueue_id(QUEUE, u32::MAX - 1);
    let ids: Vec<_> = (0..4).map(|_| world.queued(b"x").id()).collect();
    assert_eq!(ids, [u32::MAX, 0, 2, 3]);
    assert_eq!(world.counts().3, 3);
}

#[test]
fn a_batch_reaches_over_the_wrap() {
    let mut world = World::new();
    world.kernel.set_last_nfqueue_id(QUEUE, u32::MAX - 2);
    for _ in 0..5 {
        world.send(b"x");
    }
    assert_eq!(world.program.ids().iter().map(|&(_, id)| id).max(), Some(u32::MAX));
    world.program.batch(QUEUE, 0, Verdict::Accept);
    world.kernel.run();
    assert_eq!(world.fates(), [Fate::Delivered; 3]);
    // The two that are left are later, and what is earlier is gone.
    let batch = VerdictMsg::new(QUEUE, u32::MAX, Verdict::Accept);
    assert_eq!(world.program.ask(VERDICT_BATCH, batch, &[]), Some(Errno::ENOENT));
    world.program.batch(QUEUE, 2, Verdict::Accept);
    world.kernel.run();
    assert_eq!(world.fates(), [Fate::Delivered; 2]);
}

/// As the real kernel has it: the one that is just half way round is not later, and the oldest that is later ends a batch.
#[test]
fn a_batch_half_way_round_takes_what_is_not_later() {
    const HALF: u32 = 1 << 31;
    let mut world = World::new();
    for _ in 0..7 {
        world.send(b"x");
    }
    let batch = VerdictMsg::new(QUEUE, HALF + 3, Verdict::Accept);
    assert_eq!(world.program.ids().len(), 7);
    assert_eq!(world.program.ask(VERDICT_BATCH, batch, &[]), Some(Errno::ENOENT));
    world.program.batch(QUEUE, HALF + 1, Verdict::Accept);
    world.kernel.run();
    assert_eq!(world.fates(), [Fate::Delivered; 7]);
}

#[test]
fn are_used_once() {
    let mut world = World::new();
    let id = world.queued(b"x").id();
    world.program.verdict(QUEUE, id, Verdict::Accept);
    for id in [id, 0, id + 1, u32::MAX] {
        let verdict = VerdictMsg::new(QUEUE, id, Verdict::Accept);
        assert_eq!(world.program.ask(VERDICT, verdict, &[]), Some(Errno::ENOENT), "{id}");
    }
}
