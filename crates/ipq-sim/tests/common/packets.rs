//! Packets, made by etherparse.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FlowLabel,
    Ipv6FragmentHeader, Ipv6Header, PacketBuilder, PacketBuilderStep,
};
use ipq_proto::Family;

/// Where a packet comes from and where it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) ports: (u16, u16),
}

/// From this host to itself.
pub(crate) fn here(family: Family) -> Way {
    let address: IpAddr = match family {
        Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    };
    Way { from: address, to: address, ports: (40_000, 9999) }
}

/// From a neighbour to this host.
pub(crate) fn inbound(family: Family) -> Way {
    match family {
        Family::Ipv4 => way("10.7.0.9", "10.7.0.1"),
        Family::Ipv6 => way("fd00:7::9", "fd00:7::1"),
    }
}

/// From a neighbour through this host to the network behind `eth1`.
pub(crate) fn through(family: Family) -> Way {
    match family {
        Family::Ipv4 => way("10.7.0.9", "10.9.0.2"),
        Family::Ipv6 => way("fd00:7::9", "fd00:9::2"),
    }
}

pub(crate) fn way(from: &str, to: &str) -> Way {
    Way { from: from.parse().unwrap(), to: to.parse().unwrap(), ports: (40_000, 9999) }
}

fn ip(way: Way) -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ip(ip_headers(way))
}

/// Headers whose lengths and checksum the builder fills in.
pub(crate) fn ip_headers(way: Way) -> IpHeaders {
    match (way.from, way.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = Ipv4Header::new(0, 64, IpNumber::UDP, from.octets(), to.octets());
            IpHeaders::Ipv4(header.unwrap(), Ipv4Extensions::default())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: 0,
                next_header: IpNumber::UDP,
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
            };
            IpHeaders::Ipv6(header, Ipv6Extensions::default())
        }
        mixed => panic!("{mixed:?}"),
    }
}

/// A UDP datagram from this host to itself.
pub(crate) fn udp(family: Family, payload: &[u8]) -> Vec<u8> {
    udp_on(here(family), payload)
}

pub(crate) fn udp_on(way: Way, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    ip(way).udp(way.ports.0, way.ports.1).write(&mut packet, payload).unwrap();
    packet
}

pub(crate) fn tcp_on(way: Way, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let step = ip(way).tcp(way.ports.0, way.ports.1, 1000, 512);
    step.write(&mut packet, payload).unwrap();
    packet
}

/// An echo request of the family's ICMP.
pub(crate) fn echo_on(way: Way, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    if way.from.is_ipv4() {
        ip(way).icmpv4_echo_request(1, 1).write(&mut packet, payload).unwrap();
    } else {
        ip(way).icmpv6_echo_request(1, 1).write(&mut packet, payload).unwrap();
    }
    packet
}

/// A fragment, at `offset` in units of 8 bytes, whose payload begins with a UDP header only if it is the first.
pub(crate) fn fragment_on(way: Way, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let fragment_offset = IpFragOffset::try_new(offset).unwrap();
    let mut headers = ip_headers(way);
    match &mut headers {
        IpHeaders::Ipv4(header, _) => {
            header.fragment_offset = fragment_offset;
            header.more_fragments = more;
            header.dont_fragment = false;
        }
        IpHeaders::Ipv6(_, extensions) => {
            extensions.fragment = Some(Ipv6FragmentHeader {
                next_header: IpNumber::UDP,
                fragment_offset,
                more_fragments: more,
                identification: 7,
            });
        }
    }
    let mut packet = Vec::new();
    if offset == 0 {
        let step = PacketBuilder::ip(headers).udp(way.ports.0, way.ports.1);
        step.write(&mut packet, payload).unwrap();
        // The datagram's length and checksum are those of the whole, not of this part.
        let udp = packet.len() - payload.len() - 8;
        packet[udp + 4..udp + 8].copy_from_slice(&[0x10, 0x00, 0xba, 0xd0]);
    } else {
        PacketBuilder::ip(headers).write(&mut packet, IpNumber::UDP, payload).unwrap();
    }
    packet
}

/// Where the transport header of a packet without options or extensions begins.
pub(crate) fn transport_offset(family: Family) -> usize {
    family.header_len()
}

/// What follows the UDP header.
pub(crate) fn udp_payload(packet: &[u8]) -> Vec<u8> {
    let family = Family::of_packet(packet).unwrap();
    packet[transport_offset(family) + 8..].to_vec()
}

/// Makes the checksum of an IPv4 header without options right; IPv6 has none.
pub(crate) fn fix_header(packet: &mut [u8]) {
    if Family::of_packet(packet) == Some(Family::Ipv4) {
        packet[10..12].fill(0);
        let sum = Sum16BitWords::new().add_slice(&packet[..20]).ones_complement();
        packet[10..12].copy_from_slice(&sum.to_ne_bytes());
    }
}

/// The length that an IP header gives: of all in IPv4, of what follows in IPv6.
pub(crate) fn set_ip_len(packet: &mut [u8], len: u16) {
    let at = if packet[0] >> 4 == 4 { 2 } else { 4 };
    packet[at..at + 2].copy_from_slice(&len.to_be_bytes());
    fix_header(packet);
}
