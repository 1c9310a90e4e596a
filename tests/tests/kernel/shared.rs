//! Packets that are settled exactly once, by threads, by default, and at the end; and how reads are ended.

use core::time::Duration;
use std::sync::mpsc;
use std::thread;

use ipq::{CopyMode, DefaultVerdict, Family, Options, Queue, SharedQueue, Verdict, Workers};
use nix::sys::signal::{Signal, raise};

use crate::network::{Network, Outcome, Place, Rule, Socket, Target};
use crate::support::{PATIENCE, assert_receives, decide, send_all};

on_every_kernel! {
    verdicts_come_from_other_threads_in_any_order,
    a_dropped_packet_gets_the_default,
    closing_settles_what_is_left,
    a_thread_ends_a_read_that_waits,
    a_signal_ends_a_run,
    workers_share_what_comes_from_many_addresses,
    workers_share_it_in_batches,
}

/// A queue of datagrams, and the sockets they go between.
fn queued(network: &mut dyn Network) -> Result<(Queue, Socket, Socket), crate::network::Skipped> {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    network.rule(Rule::queue_to(network.address_of(to), 0))?;
    Ok((network.queue(0), from, to))
}

fn verdicts_come_from_other_threads_in_any_order(network: &mut dyn Network) -> Outcome {
    let (queue, from, to) = queued(network)?;
    let address = network.address_of(to);
    let queue = SharedQueue::new(queue, DefaultVerdict::Drop).unwrap();
    send_all(network, from, address, &["a", "b", "c", "d"]);
    let (sender, receiver) = mpsc::channel();
    let decider = thread::spawn(move || {
        let mut packets: Vec<ipq::QueuedPacket> = receiver.iter().take(4).collect();
        while let Some(packet) = packets.pop() {
            packet.accept().unwrap();
        }
    });
    for _ in 0..4 {
        sender.send(queue.next(Some(PATIENCE)).unwrap().unwrap()).unwrap();
    }
    decider.join().unwrap();
    assert_receives(network, to, &["d", "c", "b", "a"]);
    let statistics = queue.close().unwrap().statistics;
    assert_eq!((statistics.accepted, statistics.refused, statistics.defaulted), (4, 0, 0));
    Ok(())
}

fn a_dropped_packet_gets_the_default(network: &mut dyn Network) -> Outcome {
    let (queue, from, to) = queued(network)?;
    let address = network.address_of(to);
    let queue = SharedQueue::new(queue, DefaultVerdict::Accept).unwrap();
    send_all(network, from, address, &["a", "b"]);
    drop(queue.next(Some(PATIENCE)).unwrap().unwrap());
    queue.next(Some(PATIENCE)).unwrap().unwrap().discard().unwrap();
    network.send(from, address, b"c");
    drop(queue.next(Some(PATIENCE)).unwrap());
    assert_receives(network, to, &["a", "c"]);
    assert_eq!(queue.statistics().defaulted, 2);
    Ok(())
}

fn closing_settles_what_is_left(network: &mut dyn Network) -> Outcome {
    let (queue, from, to) = queued(network)?;
    let address = network.address_of(to);
    let queue = SharedQueue::new(queue, DefaultVerdict::Accept).unwrap();
    send_all(network, from, address, &["held", "unread", "unread too"]);
    let held = queue.next(Some(PATIENCE)).unwrap().unwrap();
    assert_eq!(queue.close().unwrap().statistics.defaulted, 3);
    assert_receives(network, to, &["held", "unread", "unread too"]);
    assert!(matches!(held.accept().unwrap_err().error(), ipq::Error::Closed));
    // The queue is free again.
    let mut queue = network.queue(0);
    network.send(from, address, b"next");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["next"]);
    Ok(())
}

fn a_thread_ends_a_read_that_waits(network: &mut dyn Network) -> Outcome {
    network.waits_for_descriptors()?;
    let (queue, from, to) = queued(network)?;
    let address = network.address_of(to);
    let queue = SharedQueue::new(queue, DefaultVerdict::Accept).unwrap();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || queue.run(|packet| packet.accept().unwrap()))
        })
        .collect();
    // Both wait, but for the one that gets this.
    network.send(from, address, b"a");
    assert_receives(network, to, &["a"]);
    queue.stopper().stop();
    for reader in readers {
        reader.join().unwrap().unwrap();
    }
    assert_eq!(queue.close().unwrap().statistics.accepted, 1);
    // The same without sharing.
    let mut queue = network.queue(0);
    let stopper = queue.stopper().unwrap();
    let stopping = thread::spawn(move || stopper.stop());
    queue.run(|_| Verdict::Accept).unwrap();
    stopping.join().unwrap();
    Ok(())
}

fn a_signal_ends_a_run(network: &mut dyn Network) -> Outcome {
    network.waits_for_descriptors()?;
    let (mut queue, from, to) = queued(network)?;
    let address = network.address_of(to);
    let stopper = queue.stopper().unwrap();
    let writer = stopper.writer().unwrap();
    let handler = signal_hook::low_level::pipe::register(signal_hook::consts::SIGUSR1, writer);
    send_all(network, from, address, &["a", "b"]);
    let mut seen = 0;
    queue
        .run(|_| {
            seen += 1;
            if seen == 2 {
                raise(Signal::SIGUSR1).unwrap();
            }
            Verdict::Accept
        })
        .unwrap();
    assert!(stopper.is_stopped());
    assert_receives(network, to, &["a", "b"]);
    signal_hook::low_level::unregister(handler.unwrap());
    let mut buffer = vec![0; queue.buffer_len()];
    let event = queue.read(&mut buffer, Some(Duration::ZERO)).unwrap();
    assert!(matches!(event, Some(ipq::Event::Interrupted)));
    Ok(())
}

fn workers_share_what_comes_from_many_addresses(network: &mut dyn Network) -> Outcome {
    share(network, false)
}

fn workers_share_it_in_batches(network: &mut dyn Network) -> Outcome {
    share(network, true)
}

/// Has a worker for each of four queues accept what comes from sixteen addresses.
fn share(network: &mut dyn Network, is_batched: bool) -> Outcome {
    network.waits_for_descriptors()?;
    let to = network.udp(Family::Ipv4);
    let address = network.address_of(to);
    network.rule(Rule::to(address, Target::Nfqueue(4, 7)))?;
    let open = |number| network.open_queue(number..=number, Options::default());
    let queues = (4..=7).map(open).collect::<Result<_, _>>().unwrap();
    let workers = Workers::new(queues, DefaultVerdict::Drop).unwrap();
    workers.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    let senders: Vec<_> = (1..=16)
        .map(|host| network.udp_at(Place::Here, core::net::Ipv4Addr::new(127, 0, 0, host).into()))
        .collect();
    for &from in &senders {
        network.send(from, address, b"x");
    }
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            if is_batched {
                workers.decide(|_| Verdict::Accept)
            } else {
                workers.run(ipq::QueuedPacket::accept)
            }
        });
        for _ in &senders {
            assert_receives(network, to, &["x"]);
        }
        workers.stop();
        working.join().unwrap().unwrap();
    });
    let per_queue = workers.queues().iter().map(|queue| queue.statistics().accepted);
    assert!(per_queue.filter(|&accepted| accepted > 0).count() > 1, "the kernel balances");
    assert_eq!(workers.statistics().accepted, 16);
    let snapshot = workers.close().unwrap();
    assert_eq!((snapshot.statistics.refused, snapshot.statistics.defaulted), (0, 0));
    Ok(())
}

/// By name there is only the real kernel.
#[test]
fn workers_are_opened_by_the_name_of_their_queues() {
    let path = concat!(module_path!(), "::workers_are_opened_by_the_name_of_their_queues");
    crate::real::run(path, |network| {
        let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
        let address = network.address_of(to);
        network.rule(Rule::to(address, Target::Nfqueue(4, 7)))?;
        let name = "nfqueue:4-7".parse().unwrap();
        let mode = CopyMode::Packet { range: 0 };
        let workers = Workers::open(name, mode, Family::Ipv4, DefaultVerdict::Drop).unwrap();
        assert_eq!(workers.queues().len(), 4);
        network.send(from, address, b"x");
        thread::scope(|scope| {
            let working = scope.spawn(|| workers.decide(|_| Verdict::Accept));
            assert_receives(network, to, &["x"]);
            workers.stop();
            working.join().unwrap().unwrap();
        });
        assert_eq!(workers.close().unwrap().statistics.accepted, 1);
        Ok(())
    });
}
