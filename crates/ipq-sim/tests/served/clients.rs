//! Clients of a server: what they are told, and what becomes of what they had when they go.

use std::io::IoSlice;

use ipq_proto::{CopyMode, Errno, Family, Verdict};
use ipq_sim::{Fate, Reason};
use ipq_sys::unix::{Client, ReceiveFlags, SocketOption, UnixSocket};
use ipq_sys::{DeviceInfo, Operation, Protocol, SocketOptions, Transport};

use super::{World, bound, next, packet};
use crate::common::{ACK, Heard, MODE, Program, REQUEST, everywhere, message, mode_body};

#[test]
fn gives_programs_the_packets_and_takes_their_verdicts() {
    everywhere(|model, family| {
        let world = World::of(ipq_sim::Kernel::builder().data_model(model));
        for payload in [&b"one"[..], b"two", b"three"] {
            world.send(family, payload);
        }
        let mut program = world.program(family);
        for (payload, verdict) in
            [(&b"one"[..], Verdict::Accept), (b"two", Verdict::Drop), (b"three", Verdict::Accept)]
        {
            let packet = packet(&mut program);
            assert!(packet.payload.ends_with(payload), "{packet:?}");
            program.verdict(packet.id, verdict);
        }
        assert_eq!(next(&mut program), None, "{model} {family}");
        assert_eq!((world.kernel.totals().delivered, world.kernel.totals().dropped), (2, 1));
    });
}

#[test]
fn tells_a_second_program_that_the_first_has_the_queue() {
    let world = World::new();
    let mut first = world.program(Family::Ipv4);
    let mut second = world.silent(Family::Ipv4);
    assert_ne!(first.port_id(), second.port_id());
    let body = mode_body(second.socket.data_model(), 2, 0);
    second.request(MODE, REQUEST, &body);
    assert_eq!(second.answer(), Some(Errno::EBUSY));
    first.request(MODE, REQUEST | ACK, &body);
    assert_eq!(first.answer(), None);
}

#[test]
fn drops_what_a_program_had_when_it_goes() {
    let world = World::new();
    world.send(Family::Ipv4, b"waits");
    let mut client = world.client();
    let mut program = world.program(Family::Ipv4);
    packet(&mut program);
    let status = |client: &mut Client| {
        String::from_utf8(client.read_file("/proc/net/ip_queue").unwrap()).unwrap()
    };
    let before = status(&mut client);
    assert!(before.contains(&format!("Peer PID          : {}\n", program.port_id())), "{before}");
    assert!(before.contains("Queue length      : 1\n"), "{before}");
    drop(program);
    // The end of its connection was there before this request.
    let after = status(&mut client);
    assert!(after.contains("Peer PID          : 0\n"), "{after}");
    assert!(after.contains("Queue length      : 0\n"), "{after}");
    let outcomes = world.kernel.take_outcomes();
    assert_eq!(outcomes[0].fate, Fate::Dropped(Reason::PeerClosed));
}

#[test]
fn serves_both_queues_and_both_families_at_once() {
    let world = World::new();
    let mut ipv4 = world.program(Family::Ipv4);
    let mut ipv6 = world.program(Family::Ipv6);
    assert_eq!(ipv4.port_id(), ipv6.port_id(), "of different protocols");
    world.send(Family::Ipv4, b"four");
    world.send(Family::Ipv6, b"six");
    let of_four = packet(&mut ipv4);
    let of_six = packet(&mut ipv6);
    assert!(of_four.payload.ends_with(b"four") && of_six.payload.ends_with(b"six"));
    let netfilter = world.open(Protocol::Netfilter);
    assert_eq!(netfilter.protocol(), Protocol::Netfilter);
}

#[test]
fn is_gone_when_it_ends() {
    let world = World::new();
    let mut program = world.program(Family::Ipv4);
    let mut client = world.client();
    let path = world.path().to_owned();
    let statistics = world.server.stop().unwrap();
    assert_eq!((statistics.sockets, statistics.broken, statistics.refused), (1, 0, 0));
    assert!(!path.exists() && !path.parent().unwrap().exists());

    let mut buffer = [0; 64];
    let error = program.socket.receive(&mut buffer, ipq_sys::Deadline::Never).unwrap_err();
    assert_eq!((error.operation, error.errno), (Operation::Receive, Errno::ECONNRESET));
    let error = program.socket.send(&[IoSlice::new(&[])]).unwrap_err();
    assert_eq!((error.operation, error.errno), (Operation::Send, Errno::ECONNRESET));
    assert_eq!(client.read_file("/proc/net/ip_queue"), Err(Errno::ECONNRESET));
    assert_eq!(client.open(Protocol::Firewall, true, false).unwrap_err(), Errno::ECONNRESET);
    let error = UnixSocket::open(&path, Protocol::Firewall, SocketOptions::default()).unwrap_err();
    assert_eq!((error.operation, error.errno), (Operation::Open, Errno::ENOENT));
}

#[test]
fn binds_as_netlink_does() {
    let world = World::new();
    let mut client = world.client();
    let open = |client: &Client| client.open(Protocol::Firewall, true, false).unwrap();
    let first = open(&client);
    assert_eq!(client.describe(first.cookie).unwrap().port_id, 0);
    assert_eq!(client.bind(first.cookie, 7), Ok(7));
    assert_eq!(client.bind(first.cookie, 7), Ok(7));
    assert_eq!(client.bind(first.cookie, 8), Err(Errno::EINVAL));
    let second = open(&client);
    assert_eq!(client.bind(second.cookie, 7), Err(Errno::EADDRINUSE));
    assert_eq!(client.bind(second.cookie, 0), Ok(std::process::id()));
    let third = open(&client);
    client.send(third.cookie, 0, &[]).unwrap();
    let description = client.describe(third.cookie).unwrap();
    assert_eq!(description.protocol, Protocol::Firewall);
    assert_eq!(
        description.port_id.cast_signed(),
        -4097,
        "sending binds, and the process id is taken"
    );
    drop(first);
    let fourth = open(&client);
    assert_eq!(client.bind(fourth.cookie, 7), Ok(7), "it is free again");
}

#[test]
fn keeps_the_rules_of_privilege() {
    let world = World::new();
    let mut client = world.client();
    let opened = client.open(Protocol::Firewall, false, false).unwrap();
    let port_id = client.bind(opened.cookie, 0).unwrap();
    let body = mode_body(client.info().model, 2, 0);
    let request = message(client.info().model, MODE, REQUEST, 1, port_id, &body);
    client.send(opened.cookie, 0, &[IoSlice::new(&request)]).unwrap();
    let mut buffer = [0; 256];
    let socket = (&opened.descriptor, opened.cookie);
    let datagram = client.receive(socket, &mut buffer, ReceiveFlags::default()).unwrap();
    assert_eq!(buffer[16..20], (-Errno::EPERM.0).to_le_bytes(), "{datagram:?}");
    let force = SocketOption::RECEIVE_BUFFER_FORCE;
    assert_eq!(client.set_option(opened.cookie, force, 1 << 20), Err(Errno::EPERM));
    assert_eq!(client.send(opened.cookie, 1, &[]), Err(Errno::EPERM));
}

#[test]
fn has_the_options_that_matter() {
    let world = World::new();
    let mut client = world.client();
    let opened = bound(&mut client, Protocol::Firewall);
    let cookie = opened.cookie;
    let mut set = |option, value| {
        client.set_option(cookie, option, value)?;
        client.option(cookie, SocketOption::RECEIVE_BUFFER)
    };
    assert_eq!(set(SocketOption::RECEIVE_BUFFER, 10_000), Ok(20_000));
    assert_eq!(set(SocketOption::RECEIVE_BUFFER, 0), Ok(2304));
    assert_eq!(set(SocketOption::RECEIVE_BUFFER, u32::MAX), Ok(2 * 212_992));
    assert_eq!(set(SocketOption::RECEIVE_BUFFER_FORCE, 1 << 20), Ok(2 << 20));
    assert_eq!(set(SocketOption::RECEIVE_BUFFER_FORCE, u32::MAX), Ok((1 << 31) - 2));
    assert_eq!(set(SocketOption(99), 1), Err(Errno(92)));
    assert_eq!(client.option(cookie, SocketOption::IGNORE_OVERRUNS), Ok(0));
    client.set_option(cookie, SocketOption::IGNORE_OVERRUNS, 1).unwrap();
    assert_eq!(client.option(cookie, SocketOption::IGNORE_OVERRUNS), Ok(1));
    assert_eq!(client.option(cookie, SocketOption::ERROR), Ok(0));
    assert_eq!(client.option(cookie, SocketOption(99)), Err(Errno(92)));
}

#[test]
fn has_the_files_and_devices_of_the_kernel() {
    let world = World::new();
    let mut client = world.client();
    let length = "/proc/sys/net/ipv4/ip_queue_maxlen";
    assert_eq!(client.read_file(length), Err(Errno::ENOENT));
    assert_eq!(client.open_file(length).unwrap_err(), Errno::ENOENT);
    let _opened = bound(&mut client, Protocol::Firewall);
    client.write_file(length, b"5\n").unwrap();
    assert_eq!(client.read_file(length).as_deref(), Ok(&b"5\n"[..]));
    assert_eq!(client.write_file(length, b"five"), Err(Errno::EINVAL));
    assert_eq!(client.open_file("/proc/net/ip_queue").unwrap_err(), Errno::EACCES);
    let file = client.open_file(length).unwrap();
    for written in 6..20 {
        nix::unistd::write(&file, format!("{written}\n").as_bytes()).unwrap();
        let expected = format!("{written}\n");
        assert_eq!(client.read_file(length).unwrap(), expected.as_bytes(), "in order");
    }
    let DeviceInfo { name, .. } = client.device(1).unwrap();
    assert_eq!(name.to_str(), Some("lo"));
    assert_eq!(client.device(99), Err(Errno::ENODEV));
}

#[test]
fn lets_programs_write_to_each_other_and_tells_who_it_was() {
    let world = World::new();
    let mut client = world.client();
    let sender = bound(&mut client, Protocol::Firewall);
    let sender_id = client.describe(sender.cookie).unwrap().port_id;
    let mut reader = world.silent(Family::Ipv4);
    client.send(sender.cookie, reader.port_id(), &[IoSlice::new(b"not the kernel")]).unwrap();
    assert_eq!(client.send(sender.cookie, 99, &[]), Err(Errno::ECONNREFUSED));
    let mut buffer = [0; 64];
    let received = reader.socket.receive(&mut buffer, ipq_sys::Deadline::Immediate).unwrap();
    assert_eq!(received, ipq_sys::Received::Foreign { port_id: sender_id });
}

#[test]
fn sends_and_receives_many_at_once() {
    let world = World::new();
    let n_packets: usize = 500;
    for _ in 0..n_packets {
        world.send(Family::Ipv4, &[0x55; 1000]);
    }
    let mut socket = world.open(Protocol::Firewall);
    socket.set_receive_buffer(8 << 20).unwrap();
    let mut program = Program::on(socket);
    program.set_mode(CopyMode::Packet { range: 0 });
    let model = program.socket.data_model();
    let mut batch = ipq_sys::Batch::new(64, 4096);
    let mut settled = 0;
    while settled < n_packets {
        program.socket.receive_many(&mut batch, ipq_sys::Deadline::Never).unwrap();
        let ids = batch.iter().map(|(_, bytes)| {
            let Ok((_, ipq_proto::ip_queue::Message::Packet(packet))) =
                ipq_proto::ip_queue::datagram(model, bytes)
            else {
                panic!("no packet after {settled}");
            };
            packet.id
        });
        let port_id = program.port_id();
        let verdicts: Vec<_> = ids
            .map(|id| {
                let body = crate::common::verdict_body(model, Verdict::Accept.0, id, 0);
                message(model, crate::common::VERDICT, REQUEST, 1, port_id, &body)
            })
            .collect();
        let datagrams: Vec<_> = verdicts.iter().map(|verdict| IoSlice::new(verdict)).collect();
        assert_eq!(program.socket.send_many(&datagrams), Ok(datagrams.len()));
        settled += datagrams.len();
    }
    assert_eq!(next(&mut program), None);
    assert_eq!(world.kernel.totals().delivered, n_packets as u64);
    assert!(!matches!(program.hear(), Some(Heard::Reply(_))));
}
