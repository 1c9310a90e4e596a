//! What the tests share: packets as values, and how they are read and made.

use core::net::SocketAddr;
use core::time::Duration;

use etherparse::{NetHeaders, PacketBuilder, PacketHeaders, SlicedPacket, TransportSlice};
use ipq::{Event, Packet, PacketId, Queue, Refusal, Verdict};

use crate::network::{Network, Socket};

/// How long to wait for what must come. Only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A packet as it was read, with a payload of its own.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) id: PacketId,
    pub(crate) mark: u64,
    pub(crate) data: Vec<u8>,
}

impl Seen {
    fn new(packet: &Packet<'_>) -> Self {
        Self { id: packet.id(), mark: packet.mark(), data: packet.payload().to_vec() }
    }

    /// What the datagram in it says.
    pub(crate) fn text(&self) -> &[u8] {
        datagram(&self.data)
    }
}

/// What the UDP datagram in a packet says.
pub(crate) fn datagram(packet: &[u8]) -> &[u8] {
    match SlicedPacket::from_ip(packet).unwrap().transport {
        Some(TransportSlice::Udp(udp)) => udp.payload(),
        other => panic!("no datagram but {other:?}"),
    }
}

/// Reads the next packet and hands it to `look`; panics if something else comes, or nothing.
pub(crate) fn next<T>(queue: &mut Queue, look: impl FnOnce(&Packet<'_>) -> T) -> T {
    let mut buffer = vec![0xa5; queue.buffer_len()];
    match queue.read(&mut buffer, Some(PATIENCE)).unwrap() {
        Some(Event::Packet(packet)) => look(&packet),
        other => panic!("no packet but {other:?}"),
    }
}

/// Reads the next packet.
pub(crate) fn seen(queue: &mut Queue) -> Seen {
    next(queue, Seen::new)
}

/// Reads the next `count` packets.
pub(crate) fn seen_many(queue: &mut Queue, count: usize) -> Vec<Seen> {
    (0..count).map(|_| seen(queue)).collect()
}

/// Reads a packet and decides on it; returns it.
pub(crate) fn decide(queue: &mut Queue, verdict: Verdict) -> Seen {
    let seen = seen(queue);
    queue.verdict(seen.id, verdict).unwrap();
    seen
}

/// Reads the next event, a refusal.
pub(crate) fn refused(queue: &mut Queue) -> Refusal {
    let mut buffer = vec![0xa5; queue.buffer_len()];
    match queue.read(&mut buffer, Some(PATIENCE)).unwrap() {
        Some(Event::Refused(refusal)) => refusal,
        other => panic!("no refusal but {other:?}"),
    }
}

/// That nothing waits to be read.
pub(crate) fn assert_quiet(queue: &mut Queue) {
    let mut buffer = vec![0xa5; queue.buffer_len()];
    let event = queue.read(&mut buffer, Some(Duration::ZERO)).unwrap();
    assert!(event.is_none(), "{event:?}");
}

/// Sends datagrams that say these words.
pub(crate) fn send_all(network: &mut dyn Network, from: Socket, to: SocketAddr, words: &[&str]) {
    for word in words {
        network.send(from, to, word.as_bytes());
    }
}

/// That the next datagrams are these.
pub(crate) fn assert_receives(network: &mut dyn Network, socket: Socket, words: &[&str]) {
    for &word in words {
        let received = network.received(socket);
        let text = received.as_deref().map(String::from_utf8_lossy);
        assert_eq!(text.as_deref(), Some(word));
    }
}

/// A packet with the addresses of `packet` and another text, lengths and checksums made anew.
pub(crate) fn with_text(packet: &[u8], text: &[u8]) -> Vec<u8> {
    let headers = PacketHeaders::from_ip_slice(packet).unwrap();
    let udp = headers.transport.unwrap().udp().unwrap();
    let builder = match headers.net.unwrap() {
        NetHeaders::Ipv4(ip, _) => PacketBuilder::ipv4(ip.source, ip.destination, ip.time_to_live),
        NetHeaders::Ipv6(ip, _) => PacketBuilder::ipv6(ip.source, ip.destination, ip.hop_limit),
        NetHeaders::Arp(_) => unreachable!("ARP is not in IP"),
    };
    let builder = builder.udp(udp.source_port, udp.destination_port);
    let mut out = Vec::with_capacity(builder.size(text.len()));
    builder.write(&mut out, text).unwrap();
    out
}
