//! Time passes while programs wait, and stands still while they work.

use core::time::Duration;

use ipq_proto::{CopyMode, Family, Verdict};
use ipq_sim::{Action, Fate, Kernel, Reason, Scenario, Served};
use ipq_sys::unix::{Listener, Server, ServerOptions, Speed, UnixSocket};
use ipq_sys::{Batch, Deadline, Protocol, SocketOptions, Transport};

use super::{PATIENCE, World, next, packet};
use crate::common::{Heard, Program};

#[test]
fn it_stands_still_while_a_program_works() {
    let world = World::new();
    world.send(Family::Ipv4, b"one");
    let later = Duration::from_secs(59);
    world.kernel.at(later, Action::DeviceDown("lo".into()));
    let mut program = world.program(Family::Ipv4);
    let one = packet(&mut program);
    for _ in 0..100 {
        // Requests that find something, or do something, are work.
        world.client().read_file("/proc/net/ip_queue").unwrap();
        assert_eq!(world.kernel.now(), Duration::ZERO);
    }
    program.verdict(one.id, Verdict::Accept);
    assert_eq!(world.kernel.now(), Duration::ZERO);
    assert_eq!(next(&mut program), None, "it waits, and nothing comes");
    assert_eq!(world.kernel.now(), later);
    assert_eq!(world.kernel.take_outcomes()[0].fate, Fate::Delivered);
}

#[test]
fn a_program_that_has_answered_gets_what_comes_next_with_one_call() {
    let world = World::new();
    let mut program = world.program(Family::Ipv4);
    for word in ["one", "two"] {
        world.send(Family::Ipv4, word.as_bytes());
    }
    let one = packet_at_once(&mut program);
    assert!(one.payload.ends_with(b"one"));
    program.hears_nothing();
    program.verdict(one.id, Verdict::Accept);
    assert!(packet_at_once(&mut program).payload.ends_with(b"two"));
    let statistics = world.server.stop().unwrap();
    let (bind_and_mode, receive, verdict) = (2, 3, 1);
    assert_eq!(statistics.requests, bind_and_mode + receive + verdict);
}

/// The packet that a receive finds that does not wait.
fn packet_at_once(program: &mut Program<UnixSocket>) -> crate::common::Announced {
    match program.hear() {
        Some(Heard::Packet(packet)) => packet,
        other => panic!("no packet but {other:?}"),
    }
}

#[test]
fn what_happens_in_one_moment_comes_together_and_what_is_later_does_not() {
    let world = World::new();
    let mut program = world.program(Family::Ipv4);
    for word in ["one", "two", "three", "four"] {
        world.send(Family::Ipv4, word.as_bytes());
    }
    world.kernel.at(Duration::from_secs(1), Action::DeviceDown("lo".into()));
    let mut three = Batch::new(3, 4096);
    program.socket.receive_many(&mut three, Deadline::Immediate).unwrap();
    assert_eq!(three.iter().count(), 3, "as many as there is room for");
    let mut rest = Batch::new(3, 4096);
    program.socket.receive_many(&mut rest, Deadline::At(PATIENCE + program.socket.now())).unwrap();
    assert_eq!(rest.iter().count(), 1);
    assert_eq!(world.kernel.now(), Duration::ZERO);
}

#[test]
fn a_program_that_only_polls_says_that_it_waits() {
    let world = World::new();
    let mut program = world.program(Family::Ipv4);
    let later = Duration::from_secs(1);
    world.kernel.at(later, Action::DeviceDown("lo".into()));
    let mut client = world.client();
    let cookie = ipq_sys::unix::SocketCookie::of(program.socket.descriptor().unwrap()).unwrap();
    client.read_file("/proc/net/ip_queue").unwrap();
    assert_eq!(world.kernel.now(), Duration::ZERO, "it has not yet waited");
    client.waiting(cookie).unwrap();
    client.read_file("/proc/net/ip_queue").unwrap();
    client.read_file("/proc/net/ip_queue").unwrap();
    assert_eq!(world.kernel.now(), later);
    program.hears_nothing();
}

#[test]
fn a_program_that_says_nothing_is_taken_to_wait_after_a_while() {
    let kernel = crate::common::builder().build();
    let options = ServerOptions { patience: Duration::ZERO, ..ServerOptions::default() };
    let server = Server::spawn(Served::from(kernel.clone()), options).unwrap();
    let world = World { kernel, server };
    let later = Duration::from_secs(1);
    world.kernel.at(later, Action::DeviceDown("lo".into()));
    let _program = world.program(Family::Ipv4);
    let mut client = world.client();
    while world.kernel.now() < later {
        client.read_file("/proc/net/ip_queue").unwrap();
    }
}

#[test]
fn it_can_follow_the_clock_on_the_wall() {
    let kernel = crate::common::builder().build();
    let speed = Speed::Times(1000.0);
    let options = ServerOptions { speed, ..ServerOptions::default() };
    let server = Server::spawn(Served::from(kernel.clone()), options).unwrap();
    let world = World { kernel, server };
    world.kernel.at(Duration::from_secs(20), Action::DeviceDown("lo".into()));
    let mut program = world.program(Family::Ipv4);
    let start = std::time::Instant::now();
    assert_eq!(next(&mut program), None, "the end");
    assert!(start.elapsed() >= Duration::from_millis(19), "{:?}", start.elapsed());
}

#[test]
fn the_end_waits_for_what_other_programs_have() {
    let world = World::new();
    let mut ipv4 = world.program(Family::Ipv4);
    world.send(Family::Ipv4, b"held");
    let held = packet(&mut ipv4);
    // Its own packets are no reason to wait.
    assert_eq!(next(&mut ipv4), None);
    ipv4.verdict(held.id, Verdict::Drop);
    assert_eq!(next(&mut ipv4), None);
    assert_eq!(world.kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::Verdict));
}

#[test]
fn conversations_meet_the_faults_of_the_scenario() {
    let scenario = Scenario::parse(
        r#"
        rule = [{ hook = "LOCAL_OUT", target = "queue" }]
        traffic = [{ name = "ping", kind = "ping", from = "here", to = "here", count = 4 }]
        fault = [
            { fault = "delay", direction = "to-program", delay = "5ms", rate = 1.0 },
            { fault = "truncate", direction = "to-program", length = 40, nth = 2 },
        ]
        expect = [
            { that = "fault.delay", equals = 4 },
            { that = "fault.truncate", equals = 1 },
        ]
        "#,
    );
    let simulation = scenario.unwrap().start(1, Kernel::builder()).unwrap();
    let kernel = simulation.kernel().clone();
    let options = ServerOptions { patience: PATIENCE, ..ServerOptions::default() };
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::bind(directory.path().join("kernel")).unwrap();
    let path = listener.path().to_owned();
    let server = Server::new(Served::new(simulation), listener, options);
    let serving = std::thread::spawn(move || server.run(None).unwrap().0.finish());

    let socket = UnixSocket::open(&path, Protocol::Firewall, SocketOptions::default()).unwrap();
    let mut program = Program::on(socket);
    program.set_mode(CopyMode::Packet { range: 0 });
    for number in 1..=4 {
        let heard = next(&mut program);
        assert!(kernel.now() >= Duration::from_millis(5), "it was delayed");
        match heard {
            Some(Heard::Packet(packet)) => program.verdict(packet.id, Verdict::Drop),
            Some(Heard::Truncated { datagram, .. }) => {
                assert_eq!((number, datagram.len()), (2, 40));
            }
            other => panic!("no packet but {other:?}"),
        }
    }
    assert_eq!(next(&mut program), None);
    drop(program);
    let report = serving.join().unwrap();
    assert!(report.is_good(), "{:?}", report.findings);
}
