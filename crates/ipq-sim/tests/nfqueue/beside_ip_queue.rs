//! `nfnetlink_queue` and `ip_queue` in one kernel: a packet has one of them as its family's handler.

use ipq_proto::ip_queue::{Message, datagram};
use ipq_proto::nfqueue::Command;
use ipq_proto::{CopyMode, Errno, Family, Hook};
use ipq_sim::{Fate, Kernel, Match, Reason, SocketOptions, Target};

use super::program::{Heard, Program};
use crate::common::{self, MODEL, builder, udp};

/// A kernel with a rule to queue 0, which a program has.
fn queueing(target: Target) -> (Kernel, Program) {
    let kernel = builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), target);
    let mut program = Program::open(&kernel);
    program.bind(0);
    program.set_mode(0, CopyMode::Packet { range: 0 });
    (kernel, program)
}

#[track_caller]
fn send(kernel: &Kernel, family: Family) {
    kernel.send(family, &udp(family, b"x"));
    kernel.run();
}

#[test]
fn nfnetlink_queue_has_queue_0_until_a_program_wants_ip_queue() {
    for target in [Target::Queue, Target::nfqueue(0)] {
        let (kernel, mut new) = queueing(target);
        send(&kernel, Family::Ipv4);
        assert_eq!(new.ids(), [(0, 1)]);
        assert_eq!(kernel.ip_queue_status(Family::Ipv4), None);

        let mut old = common::Program::open(&kernel, Family::Ipv4, SocketOptions::default());
        old.set_mode(CopyMode::Packet { range: 0 });
        send(&kernel, Family::Ipv4);
        assert_eq!(old.packet().payload, udp(Family::Ipv4, b"x"));
        new.hears_nothing();
        // The other family's packets stay where they were.
        send(&kernel, Family::Ipv6);
        assert_eq!(new.ids(), [(0, 2)]);
        old.hears_nothing();
    }
}

#[test]
fn ip_queue_takes_packets_for_any_queue_and_gives_none_back() {
    let (kernel, mut new) = queueing(Target::nfqueue(0));
    kernel.load_ip_queue(Family::Ipv4);
    send(&kernel, Family::Ipv4);
    new.hears_nothing();
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::NoPeer));
    kernel.unload_ip_queue(Family::Ipv4);
    send(&kernel, Family::Ipv4);
    assert_eq!(new.ids(), [(0, 1)]);
}

#[test]
fn a_family_that_ip_queue_handles_cannot_be_bound() {
    let (kernel, mut new) = queueing(Target::Queue);
    for family in [2, 10, 99] {
        assert_eq!(new.command(0, Command::PF_BIND, family), None);
    }
    kernel.load_ip_queue(Family::Ipv4);
    let refusals = [Some(Errno::EBUSY), Some(Errno::EINVAL)];
    for (family, [bind, unbind]) in [(2, refusals), (10, [None; 2]), (99, [None; 2])] {
        assert_eq!(new.command(0, Command::PF_BIND, family), bind, "{family}");
        assert_eq!(new.command(0, Command::PF_UNBIND, family), unbind, "{family}");
    }
    kernel.unload_ip_queue(Family::Ipv4);
    assert_eq!(new.command(0, Command::PF_BIND, 2), None);
}

#[test]
fn a_program_of_each_reads_its_own_messages() {
    let (kernel, mut new) = queueing(Target::Queue);
    let mut old = common::Program::open(&kernel, Family::Ipv6, SocketOptions::default());
    old.set_mode(CopyMode::Metadata);
    for family in Family::ALL {
        send(&kernel, family);
    }
    let told = old.packet();
    assert!(matches!(datagram(MODEL, &told.datagram), Ok((_, Message::Packet(_)))));
    let Some(Heard::Packet(told)) = new.hear() else { panic!() };
    assert_eq!(told.packet().family, 2);
    assert_eq!(kernel.totals().queued, 2);
}
