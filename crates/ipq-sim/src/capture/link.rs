//! From a frame of a link layer to what it carries: [`Frame`], [`Payload`].

use etherparse::{ArpHardwareId, EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice};
use ipq_proto::{Family, HardwareAddress, HardwareType};

use super::malformed::MalformedReason;
use super::order::Order;
use super::{LinkType, Timestamp};

/// One packet as a file holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) link_type: LinkType,
    /// The byte order of the file, which some link layers inherit.
    pub(super) order: Order,
    pub(super) timestamp: Timestamp,
    /// The length on the wire.
    pub(super) original_len: usize,
    pub(super) data: &'a [u8],
}

/// What a link layer carries, and says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    /// What the link layer says; `None` if it leaves the matter to the header.
    pub(super) family: Option<Family>,
    pub(super) hardware_type: HardwareType,
    pub(super) hardware_address: HardwareAddress,
    /// Whether the link layer may have appended padding.
    pub(super) may_be_padded: bool,
    pub(super) data: &'a [u8],
    /// How many bytes the snap length has cut off the end.
    pub(super) missing: usize,
}

/// What a link layer carries; `None` if that is no IP.
pub(super) type Found<'a> = Result<Option<Payload<'a>>, MalformedReason>;

impl<'a> Frame<'a> {
    /// What is behind the header of the link layer.
    pub(super) fn payload(&self) -> Found<'a> {
        match self.link_type {
            LinkType::RAW | LinkType::RAW_12 | LinkType::RAW_14 => {
                Ok(Some(self.bare(None, self.data)))
            }
            LinkType::IPV4 => Ok(Some(self.bare(Some(Family::Ipv4), self.data))),
            LinkType::IPV6 => Ok(Some(self.bare(Some(Family::Ipv6), self.data))),
            LinkType::NULL | LinkType::LOOP => self.loopback(),
            LinkType::ETHERNET => self.ethernet(),
            LinkType::PPP | LinkType::PPP_HDLC => self.ppp(),
            LinkType::LINUX_SLL => self.cooked(),
            LinkType::LINUX_SLL2 => self.cooked_v2(),
            LinkType::NFLOG => self.nflog(),
            _ => Ok(None),
        }
    }

    /// How many bytes the snap length has cut off the end.
    fn missing(&self) -> usize {
        self.original_len.saturating_sub(self.data.len())
    }

    /// A payload from a link layer that says nothing but the family.
    fn bare(&self, family: Option<Family>, data: &'a [u8]) -> Payload<'a> {
        Payload {
            family,
            hardware_type: HardwareType::NONE,
            hardware_address: HardwareAddress::NONE,
            may_be_padded: false,
            data,
            missing: self.missing(),
        }
    }

    /// The error for a header that is not all there.
    fn short(&self) -> MalformedReason {
        MalformedReason::LinkHeader { link_type: self.link_type, len: self.data.len() }
    }

    fn loopback(&self) -> Found<'a> {
        let (family, data) = self.data.split_first_chunk().ok_or_else(|| self.short())?;
        let mut family = u32::from_be_bytes(*family);
        // All families are small numbers: a large one was written in the other order.
        if self.link_type == LinkType::NULL && family > 0xffff {
            family = family.swap_bytes();
        }
        let family = match family {
            2 => Family::Ipv4,
            // Linux; NetBSD, OpenBSD and BSD/OS; FreeBSD; macOS.
            10 | 24 | 28 | 30 => Family::Ipv6,
            _ => return Ok(None),
        };
        Ok(Some(self.bare(Some(family), data)))
    }

    fn ethernet(&self) -> Found<'a> {
        let header = Ethernet2HeaderSlice::from_slice(self.data).map_err(|_| self.short())?;
        let rest = self.data.get(header.slice().len()..).unwrap_or_default();
        let Some((family, data)) = behind_tags(header.ether_type(), rest)? else {
            return Ok(None);
        };
        Ok(Some(Payload {
            hardware_type: HardwareType::ETHERNET,
            hardware_address: address(&header.source()),
            may_be_padded: true,
            ..self.bare(Some(family), data)
        }))
    }

    fn ppp(&self) -> Found<'a> {
        let data = self.data.strip_prefix(&[0xff, 0x03]).unwrap_or(self.data);
        // A protocol below 256 may be one byte: an odd one, while the first of two is even.
        let (protocol, data) = match *data {
            [low, ref data @ ..] if low & 1 == 1 => (u16::from(low), data),
            [high, low, ref data @ ..] => (u16::from_be_bytes([high, low]), data),
            _ => return Err(self.short()),
        };
        let family = match protocol {
            0x0021 => Family::Ipv4,
            0x0057 => Family::Ipv6,
            _ => return Ok(None),
        };
        Ok(Some(Payload { may_be_padded: true, ..self.bare(Some(family), data) }))
    }

    fn cooked(&self) -> Found<'a> {
        let (header, rest) = self.data.split_first_chunk::<16>().ok_or_else(|| self.short())?;
        let &[_, _, h0, h1, _, len, ref address @ .., p0, p1] = header;
        self.cooked_fields([p0, p1], [h0, h1], valid_part(address, len), rest)
    }

    fn cooked_v2(&self) -> Found<'a> {
        let (header, rest) = self.data.split_first_chunk::<20>().ok_or_else(|| self.short())?;
        let &[p0, p1, _, _, _, _, _, _, h0, h1, _, len, ref address @ ..] = header;
        self.cooked_fields([p0, p1], [h0, h1], valid_part(address, len), rest)
    }

    /// The fields that both versions of Linux cooked have, in another order.
    ///
    /// By hand, since `etherparse` refuses all hardware types but five, and the loopback device is
    /// not among them.
    fn cooked_fields(
        &self,
        protocol: [u8; 2],
        hardware: [u8; 2],
        sender: &[u8],
        rest: &'a [u8],
    ) -> Found<'a> {
        let hardware = u16::from_be_bytes(hardware);
        // On these devices the protocol field is something else, or nothing.
        if [ArpHardwareId::NETLINK, ArpHardwareId::FRAD, ArpHardwareId::IEEE80211_RADIOTAP]
            .contains(&ArpHardwareId(hardware))
        {
            return Ok(None);
        }
        let Some((family, data)) = behind_tags(EtherType(u16::from_be_bytes(protocol)), rest)?
        else {
            return Ok(None);
        };
        Ok(Some(Payload {
            hardware_type: HardwareType(hardware),
            hardware_address: address(sender),
            may_be_padded: true,
            ..self.bare(Some(family), data)
        }))
    }

    /// NFLOG: a header of four bytes with the family, then attributes in the byte order of the
    /// file.
    fn nflog(&self) -> Found<'a> {
        const PAYLOAD: u16 = 9;
        let (&[family, ..], mut rest) =
            self.data.split_first_chunk::<4>().ok_or_else(|| self.short())?;
        let family = match family {
            2 => Family::Ipv4,
            10 => Family::Ipv6,
            _ => return Ok(None),
        };
        let is_cut = self.missing() > 0;
        while let (Some(len), Some(kind)) = (self.order.u16_at(rest, 0), self.order.u16_at(rest, 2))
        {
            let claimed = usize::from(len);
            if claimed < 4 || (claimed > rest.len() && !is_cut) {
                return Err(MalformedReason::NflogAttribute { claimed, room: rest.len() });
            }
            if kind == PAYLOAD {
                let end = claimed.min(rest.len());
                let data = rest.get(4..end).unwrap_or_default();
                let missing = claimed.saturating_sub(end);
                return Ok(Some(Payload { missing, ..self.bare(Some(family), data) }));
            }
            rest = rest.get(claimed.next_multiple_of(4)..).unwrap_or_default();
        }
        Err(MalformedReason::NflogWithoutPacket)
    }
}

/// The family of an Ethernet payload and the payload, behind all VLAN tags; `None` if it is no IP.
fn behind_tags(
    mut ether_type: EtherType,
    mut data: &[u8],
) -> Result<Option<(Family, &[u8])>, MalformedReason> {
    // Each turn takes four bytes.
    while [
        EtherType::VLAN_TAGGED_FRAME,
        EtherType::PROVIDER_BRIDGING,
        EtherType::VLAN_DOUBLE_TAGGED_FRAME,
    ]
    .contains(&ether_type)
    {
        let tag = SingleVlanHeaderSlice::from_slice(data)
            .map_err(|_| MalformedReason::VlanTag { len: data.len() })?;
        ether_type = tag.ether_type();
        data = data.get(tag.slice().len()..).unwrap_or_default();
    }
    Ok(ipq_proto::EtherType(ether_type.0).family().map(|family| (family, data)))
}

/// The valid part of an address field. Longer addresses exist (InfiniBand): of them, the field has
/// the start.
fn valid_part(field: &[u8; 8], len: u8) -> &[u8] {
    field.get(..usize::from(len)).unwrap_or(field)
}

fn address(bytes: &[u8]) -> HardwareAddress {
    HardwareAddress::new(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, with the payload in `{}`: `ipv4 type 772 02:01 {45}`.
    #[track_caller]
    fn check(link_type: LinkType, data: &[u8], expected: &str) {
        check_cut(link_type, data, data.len(), expected);
    }

    #[track_caller]
    fn check_cut(link_type: LinkType, data: &[u8], original_len: usize, expected: &str) {
        let (order, timestamp) = (Order::Little, Timestamp::EPOCH);
        let frame = Frame { link_type, order, timestamp, original_len, data };
        let found = match frame.payload() {
            Ok(None) => "no IP".to_owned(),
            Err(reason) => reason.to_string(),
            Ok(Some(payload)) => {
                let family = payload.family.map_or_else(|| "any".to_owned(), |it| it.to_string());
                let hardware = match payload.hardware_type {
                    HardwareType::NONE => String::new(),
                    hardware => format!(" {hardware} {}", payload.hardware_address),
                };
                let missing = match payload.missing {
                    0 => String::new(),
                    missing => format!(" and {missing} more"),
                };
                format!("{family}{hardware} {:x?}{missing}", payload.data)
            }
        };
        assert_eq!(found, expected, "{link_type} {data:x?}");
    }

    #[test]
    fn raw_goes_by_the_header() {
        for link_type in [LinkType::RAW, LinkType::RAW_12, LinkType::RAW_14] {
            check(link_type, &[0x45], "any [45]");
            check(link_type, &[], "any []");
        }
        check(LinkType::IPV4, &[0x60], "ipv4 [60]");
        check(LinkType::IPV6, &[0x45], "ipv6 [45]");
    }

    #[test]
    fn loopback_is_in_either_byte_order() {
        check(LinkType::NULL, &[2, 0, 0, 0, 9], "ipv4 [9]");
        check(LinkType::NULL, &[0, 0, 0, 2, 9], "ipv4 [9]");
        for family in [10, 24, 28, 30] {
            check(LinkType::NULL, &[family, 0, 0, 0, 9], "ipv6 [9]");
            check(LinkType::NULL, &[0, 0, 0, family, 9], "ipv6 [9]");
            check(LinkType::LOOP, &[0, 0, 0, family, 9], "ipv6 [9]");
            check(LinkType::LOOP, &[family, 0, 0, 0, 9], "no IP");
        }
        check(LinkType::NULL, &[7, 0, 0, 0, 9], "no IP");
        let short = "3 bytes are too few for the link-layer header (BSD loopback)";
        check(LinkType::NULL, &[0, 0, 2], short);
    }

    #[test]
    fn ethernet_has_any_number_of_tags() {
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 0xbb]);
        for (tag, outer) in [[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]].iter().cycle().zip(0..9) {
            let mut complete = frame.clone();
            complete.extend([0x08, 0x00, 0x45]);
            check(LinkType::ETHERNET, &complete, "ipv4 ethernet 02:00:00:00:00:bb [45]");
            let mut complete = frame.clone();
            complete.extend([0x08, 0x06, 0x00]);
            check(LinkType::ETHERNET, &complete, "no IP");
            frame.extend(tag);
            let cut = [frame.as_slice(), &[0, 7, 8]].concat();
            check(LinkType::ETHERNET, &cut, "3 bytes are too few for a VLAN tag");
            frame.extend([0, outer]);
        }
        let short = "13 bytes are too few for the link-layer header (Ethernet)";
        check(LinkType::ETHERNET, &[0; 13], short);
        // A length, of 802.3, and PPPoE.
        check(LinkType::ETHERNET, &[0; 14], "no IP");
        let pppoe =
            [[0; 12].as_slice(), &[0x88, 0x64, 0x11, 0, 0, 0, 0, 1, 0, 0x21, 0x45]].concat();
        check(LinkType::ETHERNET, &pppoe, "no IP");
    }

    #[test]
    fn cooked_has_the_senders_address() {
        let mut frame = [0, 0, 3, 4, 0, 6, 2, 0, 0, 0, 0, 1, 0xee, 0xee, 0x86, 0xdd, 0x60];
        check(LinkType::LINUX_SLL, &frame, "ipv6 loopback 02:00:00:00:00:01 [60]");
        frame[5] = 20;
        check(LinkType::LINUX_SLL, &frame, "ipv6 loopback 02:00:00:00:00:01:ee:ee [60]");
        frame[2..4].copy_from_slice(&824_u16.to_be_bytes());
        check(LinkType::LINUX_SLL, &frame, "no IP");
        let short = "15 bytes are too few for the link-layer header (Linux cooked)";
        check(LinkType::LINUX_SLL, &frame[..15], short);

        let frame = [8, 0, 0, 0, 0, 0, 0, 9, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x45];
        check(LinkType::LINUX_SLL2, &frame, "ipv4 type 512  [45]");
        let short = "19 bytes are too few for the link-layer header (Linux cooked v2)";
        check(LinkType::LINUX_SLL2, &frame[..19], short);
        let mut tagged = [0; 25];
        (tagged[0], tagged[9], tagged[22], tagged[24]) = (0x81, 1, 8, 0x45);
        check(LinkType::LINUX_SLL2, &tagged, "ipv4 ethernet  [45]");
    }

    #[test]
    fn ppp_may_be_compressed() {
        for link_type in [LinkType::PPP, LinkType::PPP_HDLC] {
            check(link_type, &[0xff, 3, 0, 0x21, 0x45], "ipv4 [45]");
            check(link_type, &[0xff, 3, 0x21, 0x45], "ipv4 [45]");
            check(link_type, &[0, 0x57, 0x60], "ipv6 [60]");
            check(link_type, &[0x57, 0x60], "ipv6 [60]");
            check(link_type, &[0xc0, 0x21, 1], "no IP");
            // The capture `ppp_ip_udp_dns.pcap`: a control byte that is not 3.
            check(link_type, &[0xff, 0x5f, 0x7e, 0x08, 0x00, 0x45], "no IP");
        }
        let short = "2 bytes are too few for the link-layer header (PPP)";
        check(LinkType::PPP, &[0xff, 3], short);
        let short = "1 bytes are too few for the link-layer header (PPP in HDLC)";
        check(LinkType::PPP_HDLC, &[0], short);
    }

    #[test]
    fn nflog_has_the_packet_in_an_attribute() {
        const NFLOG: LinkType = LinkType::NFLOG;
        check(NFLOG, &[2, 0, 0, 0, 5, 0, 10, 0, 0x65, 0, 0, 0, 5, 0, 9, 0, 0x45], "ipv4 [45]");
        check(NFLOG, &[10, 0, 0, 0, 4, 0, 9, 0], "ipv6 []");
        check(NFLOG, &[7, 0, 0, 0, 5, 0, 9, 0, 0x45], "no IP");
        check(NFLOG, &[2, 0, 0, 0], "NFLOG message has no packet in it");
        check(NFLOG, &[2, 0, 0, 0, 3, 0, 9, 0], "NFLOG attribute claims 3 bytes, 4 are there");
        check(NFLOG, &[2, 0, 0, 0, 6, 0, 9, 0, 1], "NFLOG attribute claims 6 bytes, 5 are there");
        check(NFLOG, &[2, 0, 0], "3 bytes are too few for the link-layer header (NFLOG)");
        check_cut(NFLOG, &[2, 0, 0, 0, 6, 0, 9, 0, 0x45], 10, "ipv4 [45] and 1 more");
        check_cut(NFLOG, &[2, 0, 0, 0, 9, 0, 1, 0], 40, "NFLOG message has no packet in it");
    }

    #[test]
    fn other_link_types_carry_no_ip() {
        check(LinkType(160), &[0x45; 40], "no IP");
        check(LinkType(u16::MAX), &[], "no IP");
    }
}
