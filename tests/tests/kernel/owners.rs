//! Two programs and one queue.

use ipq::{Error, Family, Options, Verdict};

use crate::network::{Network, Outcome, Rule};
use crate::support::{assert_quiet, assert_receives, decide, send_all};

on_every_kernel! {
    a_queue_has_one_owner,
    a_queue_of_another_program_is_taken,
    what_a_killed_program_had_is_dropped,
    one_of_several_queues_that_is_taken_takes_none,
}

fn a_queue_has_one_owner(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 5))?;
    let mut first = network.queue(5);
    let second = network.open_queue(5..=5, Options::default());
    assert!(matches!(second, Err(Error::QueueTaken { queue: 5, .. })), "{second:?}");
    // The first one does not notice.
    network.send(from, address, b"mine");
    decide(&mut first, Verdict::Accept);
    assert_receives(network, to, &["mine"]);
    drop(first);
    network.open_queue(5..=5, Options::default()).unwrap();
    Ok(())
}

fn a_queue_of_another_program_is_taken(network: &mut dyn Network) -> Outcome {
    let peer = network.start_peer(6)?;
    match network.open_queue(6..=6, Options::default()) {
        Err(Error::QueueTaken { queue: 6, owner }) => {
            // In a user namespace the kernel does not say whose it is.
            if let Some(owner) = owner {
                assert_eq!(owner.port_id, peer.pid);
                assert!(owner.process.is_none_or(|process| process.pid == peer.pid));
            }
        }
        other => panic!("{other:?}"),
    }
    network.kill_peer(peer);
    network.queue(6);
    Ok(())
}

fn what_a_killed_program_had_is_dropped(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut peer = network.start_peer(0)?;
    send_all(network, from, address, &["a", "b", "c"]);
    network.peer_reads(&mut peer, 3);
    network.kill_peer(peer);
    // Nobody has the queue now.
    network.send(from, address, b"d");
    let mut queue = network.queue(0);
    assert_quiet(&mut queue);
    network.send(from, address, b"e");
    assert_eq!(decide(&mut queue, Verdict::Accept).text(), b"e");
    assert_receives(network, to, &["e"]);
    Ok(())
}

fn one_of_several_queues_that_is_taken_takes_none(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 22))?;
    let mut taken = network.queue(22);
    let several = network.open_queue(20..=24, Options::default());
    assert!(matches!(several, Err(Error::QueueTaken { queue: 22, .. })), "{several:?}");
    network.queue(20);
    network.send(from, address, b"still here");
    decide(&mut taken, Verdict::Accept);
    assert_receives(network, to, &["still here"]);
    drop(taken);
    assert_eq!(network.open_queue(20..=24, Options::default()).unwrap().queues().count(), 5);
    Ok(())
}
