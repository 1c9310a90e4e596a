//! "Going away": sockets, devices and modules, and who hears of it.

use ipq_proto::{CopyMode, Errno, Family, Hook, Verdict};
use ipq_sim::{Fate, Match, Outcome, QueueId, Reason, SocketOptions, Target};
use ipq_sys::{Error, Operation, Protocol, Transport};

use crate::common::{
    ACK, MODE, MODEL, Program, REQUEST, VERDICT, World, builder, inbound, mode_body, router,
    through, udp, udp_on, verdict_body,
};

fn at_port(port_id: u32) -> SocketOptions {
    SocketOptions { port_id: Some(port_id), ..SocketOptions::default() }
}

#[test]
fn with_the_peers_socket_go_its_packets_its_mode_and_the_peer() {
    for family in Family::ALL {
        let mut world = World::new(family);
        world.kernel.set_queue_max_length(family, 3);
        world.queued(b"read");
        world.send(b"unread");
        world.send(b"unread");
        world.send(b"too many");
        let World { kernel, program, .. } = world;
        drop(program);
        let fates: Vec<_> = kernel.take_outcomes().iter().map(|o| (o.number, o.fate)).collect();
        let closed = Fate::Dropped(Reason::PeerClosed);
        assert_eq!(
            fates,
            [(4, Fate::Dropped(Reason::QueueFull)), (1, closed), (2, closed), (3, closed)]
        );
        let status = kernel.ip_queue_status(family).unwrap();
        assert_eq!((status.peer_port_id, status.copy_mode), (0, CopyMode::None));
        assert_eq!(status.queue_length, 0);
        assert_eq!((status.queue_max_length, status.queue_dropped), (3, 1), "these stay");
    }
}

#[test]
fn what_goes_together_goes_in_the_order_it_was_queued_whatever_its_id() {
    for family in Family::ALL {
        let mut world = World::new(family);
        for number in 1..=3 {
            world.send(&[number]);
        }
        let first = world.program.packets()[0].id;
        world.program.verdict(first, Verdict::Accept);
        assert_eq!(world.queued(b"4").id, first, "the newest packet has the oldest id");
        world.kernel.device_down("lo");
        let numbers: Vec<_> = world.kernel.take_outcomes().iter().map(|o| o.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
    }
}

#[test]
fn the_next_program_can_have_the_queue_and_the_port_id() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let port_id = world.program.port_id();
        world.send(b"old");
        drop(core::mem::replace(
            &mut world.program,
            Program::open(&world.kernel, family, SocketOptions::default()),
        ));
        let mut third = Program::open(&world.kernel, family, at_port(port_id));
        world.program.set_mode(CopyMode::Metadata);
        world.program.hears_nothing();
        third.hears_nothing();
        let packet = world.queued(b"new");
        world.program.verdict(packet.id, Verdict::Accept);
        assert_eq!(world.delivered_payloads(), [b"new"]);
    }
}

#[test]
fn a_duplicate_keeps_the_peer_until_the_last_copy_is_closed() {
    for family in Family::ALL {
        let world = World::new(family);
        world.send(b"close-1");
        let mut duplicate = Program::on(world.program.socket.duplicate());
        assert_eq!(duplicate.port_id(), world.program.port_id());
        let another = world.program.socket.duplicate();
        drop(another);
        let World { kernel, program, .. } = world;
        drop(program);
        assert_eq!(kernel.totals().queued, 1);
        // The copy is the same socket: what was unread is still to be read.
        let id = duplicate.packet().id;
        duplicate.verdict(id, Verdict::Accept);
        assert_eq!(kernel.delivered().len(), 1);
        kernel.send(family, &udp(family, b"close-2"));
        kernel.run();
        drop(duplicate);
        let status = kernel.ip_queue_status(family).unwrap();
        assert_eq!((status.peer_port_id, status.queue_length), (0, 0));
        let last = kernel.take_outcomes().pop().unwrap();
        assert_eq!(last.fate, Fate::Dropped(Reason::PeerClosed));
    }
}

#[test]
fn a_socket_that_is_not_the_peers_takes_nothing_with_it() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let stranger = Program::open(&world.kernel, family, SocketOptions::default());
        let packet = world.queued(b"v");
        drop(stranger);
        assert_eq!(world.status().queue_length, 1);
        world.program.verdict(packet.id, Verdict::Accept);
        assert_eq!(world.delivered_payloads(), [b"v"]);
    }
}

#[test]
fn the_same_port_id_in_the_other_family_is_another_program() {
    let kernel = builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    let [mut v4, mut v6] = Family::ALL.map(|family| Program::open(&kernel, family, at_port(4711)));
    v4.set_mode(CopyMode::Metadata);
    v6.set_mode(CopyMode::Metadata);
    for family in Family::ALL {
        kernel.send(family, &udp(family, b"x"));
    }
    kernel.run();
    drop(v6);
    assert_eq!(kernel.ip_queue_status(Family::Ipv4).unwrap().queue_length, 1);
    assert_eq!(kernel.ip_queue_status(Family::Ipv6).unwrap().peer_port_id, 0);
    v4.packet();
}

/// The whole story of port id 7777, as it was recorded.
#[test]
fn a_port_id_that_nobody_has_owns_the_queue_until_somebody_has_it_and_closes() {
    for family in Family::ALL {
        let mut world = World::silent(family);
        world.program.request_as(7777, MODE, REQUEST | ACK, &mode_body(MODEL, 1, 0));
        let reply = world.program.reply();
        assert_eq!((reply.error, reply.header.port_id), (None, world.program.port_id()));
        assert_eq!(world.status().peer_port_id, 7777);

        world.send(b"to nobody");
        world.program.hears_nothing();
        assert_eq!(world.fates(), [Fate::Dropped(Reason::ReceiveBufferFull)]);
        assert_eq!(world.status().netlink_dropped, 1);
        world.program.request(MODE, REQUEST, &mode_body(MODEL, 1, 0));
        assert_eq!(world.program.answer(), Some(Errno::EBUSY));

        let World { kernel, program, .. } = world;
        drop(program);
        let status = || kernel.ip_queue_status(family).unwrap();
        assert_eq!((status().peer_port_id, status().copy_mode), (7777, CopyMode::Metadata));

        let mut heir = Program::open(&kernel, family, at_port(7777));
        kernel.send(family, &udp(family, b"to 7777"));
        kernel.run();
        heir.packet();
        drop(heir);
        assert_eq!((status().peer_port_id, status().copy_mode), (0, CopyMode::None));
        assert_eq!((status().queue_length, status().netlink_dropped), (0, 1));
        assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::PeerClosed));
    }
}

#[test]
fn with_a_device_go_the_packets_that_would_leave_by_it() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let id = world.queued(b"dev-down").id;
        world.kernel.device_down("lo");
        assert_eq!(world.fates(), [Fate::Dropped(Reason::DeviceDown)]);
        assert_eq!(world.status().queue_length, 0);
        world.program.hears_nothing();
        // The verdict comes too late.
        world.program.request(VERDICT, REQUEST, &verdict_body(MODEL, Verdict::Accept.0, id, 0));
        assert_eq!(world.program.answer(), Some(Errno::ENOENT));
    }
}

#[test]
fn with_a_device_go_the_packets_that_came_in_by_it_and_no_others() {
    for family in Family::ALL {
        let kernel = router().build();
        kernel.rule(Hook::LocalIn, Match::any(), Target::Queue);
        kernel.rule(Hook::Forward, Match::any(), Target::Queue);
        let mut program = Program::open(&kernel, family, SocketOptions::default());
        program.set_mode(CopyMode::Metadata);
        kernel.receive("eth0", family, &udp_on(inbound(family), b"for us, by eth0"));
        kernel.receive("tun0", family, &udp_on(inbound(family), b"for us, by tun0"));
        kernel.receive("eth0", family, &udp_on(through(family), b"eth0 to eth1"));
        kernel.receive("tun0", family, &udp_on(through(family), b"tun0 to eth1"));
        kernel.run();
        let ended = || kernel.take_outcomes().iter().map(|o| o.number).collect::<Vec<_>>();
        kernel.device_down("eth0");
        assert_eq!(ended(), [1, 3]);
        kernel.device_down("eth1");
        assert_eq!(ended(), [4]);
        assert_eq!(kernel.totals().queued, 1);
    }
}

#[test]
fn one_device_takes_the_packets_of_both_families() {
    let kernel = builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    let mut programs =
        Family::ALL.map(|family| Program::open(&kernel, family, SocketOptions::default()));
    for program in &mut programs {
        program.set_mode(CopyMode::Metadata);
    }
    for family in Family::ALL {
        kernel.send(family, &udp(family, b"x"));
    }
    kernel.run();
    kernel.device_down("lo");
    let outcomes = kernel.take_outcomes();
    assert_eq!(outcomes.iter().map(|o| o.family).collect::<Vec<_>>(), Family::ALL);
}

#[test]
fn nothing_passes_a_device_that_is_down() {
    for family in Family::ALL {
        let kernel = router().build();
        kernel.device_down("eth0");
        kernel.device_down("eth1");
        kernel.receive("eth0", family, &udp_on(inbound(family), b"in"));
        kernel.send(family, &udp_on(through(family), b"out"));
        kernel.receive("tun0", family, &udp_on(through(family), b"through"));
        kernel.receive("tun0", family, &udp_on(inbound(family), b"for us"));
        kernel.run();
        let fates: Vec<_> = kernel.take_outcomes().iter().map(|o| o.fate).collect();
        let down = Fate::Dropped(Reason::DeviceDown);
        assert_eq!(fates, [down, down, down, Fate::Delivered]);

        kernel.device_up("eth0");
        kernel.device_up("eth1");
        kernel.receive("eth0", family, &udp_on(through(family), b"through"));
        kernel.run();
        assert_eq!(kernel.take_outcomes()[0].fate, Fate::Delivered);
    }
}

#[test]
fn a_packet_accepted_after_its_device_went_and_came_is_gone_all_the_same() {
    let mut world = World::new(Family::Ipv4);
    let id = world.queued(b"v").id;
    world.kernel.device_down("lo");
    world.kernel.device_up("lo");
    world.program.verdict(id, Verdict::Accept);
    assert_eq!(world.program.answer(), Some(Errno::ENOENT));
    let next = world.queued(b"next");
    world.program.verdict(next.id, Verdict::Accept);
    assert_eq!(world.kernel.totals().delivered, 1);
}

#[test]
fn with_the_module_go_the_packets_and_nobody_hears_requests() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let id = world.queued(b"v").id;
        world.kernel.unload_ip_queue(family);
        assert_eq!(world.fates(), [Fate::Dropped(Reason::ModuleUnloaded)]);
        assert_eq!(world.kernel.ip_queue_status(family), None);
        world.program.hears_nothing();

        let body = verdict_body(MODEL, 1, id, 0);
        let refused = world.program.socket.send(&[std::io::IoSlice::new(&body)]).unwrap_err();
        let protocol = Protocol::ip_queue(family);
        let expected = Error { operation: Operation::Send, protocol, errno: Errno::ECONNREFUSED };
        assert_eq!(refused, expected);

        // Without it nfnetlink_queue gets the packets, where no program has a queue.
        world.send(b"no peer");
        assert_eq!(world.fates(), [Fate::Dropped(Reason::NoPeer)]);
    }
}

#[test]
fn loaded_again_the_module_starts_anew() {
    for family in Family::ALL {
        let mut world = World::new(family);
        world.kernel.set_queue_max_length(family, 0);
        world.send(b"counted");
        world.kernel.unload_ip_queue(family);
        world.kernel.load_ip_queue(family);
        let status = world.status();
        assert_eq!((status.peer_port_id, status.copy_mode), (0, CopyMode::None));
        assert_eq!((status.queue_max_length, status.queue_dropped), (1024, 0));
        // The old socket can speak to it.
        world.program.set_mode(CopyMode::Metadata);
        world.queued(b"again");
        // Loading what is loaded changes nothing.
        world.kernel.load_ip_queue(family);
        assert_eq!(world.status().queue_length, 1);
    }
}

#[test]
fn without_the_module_there_is_no_socket() {
    for family in Family::ALL {
        let absent = builder().without_ip_queue(family).build();
        let unloaded = builder().build();
        unloaded.unload_ip_queue(family);
        for kernel in [absent, unloaded] {
            let error = kernel.open_socket(family, SocketOptions::default()).unwrap_err();
            assert_eq!((error.operation, error.errno), (Operation::Open, Errno::EPROTONOSUPPORT));
            assert!(error.is_unsupported());
            let other = Family::ALL.into_iter().find(|&other| other != family).unwrap();
            kernel.open_socket(other, SocketOptions::default()).unwrap();
            kernel.load_ip_queue(family);
            kernel.open_socket(family, SocketOptions::default()).unwrap();
        }
    }
}

#[test]
fn one_port_id_is_for_one_socket_of_a_protocol() {
    for family in Family::ALL {
        let kernel = builder().build();
        let first = kernel.open_socket(family, at_port(29)).unwrap();
        let error = kernel.open_socket(family, at_port(29)).unwrap_err();
        assert_eq!((error.operation, error.errno), (Operation::Bind, Errno::EADDRINUSE));
        let other = Family::ALL.into_iter().find(|&other| other != family).unwrap();
        kernel.open_socket(other, at_port(29)).unwrap();
        drop(first);
        kernel.open_socket(family, at_port(29)).unwrap();
    }
}

#[test]
fn the_kernel_chooses_a_free_port_id_for_none_and_for_zero() {
    let kernel = builder().build();
    let mut sockets = Vec::new();
    for port_id in [None, Some(0), None, Some(0)] {
        let options = SocketOptions { port_id, ..SocketOptions::default() };
        sockets.push(kernel.open_socket(Family::Ipv4, options).unwrap());
    }
    let mut port_ids: Vec<u32> = sockets.iter().map(Transport::port_id).collect();
    assert!(port_ids.iter().all(|&port_id| i32::try_from(port_id).is_ok_and(|pid| pid > 0)));
    port_ids.sort_unstable();
    port_ids.dedup();
    assert_eq!(port_ids.len(), 4);
}

#[test]
fn a_packet_ends_once_whatever_goes_first() {
    for family in Family::ALL {
        let mut world = World::new(family);
        for number in 0..6 {
            world.send(&[number]);
        }
        let ids: Vec<_> = world.program.packets().iter().map(|packet| packet.id).collect();
        world.program.verdict(ids[0], Verdict::Accept);
        world.program.verdict(ids[1], Verdict::Drop);
        world.kernel.device_down("lo");
        world.kernel.unload_ip_queue(family);
        let World { kernel, program, .. } = world;
        drop(program);
        let mut numbers: Vec<_> =
            kernel.take_outcomes().iter().map(|Outcome { number, .. }| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn who_comes_second_is_told_that_the_queue_is_occupied() {
    for family in Family::ALL {
        let kernel = builder().build();
        let theirs = kernel.occupy(QueueId::IpQueue(family)).unwrap();
        let mut program = Program::open(&kernel, family, SocketOptions::default());
        let body = mode_body(MODEL, 2, 0);
        program.request(MODE, REQUEST | ACK, &body);
        assert_eq!(program.answer(), Some(Errno::EBUSY));
        assert!(kernel.occupy(QueueId::IpQueue(family)).is_err());
        drop(theirs);
        program.request(MODE, REQUEST | ACK, &body);
        assert_eq!(program.answer(), None);
    }
}
