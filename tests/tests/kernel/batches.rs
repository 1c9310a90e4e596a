//! Many packets and many verdicts at once: each packet gets its own verdict, and no other.

use std::collections::BTreeMap;

use ipq::{Batch, Event, Family, Options, PacketId, Queue, Verdict};

use crate::network::{Network, Outcome, Rule, Skipped, Socket};
use crate::support::{
    PATIENCE, assert_quiet, assert_receives, datagram, decide, refused, seen, seen_many, send_all,
};

on_every_kernel! {
    one_call_with_one_verdict,
    one_call_with_mixed_verdicts,
    one_call_out_of_order,
    an_older_packet_keeps_waiting,
    a_packet_not_read_yet_keeps_waiting,
    a_packet_too_long_to_be_known_keeps_waiting,
    a_packet_queued_again_is_a_new_one,
    packets_of_several_queues_in_one_call,
    a_verdict_twice_is_refused,
    batches_under_load_deliver_each_datagram_once,
    one_by_one_through_batches_does_not_starve,
}

fn one_call_with_one_verdict(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    send_all(network, from, address, &["0", "1", "2", "3"]);
    let packets = seen_many(&mut queue, 4);
    let decisions: Vec<_> = packets.iter().map(|seen| (seen.id, Verdict::Accept)).collect();
    queue.verdicts(&decisions).unwrap();
    assert_receives(network, to, &["0", "1", "2", "3"]);
    assert_quiet(&mut queue);
    Ok(())
}

/// Sends ten datagrams, decides on those named, in one call, then accepts the others; returns what came in which
/// order.
fn decide_some(network: &mut dyn Network, some: &[(usize, Verdict)]) -> Result<Vec<u8>, Skipped> {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    for number in 0..10_u8 {
        network.send(from, address, &[number]);
    }
    let packets = seen_many(&mut queue, 10);
    let decisions: Vec<_> = some.iter().map(|&(at, verdict)| (packets[at].id, verdict)).collect();
    queue.verdicts(&decisions).unwrap();
    let decided: Vec<_> = some.iter().map(|&(at, _)| at).collect();
    for at in (0..10).filter(|at| !decided.contains(at)) {
        queue.verdict(packets[at].id, Verdict::Accept).unwrap();
    }
    network.send(from, address, &[0xff]);
    decide(&mut queue, Verdict::Accept);
    // Were a packet decided on twice, the kernel would have refused that.
    assert_quiet(&mut queue);
    assert_eq!(queue.statistics().refused, 0);
    let mut order = Vec::new();
    loop {
        match network.received(to).unwrap()[..] {
            [0xff] => return Ok(order),
            [number] => order.push(number),
            ref other => panic!("{other:?}"),
        }
    }
}

fn one_call_with_mixed_verdicts(network: &mut dyn Network) -> Outcome {
    let (yes, no) = (Verdict::Accept, Verdict::Drop);
    let some = [yes, yes, no, no, no, yes, no, yes, yes, yes];
    let some: Vec<_> = some.into_iter().enumerate().collect();
    assert_eq!(decide_some(network, &some)?, [0, 1, 5, 7, 8, 9]);
    Ok(())
}

fn one_call_out_of_order(network: &mut dyn Network) -> Outcome {
    let (yes, no) = (Verdict::Accept, Verdict::Drop);
    let some =
        [(4, yes), (0, yes), (1, yes), (9, no), (3, no), (2, no), (8, yes), (5, yes), (6, yes)];
    assert_eq!(decide_some(network, &some)?, [4, 0, 1, 8, 5, 6, 7]);
    Ok(())
}

fn an_older_packet_keeps_waiting(network: &mut dyn Network) -> Outcome {
    let no = Verdict::Drop;
    // 0 and 4 are left out: a batch verdict up to 3 or 9 would drop them.
    let some = [(1, no), (2, no), (3, no), (5, no), (6, no), (7, no), (8, no), (9, no)];
    assert_eq!(decide_some(network, &some)?, [0, 4]);
    Ok(())
}

fn a_packet_not_read_yet_keeps_waiting(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    send_all(network, from, address, &["0", "1", "2", "3"]);
    let packets = seen_many(&mut queue, 2);
    let decisions: Vec<_> = packets.iter().map(|seen| (seen.id, Verdict::Drop)).collect();
    queue.verdicts(&decisions).unwrap();
    for _ in 2..4 {
        decide(&mut queue, Verdict::Accept);
    }
    assert_receives(network, to, &["2", "3"]);
    assert_quiet(&mut queue);
    Ok(())
}

fn a_packet_too_long_to_be_known_keeps_waiting(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    send_all(network, from, address, &["unknown", "1", "2", "3"]);
    match queue.read(&mut [0; 20], Some(PATIENCE)).unwrap() {
        Some(Event::Truncated { packet: None, .. }) => (),
        other => panic!("not cut but {other:?}"),
    }
    let packets = seen_many(&mut queue, 3);
    let decisions: Vec<_> = packets.iter().map(|seen| (seen.id, Verdict::Accept)).collect();
    queue.verdicts(&decisions).unwrap();
    assert_receives(network, to, &["1", "2", "3"]);
    // Nobody has said anything about the first one.
    queue.verdict(PacketId::in_nfqueue(0, 1), Verdict::Accept).unwrap();
    assert_receives(network, to, &["unknown"]);
    assert_quiet(&mut queue);
    Ok(())
}

fn a_packet_queued_again_is_a_new_one(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    send_all(network, from, address, &["0", "1", "2"]);
    let packets = seen_many(&mut queue, 3);
    let again: Vec<_> = packets.iter().map(|seen| (seen.id, Verdict::Queue)).collect();
    queue.verdicts(&again).unwrap();
    let packets = seen_many(&mut queue, 3);
    let texts: Vec<_> = packets.iter().map(crate::support::Seen::text).collect();
    assert_eq!(texts, [b"0", b"1", b"2"]);
    let decisions = [Verdict::Accept, Verdict::Drop, Verdict::Accept];
    let decisions: Vec<_> = packets.iter().map(|seen| seen.id).zip(decisions).collect();
    queue.verdicts(&decisions).unwrap();
    assert_receives(network, to, &["0", "2"]);
    assert_quiet(&mut queue);
    Ok(())
}

fn packets_of_several_queues_in_one_call(network: &mut dyn Network) -> Outcome {
    let from = network.udp(Family::Ipv4);
    let to = [network.udp(Family::Ipv4), network.udp(Family::Ipv4)];
    for (number, socket) in (1..).zip(to) {
        network.rule(Rule::queue_to(network.address_of(socket), number))?;
    }
    let mut queue = network.open_queue(1..=2, Options::default()).unwrap();
    queue.set_mode(ipq::CopyMode::Packet { range: 0 }).unwrap();
    for word in ["0", "1", "2"] {
        for to in to {
            network.send(from, network.address_of(to), word.as_bytes());
        }
    }
    let packets = seen_many(&mut queue, 6);
    // Queue 1 drops its first two; queue 2, with the same ids, keeps all.
    let verdicts = [Verdict::Drop, Verdict::Accept, Verdict::Drop, Verdict::Accept];
    let decisions: Vec<_> = packets.iter().map(|seen| seen.id).zip(verdicts).collect();
    queue.verdicts(&decisions).unwrap();
    let rest: Vec<_> = packets[4..].iter().map(|seen| (seen.id, Verdict::Accept)).collect();
    queue.verdicts(&rest).unwrap();
    assert_receives(network, to[0], &["2"]);
    assert_receives(network, to[1], &["0", "1", "2"]);
    assert_quiet(&mut queue);
    Ok(())
}

fn a_verdict_twice_is_refused(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 9))?;
    let mut queue = network.queue(9);
    send_all(network, from, address, &["0", "1"]);
    let (first, second) = (seen(&mut queue).id, seen(&mut queue).id);
    let never = PacketId::in_nfqueue(9, 1000);
    queue.verdict(first, Verdict::Accept).unwrap();
    for id in [first, never] {
        queue.verdict(id, Verdict::Accept).unwrap();
        let refusal = refused(&mut queue);
        assert_eq!((refusal.errno, refusal.packet), (ipq::Errno::ENOENT, Some(id)));
    }
    queue.verdict(second, Verdict::Accept).unwrap();
    assert_receives(network, to, &["0", "1"]);
    assert_quiet(&mut queue);
    Ok(())
}

/// Reads what is there, at least one packet, into `decisions`.
fn read(queue: &mut Queue, batch: &mut Batch, mut each: impl FnMut(PacketId, &[u8])) {
    let events = queue.read_batch(batch, Some(PATIENCE), |event| match event {
        Ok(Event::Packet(packet)) => each(packet.id(), datagram(packet.payload())),
        other => panic!("no packet but {other:?}"),
    });
    assert!(events.unwrap() > 0, "nothing came");
}

/// The number that a datagram is.
fn number(text: &[u8]) -> u32 {
    u32::from_be_bytes(text.try_into().unwrap())
}

/// Receives until the datagram that says `u32::MAX`; how often each came.
fn count(network: &mut dyn Network, socket: Socket, counts: &mut BTreeMap<u32, usize>) -> usize {
    let mut received = 0;
    loop {
        match number(&network.received(socket).unwrap()) {
            u32::MAX => return received,
            number => {
                *counts.entry(number).or_default() += 1;
                received += 1;
            }
        }
    }
}

fn batches_under_load_deliver_each_datagram_once(network: &mut dyn Network) -> Outcome {
    const ROUNDS: u32 = 40;
    const BURST: u32 = 100;
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    let mut batch = Batch::new(32, queue.buffer_len());
    let mut counts = BTreeMap::new();
    // A few are always left over for the next round, and decided after younger ones.
    let mut left: Vec<(PacketId, Verdict)> = Vec::new();
    for round in 0..ROUNDS {
        for index in 0..BURST {
            network.send(from, address, &(round * BURST + index).to_be_bytes());
        }
        network.send(from, address, &u32::MAX.to_be_bytes());
        let mut is_last = false;
        while !is_last {
            let mut decisions = Vec::new();
            let mut later = Vec::new();
            read(&mut queue, &mut batch, |id, text| match number(text) {
                u32::MAX => {
                    is_last = true;
                    decisions.push((id, Verdict::Accept));
                }
                number if number % 10 == 3 => later.push((id, Verdict::Accept)),
                number if number % 7 == 1 => decisions.push((id, Verdict::Drop)),
                _ => decisions.push((id, Verdict::Accept)),
            });
            queue.verdicts(&decisions).unwrap();
            queue.verdicts(&left).unwrap();
            left = later;
        }
        count(network, to, &mut counts);
    }
    queue.verdicts(&left).unwrap();
    network.send(from, address, &u32::MAX.to_be_bytes());
    decide(&mut queue, Verdict::Accept);
    count(network, to, &mut counts);
    for number in 0..ROUNDS * BURST {
        let expected = usize::from(number % 10 == 3 || number % 7 != 1);
        let found = counts.get(&number).copied().unwrap_or(0);
        assert_eq!(found, expected, "datagram {number} of {}", ROUNDS * BURST);
    }
    assert_quiet(&mut queue);
    let statistics = queue.statistics();
    assert_eq!((statistics.refused, statistics.overruns), (0, 0));
    Ok(())
}

fn one_by_one_through_batches_does_not_starve(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    let mut batch = Batch::new(64, queue.buffer_len());
    // A batch that waited to be full, or for a timeout, would not end in time.
    let end = queue.clock() + PATIENCE;
    for index in 0..2000_u32 {
        network.send(from, address, &index.to_be_bytes());
        let mut decisions = Vec::new();
        read(&mut queue, &mut batch, |id, _| decisions.push((id, Verdict::Accept)));
        queue.verdicts(&decisions).unwrap();
        assert_eq!(number(&network.received(to).unwrap()), index);
    }
    assert!(queue.clock() < end, "it takes too long");
    Ok(())
}
