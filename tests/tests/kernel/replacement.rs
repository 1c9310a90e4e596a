//! Packets in the place of others. The kernel repairs nothing in them.

use ipq::{Family, Verdict};

use crate::network::{Network, Outcome, Place, Rule, Table};
use crate::support::{assert_quiet, assert_receives, decide, seen, with_text};

on_every_kernel! {
    a_replacement_arrives,
    a_replacement_over_ipv6_arrives,
    a_replacement_may_grow_and_shrink,
    a_replacement_may_grow_to_the_longest_packet,
    a_wrong_checksum_ends_a_packet,
    a_wrong_checksum_of_the_header_ends_a_packet,
    a_replacement_of_a_dropped_packet_is_not_sent,
    a_replacement_reaches_another_host,
    a_replacement_is_seen_by_the_next_table,
}

/// Has `text` arrive instead of "original".
fn replace(network: &mut dyn Network, family: Family, texts: &[&[u8]]) -> Outcome {
    let (from, to) = (network.udp(family), network.udp(family));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    for &text in texts {
        network.send(from, address, b"original");
        let packet = seen(&mut queue);
        let replacement = with_text(&packet.data, text);
        queue.verdict_with(packet.id, Verdict::Accept, &replacement).unwrap();
        assert!(network.received(to).unwrap() == text);
    }
    assert_quiet(&mut queue);
    Ok(())
}

fn a_replacement_arrives(network: &mut dyn Network) -> Outcome {
    replace(network, Family::Ipv4, &[b"replaced"])
}

fn a_replacement_over_ipv6_arrives(network: &mut dyn Network) -> Outcome {
    replace(network, Family::Ipv6, &[b"replaced", b"a longer one", b"", b"x"])
}

fn a_replacement_may_grow_and_shrink(network: &mut dyn Network) -> Outcome {
    replace(network, Family::Ipv4, &[b"", b"1", b"nine byte", &[b'x'; 1400], &[b'y'; 9000]])
}

fn a_replacement_may_grow_to_the_longest_packet(network: &mut dyn Network) -> Outcome {
    replace(network, Family::Ipv4, &[&vec![b'z'; 65_531 - 28]])
}

/// Replaces a packet by one with a byte turned, which must not arrive.
fn replace_by_broken(network: &mut dyn Network, at: usize) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    network.send(from, address, b"original");
    let packet = seen(&mut queue);
    let mut broken = with_text(&packet.data, b"replaced");
    broken[at] ^= 0x10;
    queue.verdict_with(packet.id, Verdict::Accept, &broken).unwrap();
    network.send(from, address, b"next");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["next"]);
    assert_quiet(&mut queue);
    Ok(())
}

fn a_wrong_checksum_ends_a_packet(network: &mut dyn Network) -> Outcome {
    replace_by_broken(network, 20 + 8 + 3)
}

fn a_wrong_checksum_of_the_header_ends_a_packet(network: &mut dyn Network) -> Outcome {
    replace_by_broken(network, 8)
}

fn a_replacement_of_a_dropped_packet_is_not_sent(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    network.send(from, address, b"original");
    let packet = seen(&mut queue);
    let replacement = with_text(&packet.data, b"replaced");
    queue.verdict_with(packet.id, Verdict::Drop, &replacement).unwrap();
    network.send(from, address, b"next");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["next"]);
    Ok(())
}

fn a_replacement_reaches_another_host(network: &mut dyn Network) -> Outcome {
    let host = network.add_host()?;
    for (number, family) in (0..).zip(Family::ALL) {
        let from = network.udp_at(Place::Here, network.address(Place::Here, family));
        let to = network.udp_at(host, network.address(host, family));
        let address = network.address_of(to);
        network.rule(Rule::queue_to(address, number))?;
        let mut queue = network.queue(number);
        network.send(from, address, b"original");
        let packet = seen(&mut queue);
        let replacement = with_text(&packet.data, b"another one");
        queue.verdict_with(packet.id, Verdict::Accept, &replacement).unwrap();
        assert_receives(network, to, &["another one"]);
    }
    Ok(())
}

fn a_replacement_is_seen_by_the_next_table(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule { table: Table::Mangle, ..Rule::queue_to(address, 1) })?;
    network.rule(Rule::queue_to(address, 2))?;
    let (mut first, mut second) = (network.queue(1), network.queue(2));
    network.send(from, address, b"original");
    let packet = seen(&mut first);
    let replacement = with_text(&packet.data, b"replaced");
    first.verdict_with(packet.id, Verdict::Accept, &replacement).unwrap();
    assert_eq!(decide(&mut second, Verdict::Accept).text(), b"replaced");
    assert_receives(network, to, &["replaced"]);
    Ok(())
}
