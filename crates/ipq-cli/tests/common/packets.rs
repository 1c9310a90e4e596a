//! Packets, made by etherparse.

use etherparse::{
    Icmpv4Type, Icmpv6Type, IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header,
    PacketBuilder, PacketBuilderStep, TcpHeader,
};

const HERE: ([u8; 4], [u8; 4]) = ([10, 0, 0, 1], [10, 0, 0, 2]);

fn ipv4() -> PacketBuilderStep<etherparse::IpHeaders> {
    PacketBuilder::ipv4(HERE.0, HERE.1, 64)
}

fn ipv6() -> PacketBuilderStep<etherparse::IpHeaders> {
    let [mut from, mut to] = [[0; 16]; 2];
    (from[0], from[1], from[15]) = (0xfd, 0, 1);
    (to[0], to[1], to[15]) = (0xfd, 0, 2);
    PacketBuilder::ipv6(from, to, 64)
}

/// A UDP datagram over IPv4.
pub(crate) fn udp4(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    ipv4().udp(40_000, 53).write(&mut packet, payload).unwrap();
    packet
}

/// A UDP datagram over IPv6.
pub(crate) fn udp6(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    ipv6().udp(40_000, 53).write(&mut packet, payload).unwrap();
    packet
}

/// A TCP segment over IPv4 whose header is as `shape` makes it.
pub(crate) fn tcp4(shape: impl FnOnce(&mut TcpHeader), payload: &[u8]) -> Vec<u8> {
    let mut header = TcpHeader::new(40_000, 80, 1000, 512);
    shape(&mut header);
    let mut packet = Vec::new();
    ipv4().tcp_header(header).write(&mut packet, payload).unwrap();
    packet
}

pub(crate) fn icmp4(icmp: Icmpv4Type, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    ipv4().icmpv4(icmp).write(&mut packet, payload).unwrap();
    packet
}

pub(crate) fn icmp6(icmp: Icmpv6Type, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    ipv6().icmpv6(icmp).write(&mut packet, payload).unwrap();
    packet
}

/// An IPv4 packet of a protocol without ports.
pub(crate) fn other4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    ipv4().write(&mut packet, IpNumber(protocol), payload).unwrap();
    packet
}

/// A fragment of a UDP datagram over IPv4; the offset is in units of eight bytes.
pub(crate) fn fragment4(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let mut header = Ipv4Header::new(len, 64, IpNumber::UDP, HERE.0, HERE.1).unwrap();
    header.identification = 4711;
    header.dont_fragment = false;
    header.more_fragments = more;
    header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [header.to_bytes().as_slice(), payload].concat()
}

/// A fragment of a UDP datagram over IPv6; the offset is in units of eight bytes.
pub(crate) fn fragment6(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let offset = IpFragOffset::try_new(offset).unwrap();
    let fragment = Ipv6FragmentHeader::new(IpNumber::UDP, offset, more, 4711).to_bytes();
    let header = Ipv6Header {
        payload_length: u16::try_from(fragment.len() + payload.len()).unwrap(),
        next_header: IpNumber::IPV6_FRAGMENTATION_HEADER,
        hop_limit: 64,
        ..Ipv6Header::default()
    };
    [header.to_bytes().as_slice(), fragment.as_slice(), payload].concat()
}
