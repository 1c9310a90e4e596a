//! What goes away while packets wait: programs, queues, the module, devices.

use ipq_proto::nfqueue::Command;
use ipq_proto::{CopyMode, Family, Hook, Verdict};
use ipq_sim::{Action, Fate, Match, QueueId, Reason, SocketOptions, Target};
use ipq_sys::{Deadline, Transport};

use super::program::Program;
use super::{QUEUE, World};
use crate::common::{inbound, router, through, udp_on};

#[test]
fn a_queue_that_is_given_up_drops_what_waits() {
    let mut world = World::new();
    world.queued(b"x");
    assert_eq!(world.program.command(QUEUE, Command::UNBIND, 0), None);
    assert_eq!(world.fates(), [Fate::Dropped(Reason::PeerClosed)]);
    world.send(b"y");
    assert_eq!(world.fates(), [Fate::Dropped(Reason::NoPeer)]);
}

#[test]
fn a_socket_takes_all_its_queues_with_it_and_no_other() {
    let world = World::new();
    world.kernel.rule(Hook::LocalIn, Match::any(), Target::nfqueue(2));
    let mut other = Program::open(&world.kernel);
    other.bind(2);
    other.bind(3);
    world.send(b"x");
    drop(other);
    let left: Vec<_> = world.kernel.nfqueue_status().iter().map(|queue| queue.queue).collect();
    assert_eq!(left, [QUEUE]);
    assert_eq!(world.counts().0, 1);
    let World { kernel, program } = world;
    drop(program);
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::PeerClosed));
    assert_eq!(kernel.nfqueue_status(), []);
}

#[test]
fn a_duplicate_keeps_the_queue() {
    let mut world = World::new();
    let duplicate = world.program.socket.duplicate();
    let port_id = duplicate.port_id();
    let id = world.queued(b"x").id();
    drop(duplicate);
    assert_eq!(world.kernel.nfqueue_status()[0].port_id, port_id);
    world.program.verdict(QUEUE, id, Verdict::Accept);
    assert_eq!(world.outcome().fate, Fate::Delivered);
}

#[test]
fn a_killed_program_hears_no_more() {
    let mut world = World::new();
    world.queued(b"x");
    let port_id = world.program.socket.port_id();
    world.kernel.act(&Action::Kill(port_id));
    assert_eq!(world.fates(), [Fate::Dropped(Reason::PeerClosed)]);
    assert_eq!(world.kernel.nfqueue_status(), []);
    let heard = world.program.socket.receive(&mut [0; 64], Deadline::Immediate);
    assert_eq!(heard.unwrap_err().errno, ipq_proto::Errno::EBADF);
    // Its port id is free for a successor, who can have the queue.
    let options = SocketOptions { port_id: Some(port_id), ..SocketOptions::default() };
    let mut successor = Program::with(&world.kernel, options);
    successor.bind(QUEUE);
    successor.set_mode(QUEUE, CopyMode::Metadata);
    world.send(b"y");
    assert_eq!(successor.ids(), [(QUEUE, 1)]);
}

#[test]
fn a_program_can_be_killed_at_a_time() {
    let world = World::new();
    let port_id = world.program.socket.port_id();
    let later = core::time::Duration::from_secs(5);
    world.kernel.at(later, Action::Kill(port_id));
    world.kernel.advance(core::time::Duration::from_secs(4));
    assert_eq!(world.kernel.nfqueue_status().len(), 1);
    world.kernel.advance(core::time::Duration::from_secs(1));
    assert_eq!(world.kernel.nfqueue_status(), []);
}

#[test]
fn an_unloaded_module_drops_what_waits() {
    let mut world = World::new();
    world.queued(b"x");
    world.kernel.act(&Action::UnloadNfqueue);
    assert_eq!(world.fates(), [Fate::Dropped(Reason::ModuleUnloaded)]);
    world.send(b"y");
    assert_eq!(world.fates(), [Fate::Dropped(Reason::NoQueue)]);
    world.kernel.act(&Action::LoadNfqueue);
    world.send(b"z");
    assert_eq!(world.fates(), [Fate::Dropped(Reason::NoPeer)]);
}

#[test]
fn a_device_that_goes_down_takes_its_packets_out_of_all_queues() {
    for (device, left) in [("eth0", 1), ("eth1", 3), ("lo", 4)] {
        let kernel = router().build();
        kernel.rule(Hook::Forward, Match::any(), Target::nfqueue(1));
        kernel.rule(Hook::LocalIn, Match::any(), Target::nfqueue(2));
        let mut program = Program::open(&kernel);
        for queue in [1, 2] {
            program.bind(queue);
            program.set_mode(queue, CopyMode::Metadata);
        }
        kernel.receive("eth0", Family::Ipv4, &udp_on(through(Family::Ipv4), b"through"));
        kernel.receive("eth0", Family::Ipv6, &udp_on(inbound(Family::Ipv6), b"in"));
        kernel.receive("eth0", Family::Ipv4, &udp_on(inbound(Family::Ipv4), b"in"));
        kernel.receive("tun0", Family::Ipv4, &udp_on(inbound(Family::Ipv4), b"tunnel"));
        kernel.run();
        kernel.device_down(device);
        assert_eq!(kernel.totals().queued, left, "{device}");
        let outcomes = kernel.take_outcomes();
        assert_eq!(outcomes.len() as u64, 4 - left);
        let down = Fate::Dropped(Reason::DeviceDown);
        assert!(outcomes.iter().all(|outcome| outcome.fate == down), "{outcomes:?}");
    }
}

#[test]
fn the_maximum_length_changes_while_packets_wait() {
    let mut world = World::new();
    world.queued(b"x");
    world.kernel.act(&Action::SetNfqueueMaxLength { queue: QUEUE, packets: 1 });
    world.send(b"y");
    assert_eq!(world.fates(), [Fate::Dropped(Reason::QueueFull)]);
    world.kernel.act(&Action::SetNfqueueMaxLength { queue: QUEUE, packets: 2 });
    world.queued(b"z");
    // There is no such queue, and so nothing changes.
    world.kernel.act(&Action::SetNfqueueMaxLength { queue: QUEUE + 1, packets: 0 });
    assert_eq!(world.counts().0, 2);
}

#[test]
fn an_occupied_queue_is_another_programs() {
    let world = World::new();
    let theirs = world.kernel.occupy(QueueId::Nfqueue(9)).unwrap();
    assert!(world.kernel.occupy(QueueId::Nfqueue(9)).is_err());
    assert!(world.kernel.occupy(QueueId::Nfqueue(QUEUE)).is_err());
    assert_eq!(world.kernel.nfqueue_status().len(), 2);
    drop(theirs);
    assert_eq!(world.kernel.nfqueue_status().len(), 1);
}
