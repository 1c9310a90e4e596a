//! Which packets come to wait, and what is counted of the others.

use ipq_proto::CopyMode;
use ipq_proto::nfqueue::QueueFlags;
use ipq_sim::{Fate, Reason, SocketOptions};
use ipq_sys::Transport;

use super::program::{Heard, Program};
use super::{QUEUE, World};

#[test]
fn without_a_copy_mode_nothing_waits_and_nothing_is_counted() {
    let mut world = World::new();
    world.program.set_mode(QUEUE, CopyMode::None);
    for flags in [QueueFlags(0), QueueFlags::FAIL_OPEN] {
        assert_eq!(world.program.set_flags(QUEUE, flags), None);
        world.send(b"x");
        assert_eq!(world.fates(), [Fate::Dropped(Reason::CopyModeNone)]);
        assert_eq!(world.counts(), (0, 0, 0, 0));
    }
}

#[test]
fn a_full_queue_drops_and_counts() {
    let mut world = World::new();
    world.program.set_max_length(QUEUE, 2);
    for _ in 0..5 {
        world.send(b"x");
    }
    assert_eq!(world.fates(), [Fate::Dropped(Reason::QueueFull); 3]);
    assert_eq!(world.counts(), (2, 3, 0, 2));
    world.program.ids();
    world.program.set_max_length(QUEUE, 0);
    world.send(b"x");
    assert_eq!(world.counts(), (2, 4, 0, 2));
}

#[test]
fn a_full_queue_that_fails_open_lets_pass_and_counts_nothing() {
    let mut world = World::new();
    world.program.set_max_length(QUEUE, 2);
    assert_eq!(world.program.set_flags(QUEUE, QueueFlags::FAIL_OPEN), None);
    for _ in 0..5 {
        world.send(b"x");
    }
    assert_eq!(world.fates(), [Fate::Delivered; 3]);
    assert_eq!(world.counts(), (2, 0, 0, 2));
}

#[test]
fn what_the_reader_has_no_room_for_is_lost_with_its_id() {
    for (flags, fate, lost) in [
        (QueueFlags(0), Fate::Dropped(Reason::ReceiveBufferFull), true),
        (QueueFlags::FAIL_OPEN, Fate::Delivered, false),
    ] {
        let mut world = World::new();
        assert_eq!(world.program.set_flags(QUEUE, flags), None);
        world.program.socket.set_receive_buffer(2240).unwrap();
        for _ in 0..50 {
            world.send(&[7; 100]);
        }
        let (waiting, full, user_dropped, last_id) = world.counts();
        let ended = 50 - waiting;
        assert!(waiting > 0 && ended > 0);
        assert_eq!((full, last_id), (0, 50));
        assert_eq!(u64::from(user_dropped), if lost { ended } else { 0 });
        assert_eq!(world.fates(), vec![fate; usize::try_from(ended).unwrap()]);
        let heard = world.program.hear_all();
        assert_eq!(heard[0], Heard::Overrun);
        assert_eq!(heard.len() as u64, waiting + 1);
    }
}

#[test]
fn an_overrun_can_go_unreported() {
    let mut world = World::new();
    world.program.socket.set_receive_buffer(2240).unwrap();
    world.program.socket.report_overruns(false).unwrap();
    for _ in 0..50 {
        world.send(b"x");
    }
    assert!(!world.program.hear_all().contains(&Heard::Overrun));
    let options = SocketOptions { ignores_overrun: true, ..SocketOptions::default() };
    Program::with(&world.kernel, options).hears_nothing();
}

#[test]
fn what_waits_outlives_a_change_of_mode() {
    let mut world = World::new();
    let id = world.queued(b"x").id();
    world.program.set_mode(QUEUE, CopyMode::None);
    world.program.verdict(QUEUE, id, ipq_proto::Verdict::Accept);
    assert_eq!(world.fates(), [Fate::Delivered]);
}
