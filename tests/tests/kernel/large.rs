//! The longest packets: as long as IP has them, as long as links take them, and longer, which are cut up behind the queue
//! and put together in front of it.

use etherparse::Ipv4Header;
use ipq::{CopyMode, Family, Hook, Options, Queue, Verdict};

use crate::network::{Network, Outcome, Place, Rule, Skipped, Socket, Table};
use crate::support::{Seen, assert_quiet, datagram, next, seen, seen_many, with_text};

on_every_kernel! {
    the_longest_datagrams_pass_whatever_the_range,
    jumbo_frames_are_queued_whole,
    longer_than_a_jumbo_frame_is_two_fragments,
    fragments_are_put_together_before_they_are_queued,
    what_is_put_together_can_be_replaced,
    fragments_of_ipv6_are_put_together_behind_the_last_hook,
    a_replacement_longer_than_the_link_leaves_in_fragments,
    a_forwarded_replacement_that_must_not_be_cut_up_ends_there,
}

/// The most that a message has of a packet.
const LONGEST: usize = 65_531;

/// The bytes of the headers of a datagram.
fn headers(family: Family) -> usize {
    match family {
        Family::Ipv4 => 20 + 8,
        Family::Ipv6 => 40 + 8,
    }
}

/// The longest payload of a datagram. The length of IPv6 does not count its own header.
fn longest_text(family: Family) -> usize {
    match family {
        Family::Ipv4 => 65_535 - 28,
        Family::Ipv6 => 65_535 - 8,
    }
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// How a test asserts that long texts are the same, without printing them.
#[track_caller]
fn assert_arrives(network: &mut dyn Network, socket: Socket, expected: &[u8]) {
    let received = network.received(socket);
    let len = received.as_ref().map(Vec::len);
    assert!(received.as_deref() == Some(expected), "{len:?} and not {}", expected.len());
}

fn the_longest_datagrams_pass_whatever_the_range(network: &mut dyn Network) -> Outcome {
    for (number, family) in (0..).zip(Family::ALL) {
        let (from, to) = (network.udp(family), network.udp(family));
        let address = network.address_of(to);
        network.rule(Rule::queue_to(address, number))?;
        let mut queue = network.queue(number);
        for (range, at_most) in [(0, LONGEST), (0xffff, LONGEST), (2048, 2048)] {
            queue.set_mode(CopyMode::Packet { range }).unwrap();
            for len in [longest_text(family), LONGEST - headers(family), 1] {
                let (text, whole) = (text(len), len + headers(family));
                network.send(from, address, &text);
                let id = next(&mut queue, |packet| {
                    assert_eq!(
                        packet.payload().len(),
                        whole.min(at_most),
                        "{family} {range} {len}"
                    );
                    let cut = (whole > at_most).then_some(whole);
                    assert_eq!(
                        packet.packet_len().map(|len| len as usize),
                        cut,
                        "{family} {range}"
                    );
                    packet.id()
                });
                queue.verdict(id, Verdict::Accept).unwrap();
                assert_arrives(network, to, &text);
            }
        }
    }
    Ok(())
}

/// Another host at the end of a link that takes so many bytes, and a datagram on its way from here to there, queued where
/// it is sent.
fn send_out(
    network: &mut dyn Network,
    family: Family,
    mtu: u32,
    text: &[u8],
) -> Result<(Queue, Socket), Skipped> {
    let host = network.add_host()?;
    network.set_mtu(&network.device_to(host), mtu)?;
    let from = network.udp_at(Place::Here, network.address(Place::Here, family));
    let to = network.udp_at(host, network.address(host, family));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let queue = network.queue(0);
    network.send(from, address, text);
    Ok((queue, to))
}

/// The other way, queued at a hook in the table `mangle`, whichever part of a datagram it is.
fn let_in(
    network: &mut dyn Network,
    family: Family,
    mtu: u32,
    hook: Hook,
    text: &[u8],
) -> Result<(Queue, Socket), Skipped> {
    let host = network.add_host()?;
    network.set_mtu(&network.device_to(host), mtu)?;
    let from = network.udp_at(host, network.address(host, family));
    let to = network.udp_at(Place::Here, network.address(Place::Here, family));
    let address = network.address_of(to);
    let rule = Rule { hook, table: Table::Mangle, to_port: None, ..Rule::queue_to(address, 0) };
    network.rule(rule)?;
    let queue = network.queue_with(0, Options::default());
    network.send(from, address, text);
    Ok((queue, to))
}

fn jumbo_frames_are_queued_whole(network: &mut dyn Network) -> Outcome {
    for family in Family::ALL {
        let text = text(9000 - headers(family));
        let (mut queue, to) = let_in(network, family, 9000, Hook::PreRouting, &text)?;
        let packet = seen(&mut queue);
        assert_eq!(packet.data.len(), 9000);
        // Another one as long.
        let turned: Vec<u8> = text.iter().rev().copied().collect();
        let replacement = with_text(&packet.data, &turned);
        queue.verdict_with(packet.id, Verdict::Accept, &replacement).unwrap();
        assert_arrives(network, to, &turned);
        assert_quiet(&mut queue);
    }
    Ok(())
}

fn longer_than_a_jumbo_frame_is_two_fragments(network: &mut dyn Network) -> Outcome {
    for family in Family::ALL {
        let text = text(9001 - headers(family));
        let (mut queue, to) = let_in(network, family, 9000, Hook::PreRouting, &text)?;
        let fragments = seen_many(&mut queue, 2);
        // The last one first.
        for fragment in fragments.iter().rev() {
            assert!(fragment.data.len() <= 9000);
            queue.verdict(fragment.id, Verdict::Accept).unwrap();
        }
        assert_arrives(network, to, &text);
        assert_quiet(&mut queue);
    }
    Ok(())
}

/// A datagram of IPv4 that came in many fragments, as it is queued behind them.
fn put_together(network: &mut dyn Network, len: usize) -> Result<(Queue, Seen, Socket), Skipped> {
    let text = text(len);
    let (mut queue, to) = let_in(network, Family::Ipv4, 1500, Hook::LocalIn, &text)?;
    let packet = seen(&mut queue);
    assert!(datagram(&packet.data) == text, "{} bytes", packet.data.len());
    Ok((queue, packet, to))
}

fn fragments_are_put_together_before_they_are_queued(network: &mut dyn Network) -> Outcome {
    let len = LONGEST - headers(Family::Ipv4);
    let (mut queue, packet, to) = put_together(network, len)?;
    queue.verdict(packet.id, Verdict::Accept).unwrap();
    assert_arrives(network, to, &text(len));
    assert_quiet(&mut queue);
    Ok(())
}

fn what_is_put_together_can_be_replaced(network: &mut dyn Network) -> Outcome {
    for len in [0, 1, 4999, 5001, LONGEST - headers(Family::Ipv4)] {
        let (mut queue, packet, to) = put_together(network, 5000)?;
        let text = vec![b'r'; len];
        let replacement = with_text(&packet.data, &text);
        queue.verdict_with(packet.id, Verdict::Accept, &replacement).unwrap();
        assert_arrives(network, to, &text);
        assert_quiet(&mut queue);
    }
    Ok(())
}

fn fragments_of_ipv6_are_put_together_behind_the_last_hook(network: &mut dyn Network) -> Outcome {
    let text = text(5000);
    let (mut queue, to) = let_in(network, Family::Ipv6, 1500, Hook::LocalIn, &text)?;
    let fragments = seen_many(&mut queue, 4);
    for fragment in fragments {
        assert!(fragment.data.len() <= 1500);
        queue.verdict(fragment.id, Verdict::Accept).unwrap();
    }
    assert_arrives(network, to, &text);
    assert_quiet(&mut queue);
    Ok(())
}

/// A packet that may be cut up, or not.
fn with_may_be_cut_up(mut packet: Vec<u8>, may_be_cut_up: bool) -> Vec<u8> {
    let (mut header, _) = Ipv4Header::from_slice(&packet).unwrap();
    header.dont_fragment = !may_be_cut_up;
    header.header_checksum = header.calc_header_checksum();
    packet[..20].copy_from_slice(&header.to_bytes());
    packet
}

fn a_replacement_longer_than_the_link_leaves_in_fragments(network: &mut dyn Network) -> Outcome {
    for (family, may_be_cut_up) in
        [(Family::Ipv4, true), (Family::Ipv4, false), (Family::Ipv6, true)]
    {
        for len in [1500, 9000, LONGEST - headers(family)] {
            let (mut queue, to) = send_out(network, family, 1500, b"short")?;
            let packet = seen(&mut queue);
            let text = text(len);
            let mut replacement = with_text(&packet.data, &text);
            if family == Family::Ipv4 {
                // Its own host does it all the same.
                replacement = with_may_be_cut_up(replacement, may_be_cut_up);
            }
            queue.verdict_with(packet.id, Verdict::Accept, &replacement).unwrap();
            assert_arrives(network, to, &text);
            assert_quiet(&mut queue);
        }
    }
    Ok(())
}

fn a_forwarded_replacement_that_must_not_be_cut_up_ends_there(
    network: &mut dyn Network,
) -> Outcome {
    let hosts = [network.add_host()?, network.add_host()?];
    let [from, to] = hosts.map(|host| network.udp_at(host, network.address(host, Family::Ipv4)));
    let address = network.address_of(to);
    network.rule(Rule { hook: Hook::Forward, ..Rule::queue_to(address, 0) })?;
    let mut queue = network.queue(0);
    for (may_be_cut_up, len) in [(true, 4000), (false, 4000), (false, 1472)] {
        network.send(from, address, b"short");
        let packet = seen(&mut queue);
        let text = vec![if may_be_cut_up { b'c' } else { b'w' }; len];
        let replacement = with_may_be_cut_up(with_text(&packet.data, &text), may_be_cut_up);
        queue.verdict_with(packet.id, Verdict::Accept, &replacement).unwrap();
        // What comes behind one that ends there is the next to arrive.
        if may_be_cut_up || len == 1472 {
            assert_arrives(network, to, &text);
        }
    }
    Ok(())
}
