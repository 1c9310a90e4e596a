//! What is full: the receive buffer of the session, and the queue.

use core::time::Duration;

use ipq::{Batch, Event, Family, Options, Queue, Verdict};

use crate::network::{Network, Outcome, Rule};
use crate::support::{
    PATIENCE, assert_quiet, assert_receives, datagram, decide, seen, seen_many, send_all,
};

on_every_kernel! {
    a_flood_overruns_the_buffer_and_the_session_goes_on,
    a_flood_is_survived_in_batches,
    overruns_can_be_ignored,
    a_large_buffer_holds_a_whole_queue,
    what_is_lost_is_in_the_snapshot,
    a_full_queue_drops,
    a_full_queue_may_let_packets_pass,
}

/// More than fit into [`SMALL`].
const FLOOD: u32 = 200;

/// The least buffer that kernels give, or a little more.
const SMALL: Options = Options {
    families: ipq::Families::Both,
    max_length: None,
    fail_open: false,
    gso: false,
    uid_gid: false,
    security_context: false,
    conntrack: false,
    receive_buffer: Some(8 << 10),
    ignore_overruns: false,
};

/// Takes what is there and accepts it; returns the texts, and how often the buffer was full.
fn drain(queue: &mut Queue) -> (Vec<Vec<u8>>, usize) {
    let (mut texts, mut overruns) = (Vec::new(), 0);
    let mut buffer = vec![0; queue.buffer_len()];
    while let Some(event) = queue.read(&mut buffer, Some(Duration::ZERO)).unwrap() {
        match event {
            Event::Packet(packet) => {
                texts.push(datagram(packet.payload()).to_vec());
                queue.verdict(packet.id(), Verdict::Accept).unwrap();
            }
            Event::Overrun => overruns += 1,
            other => panic!("{other:?}"),
        }
    }
    (texts, overruns)
}

fn a_flood_overruns_the_buffer_and_the_session_goes_on(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue_with(0, SMALL);
    for round in 1..=3 {
        (0..FLOOD).for_each(|number| network.send(from, address, &number.to_be_bytes()));
        let (texts, overruns) = drain(&mut queue);
        assert!((1..FLOOD as usize).contains(&texts.len()), "{} came", texts.len());
        assert_eq!(overruns, 1, "it is told once for each time that the buffer was full");
        assert_eq!(queue.statistics().overruns, round);
        // Those that did fit are the first, and they are delivered.
        for (number, text) in (0_u32..).zip(&texts) {
            assert_eq!(text[..], number.to_be_bytes());
            assert_eq!(network.received(to).as_ref(), Some(text));
        }
    }
    network.send(from, address, b"after");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["after"]);
    let statistics = queue.statistics();
    assert_eq!(statistics.packets + statistics.lost, 3 * u64::from(FLOOD) + 1);
    assert_eq!((statistics.refused, statistics.malformed), (0, 0));
    Ok(())
}

fn what_is_lost_is_in_the_snapshot(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 7))?;
    let mut queue = network.queue_with(7, SMALL);
    (0..FLOOD).for_each(|number| network.send(from, address, &number.to_be_bytes()));
    let (texts, overruns) = drain(&mut queue);
    network.send(from, address, b"next");
    decide(&mut queue, Verdict::Accept);
    let snapshot = queue.snapshot();
    let lost = u64::from(FLOOD) - texts.len() as u64;
    assert_eq!((snapshot.statistics.lost, snapshot.packets_lost()), (lost, lost));
    assert_eq!(snapshot.statistics.overruns, overruns as u64);
    // In a user namespace the kernel shows its own counters to nobody, which must be said.
    match (&snapshot.kernel.nfqueues[..], &snapshot.kernel.problems[..]) {
        ([status], []) => assert_eq!((status.queue, u64::from(status.user_dropped)), (7, lost)),
        ([], [problem]) => {
            assert!(problem.contains("nfnetlink_queue: Permission denied"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

fn a_flood_is_survived_in_batches(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue_with(0, SMALL);
    let mut batch = Batch::new(64, queue.buffer_len());
    for _ in 0..3 {
        (0..FLOOD).for_each(|number| network.send(from, address, &number.to_be_bytes()));
        let (mut overruns, mut accepted) = (0, 0);
        loop {
            let mut decisions = Vec::new();
            let events = queue.read_batch(&mut batch, Some(Duration::ZERO), |event| match event {
                Ok(Event::Packet(packet)) => decisions.push((packet.id(), Verdict::Accept)),
                Ok(Event::Overrun) => overruns += 1,
                other => panic!("{other:?}"),
            });
            queue.verdicts(&decisions).unwrap();
            accepted += decisions.len();
            if events.unwrap() == 0 {
                break;
            }
        }
        assert_eq!(overruns, 1);
        for number in (0_u32..).take(accepted) {
            assert_eq!(network.received(to), Some(number.to_be_bytes().to_vec()));
        }
    }
    network.send(from, address, b"after");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["after"]);
    assert_eq!(queue.statistics().refused, 0);
    Ok(())
}

fn overruns_can_be_ignored(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue_with(0, Options { ignore_overruns: true, ..SMALL });
    (0..FLOOD).for_each(|number| network.send(from, address, &number.to_be_bytes()));
    let (texts, overruns) = drain(&mut queue);
    assert!((1..FLOOD as usize).contains(&texts.len()), "{} came", texts.len());
    assert_eq!((overruns, queue.statistics().overruns), (0, 0));
    let came = texts.len() as u64;
    for text in texts {
        assert_eq!(network.received(to), Some(text));
    }
    network.send(from, address, b"after");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["after"]);
    assert_eq!(queue.statistics().lost, u64::from(FLOOD) - came, "they are counted all the same");
    Ok(())
}

fn a_large_buffer_holds_a_whole_queue(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue_with(0, Options { max_length: Some(128), ..Options::default() });
    for _ in 0..2 {
        (0..128_u32).for_each(|number| network.send(from, address, &number.to_be_bytes()));
        let (texts, overruns) = drain(&mut queue);
        assert_eq!((texts.len(), overruns), (128, 0));
    }
    assert_eq!(network.received(to), Some(vec![0; 4]));
    Ok(())
}

fn a_full_queue_drops(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue_with(0, Options { max_length: Some(3), ..Options::default() });
    send_all(network, from, address, &["0", "1", "2", "lost", "lost too"]);
    let packets = seen_many(&mut queue, 3);
    assert_quiet(&mut queue);
    queue.verdict(packets[1].id, Verdict::Accept).unwrap();
    send_all(network, from, address, &["3", "lost as well"]);
    let last = seen(&mut queue);
    assert_quiet(&mut queue);
    for id in [packets[0].id, packets[2].id, last.id] {
        queue.verdict(id, Verdict::Accept).unwrap();
    }
    assert_receives(network, to, &["1", "0", "2", "3"]);
    network.send(from, address, b"after");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["after"]);
    Ok(())
}

fn a_full_queue_may_let_packets_pass(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let options = Options { max_length: Some(2), fail_open: true, ..Options::default() };
    let mut queue = network.queue_with(0, options);
    send_all(network, from, address, &["0", "1", "2", "3"]);
    assert_receives(network, to, &["2", "3"]);
    let mut buffer = vec![0; queue.buffer_len()];
    for _ in 0..2 {
        let event = queue.read(&mut buffer, Some(PATIENCE)).unwrap();
        let Some(Event::Packet(packet)) = event else { panic!("{event:?}") };
        queue.verdict(packet.id(), Verdict::Accept).unwrap();
    }
    assert_quiet(&mut queue);
    assert_receives(network, to, &["0", "1"]);
    Ok(())
}
