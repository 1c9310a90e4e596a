//! Copy modes: how much of a packet comes along.

use ipq::{CopyMode, Event, Family, Options, Verdict};

use crate::network::{Network, Outcome, Rule};
use crate::support::{PATIENCE, assert_quiet, assert_receives, datagram, decide, next};

on_every_kernel! {
    a_range_cuts_and_the_length_is_told,
    metadata_brings_no_payload,
    none_brings_nothing_and_packets_are_dropped,
    a_mode_can_be_changed_with_packets_outstanding,
    a_short_buffer_is_told,
}

fn a_range_cuts_and_the_length_is_told(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    // The packet has 20 + 8 + 72 bytes.
    for (range, len) in
        [(0, 100), (1, 1), (20, 20), (99, 99), (100, 100), (101, 100), (65_535, 100)]
    {
        queue.set_mode(CopyMode::Packet { range }).unwrap();
        network.send(from, address, &[b'x'; 72]);
        let id = next(&mut queue, |packet| {
            let whole = (len < 100).then_some(100);
            assert_eq!((packet.payload().len(), packet.packet_len()), (len, whole), "{range}");
            packet.id()
        });
        queue.verdict(id, Verdict::Accept).unwrap();
        assert_eq!(network.received(to).map(|text| text.len()), Some(72), "the packet stays whole");
    }
    Ok(())
}

fn metadata_brings_no_payload(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    queue.set_mode(CopyMode::Metadata).unwrap();
    network.send(from, address, b"unseen");
    let id = next(&mut queue, |packet| {
        assert_eq!((packet.payload(), packet.family()), (&[][..], Family::Ipv4));
        assert_eq!(packet.output_device().to_string(), "lo");
        packet.id()
    });
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_receives(network, to, &["unseen"]);
    Ok(())
}

fn none_brings_nothing_and_packets_are_dropped(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.open_queue(0..=0, Options::default()).unwrap();
    for is_set in [false, true] {
        if is_set {
            queue.set_mode(CopyMode::None).unwrap();
        }
        network.send(from, address, b"dropped");
        assert_quiet(&mut queue);
        queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
        network.send(from, address, b"queued");
        assert_eq!(decide(&mut queue, Verdict::Accept).text(), b"queued");
        assert_receives(network, to, &["queued"]);
    }
    Ok(())
}

fn a_mode_can_be_changed_with_packets_outstanding(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    for word in ["one", "two", "three"] {
        network.send(from, address, word.as_bytes());
    }
    // What came before the answer is read after it, as it was made.
    queue.set_mode(CopyMode::Metadata).unwrap();
    network.send(from, address, b"four");
    for word in ["one", "two", "three"] {
        let mut buffer = vec![0; 4096];
        let Some(Event::Packet(packet)) = queue.read(&mut buffer, Some(PATIENCE)).unwrap() else {
            panic!("no packet");
        };
        assert_eq!(datagram(packet.payload()), word.as_bytes());
        queue.verdict(packet.id(), Verdict::Accept).unwrap();
    }
    let id = next(&mut queue, |packet| {
        assert_eq!(packet.payload(), b"");
        packet.id()
    });
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_receives(network, to, &["one", "two", "three", "four"]);
    Ok(())
}

fn a_short_buffer_is_told(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    network.send(from, address, &[b'x'; 3000]);
    let mut buffer = [0; 1000];
    let id = match queue.read(&mut buffer, Some(PATIENCE)).unwrap() {
        Some(Event::Truncated { packet: Some(packet), message_len }) => {
            assert!((500..1000).contains(&packet.payload().len()), "{}", packet.payload().len());
            assert!((3028..3300).contains(&message_len), "{message_len}");
            packet.id()
        }
        other => panic!("not cut but {other:?}"),
    };
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_eq!(network.received(to), Some(vec![b'x'; 3000]));
    Ok(())
}
