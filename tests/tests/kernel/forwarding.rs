//! Other hosts: packets that are forwarded, fragments, devices that go down.

use etherparse::{Ipv4HeaderSlice, Ipv6FragmentHeaderSlice};
use ipq::{CopyMode, Errno, Family, HardwareType, Hook, Options, QueueName, Verdict};

use crate::network::{Network, Outcome, Place, Protocol, Rule, Skipped, Socket, Table, Target};
use crate::support::{
    Seen, assert_quiet, assert_receives, datagram, decide, next, refused, seen, seen_many,
};

on_every_kernel! {
    ping_of_another_host_is_answered,
    forwarded_packets_name_both_devices,
    a_forwarded_packet_passes_three_hooks,
    a_forwarded_packet_has_one_hop_less_from_forward_on,
    packets_come_with_their_link_layer,
    a_large_datagram_goes_out_in_fragments,
    fragments_are_queued_one_by_one,
    fragments_of_ipv6_are_queued_one_by_one,
    a_dropped_fragment_ends_the_datagram,
    late_verdicts_after_a_device_went_down,
    a_batch_for_packets_that_are_gone_is_refused_as_one,
    packets_by_other_devices_stay,
    a_vlan_is_a_device_like_any_other,
}

fn ping_of_another_host_is_answered(network: &mut dyn Network) -> Outcome {
    let host = network.add_host()?;
    for (number, family) in (0..).zip(Family::ALL) {
        let rule = Rule::output(Protocol::Icmp, Target::Nfqueue(number, number));
        for hook in [Hook::LocalOut, Hook::LocalIn] {
            network.rule(Rule { hook, family, ..rule.clone() })?;
        }
        let mut queue = network.queue(number);
        let ping = network.ping(Place::Here, network.address(host, family));
        // Over IPv6, finding the neighbour is ICMP as well.
        let mut hooks = Vec::new();
        while hooks.last() != Some(&Hook::LocalIn) {
            let is_echo = |packet: &[u8]| match family {
                Family::Ipv4 => matches!(packet[20], 0 | 8),
                Family::Ipv6 => matches!(packet[40], 128 | 129),
            };
            let (id, hook, is_echo) =
                next(&mut queue, |packet| (packet.id(), packet.hook(), is_echo(packet.payload())));
            queue.verdict(id, Verdict::Accept).unwrap();
            hooks.extend(is_echo.then_some(hook));
        }
        assert_eq!(hooks, [Hook::LocalOut, Hook::LocalIn]);
        assert!(network.is_answered(&ping));
    }
    Ok(())
}

/// Two hosts with a socket each, for datagrams from the first to the second.
fn two_hosts(network: &mut dyn Network, family: Family) -> Result<[(Place, Socket); 2], Skipped> {
    let hosts = [network.add_host()?, network.add_host()?];
    Ok(hosts.map(|host| (host, network.udp_at(host, network.address(host, family)))))
}

fn forwarded_packets_name_both_devices(network: &mut dyn Network) -> Outcome {
    let [(near, from), (far, to)] = two_hosts(network, Family::Ipv4)?;
    let address = network.address_of(to);
    network.rule(Rule { hook: Hook::Forward, ..Rule::queue_to(address, 0) })?;
    let mut queue = network.queue(0);
    // The second one finds the names known.
    for word in ["first", "second"] {
        network.send(from, address, word.as_bytes());
        let id = next(&mut queue, |packet| {
            assert_eq!(packet.hook(), Hook::Forward);
            assert_eq!(packet.input_device().to_string(), network.device_to(near));
            assert_eq!(packet.output_device().to_string(), network.device_to(far));
            packet.id()
        });
        queue.verdict(id, Verdict::Accept).unwrap();
    }
    assert_receives(network, to, &["first", "second"]);
    Ok(())
}

fn a_forwarded_packet_passes_three_hooks(network: &mut dyn Network) -> Outcome {
    for family in Family::ALL {
        let [(_, from), (_, to)] = two_hosts(network, family)?;
        let address = network.address_of(to);
        let hooks = [Hook::PreRouting, Hook::Forward, Hook::PostRouting];
        for (number, hook) in (1..).zip(hooks) {
            let rule = Rule { table: Table::Mangle, ..Rule::queue_to(address, number) };
            network.rule(Rule { hook, ..rule })?;
        }
        let mut queue = network.open_queue(1..=3, Options::default()).unwrap();
        queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
        network.send(from, address, b"onwards");
        for (number, hook) in (1..).zip(hooks) {
            let (id, found) = next(&mut queue, |packet| (packet.id(), packet.hook()));
            assert_eq!((id.queue(), found), (QueueName::Nfqueue(number), hook));
            queue.verdict(id, Verdict::Accept).unwrap();
        }
        assert_receives(network, to, &["onwards"]);
    }
    Ok(())
}

fn a_forwarded_packet_has_one_hop_less_from_forward_on(network: &mut dyn Network) -> Outcome {
    for family in Family::ALL {
        let [(_, from), (_, to)] = two_hosts(network, family)?;
        let address = network.address_of(to);
        let hooks = [Hook::PreRouting, Hook::Forward, Hook::PostRouting];
        for hook in hooks {
            network.rule(Rule { hook, table: Table::Mangle, ..Rule::queue_to(address, 0) })?;
        }
        let mut queue = network.queue(0);
        network.send(from, address, b"onwards");
        let hops = hooks.map(|_| {
            let (id, hops) = next(&mut queue, |packet| {
                let at = if family == Family::Ipv4 { 8 } else { 7 };
                (packet.id(), packet.payload()[at])
            });
            queue.verdict(id, Verdict::Accept).unwrap();
            hops
        });
        assert_eq!(hops, [hops[0], hops[0] - 1, hops[0] - 1]);
        // With a checksum of its header that is still right.
        assert_receives(network, to, &["onwards"]);
    }
    Ok(())
}

fn packets_come_with_their_link_layer(network: &mut dyn Network) -> Outcome {
    let host = network.add_host()?;
    let from = network.udp_at(host, network.address(host, Family::Ipv4));
    let to = network.udp_at(Place::Here, network.address(Place::Here, Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule {
        hook: Hook::PreRouting,
        table: Table::Mangle,
        ..Rule::queue_to(address, 0)
    })?;
    let mut queue = network.queue(0);
    network.send(from, address, b"hello");
    let id = next(&mut queue, |packet| {
        assert_eq!((packet.hook(), packet.hw_type()), (Hook::PreRouting, HardwareType(1)));
        assert_eq!(packet.hw_protocol().0, 0x0800);
        assert_eq!(packet.input_device().to_string(), network.device_to(host));
        assert_eq!(packet.output_device().to_string(), "");
        assert_eq!(packet.hw_address().as_bytes().len(), 6);
        packet.id()
    });
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_receives(network, to, &["hello"]);
    Ok(())
}

fn a_large_datagram_goes_out_in_fragments(network: &mut dyn Network) -> Outcome {
    let host = network.add_host()?;
    for (number, family) in (0..).zip(Family::ALL) {
        let from = network.udp_at(Place::Here, network.address(Place::Here, family));
        let to = network.udp_at(host, network.address(host, family));
        let address = network.address_of(to);
        network.rule(Rule::queue_to(address, number))?;
        let mut queue = network.queue(number);
        let text: Vec<u8> = (0..8000).map(|at| u8::try_from(at % 251).unwrap()).collect();
        network.send(from, address, &text);
        // It is cut up only after the hook.
        let id = next(&mut queue, |packet| {
            assert_eq!(datagram(packet.payload()), text);
            packet.id()
        });
        queue.verdict(id, Verdict::Accept).unwrap();
        assert_eq!(network.received(to), Some(text));
        assert_quiet(&mut queue);
    }
    Ok(())
}

/// A datagram in three fragments, which are queued.
struct Fragmented {
    packets: Vec<Seen>,
    text: Vec<u8>,
    from: Socket,
    to: Socket,
}

/// Has another host send one to this one.
fn fragments(
    network: &mut dyn Network,
    queue: &mut ipq::Queue,
    family: Family,
) -> Result<Fragmented, Skipped> {
    let host = network.add_host()?;
    let from = network.udp_at(host, network.address(host, family));
    let to = network.udp_at(Place::Here, network.address(Place::Here, family));
    let address = network.address_of(to);
    // Only the first fragment has a port.
    let rule = Rule { to_port: None, ..Rule::queue_to(address, 0) };
    network.rule(Rule { hook: Hook::PreRouting, table: Table::Mangle, ..rule })?;
    let text: Vec<u8> = (0..4000).map(|at| u8::try_from(at % 251).unwrap()).collect();
    network.send(from, address, &text);
    Ok(Fragmented { packets: seen_many(queue, 3), text, from, to })
}

fn fragments_are_queued_one_by_one(network: &mut dyn Network) -> Outcome {
    let mut queue = network.queue(0);
    let Fragmented { packets, text, to, .. } = fragments(network, &mut queue, Family::Ipv4)?;
    let offsets = packets.iter().map(|packet| {
        Ipv4HeaderSlice::from_slice(&packet.data).unwrap().fragments_offset().value() * 8
    });
    assert_eq!(offsets.collect::<Vec<_>>(), [0, 1480, 2960]);
    assert_quiet(&mut queue);
    // In any order.
    for at in [2, 0, 1] {
        queue.verdict(packets[at].id, Verdict::Accept).unwrap();
    }
    assert_eq!(network.received(to), Some(text));
    Ok(())
}

fn fragments_of_ipv6_are_queued_one_by_one(network: &mut dyn Network) -> Outcome {
    let mut queue = network.queue(0);
    let Fragmented { packets, text, to, .. } = fragments(network, &mut queue, Family::Ipv6)?;
    let offsets = packets.iter().map(|packet| {
        Ipv6FragmentHeaderSlice::from_slice(&packet.data[40..]).unwrap().fragment_offset().value()
            * 8
    });
    assert_eq!(offsets.collect::<Vec<_>>(), [0, 1448, 2896]);
    for packet in packets {
        queue.verdict(packet.id, Verdict::Accept).unwrap();
    }
    assert_eq!(network.received(to), Some(text));
    Ok(())
}

fn a_dropped_fragment_ends_the_datagram(network: &mut dyn Network) -> Outcome {
    let mut queue = network.queue(0);
    let Fragmented { packets, from, to, .. } = fragments(network, &mut queue, Family::Ipv4)?;
    for (packet, verdict) in packets.iter().zip([Verdict::Accept, Verdict::Drop, Verdict::Accept]) {
        queue.verdict(packet.id, verdict).unwrap();
    }
    network.send(from, network.address_of(to), b"next");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["next"]);
    Ok(())
}

fn late_verdicts_after_a_device_went_down(network: &mut dyn Network) -> Outcome {
    let host = network.add_host()?;
    let from = network.udp_at(Place::Here, network.address(Place::Here, Family::Ipv4));
    let to = network.udp_at(host, network.address(host, Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 3))?;
    let mut queue = network.queue(3);
    for _ in 0..4 {
        network.send(from, address, b"late");
    }
    let packets = seen_many(&mut queue, 4);
    network.device_down(&network.device_to(host))?;
    queue.verdict(packets[2].id, Verdict::Accept).unwrap();
    queue.verdict(packets[0].id, Verdict::Drop).unwrap();
    queue.verdicts(&[(packets[1].id, Verdict::Accept), (packets[3].id, Verdict::Drop)]).unwrap();
    for at in [2, 0, 1, 3] {
        let refusal = refused(&mut queue);
        assert_eq!((refusal.errno, refusal.packet), (Errno::ENOENT, Some(packets[at].id)));
    }
    assert_eq!(queue.statistics().refused, 4);
    // The session goes on.
    let (from, to) = (
        network.udp_at(Place::Here, [127, 0, 0, 1].into()),
        network.udp_at(Place::Here, [127, 0, 0, 1].into()),
    );
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 3))?;
    network.send(from, address, b"in time");
    decide(&mut queue, Verdict::Accept);
    assert_receives(network, to, &["in time"]);
    assert_quiet(&mut queue);
    Ok(())
}

fn a_batch_for_packets_that_are_gone_is_refused_as_one(network: &mut dyn Network) -> Outcome {
    let host = network.add_host()?;
    let from = network.udp_at(Place::Here, network.address(Place::Here, Family::Ipv4));
    let to = network.udp_at(host, network.address(host, Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    for _ in 0..3 {
        network.send(from, address, b"late");
    }
    let packets = seen_many(&mut queue, 3);
    network.device_down(&network.device_to(host))?;
    let decisions: Vec<_> = packets.iter().map(|seen| (seen.id, Verdict::Accept)).collect();
    queue.verdicts(&decisions).unwrap();
    let refusal = refused(&mut queue);
    assert_eq!((refusal.errno, refusal.packet), (Errno::ENOENT, Some(packets[2].id)));
    assert_quiet(&mut queue);
    Ok(())
}

fn packets_by_other_devices_stay(network: &mut dyn Network) -> Outcome {
    let [(near, from), (_, to)] = two_hosts(network, Family::Ipv4)?;
    let address = network.address_of(to);
    network.rule(Rule { hook: Hook::Forward, ..Rule::queue_to(address, 0) })?;
    let here = network.udp_at(Place::Here, network.address(Place::Here, Family::Ipv4));
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.open_queue(0..=0, Options::default()).unwrap();
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    network.send(from, address, b"forwarded");
    network.send(here, address, b"sent");
    let (forwarded, sent) = (seen(&mut queue), seen(&mut queue));
    // It is the device that the first one came in by.
    network.device_down(&network.device_to(near))?;
    queue.verdicts(&[(forwarded.id, Verdict::Accept), (sent.id, Verdict::Accept)]).unwrap();
    assert_receives(network, to, &["sent"]);
    Ok(())
}

fn a_vlan_is_a_device_like_any_other(network: &mut dyn Network) -> Outcome {
    let host = network.add_host()?;
    let (device, [here, there]) = network.add_vlan(host, 5)?;
    let from = network.udp_at(host, there);
    let to = network.udp_at(Place::Here, here);
    let address = network.address_of(to);
    network.rule(Rule { hook: Hook::LocalIn, ..Rule::queue_to(address, 0) })?;
    let mut queue = network.queue(0);
    network.send(from, address, b"tagged");
    let id = next(&mut queue, |packet| {
        assert_eq!(packet.input_device().to_string(), device);
        packet.id()
    });
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_receives(network, to, &["tagged"]);
    Ok(())
}
