//! What rules and routes look at in a packet: [`Headers`].

use core::net::IpAddr;

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6ExtensionSlice, Ipv6ExtensionsSlice, LaxIpSlice};

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
        Self::of_plain_ipv4(packet).unwrap_or_else(|| Self::of_any(packet))
    }

    /// The headers of a packet as most are: an IPv4 header, and no extension behind it. `None` if this is another.
    fn of_plain_ipv4(packet: &[u8]) -> Option<Self> {
        let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
        let protocol = header.protocol();
        if protocol == IpNumber::AUTHENTICATION_HEADER {
            return None;
        }
        let header_len = header.slice().len();
        // A length that lies is passed over.
        let payload = packet.get(header_len..usize::from(header.total_len()));
        let payload = payload.or_else(|| packet.get(header_len..)).unwrap_or_default();
        let is_first = header.fragments_offset().value() == 0;
        let has_ports = is_first && matches!(protocol, IpNumber::TCP | IpNumber::UDP);
        Some(Self {
            source: Some(header.source_addr().into()),
            destination: Some(header.destination_addr().into()),
            protocol: Some(protocol.0),
            ports: payload.first_chunk().filter(|_| has_ports).copied().map(ports),
            is_fragment: header.is_fragmenting_payload(),
        })
    }

    /// The headers of any packet.
    fn of_any(packet: &[u8]) -> Self {
        let Ok((ip, _)) = LaxIpSlice::from_slice(packet) else { return Self::default() };
        let offset = match &ip {
            LaxIpSlice::Ipv4(ipv4) => Some(ipv4.header().fragments_offset()),
            LaxIpSlice::Ipv6(ipv6) => {
                whole(ipv6.extensions()).find_map(|extension| match extension {
                    Ipv6ExtensionSlice::Fragment(fragment) => Some(fragment.fragment_offset()),
                    _ => None,
                })
            }
        };
        let payload = ip.payload();
        let is_first = offset.is_none_or(|offset| offset.value() == 0);
        let has_ports = is_first && matches!(payload.ip_number, IpNumber::TCP | IpNumber::UDP);
        Self {
            source: Some(ip.source_addr()),
            destination: Some(ip.destination_addr()),
            protocol: Some(payload.ip_number.0),
            ports: payload.payload.first_chunk().filter(|_| has_ports).copied().map(ports),
            is_fragment: payload.fragmented,
        }
    }
}

/// The ports at the start of a header of TCP or UDP: source and destination.
fn ports([a, b, c, d]: [u8; 4]) -> (u16, u16) {
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// The extension headers that are there as a whole. etherparse's own iterator goes on where one is cut, and reads behind the
/// packet.
fn whole<'a>(extensions: &Ipv6ExtensionsSlice<'a>) -> impl Iterator<Item = Ipv6ExtensionSlice<'a>> {
    let mut left = extensions.slice().len();
    let mut all = extensions.clone().into_iter();
    core::iter::from_fn(move || {
        let extension = if left == 0 { None } else { all.next() }?;
        left = left.saturating_sub(match &extension {
            Ipv6ExtensionSlice::HopByHop(header)
            | Ipv6ExtensionSlice::Routing(header)
            | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice().len(),
            Ipv6ExtensionSlice::Fragment(header) => header.slice().len(),
            Ipv6ExtensionSlice::Authentication(header) => header.slice().len(),
        });
        Some(extension)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An IPv6 packet that carries this behind its header, of which the first is of the protocol `next`.
    fn ipv6(next: u8, carried: &[u8]) -> Vec<u8> {
        let len = u8::try_from(carried.len()).unwrap();
        [&[0x60, 0, 0, 0, 0, len, next, 64][..], &[0; 32], carried].concat()
    }

    #[test]
    fn an_extension_header_that_is_cut_is_not_read() {
        // Hop-by-hop, routing, fragment, authentication, destination options: cut, or behind a whole one.
        for next in [0, 43, 44, 51, 60] {
            for len in 0..8 {
                let cut = vec![0; len];
                assert!(!Headers::of(&ipv6(next, &cut)).is_fragment, "{next} cut to {len} bytes");
                let behind = [&[next, 0, 0, 0, 0, 0, 0, 0], &*cut].concat();
                assert!(!Headers::of(&ipv6(60, &behind)).is_fragment, "{next} cut to {len} bytes");
            }
        }
    }

    #[test]
    fn later_fragments_have_no_ports() {
        let udp = [0, 53, 0, 54, 0, 8, 0, 0];
        let fragment = |offset: u8| [&[17, 0, 0, offset << 3 | 1, 0, 0, 0, 7], &udp[..]].concat();
        assert_eq!(Headers::of(&ipv6(44, &fragment(0))).ports, Some((53, 54)));
        assert_eq!(Headers::of(&ipv6(44, &fragment(1))).ports, None);
        let behind = [&[44, 0, 0, 0, 0, 0, 0, 0], &*fragment(1)].concat();
        let headers = Headers::of(&ipv6(60, &behind));
        assert_eq!((headers.ports, headers.is_fragment), (None, true));
    }

    proptest! {
        /// Headers as they may be, with lengths, offsets, protocols and options that make sense or do not.
        #[test]
        fn plain_headers_are_read_as_any(
            first in prop_oneof![Just(0x45_u8), 0x40..0x50_u8, any::<u8>()],
            total_len in prop_oneof![0..80_u16, any::<u16>()],
            fragment in prop_oneof![Just(0_u16), any::<u16>()],
            protocol in prop_oneof![Just(6_u8), Just(17), Just(51), any::<u8>()],
            rest in proptest::collection::vec(any::<u8>(), 0..70),
        ) {
            let [total_high, total_low] = total_len.to_be_bytes();
            let [fragment_high, fragment_low] = fragment.to_be_bytes();
            let start = [first, 0, total_high, total_low, 0, 0, fragment_high, fragment_low, 64, protocol];
            let packet = [start.as_slice(), &rest].concat();
            for len in [packet.len(), packet.len().min(21), packet.len().min(9)] {
                let packet = &packet[..len];
                prop_assert_eq!(Headers::of(packet), Headers::of_any(packet));
            }
        }
    }
}
