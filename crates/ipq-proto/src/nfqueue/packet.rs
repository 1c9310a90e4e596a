//! `NFQNL_MSG_PACKET`.

use core::fmt;

use zerocopy::byteorder::{NetworkEndian, U16, U32, U64};
use zerocopy::{ByteOrder, FromBytes, Immutable, IntoBytes, Unaligned};

use super::Generic;
use crate::error::{DecodeError, EncodeError};
use crate::family::{EtherType, Family};
use crate::hardware::HardwareAddress;
use crate::netfilter::Hook;
use crate::netlink::attribute::{
    self, Attribute, Attributes, DoesNotFit, FixedAttribute, HEADER_LEN, Writer, attributes,
    cut_attribute,
};
use crate::netlink::{self, Flags, Header, RawHeader};

/// The types of a packet's attributes (`NFQA_*`).
mod kind {
    pub(super) const PACKET_HDR: u16 = 1;
    pub(super) const MARK: u16 = 3;
    pub(super) const TIMESTAMP: u16 = 4;
    pub(super) const IFINDEX_INDEV: u16 = 5;
    pub(super) const IFINDEX_OUTDEV: u16 = 6;
    pub(super) const IFINDEX_PHYSINDEV: u16 = 7;
    pub(super) const IFINDEX_PHYSOUTDEV: u16 = 8;
    pub(super) const HWADDR: u16 = 9;
    pub(super) const PAYLOAD: u16 = 10;
    pub(super) const CT: u16 = 11;
    pub(super) const CT_INFO: u16 = 12;
    pub(super) const CAP_LEN: u16 = 13;
    pub(super) const SKB_INFO: u16 = 14;
    pub(super) const UID: u16 = 16;
    pub(super) const GID: u16 = 17;
    pub(super) const SECCTX: u16 = 18;
    pub(super) const VLAN: u16 = 19;
    pub(super) const L2HDR: u16 = 20;
    pub(super) const PRIORITY: u16 = 21;

    pub(super) const VLAN_PROTO: u16 = 1;
    pub(super) const VLAN_TCI: u16 = 2;
}

/// A queued packet: what an `NFQNL_MSG_PACKET` says. It borrows the message.
///
/// What a kernel left out is `None`; which attributes it sends depends on its age, the hook and the queue's flags.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Packet<'a> {
    /// The address family of the hook (`NFPROTO_*`): 2 for IPv4, 10 for IPv6, 7 for a bridge.
    pub family: u8,
    /// The number of the queue.
    pub queue: u16,
    /// Names the packet in a verdict. Counts from 1 in each queue, and wraps around.
    pub id: u32,
    /// Its protocol as the link layer has it.
    pub hw_protocol: EtherType,
    /// Where it was queued.
    pub hook: Hook,
    /// The netfilter mark, if it is not 0.
    #[doc(alias = "NFQA_MARK")]
    pub mark: Option<u32>,
    /// When it arrived.
    #[doc(alias = "NFQA_TIMESTAMP")]
    pub timestamp: Option<Timestamp>,
    /// The index of the device it came in by.
    #[doc(alias = "NFQA_IFINDEX_INDEV")]
    pub input_device: Option<u32>,
    /// The index of the device it is to leave by.
    #[doc(alias = "NFQA_IFINDEX_OUTDEV")]
    pub output_device: Option<u32>,
    /// The index of the bridge port it came in by.
    #[doc(alias = "NFQA_IFINDEX_PHYSINDEV")]
    pub physical_input_device: Option<u32>,
    /// The index of the bridge port it is to leave by.
    #[doc(alias = "NFQA_IFINDEX_PHYSOUTDEV")]
    pub physical_output_device: Option<u32>,
    /// The sender's link-layer address.
    #[doc(alias = "NFQA_HWADDR")]
    pub hw_address: Option<HardwareAddress>,
    /// How long the packet is, in bytes, if the payload is less than that.
    #[doc(alias = "NFQA_CAP_LEN")]
    pub packet_len: Option<u32>,
    /// The state of its checksums.
    #[doc(alias = "NFQA_SKB_INFO")]
    pub skb_info: Option<SkbInfo>,
    /// The user that the socket which sent it belongs to.
    #[doc(alias = "NFQA_UID")]
    pub uid: Option<u32>,
    /// The group that the socket which sent it belongs to.
    #[doc(alias = "NFQA_GID")]
    pub gid: Option<u32>,
    /// The security context of the socket that sent it.
    #[doc(alias = "NFQA_SECCTX")]
    pub security_context: Option<&'a [u8]>,
    /// What connection tracking knows of it: attributes of `nfnetlink_conntrack.h`, as they are.
    #[doc(alias = "NFQA_CT")]
    pub conntrack: Option<&'a [u8]>,
    /// The state of the connection (`enum ip_conntrack_info`).
    #[doc(alias = "NFQA_CT_INFO")]
    pub conntrack_info: Option<u32>,
    /// The VLAN tag that the hardware took off.
    #[doc(alias = "NFQA_VLAN")]
    pub vlan: Option<Vlan>,
    /// The link-layer header.
    #[doc(alias = "NFQA_L2HDR")]
    pub link_header: Option<&'a [u8]>,
    /// The packet's priority in queueing disciplines.
    #[doc(alias = "NFQA_PRIORITY")]
    pub priority: Option<u32>,
    /// The packet from its network header on, as far as the copy mode and range allow.
    #[doc(alias = "NFQA_PAYLOAD")]
    pub payload: Option<&'a [u8]>,
}

/// When a packet arrived.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[doc(alias = "nfqnl_msg_packet_timestamp")]
pub struct Timestamp {
    /// Seconds since the Unix epoch.
    pub seconds: u64,
    /// Microseconds after them; above 999,999 it is a lie.
    pub microseconds: u64,
}

/// The state of a packet's checksums (`NFQA_SKB_*`), any combination.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SkbInfo(pub u32);

impl SkbInfo {
    /// Checksums look wrong, and are still to be filled in.
    #[doc(alias = "NFQA_SKB_CSUMNOTREADY")]
    pub const CHECKSUM_NOT_READY: Self = Self(1);
    /// The packet is larger than the device can send, and will be cut up.
    #[doc(alias = "NFQA_SKB_GSO")]
    pub const GSO: Self = Self(2);
    /// Nobody has looked at the checksums yet.
    #[doc(alias = "NFQA_SKB_CSUM_NOTVERIFIED")]
    pub const CHECKSUM_NOT_VERIFIED: Self = Self(4);

    /// Whether all of `other`'s are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Vlan {
    /// Its protocol: 0x8100 or 0x88a8.
    #[doc(alias = "NFQA_VLAN_PROTO")]
    pub protocol: EtherType,
    /// Priority, drop bit and VLAN number, as in the tag.
    #[doc(alias = "NFQA_VLAN_TCI")]
    pub tci: u16,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct RawPacketHeader {
    id: U32<NetworkEndian>,
    hw_protocol: U16<NetworkEndian>,
    hook: u8,
}

/// A packet header with the byte that fills it up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct PaddedPacketHeader {
    header: RawPacketHeader,
    _pad: u8,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct RawHardwareAddress {
    len: U16<NetworkEndian>,
    _pad: [u8; 2],
    address: [u8; 8],
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct RawTimestamp {
    seconds: U64<NetworkEndian>,
    microseconds: U64<NetworkEndian>,
}

type Be32 = U32<NetworkEndian>;
type Be16 = U16<NetworkEndian>;

impl<'a> Packet<'a> {
    /// Which IP it is: as its hook says, else its link layer, else its first byte.
    pub fn ip_family(&self) -> Option<Family> {
        Family::of_hook(self.family).or_else(|| {
            let by_header = self.payload.and_then(Family::of_packet);
            self.hw_protocol.family().or(by_header)
        })
    }

    /// The body of an `NFQNL_MSG_PACKET`. Unknown attributes are skipped.
    ///
    /// # Errors
    ///
    /// If it is cut short, a length in it lies, or it has no packet header.
    pub fn decode<O: ByteOrder + 'a>(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (generic, rest) = Generic::split(body)?;
        let mut packet = Self::of_queue(*generic);
        match packet.take_all::<O>(rest) {
            Ok(true) => Ok(packet),
            Ok(false) => Err(missing_header(body)),
            Err(error) => Err(error.at(size_of::<Generic>())),
        }
    }

    /// The body of an `NFQNL_MSG_PACKET` of which only the beginning was received: what is there of it.
    ///
    /// Where the payload was cut, [`packet_len`](Self::packet_len) says how long it had been.
    ///
    /// # Errors
    ///
    /// If the packet header is not all there.
    pub fn decode_cut<O: ByteOrder + 'a>(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (generic, rest) = Generic::split(body)?;
        let mut packet = Self::of_queue(*generic);
        let mut named = false;
        let mut end = 0;
        for attribute in attributes::<O>(rest).map_while(Result::ok) {
            end = attribute.end();
            if packet.take::<O>(&attribute).is_ok() {
                named |= attribute.kind == kind::PACKET_HDR;
            }
        }
        let cut = rest.get(end..).and_then(cut_attribute::<O>);
        if let Some((Attribute { kind: kind::PAYLOAD, data, .. }, claimed)) = cut
            && packet.payload.is_none()
        {
            packet.payload = Some(data);
            packet.packet_len = packet.packet_len.or_else(|| u32::try_from(claimed).ok());
        }
        if named { Ok(packet) } else { Err(missing_header(body)) }
    }

    fn of_queue(generic: Generic) -> Self {
        Self { family: generic.family, queue: generic.queue(), ..Self::default() }
    }

    /// Takes over what all attributes say; says whether the packet header is among them.
    ///
    /// A function of its own, so that the packet stays where it is: it is a lot to be moved about in registers.
    #[inline(never)]
    fn take_all<O: ByteOrder + 'a>(&mut self, rest: &'a [u8]) -> Result<bool, DecodeError> {
        let mut named = false;
        for attribute in attributes::<O>(rest) {
            let attribute = attribute?;
            named |= attribute.kind == kind::PACKET_HDR;
            self.take::<O>(&attribute)?;
        }
        Ok(named)
    }

    /// Takes over what an attribute says.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a call costs as much as the number that it takes over"
    )]
    fn take<O: ByteOrder + 'a>(&mut self, attribute: &Attribute<'a>) -> Result<(), DecodeError> {
        let number = |what| attribute.value::<Be32>(what).map(|value| Some(value.get()));
        let data = Some(attribute.data);
        match attribute.kind {
            kind::PACKET_HDR => {
                let raw: RawPacketHeader = attribute.value("packet header")?;
                self.id = raw.id.get();
                self.hw_protocol = EtherType(raw.hw_protocol.get());
                self.hook = Hook(raw.hook.into());
            }
            kind::MARK => self.mark = number("mark")?,
            kind::TIMESTAMP => {
                let raw: RawTimestamp = attribute.value("timestamp")?;
                let (seconds, microseconds) = (raw.seconds.get(), raw.microseconds.get());
                self.timestamp = Some(Timestamp { seconds, microseconds });
            }
            kind::IFINDEX_INDEV => self.input_device = number("input device")?,
            kind::IFINDEX_OUTDEV => self.output_device = number("output device")?,
            kind::IFINDEX_PHYSINDEV => self.physical_input_device = number("input port")?,
            kind::IFINDEX_PHYSOUTDEV => self.physical_output_device = number("output port")?,
            kind::HWADDR => {
                let raw: RawHardwareAddress = attribute.value("hardware address")?;
                let len = u8::try_from(raw.len.get()).unwrap_or(u8::MAX);
                self.hw_address = Some(HardwareAddress::from_wire(len, raw.address));
            }
            kind::PAYLOAD => self.payload = data,
            kind::CT => self.conntrack = data,
            kind::CT_INFO => self.conntrack_info = number("connection state")?,
            kind::CAP_LEN => self.packet_len = number("packet length")?,
            kind::SKB_INFO => self.skb_info = number("checksum state")?.map(SkbInfo),
            kind::UID => self.uid = number("user id")?,
            kind::GID => self.gid = number("group id")?,
            kind::SECCTX => self.security_context = data,
            kind::VLAN => {
                let at = |error: DecodeError| error.at(attribute.data_offset());
                self.vlan = vlan(attribute.nested::<O>()).map_err(at)?;
            }
            kind::L2HDR => self.link_header = data,
            kind::PRIORITY => self.priority = number("priority")?,
            _ => (),
        }
        Ok(())
    }

    /// Writes the message a kernel sends of this packet into `buffer` and returns its length.
    ///
    /// As a real kernel's, its length is without the payload's padding, and its attributes are in the order of Linux
    /// 6.18: the payload comes last.
    ///
    /// # Errors
    ///
    /// If the buffer is too short, an attribute longer than 65,531 bytes, or the hook above 255.
    pub fn encode<O: ByteOrder>(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let hook = u8::try_from(self.hook.0).map_err(|_| DoesNotFit);
        let buffer_len = buffer.len();
        hook.and_then(|hook| self.write::<O>(hook, buffer)).map_err(|_| self.why_not(buffer_len))
    }

    /// Why this does not go into a buffer of `buffer_len` bytes.
    #[cold]
    fn why_not(&self, buffer_len: usize) -> EncodeError {
        let hook = self.hook.0;
        if u8::try_from(hook).is_err() {
            return EncodeError::new::<u8>("hook", hook);
        }
        let data = [self.link_header, self.security_context, self.conntrack, self.payload];
        for data in data.into_iter().flatten() {
            let len = u64::try_from(HEADER_LEN.saturating_add(data.len())).unwrap_or(u64::MAX);
            if u16::try_from(len).is_err() {
                return EncodeError::new::<u16>("attribute length", len);
            }
        }
        EncodeError::buffer_too_short(buffer_len)
    }

    fn write<O: ByteOrder>(&self, hook: u8, buffer: &mut [u8]) -> Result<usize, DoesNotFit> {
        let (head, rest) = buffer.split_at_mut_checked(netlink::HEADER_LEN).ok_or(DoesNotFit)?;
        let mut writer = Writer::<O>::new(rest);
        writer.bytes(Generic::new(self.family, self.queue).as_bytes())?;
        let (id, hw_protocol) = (self.id.into(), self.hw_protocol.0.into());
        let header = RawPacketHeader { id, hw_protocol, hook };
        let (len, padded) = (size_of_val(&header), PaddedPacketHeader { header, _pad: 0 });
        writer.fixed(&FixedAttribute::with_len(kind::PACKET_HDR, padded, len))?;
        self.write_attributes(&mut writer)?;
        if let Some(payload) = self.payload {
            let header = attribute::header::<O>(kind::PAYLOAD, payload.len());
            writer.bytes(&header.ok_or(DoesNotFit)?)?;
            writer.bytes(payload)?;
        }
        let len = writer.len().checked_add(netlink::HEADER_LEN).ok_or(DoesNotFit)?;
        let header = Header {
            len: u32::try_from(len).map_err(|_| DoesNotFit)?,
            ..Header::new(super::PACKET, Flags::NONE, 0, 0)
        };
        head.copy_from_slice(RawHeader::<O>::from(header).as_bytes());
        Ok(len)
    }

    /// Everything between the packet header and the payload, in the kernel's order.
    fn write_attributes<O: ByteOrder>(&self, to: &mut Writer<'_, O>) -> Result<(), DoesNotFit> {
        number(to, kind::IFINDEX_INDEV, self.input_device)?;
        number(to, kind::IFINDEX_PHYSINDEV, self.physical_input_device)?;
        number(to, kind::IFINDEX_OUTDEV, self.output_device)?;
        number(to, kind::IFINDEX_PHYSOUTDEV, self.physical_output_device)?;
        number(to, kind::MARK, self.mark)?;
        number(to, kind::PRIORITY, self.priority)?;
        if let Some(address) = self.hw_address {
            let (len, address) = (u16::from(address.claimed_len()).into(), address.field());
            let raw = RawHardwareAddress { len, _pad: [0; 2], address };
            to.fixed(&FixedAttribute::new(kind::HWADDR, raw))?;
        }
        if let Some(Vlan { protocol, tci }) = self.vlan {
            let (protocol, tci) = (Be16::new(protocol.0), Be16::new(tci));
            let inner = [(kind::VLAN_PROTO, protocol.as_bytes()), (kind::VLAN_TCI, tci.as_bytes())];
            to.nest(kind::VLAN, inner)?;
        }
        bytes(to, kind::L2HDR, self.link_header)?;
        if let Some(Timestamp { seconds, microseconds }) = self.timestamp {
            let raw = RawTimestamp { seconds: seconds.into(), microseconds: microseconds.into() };
            to.fixed(&FixedAttribute::new(kind::TIMESTAMP, raw))?;
        }
        number(to, kind::UID, self.uid)?;
        number(to, kind::GID, self.gid)?;
        bytes(to, kind::SECCTX, self.security_context)?;
        bytes(to, kind::CT, self.conntrack)?;
        number(to, kind::CT_INFO, self.conntrack_info)?;
        number(to, kind::CAP_LEN, self.packet_len)?;
        number(to, kind::SKB_INFO, self.skb_info.map(|info| info.0))
    }
}

#[cold]
fn missing_header(body: &[u8]) -> DecodeError {
    DecodeError::too_short("packet header", size_of::<RawPacketHeader>(), 0).at(body.len())
}

/// Writes a number, if it is there.
#[inline]
fn number<O: ByteOrder>(
    to: &mut Writer<'_, O>,
    kind: u16,
    number: Option<u32>,
) -> Result<(), DoesNotFit> {
    number.map_or(Ok(()), |number| to.fixed(&FixedAttribute::new(kind, Be32::new(number))))
}

/// Writes data, if they are there.
fn bytes<O: ByteOrder>(
    to: &mut Writer<'_, O>,
    kind: u16,
    data: Option<&[u8]>,
) -> Result<(), DoesNotFit> {
    data.map_or(Ok(()), |data| to.attribute(kind, data))
}

fn vlan<'a, O: ByteOrder + 'a>(inner: Attributes<'a, O>) -> Result<Option<Vlan>, DecodeError> {
    let (mut protocol, mut tci) = (None, None);
    for attribute in inner {
        let attribute = attribute?;
        match attribute.kind {
            kind::VLAN_PROTO => {
                let value: Be16 = attribute.value("VLAN protocol")?;
                protocol = Some(EtherType(value.get()));
            }
            kind::VLAN_TCI => tci = Some(attribute.value::<Be16>("VLAN tag")?.get()),
            _ => (),
        }
    }
    Ok(protocol.zip(tci).map(|(protocol, tci)| Vlan { protocol, tci }))
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({self})")
    }
}

/// `packet id 7 queue 0 LOCAL_OUT out #1 protocol 0x0800 33 bytes`: what is absent is left out.
impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packet id {} queue {} {}", self.id, self.queue, self.hook)?;
        if let Some(index) = self.input_device {
            write!(f, " in #{index}")?;
        }
        if let Some(index) = self.output_device {
            write!(f, " out #{index}")?;
        }
        if let Some(mark) = self.mark {
            write!(f, " mark {mark:#x}")?;
        }
        if let Some(Timestamp { seconds, microseconds }) = self.timestamp {
            write!(f, " at {seconds}.{microseconds:06}")?;
        }
        if let Some(address) = self.hw_address.filter(|address| !address.is_empty()) {
            write!(f, " from {address}")?;
        }
        write!(f, " protocol {}", self.hw_protocol)?;
        match (self.payload, self.packet_len) {
            (Some(payload), Some(len)) => write!(f, " {} of {len} bytes", payload.len()),
            (Some(payload), None) => write!(f, " {} bytes", payload.len()),
            (None, _) => f.write_str(" no payload"),
        }
    }
}

const _: () = {
    assert!(size_of::<RawPacketHeader>() == 7);
    assert!(size_of::<RawHardwareAddress>() == 12);
    assert!(size_of::<RawTimestamp>() == 16);
};
