//! What rules and routes look at in a packet: [`Headers`].

use core::net::{IpAddr, Ipv4Addr};

use etherparse::{IpNumber, Ipv6ExtensionSlice, Ipv6ExtensionsSlice, LaxIpSlice};

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
    /// Where the header of that protocol is, in bytes from the start of the packet.
    pub(crate) payload_at: usize,
}

impl Headers {
    /// Reads the headers of `packet`. What is missing or malformed stays `None`.
    pub(crate) fn of(packet: &[u8]) -> Self {
        Self::of_plain_ipv4(packet).unwrap_or_else(|| Self::of_any(packet))
    }

    /// The headers of a packet as most are: an IPv4 header, and no extension behind it. `None` if this is another.
    fn of_plain_ipv4(packet: &[u8]) -> Option<Self> {
        let &[version_and_len, _, total_high, total_low, _, _, fragment_high, fragment_low, ..] =
            packet.first_chunk::<20>()?;
        let &[.., protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = packet.first_chunk::<20>()?;
        let header_len = usize::from(version_and_len & 0xf) * 4;
        let is_plain = version_and_len >> 4 == 4
            && header_len >= 20
            && packet.len() >= header_len
            && protocol != IpNumber::AUTHENTICATION_HEADER.0;
        if !is_plain {
            return None;
        }
        // A length that lies is passed over.
        let total_len = usize::from(u16::from_be_bytes([total_high, total_low]));
        let payload = packet.get(header_len..total_len);
        let payload = payload.or_else(|| packet.get(header_len..)).unwrap_or_default();
        let fragment = u16::from_be_bytes([fragment_high, fragment_low]);
        let is_first = fragment & OFFSET == 0;
        let has_ports = is_first && matches!(IpNumber(protocol), IpNumber::TCP | IpNumber::UDP);
        Some(Self {
            source: Some(Ipv4Addr::new(s0, s1, s2, s3).into()),
            destination: Some(Ipv4Addr::new(d0, d1, d2, d3).into()),
            protocol: Some(protocol),
            ports: payload.first_chunk().filter(|_| has_ports).copied().map(ports),
            // Further fragments follow, or others came before.
            is_fragment: fragment & (OFFSET | MORE_FRAGMENTS) != 0,
            payload_at: header_len,
        })
    }

    /// The headers of any packet.
    fn of_any(packet: &[u8]) -> Self {
        let Ok((ip, _)) = LaxIpSlice::from_slice(packet) else { return Self::default() };
        let (offset, payload_at) = match &ip {
            LaxIpSlice::Ipv4(ipv4) => {
                let authentication = ipv4.extensions().auth;
                let extension_len = authentication.map_or(0, |header| header.slice().len());
                let header = ipv4.header();
                (Some(header.fragments_offset()), header.slice().len() + extension_len)
            }
            LaxIpSlice::Ipv6(ipv6) => {
                let extensions = ipv6.extensions();
                let offset = whole(extensions).find_map(|extension| match extension {
                    Ipv6ExtensionSlice::Fragment(fragment) => Some(fragment.fragment_offset()),
                    _ => None,
                });
                (offset, ipv6.header().slice().len() + extensions.slice().len())
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
            payload_at,
        }
    }
}

/// In the field of an IPv4 header about fragments: where in the whole this one is, in units of 8 bytes.
const OFFSET: u16 = 0x1fff;

/// In the same field: others follow.
const MORE_FRAGMENTS: u16 = 0x2000;

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
    use etherparse::{LaxNetSlice, LaxSlicedPacket};
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

        /// What follows the headers is where etherparse finds it, for any chain of extension headers of either family.
        #[test]
        fn a_payload_is_where_etherparse_has_it(
            is_ipv6 in any::<bool>(),
            chain in proptest::collection::vec(
                (prop_oneof![Just(0_u8), Just(43), Just(44), Just(51), Just(60), any::<u8>()], 0..3_u8),
                0..4,
            ),
            last in prop_oneof![Just(6_u8), Just(17), any::<u8>()],
            rest in proptest::collection::vec(any::<u8>(), 0..40),
            cut in 0..120_usize,
        ) {
            let mut carried = Vec::new();
            let mut kinds = chain.iter().map(|(kind, _)| *kind).chain([last]);
            let first = kinds.next().unwrap();
            for ((_, units), next) in chain.iter().zip(kinds) {
                carried.extend([next, *units, 0, 0, 0, 0, 0, 0]);
                carried.extend(vec![0; usize::from(*units) * 8]);
            }
            carried.extend(&rest);
            let mut packet = if is_ipv6 {
                ipv6(first, &carried)
            } else {
                let total_len = u8::try_from(20 + carried.len()).unwrap();
                let header = [0x45, 0, 0, total_len, 0, 0, 0, 0, 64, first, 0, 0];
                [&header[..], &[10, 0, 0, 1, 10, 0, 0, 2], &carried].concat()
            };
            packet.truncate(packet.len().saturating_sub(cut).max(1));
            let headers = Headers::of(&packet);
            let Ok(sliced) = LaxSlicedPacket::from_ip(&packet) else {
                prop_assert_eq!(headers, Headers::default());
                return Ok(());
            };
            let payload = match &sliced.net {
                Some(LaxNetSlice::Ipv4(ipv4)) => ipv4.payload(),
                Some(LaxNetSlice::Ipv6(ipv6)) => ipv6.payload(),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(headers.protocol, Some(payload.ip_number.0));
            prop_assert_eq!(headers.is_fragment, payload.fragmented);
            prop_assert_eq!(&packet[headers.payload_at..], payload.payload);
        }
    }
}
