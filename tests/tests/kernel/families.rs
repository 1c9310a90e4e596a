//! One queue carries both families; a session may be for one.

use ipq::{Batch, Event, Families, Family, Verdict};

use crate::network::{Network, Outcome, Rule};
use crate::support::{PATIENCE, assert_quiet, assert_receives, decide, next};

on_every_kernel! {
    a_queue_carries_both,
    a_session_for_one_drops_the_other,
    a_session_for_one_drops_the_other_in_batches,
}

fn a_queue_carries_both(network: &mut dyn Network) -> Outcome {
    let mut queue = network.queue(0);
    for family in Family::ALL {
        let (from, to) = (network.udp(family), network.udp(family));
        let address = network.address_of(to);
        network.rule(Rule::queue_to(address, 0))?;
        network.send(from, address, b"hello");
        let (id, found) = next(&mut queue, |packet| (packet.id(), packet.family()));
        assert_eq!(found, family);
        queue.verdict(id, Verdict::Accept).unwrap();
        assert_receives(network, to, &["hello"]);
    }
    assert_eq!(queue.statistics().unclaimed, 0);
    Ok(())
}

fn a_session_for_one_drops_the_other(network: &mut dyn Network) -> Outcome {
    for family in Family::ALL {
        let number = if family == Family::Ipv4 { 4 } else { 6 };
        let mut queue = network.queue_with(number, family.into());
        let sockets = Family::ALL.map(|family| (network.udp(family), network.udp(family)));
        for (_, to) in sockets {
            network.rule(Rule::queue_to(network.address_of(to), number))?;
        }
        for word in ["first", "second"] {
            for (from, to) in sockets {
                network.send(from, network.address_of(to), word.as_bytes());
            }
            assert_eq!(decide(&mut queue, Verdict::Accept).text(), word.as_bytes());
            assert_quiet(&mut queue);
        }
        assert_eq!(queue.statistics().unclaimed, 2);
        assert_eq!((queue.statistics().packets, queue.statistics().lost), (2, 0));
        let wanted = usize::from(family == Family::Ipv6);
        assert_receives(network, sockets[wanted].1, &["first", "second"]);
        // The other one gets nothing of it, only what comes when nobody drops.
        drop(queue);
        let mut queue = network.queue_with(number, Families::Both.into());
        let (from, to) = sockets[1 - wanted];
        network.send(from, network.address_of(to), b"third");
        decide(&mut queue, Verdict::Accept);
        assert_receives(network, to, &["third"]);
    }
    Ok(())
}

fn a_session_for_one_drops_the_other_in_batches(network: &mut dyn Network) -> Outcome {
    let mut queue = network.queue_with(0, Family::Ipv6.into());
    let sockets = Family::ALL.map(|family| (network.udp(family), network.udp(family)));
    for (_, to) in sockets {
        network.rule(Rule::queue_to(network.address_of(to), 0))?;
    }
    for number in 0..10_u8 {
        for (from, to) in sockets {
            network.send(from, network.address_of(to), &[number]);
        }
    }
    let mut batch = Batch::new(64, queue.buffer_len());
    let mut decisions = Vec::new();
    let events = queue.read_batch(&mut batch, Some(PATIENCE), |event| match event {
        Ok(Event::Packet(packet)) => decisions.push((packet.id(), Verdict::Accept)),
        other => panic!("no packet but {other:?}"),
    });
    assert_eq!((events.unwrap(), decisions.len()), (10, 10));
    queue.verdicts(&decisions).unwrap();
    for number in 0..10 {
        assert_eq!(network.received(sockets[1].1), Some(vec![number]));
    }
    assert_quiet(&mut queue);
    let statistics = queue.statistics();
    assert_eq!((statistics.unclaimed, statistics.accepted, statistics.refused), (10, 10, 0));
    assert_eq!(statistics.lost, 0);
    Ok(())
}
