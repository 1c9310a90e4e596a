//! From what a link layer carries to an IP packet: is the header there, and where does the packet
//! end.

use ipq_proto::Family;

use super::link::Payload;
use super::malformed::MalformedReason;
use super::order::Order;

/// An IP packet of which at least the shortest header is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    pub(super) family: Family,
    pub(super) data: &'a [u8],
    /// The length on the wire, if some of it is missing.
    pub(super) cut: Option<usize>,
}

impl<'a> Datagram<'a> {
    /// The packet in `payload`, without the padding of the link layer.
    pub(super) fn parse(payload: &Payload<'a>) -> Result<Self, MalformedReason> {
        let data = payload.data;
        let family = family(payload)?;
        if data.len() < family.header_len() {
            return Err(MalformedReason::IpHeader { family: Some(family), len: data.len() });
        }
        let wire_len = data.len().saturating_add(payload.missing);
        let len = match said_len(family, data) {
            Some(said) if payload.may_be_padded => said.min(wire_len),
            _ => wire_len,
        };
        let cut = (len > data.len()).then_some(len);
        Ok(Self { family, data: data.get(..len).unwrap_or(data), cut })
    }
}

/// The family, which the header and the link layer must agree on.
fn family(payload: &Payload<'_>) -> Result<Family, MalformedReason> {
    let link = payload.family;
    let Some(first) = payload.data.first() else {
        return Err(MalformedReason::IpHeader { family: link, len: 0 });
    };
    match Family::of_packet(payload.data) {
        Some(family) if link.is_none_or(|link| link == family) => Ok(family),
        _ => Err(MalformedReason::Version { link, header: first >> 4 }),
    }
}

/// How long the packet is by its own header; `None` if the header does not say, or nothing
/// believable.
fn said_len(family: Family, data: &[u8]) -> Option<usize> {
    match family {
        Family::Ipv4 => {
            let total = usize::from(Order::Big.u16_at(data, 2)?);
            let header_len = usize::from(data.first()? & 0x0f) * 4;
            // Zero, which is below any header, is a packet above 64 KiB.
            (total >= header_len.max(family.header_len())).then_some(total)
        }
        Family::Ipv6 => {
            let payload_len = usize::from(Order::Big.u16_at(data, 4)?);
            // Zero is no payload, a jumbogram or a packet above 64 KiB: only the extension headers
            // tell.
            (payload_len > 0).then_some(family.header_len() + payload_len)
        }
    }
}

#[cfg(test)]
mod tests {
    use ipq_proto::{HardwareAddress, HardwareType};

    use super::*;

    /// What is found in `data`, of which `missing` more bytes were on an Ethernet: length, and
    /// length on the wire.
    #[track_caller]
    fn check(data: &[u8], missing: usize, expected: (usize, Option<usize>)) {
        let found = Datagram::parse(&payload(None, data, missing)).unwrap();
        assert_eq!((found.data.len(), found.cut), expected, "{data:x?}");
        let unpadded = Payload { may_be_padded: false, ..payload(None, data, missing) };
        let found = Datagram::parse(&unpadded).unwrap();
        let cut = (missing > 0).then_some(data.len() + missing);
        assert_eq!((found.data.len(), found.cut), (data.len(), cut), "no padding: {data:x?}");
    }

    fn payload(family: Option<Family>, data: &[u8], missing: usize) -> Payload<'_> {
        Payload {
            family,
            hardware_type: HardwareType::NONE,
            hardware_address: HardwareAddress::NONE,
            may_be_padded: true,
            data,
            missing,
        }
    }

    fn ipv4(first: u8, total_len: u16, len: usize) -> Vec<u8> {
        let [high, low] = total_len.to_be_bytes();
        let mut data = vec![first, 0, high, low];
        data.resize(len, 0);
        data
    }

    fn ipv6(payload_len: u16, len: usize) -> Vec<u8> {
        let [high, low] = payload_len.to_be_bytes();
        let mut data = vec![0x60, 0, 0, 0, high, low];
        data.resize(len, 0);
        data
    }

    #[test]
    fn trims_padding_but_never_on_a_lie() {
        check(&ipv4(0x45, 28, 46), 0, (28, None));
        check(&ipv4(0x45, 20, 20), 0, (20, None));
        check(&ipv4(0x46, 23, 46), 0, (46, None));
        check(&ipv4(0x46, 24, 46), 0, (24, None));
        check(&ipv4(0x40, 3, 46), 0, (46, None));
        check(&ipv4(0x45, 0, 46), 0, (46, None));
        check(&ipv4(0x45, 60, 46), 0, (46, None));
        check(&ipv6(6, 60), 0, (46, None));
        check(&ipv6(0, 60), 0, (60, None));
        check(&ipv6(21, 60), 0, (60, None));
    }

    #[test]
    fn a_packet_is_cut_if_more_than_padding_is() {
        check(&ipv4(0x45, 28, 30), 16, (28, None));
        check(&ipv4(0x45, 28, 28), 18, (28, None));
        check(&ipv4(0x45, 28, 24), 22, (24, Some(28)));
        check(&ipv4(0x45, 100, 24), 22, (24, Some(46)));
        check(&ipv4(0x45, 0, 24), 80_000, (24, Some(80_024)));
        check(&ipv6(100, 40), 200, (40, Some(140)));
        check(&ipv6(0, 40), 200, (40, Some(240)));
    }

    #[test]
    fn wants_a_header_of_the_right_version() {
        use Family::{Ipv4, Ipv6};
        for (family, data, expected) in [
            (None, vec![], "0 bytes are too few for an IP header"),
            (Some(Ipv6), vec![], "0 bytes are too few for an IPv6 header"),
            (None, vec![0x45; 19], "19 bytes are too few for an IPv4 header"),
            (Some(Ipv4), vec![0x45; 3], "3 bytes are too few for an IPv4 header"),
            (None, vec![0x60; 39], "39 bytes are too few for an IPv6 header"),
            (None, vec![0x50; 99], "the header says version 5, which is no IP"),
            (Some(Ipv4), vec![0x60; 99], "link type says IPv4, the header says version 6"),
            (Some(Ipv6), vec![0x45], "link type says IPv6, the header says version 4"),
        ] {
            let reason = Datagram::parse(&payload(family, &data, 0)).unwrap_err();
            assert_eq!(reason.to_string(), expected);
        }
    }
}
