//! Netfilter marks: those that packets come with, and those that verdicts give.

use ipq::{Family, Verdict};

use crate::network::{Network, Outcome, Rule, Table, Target};
use crate::support::{assert_quiet, assert_receives, decide, seen, seen_many};

on_every_kernel! {
    a_rule_marks_a_packet,
    a_socket_marks_a_packet,
    a_verdict_marks_a_packet_for_the_next_table,
    a_mark_decides_what_the_next_rule_does,
    a_repeated_packet_meets_the_rules_again,
    a_mark_with_a_drop_is_no_matter,
}

fn a_rule_marks_a_packet(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule { table: Table::Mangle, ..Rule::to(address, Target::Mark(0x7000_0001)) })?;
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    network.send(from, address, b"marked");
    assert_eq!(decide(&mut queue, Verdict::Accept).mark, 0x7000_0001);
    assert_receives(network, to, &["marked"]);
    Ok(())
}

fn a_socket_marks_a_packet(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv6), network.udp(Family::Ipv6));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    for mark in [0, 1, u32::MAX] {
        network.mark_socket(from, mark);
        network.send(from, address, b"marked");
        assert_eq!(decide(&mut queue, Verdict::Accept).mark, mark.into());
    }
    assert_receives(network, to, &["marked"; 3]);
    Ok(())
}

fn a_verdict_marks_a_packet_for_the_next_table(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule { table: Table::Mangle, ..Rule::queue_to(address, 1) })?;
    network.rule(Rule::queue_to(address, 2))?;
    let (mut first, mut second) = (network.queue(1), network.queue(2));
    network.send(from, address, b"marked");
    let packet = seen(&mut first);
    assert_eq!(packet.mark, 0);
    first.verdict_marked(packet.id, Verdict::Accept, 0xfeed_beef).unwrap();
    assert_eq!(decide(&mut second, Verdict::Accept).mark, 0xfeed_beef);
    assert_receives(network, to, &["marked"]);
    Ok(())
}

fn a_mark_decides_what_the_next_rule_does(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule { table: Table::Mangle, ..Rule::queue_to(address, 1) })?;
    network.rule(Rule { mark: Some(13), ..Rule::to(address, Target::Drop) })?;
    let mut queue = network.queue(1);
    for word in ["a", "b", "c"] {
        network.send(from, address, word.as_bytes());
    }
    let packets = seen_many(&mut queue, 3);
    for (packet, mark) in packets.iter().zip([12, 13, 14]) {
        queue.verdict_marked(packet.id, Verdict::Accept, mark).unwrap();
    }
    assert_receives(network, to, &["a", "c"]);
    Ok(())
}

fn a_repeated_packet_meets_the_rules_again(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule { not_mark: Some(3), ..Rule::queue_to(address, 0) })?;
    let mut queue = network.queue(0);
    network.send(from, address, b"again");
    for mark in 0..3 {
        let packet = seen(&mut queue);
        assert_eq!((packet.mark, packet.text()), (mark.into(), &b"again"[..]));
        queue.verdict_marked(packet.id, Verdict::Repeat, mark + 1).unwrap();
    }
    assert_receives(network, to, &["again"]);
    assert_quiet(&mut queue);
    assert_eq!(queue.statistics().other_verdicts, 3);
    Ok(())
}

fn a_mark_with_a_drop_is_no_matter(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    network.send(from, address, b"dropped");
    let packet = seen(&mut queue);
    queue.verdict_marked(packet.id, Verdict::Drop, 1).unwrap();
    network.send(from, address, b"accepted");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["accepted"]);
    assert_quiet(&mut queue);
    Ok(())
}
