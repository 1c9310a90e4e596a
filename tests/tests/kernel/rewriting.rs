//! Packets that are rewritten by ipq, and arrive at somebody who checks them.

use core::net::Ipv6Addr;
use core::time::Duration;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use etherparse::{IpNumber, Ipv6RawExtHeader};
use ipq::{CopyMode, DefaultVerdict, Families, Family, Options, Queue, SharedQueue, SkbInfo};
use ipq_tests::namespace::{self, Skipped, tool};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, sendto, socket,
};

use crate::network::{Network, Outcome, Place, Protocol, Rule, Target};
use crate::support::{PATIENCE, assert_receives};

on_every_kernel! {
    datagrams_are_rewritten_to_any_length,
    a_cut_datagram_is_refused_and_passes_as_it_was,
    a_stream_is_rewritten,
    a_stream_over_ipv6_is_rewritten,
    a_stream_of_long_packets_is_rewritten,
}

/// Hands a queue to `SharedQueue`.
fn shared(queue: Queue) -> SharedQueue {
    SharedQueue::new(queue, DefaultVerdict::Accept).unwrap()
}

/// Takes the next packet and has its payload say `text`.
fn rewrite(queue: &SharedQueue, text: &[u8]) {
    let packet = queue.next(Some(PATIENCE)).unwrap().expect("a packet");
    packet.rewrite(|rewrite| *rewrite.payload_mut() = text.to_vec()).unwrap();
}

fn datagrams_are_rewritten_to_any_length(network: &mut dyn Network) -> Outcome {
    for (number, family) in (0..).zip(Family::ALL) {
        let (from, to) = (network.udp(family), network.udp(family));
        let address = network.address_of(to);
        network.rule(Rule::queue_to(address, number))?;
        let queue = shared(network.queue(number));
        for text in [&b""[..], b"x", b"rewritten", &[b'y'; 1501], &vec![b'z'; 20_000]] {
            network.send(from, address, b"original");
            rewrite(&queue, text);
            assert!(network.received(to).unwrap() == text);
        }
        assert_eq!(queue.close().unwrap().statistics.refused, 0);
    }
    Ok(())
}

fn a_cut_datagram_is_refused_and_passes_as_it_was(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    queue.set_mode(CopyMode::Packet { range: 30 }).unwrap();
    let queue = shared(queue);
    network.send(from, address, b"longer than thirty bytes");
    let packet = queue.next(Some(PATIENCE)).unwrap().expect("a packet");
    let unsettled = packet.rewrite(|_| unreachable!("it is cut")).unwrap_err();
    assert!(unsettled.to_string().contains("only 30 of its 52 bytes"), "{unsettled}");
    drop(unsettled);
    assert_receives(network, to, &["longer than thirty bytes"]);
    assert_eq!(queue.statistics().defaulted, 1);
    Ok(())
}

fn a_stream_is_rewritten(network: &mut dyn Network) -> Outcome {
    rewrite_stream(network, Family::Ipv4, Options::default()).map(|_| ())
}

fn a_stream_over_ipv6_is_rewritten(network: &mut dyn Network) -> Outcome {
    rewrite_stream(network, Family::Ipv6, Options::default()).map(|_| ())
}

/// Packets that are yet to be cut into segments, their checksums unfinished: repaired whole, they arrive.
fn a_stream_of_long_packets_is_rewritten(network: &mut dyn Network) -> Outcome {
    network.segments_in_hardware()?;
    let options = Options { gso: true, ..Options::default() };
    let (unfinished, segmented) = rewrite_stream(network, Family::Ipv4, options)?;
    assert!(unfinished > 0 && segmented > 0, "{unfinished}, {segmented}");
    Ok(())
}

/// Makes every `a` of a TCP stream a `b`; how many of the packets that were rewritten had unfinished checksums, and were
/// yet to be cut into segments.
fn rewrite_stream(
    network: &mut dyn Network,
    family: Family,
    options: Options,
) -> Result<(usize, usize), Skipped> {
    // What the loopback takes otherwise is longer than what a queue copies.
    network.set_mtu("lo", 1500)?;
    let rule = Rule::output(Protocol::Tcp, Target::Nfqueue(0, 0));
    network.rule(Rule { family, ..rule })?;
    let queue = shared(network.queue_with(0, options));
    let transfer = network.start_transfer(Place::Here, Place::Here, family, vec![b'a'; 300_000]);
    let (mut unfinished, mut segmented) = (0, 0);
    let end = queue.with_queue(|queue| queue.clock()).unwrap() + 3 * PATIENCE;
    let received = loop {
        while let Some(held) = queue.next(Some(Duration::from_millis(50))).unwrap() {
            let info = held.packet().skb_info().unwrap_or_default();
            let mut is_changed = false;
            held.rewrite(|rewrite| {
                let payload = rewrite.payload_mut();
                is_changed = !payload.is_empty();
                payload.fill(b'b');
            })
            .unwrap();
            unfinished += usize::from(is_changed && info.contains(SkbInfo::CHECKSUM_NOT_READY));
            segmented += usize::from(is_changed && info.contains(SkbInfo::GSO));
        }
        if let Some(received) = network.transferred(transfer) {
            break received;
        }
        let now = queue.with_queue(|queue| queue.clock()).unwrap();
        assert!(now < end, "the transfer does not end");
    };
    assert!(received == vec![b'b'; 300_000], "{} bytes, or wrong ones", received.len());
    Ok((unfinished, segmented))
}

/// The kernel puts no extension header before a datagram by itself, so it is sent whole.
#[test]
fn a_datagram_behind_an_extension_header_is_rewritten() {
    let path = concat!(module_path!(), "::a_datagram_behind_an_extension_header_is_rewritten");
    namespace::run(path, || {
        tool("ip", &["link", "set", "lo", "up"])?;
        let receiver = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        receiver.set_read_timeout(Some(PATIENCE)).unwrap();
        let port = receiver.local_addr().unwrap().port();
        let rule = ["-A", "OUTPUT", "-d", "::1", "-o", "lo", "-m", "ipv6header", "--soft"];
        let target = ["--header", "dst", "-j", "NFQUEUE", "--queue-num", "9"];
        let any = ["-A", "OUTPUT", "-o", "lo", "-j", "NFQUEUE", "--queue-num", "9"];
        tool("ip6tables-nft", &[&rule[..], &target].concat())
            .or_else(|_| tool("ip6tables-nft", &any))?;
        let name = ipq::TransportName::Nfqueue { first: 9, last: 9 };
        let mut queue =
            Queue::open(name, Families::Ipv6).map_err(|error| Skipped(error.to_string()))?;
        queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
        let queue = shared(queue);
        let packet = datagram_behind_options(port, b"original");
        let raw = socket(AddressFamily::Inet6, SockType::Raw, SockFlag::empty(), SockProtocol::Raw)
            .map_err(|error| Skipped(format!("a raw socket: {error}")))?;
        let to = SockaddrIn6::from(core::net::SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0));
        sendto(raw.as_raw_fd(), &packet, &to, MsgFlags::empty()).unwrap();
        let held = queue.next(Some(PATIENCE)).unwrap().expect("a packet");
        assert_eq!(held.packet().payload()[6], 60, "its first header is that of options");
        held.rewrite(|rewrite| {
            assert_eq!(
                (rewrite.headers().len(), rewrite.payload()),
                (40 + 8 + 8, &b"original"[..])
            );
            *rewrite.payload_mut() = b"and now something longer".to_vec();
        })
        .unwrap();
        let mut buffer = [0; 100];
        let (len, from) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from.port()), (&b"and now something longer"[..], 40_000));
        Ok(())
    });
}

/// An IPv6 packet from and to the loopback with a header of destination options in front of UDP.
fn datagram_behind_options(port: u16, text: &[u8]) -> Vec<u8> {
    let address = Ipv6Addr::LOCALHOST.octets();
    let mut packet = Vec::new();
    let builder = etherparse::PacketBuilder::ipv6(address, address, 64).udp(40_000, port);
    builder.write(&mut packet, text).unwrap();
    let options = Ipv6RawExtHeader::new_raw(IpNumber::UDP, &[1, 4, 0, 0, 0, 0]).unwrap();
    packet.splice(40..40, options.to_bytes());
    packet[6] = 60;
    let carried = u16::try_from(packet.len() - 40).unwrap();
    packet[4..6].copy_from_slice(&carried.to_be_bytes());
    packet
}
