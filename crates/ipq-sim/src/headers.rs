//! What rules and routes look at in a packet: [`Headers`].

use core::net::IpAddr;

use etherparse::{IpNumber, Ipv6ExtensionSlice, LaxIpSlice};

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
        let Ok((ip, _)) = LaxIpSlice::from_slice(packet) else { return Self::default() };
        let offset = match &ip {
            LaxIpSlice::Ipv4(ipv4) => Some(ipv4.header().fragments_offset()),
            LaxIpSlice::Ipv6(ipv6) => {
                ipv6.extensions().clone().into_iter().find_map(|extension| match extension {
                    Ipv6ExtensionSlice::Fragment(fragment) => Some(fragment.fragment_offset()),
                    _ => None,
                })
            }
        };
        let payload = ip.payload();
        let is_first = offset.is_none_or(|offset| offset.value() == 0);
        let has_ports = is_first && matches!(payload.ip_number, IpNumber::TCP | IpNumber::UDP);
        let ports = payload.payload.first_chunk().filter(|_| has_ports);
        let port = |high, low| u16::from_be_bytes([high, low]);
        Self {
            source: Some(ip.source_addr()),
            destination: Some(ip.destination_addr()),
            protocol: Some(payload.ip_number.0),
            ports: ports.map(|&[a, b, c, d]| (port(a, b), port(c, d))),
            is_fragment: payload.fragmented,
        }
    }
}
