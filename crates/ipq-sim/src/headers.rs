//! What rules and routes look at in a packet: [`Headers`].

use core::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// The addresses, protocol and ports of a packet, as far as they can be made out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Headers {
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<IpAddr>,
    /// Behind any extension headers.
    pub(crate) protocol: Option<u8>,
    /// Source and destination port of TCP and UDP; not of a later fragment, which has none.
    pub(crate) ports: Option<(u16, u16)>,
    /// Whether it is one of several fragments.
    pub(crate) is_fragment: bool,
}

impl Headers {
    /// Reads the headers of `packet`. What is missing or malformed stays `None`.
    pub(crate) fn of(packet: &[u8]) -> Self {
        let Ok(sliced) = LaxSlicedPacket::from_ip(packet) else { return Self::default() };
        let ports = match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
            Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
            _ => None,
        };
        match &sliced.net {
            Some(LaxNetSlice::Ipv4(ipv4)) => Self {
                source: Some(IpAddr::V4(ipv4.header().source_addr())),
                destination: Some(IpAddr::V4(ipv4.header().destination_addr())),
                protocol: Some(ipv4.payload().ip_number.0),
                ports,
                is_fragment: ipv4.payload().fragmented,
            },
            Some(LaxNetSlice::Ipv6(ipv6)) => Self {
                source: Some(IpAddr::V6(ipv6.header().source_addr())),
                destination: Some(IpAddr::V6(ipv6.header().destination_addr())),
                protocol: Some(ipv6.payload().ip_number.0),
                ports,
                is_fragment: ipv6.payload().fragmented,
            },
            _ => Self { ports, ..Self::default() },
        }
    }
}
