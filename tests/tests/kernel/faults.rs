//! A session over a socket of the real kernel that meets faults. What each fault does is tested on the simulated kernel;
//! here, that a real one's socket can be wrapped all the same, with its clock and its descriptor.

use core::time::Duration;
use std::io::pipe;

use ipq::{Errno, Event, Family, Options, Queue, Verdict};
use ipq_sim::fault::{Direction, Fault, FaultPlan, Faults, Faulty};
use ipq_sys::{NetlinkSocket, Protocol, SocketOptions};

use crate::network::{Network, Outcome, Rule, Socket};
use crate::support::{
    PATIENCE, assert_quiet, assert_receives, decide, refused, seen, seen_many, send_all,
};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_real_socket_can_be_faulty() {
    let name = concat!(module_path!(), "::a_real_socket_can_be_faulty");
    crate::real::run(name, each_in_turn);
}

#[test]
fn what_is_delayed_ends_a_wait_for_a_real_descriptor() {
    let name = concat!(module_path!(), "::what_is_delayed_ends_a_wait_for_a_real_descriptor");
    crate::real::run(name, delayed);
}

/// A session for whole packets over a socket without faults yet, and two sockets whose packets it gets.
fn session(
    network: &mut dyn Network,
) -> Result<(Queue, Faults, [Socket; 2]), crate::network::Skipped> {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    network.rule(Rule::queue_to(network.address_of(to), 0))?;
    let socket = NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default()).unwrap();
    let socket = Faulty::new(socket, &FaultPlan::new(7));
    let faults = socket.faults();
    let mut queue = Queue::with_nfqueue(socket, 0..=0, Options::default()).unwrap();
    queue.set_mode(ipq::CopyMode::Packet { range: 0 }).unwrap();
    Ok((queue, faults, [from, to]))
}

fn each_in_turn(network: &mut dyn Network) -> Outcome {
    let (mut queue, faults, [from, to]) = session(network)?;
    let address = network.address_of(to);

    faults.add(Fault::Reorder.to_program().nth(1));
    send_all(network, from, address, &["first", "second"]);
    let packets = seen_many(&mut queue, 2);
    assert_eq!((packets[0].text(), packets[1].text()), (&b"second"[..], &b"first"[..]));
    faults.hold(Direction::ToKernel);
    for packet in &packets {
        queue.verdict(packet.id, Verdict::Accept).unwrap();
    }
    let held = faults.held(Direction::ToKernel);
    assert!(faults.release(Direction::ToKernel, held[1]));
    assert_quiet(&mut queue);
    assert_receives(network, to, &["first"]);
    faults.release_all(Direction::ToKernel);
    assert_quiet(&mut queue);
    assert_receives(network, to, &["second"]);

    faults.add(Fault::UnknownId.to_kernel().nth(1));
    send_all(network, from, address, &["third"]);
    let third = decide(&mut queue, Verdict::Accept);
    let refusal = refused(&mut queue);
    assert_eq!(refusal.errno, Errno::ENOENT);
    assert_ne!(refusal.packet, Some(third.id));
    faults.add(Fault::Refuse { errno: Errno::EAGAIN }.to_kernel().nth(1));
    assert!(queue.verdict(third.id, Verdict::Accept).unwrap_err().is_temporary());
    queue.verdict(third.id, Verdict::Accept).unwrap();
    assert_receives(network, to, &["third"]);

    faults.add(Fault::Overrun.to_program().nth(1));
    send_all(network, from, address, &["lost", "fourth"]);
    let mut buffer = vec![0; queue.buffer_len()];
    let event = queue.read(&mut buffer, Some(PATIENCE)).unwrap();
    assert!(matches!(event, Some(Event::Overrun)), "{event:?}");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["fourth"]);
    let statistics = queue.statistics();
    assert_eq!((statistics.overruns, statistics.lost, statistics.refused), (1, 1, 1));
    let counts = faults.counts();
    assert_eq!((counts.to_program.lost, counts.to_program.kept, counts.to_kernel.kept), (1, 0, 0));
    Ok(())
}

fn delayed(network: &mut dyn Network) -> Outcome {
    let (mut queue, faults, [from, to]) = session(network)?;
    let address = network.address_of(to);
    let (reader, writer) = pipe().unwrap();
    queue.interrupt_on(reader.into());
    faults.add(Fault::Delay { time: 20 * MS }.to_program().nth(1));
    send_all(network, from, address, &["late", "early"]);
    let start = queue.clock();
    assert_eq!(decide(&mut queue, Verdict::Accept).text(), b"early");
    let late = seen(&mut queue);
    assert_eq!(late.text(), b"late");
    assert!(queue.clock() >= start + 20 * MS);
    queue.verdict(late.id, Verdict::Accept).unwrap();
    assert_receives(network, to, &["early", "late"]);
    drop(writer);
    Ok(())
}
