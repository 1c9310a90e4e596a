//! Packets come out and verdicts go in: ping, datagrams, large ones, several queues.

use core::net::{IpAddr, Ipv4Addr};

use ipq::{Family, Hook, Options, QueueName, Verdict};

use crate::network::{Network, Outcome, Place, Protocol, Rule, Skipped, Table, Target};
use crate::support::{
    assert_quiet, assert_receives, datagram, decide, next, seen, seen_many, send_all,
};

on_every_kernel! {
    ping_is_answered,
    ping_is_queued_by_the_plain_target,
    ping_over_ipv6_is_answered,
    packets_say_where_they_are,
    accepted_arrive_and_dropped_do_not,
    verdicts_may_come_in_any_order,
    stop_ends_a_hook_and_accept_one_table,
    a_verdict_moves_a_packet_to_another_queue,
    packets_of_64_kib_come_whole,
    packets_longer_than_a_message_are_cut,
    several_queues_on_one_session,
    balanced_queues_get_every_packet,
    one_address_stays_in_one_queue,
    what_was_queued_is_dropped_when_the_session_ends,
    without_a_session_packets_are_dropped_or_pass,
}

/// Lets the packets of a ping on the loopback pass: the request and the answer.
fn pass_ping(network: &mut dyn Network, number: u16, family: Family) {
    let mut queue = network.queue(number);
    let ping = network.ping(Place::Here, network.address(Place::Here, family));
    for _ in ["request", "answer"] {
        let found = next(&mut queue, |packet| (packet.id(), packet.family(), packet.hook()));
        assert_eq!((found.1, found.2), (family, Hook::LocalOut));
        queue.verdict(found.0, Verdict::Accept).unwrap();
    }
    assert!(network.is_answered(&ping));
    assert_quiet(&mut queue);
    let statistics = queue.statistics();
    assert_eq!((statistics.packets, statistics.accepted, statistics.refused), (2, 2, 0));
}

fn ping_is_answered(network: &mut dyn Network) -> Outcome {
    network.rule(Rule::output(Protocol::Icmp, Target::Nfqueue(7, 7)))?;
    pass_ping(network, 7, Family::Ipv4);
    Ok(())
}

fn ping_is_queued_by_the_plain_target(network: &mut dyn Network) -> Outcome {
    network.rule(Rule::output(Protocol::Icmp, Target::Queue))?;
    pass_ping(network, 0, Family::Ipv4);
    Ok(())
}

fn ping_over_ipv6_is_answered(network: &mut dyn Network) -> Outcome {
    let rule = Rule::output(Protocol::Icmp, Target::Nfqueue(0, 0));
    network.rule(Rule { family: Family::Ipv6, ..rule })?;
    pass_ping(network, 0, Family::Ipv6);
    Ok(())
}

fn packets_say_where_they_are(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    for (number, hook) in [(1, Hook::LocalOut), (2, Hook::LocalIn)] {
        network.rule(Rule { hook, ..Rule::queue_to(address, number) })?;
    }
    let mut queue = network.open_queue(1..=2, Options::default()).unwrap();
    queue.set_mode(ipq::CopyMode::Packet { range: 0 }).unwrap();
    network.send(from, address, b"hello");
    for (number, hook, devices) in [(1, Hook::LocalOut, ["", "lo"]), (2, Hook::LocalIn, ["lo", ""])]
    {
        let id = next(&mut queue, |packet| {
            assert_eq!(packet.id().queue(), QueueName::Nfqueue(number));
            assert_eq!(packet.id().number(), 1, "ids count from 1 in each queue");
            assert_eq!((packet.hook(), packet.family()), (hook, Family::Ipv4));
            let names = [packet.input_device(), packet.output_device()];
            assert_eq!(names.map(|name| name.to_string()), devices);
            assert_eq!((packet.mark(), packet.packet_len()), (0, None));
            assert_eq!(datagram(packet.payload()), b"hello");
            packet.id()
        });
        queue.verdict(id, Verdict::Accept).unwrap();
    }
    assert_receives(network, to, &["hello"]);
    Ok(())
}

fn accepted_arrive_and_dropped_do_not(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    for (word, verdict) in
        [("a", Verdict::Accept), ("b", Verdict::Drop), ("c", Verdict::Drop), ("d", Verdict::Accept)]
    {
        network.send(from, address, word.as_bytes());
        assert_eq!(decide(&mut queue, verdict).text(), word.as_bytes());
    }
    assert_receives(network, to, &["a", "d"]);
    let statistics = queue.statistics();
    assert_eq!((statistics.accepted, statistics.dropped), (2, 2));
    Ok(())
}

fn verdicts_may_come_in_any_order(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    send_all(network, from, address, &["0", "1", "2", "3"]);
    let packets = seen_many(&mut queue, 4);
    for (index, word) in [(2, "2"), (0, "0"), (3, "3"), (1, "1")] {
        queue.verdict(packets[index].id, Verdict::Accept).unwrap();
        assert_receives(network, to, &[word]);
    }
    Ok(())
}

fn stop_ends_a_hook_and_accept_one_table(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule { table: Table::Mangle, ..Rule::queue_to(address, 3) })?;
    network.rule(Rule::queue_to(address, 4))?;
    let (mut first, mut second) = (network.queue(3), network.queue(4));
    network.send(from, address, b"stopped");
    decide(&mut first, Verdict::Stop);
    assert_receives(network, to, &["stopped"]);
    network.send(from, address, b"accepted");
    let mangled = decide(&mut first, Verdict::Accept);
    let filtered = decide(&mut second, Verdict::Accept);
    assert_eq!(mangled.data, filtered.data);
    assert_receives(network, to, &["accepted"]);
    Ok(())
}

fn a_verdict_moves_a_packet_to_another_queue(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 3))?;
    let (mut first, mut second) = (network.queue(3), network.queue(0x1234));
    network.send(from, address, b"moved");
    decide(&mut first, Verdict(Verdict::Queue.0 | 0x1234 << 16));
    assert_eq!(decide(&mut second, Verdict::Accept).text(), b"moved");
    assert_receives(network, to, &["moved"]);
    assert_quiet(&mut first);
    Ok(())
}

/// The bytes of the headers of a datagram.
const HEADERS: usize = 20 + 8;

fn packets_of_64_kib_come_whole(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    let text: Vec<u8> = (0..65_531 - HEADERS).map(|at| u8::try_from(at % 251).unwrap()).collect();
    network.send(from, address, &text);
    let id = next(&mut queue, |packet| {
        assert_eq!((packet.payload().len(), packet.packet_len()), (65_531, None));
        assert!(datagram(packet.payload()) == text);
        packet.id()
    });
    queue.verdict(id, Verdict::Accept).unwrap();
    assert!(network.received(to).unwrap() == text);
    Ok(())
}

fn packets_longer_than_a_message_are_cut(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    let text = vec![b'x'; 65_535 - HEADERS];
    network.send(from, address, &text);
    let id = next(&mut queue, |packet| {
        assert_eq!((packet.payload().len(), packet.packet_len()), (65_531, Some(65_535)));
        packet.id()
    });
    queue.verdict(id, Verdict::Accept).unwrap();
    assert!(network.received(to).unwrap() == text);
    Ok(())
}

fn several_queues_on_one_session(network: &mut dyn Network) -> Outcome {
    let from = network.udp(Family::Ipv4);
    let to: Vec<_> = (0..3).map(|_| network.udp(Family::Ipv4)).collect();
    for (number, &socket) in (10..).zip(&to) {
        network.rule(Rule::queue_to(network.address_of(socket), number))?;
    }
    let mut queue = network.open_queue(10..=12, Options::default()).unwrap();
    queue.set_mode(ipq::CopyMode::Packet { range: 0 }).unwrap();
    assert_eq!(queue.queues().count(), 3);
    for _ in 0..2 {
        for &to in &to {
            network.send(from, network.address_of(to), b"x");
        }
    }
    // The same number stands for three packets; only the queue tells them apart.
    let packets = seen_many(&mut queue, 6);
    let numbers: Vec<_> = packets.iter().map(|seen| (seen.id.queue(), seen.id.number())).collect();
    let expected =
        (1..=2).flat_map(|id| (10..13).map(move |queue| (QueueName::Nfqueue(queue), id)));
    assert_eq!(numbers, expected.collect::<Vec<_>>());
    for seen in packets.iter().rev() {
        queue.verdict(seen.id, Verdict::Accept).unwrap();
    }
    for socket in to {
        assert_receives(network, socket, &["x", "x"]);
    }
    assert_quiet(&mut queue);
    Ok(())
}

/// Sends from this many addresses of the loopback into four queues; returns how many each got.
fn balance(network: &mut dyn Network, addresses: u8, times: usize) -> Result<[usize; 4], Skipped> {
    let to = network.udp(Family::Ipv4);
    let address = network.address_of(to);
    network.rule(Rule::to(address, Target::Nfqueue(0, 3)))?;
    let mut queue = network.open_queue(0..=3, Options::default()).unwrap();
    queue.set_mode(ipq::CopyMode::Packet { range: 0 }).unwrap();
    for last in 1..=addresses {
        let from = network.udp_at(Place::Here, IpAddr::from(Ipv4Addr::new(127, 0, 0, last)));
        (0..times).for_each(|_| network.send(from, address, &[last]));
    }
    let mut counts = [0; 4];
    for _ in 0..usize::from(addresses) * times {
        match decide(&mut queue, Verdict::Accept).id.queue() {
            QueueName::Nfqueue(number) => counts[usize::from(number)] += 1,
            other @ QueueName::IpQueue(_) => panic!("{other}"),
        }
        assert!(network.received(to).is_some());
    }
    assert_quiet(&mut queue);
    Ok(counts)
}

fn balanced_queues_get_every_packet(network: &mut dyn Network) -> Outcome {
    let counts = balance(network, 40, 1)?;
    assert!(counts.iter().filter(|&&count| count > 0).count() > 1, "{counts:?}");
    Ok(())
}

fn one_address_stays_in_one_queue(network: &mut dyn Network) -> Outcome {
    let counts = balance(network, 1, 12)?;
    assert!(counts.contains(&12), "{counts:?}");
    Ok(())
}

fn what_was_queued_is_dropped_when_the_session_ends(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    send_all(network, from, address, &["read", "waiting"]);
    seen(&mut queue);
    drop(queue);
    let mut queue = network.queue(0);
    assert_quiet(&mut queue);
    network.send(from, address, b"new");
    assert_eq!(decide(&mut queue, Verdict::Accept).text(), b"new");
    assert_receives(network, to, &["new"]);
    Ok(())
}

fn without_a_session_packets_are_dropped_or_pass(network: &mut dyn Network) -> Outcome {
    let from = network.udp(Family::Ipv4);
    let [strict, lax] = [network.udp(Family::Ipv4), network.udp(Family::Ipv4)];
    let [to_strict, to_lax] = [strict, lax].map(|socket| network.address_of(socket));
    network.rule(Rule::queue_to(to_strict, 5))?;
    network.rule(Rule::to(to_lax, Target::NfqueueOrPass(5)))?;
    network.send(from, to_strict, b"dropped");
    network.send(from, to_lax, b"passed");
    assert_receives(network, lax, &["passed"]);
    let mut queue = network.queue(5);
    assert_quiet(&mut queue);
    network.send(from, to_strict, b"queued");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, strict, &["queued"]);
    Ok(())
}
