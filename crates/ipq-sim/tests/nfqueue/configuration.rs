//! Who has a queue, and what it is told to do.

use ipq_proto::nfqueue::{CONFIG, Command, ParamsMsg, QueueFlags, VERDICT, VerdictMsg};
use ipq_proto::{CopyMode, Errno, Verdict};
use ipq_sim::SocketOptions;
use ipq_sys::Transport;

use super::program::{Heard, Program};
use super::{QUEUE, World};
use crate::common::builder;

#[test]
fn a_queue_has_one_owner() {
    let mut world = World::new();
    let mut other = Program::open(&world.kernel);
    assert_eq!(other.command(QUEUE, Command::BIND, 0), Some(Errno::EPERM));
    assert_eq!(other.command(QUEUE, Command::UNBIND, 0), Some(Errno::EPERM));
    let mode = ParamsMsg::new(QUEUE, CopyMode::None);
    assert_eq!(other.ask(CONFIG, mode, &[]), Some(Errno::EPERM));
    assert_eq!(world.program.command(QUEUE, Command::BIND, 0), Some(Errno::EBUSY));
    other.bind(2);
    assert_eq!(world.program.command(QUEUE, Command::UNBIND, 0), None);
    other.bind(QUEUE);
    let ports: Vec<_> =
        world.kernel.nfqueue_status().iter().map(|queue| (queue.queue, queue.port_id)).collect();
    let port_id = other.socket.port_id();
    assert_eq!(ports, [(QUEUE, port_id), (2, port_id)]);
}

#[test]
fn what_nobody_has_cannot_be_configured() {
    let kernel = builder().build();
    let mut program = Program::open(&kernel);
    let mode = ParamsMsg::new(QUEUE, CopyMode::Metadata);
    assert_eq!(program.ask(CONFIG, mode, &[]), Some(Errno::ENODEV));
    assert_eq!(program.command(QUEUE, Command::UNBIND, 0), Some(Errno::ENODEV));
    let verdict = VerdictMsg::new(QUEUE, 1, Verdict::Accept);
    assert_eq!(program.ask(VERDICT, verdict, &[]), Some(Errno::ENODEV));
    assert_eq!(kernel.nfqueue_status(), []);
}

#[test]
fn options_that_the_kernel_has_can_be_set() {
    let mut world = World::new();
    let all_but_conntrack = QueueFlags(0x1d);
    assert_eq!(world.program.set_flags(QUEUE, all_but_conntrack), None);
    let refused = Some(Errno::EOPNOTSUPP);
    assert_eq!(world.program.set_flags(QUEUE, QueueFlags::CONNTRACK), refused);
    assert_eq!(world.program.set_flags(QUEUE, QueueFlags(32)), refused);
    let mut tracking = World::of(builder().with_conntrack());
    assert_eq!(tracking.program.set_flags(QUEUE, QueueFlags::CONNTRACK), None);
    assert_eq!(tracking.program.set_flags(QUEUE, QueueFlags(32)), refused);
}

#[test]
fn without_privileges_one_refusal_comes_for_a_datagram() {
    let kernel = builder().build();
    let options = SocketOptions { privileged: false, ..SocketOptions::default() };
    let mut program = Program::with(&kernel, options);
    assert_eq!(program.command(QUEUE, Command::BIND, 0), Some(Errno::EPERM));
    assert_eq!(program.command(QUEUE, Command::PF_BIND, 2), Some(Errno::EPERM));
    program.hears_nothing();
    assert_eq!(kernel.nfqueue_status(), []);
}

#[test]
fn status_lines_read_like_the_kernels() {
    let mut world = World::new();
    world.program.set_max_length(QUEUE, 2);
    for _ in 0..3 {
        world.send(b"x");
    }
    world.program.ids();
    world.program.bind(16);
    world.program.set_mode(16, CopyMode::Metadata);
    let port_id = world.program.socket.port_id();
    let lines: Vec<_> =
        world.kernel.nfqueue_status().iter().map(|queue| format!("{queue}\n")).collect();
    assert_eq!(
        lines.concat(),
        format!(
            "   16 {port_id:6}     0 1     0     0     0        0  1\n    \
             1 {port_id:6}     2 2 65531     1     0        2  1\n"
        )
    );
}

#[test]
fn the_module_can_be_gone_and_come_back() {
    let mut world = World::new();
    world.queued(b"x");
    world.kernel.unload_nfqueue();
    assert_eq!(world.kernel.nfqueue_status(), []);
    assert_eq!(world.program.command(QUEUE, Command::BIND, 0), Some(Errno::EINVAL));
    world.kernel.load_nfqueue();
    world.program.bind(QUEUE);
    world.program.set_mode(QUEUE, CopyMode::Metadata);
    world.send(b"y");
    assert!(matches!(world.program.hear(), Some(Heard::Packet(packet)) if packet.id() == 1));
}
