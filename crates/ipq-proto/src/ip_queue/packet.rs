//! `IPQM_PACKET`.

use core::fmt;
use core::mem::offset_of;

use zerocopy::byteorder::{NetworkEndian, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::abi::{Abi, Ilp32, Lp64, Native};
use crate::error::{DecodeError, EncodeError, Problem};
use crate::family::EtherType;
use crate::hardware::{HardwareAddress, HardwareType};
use crate::netfilter::{DeviceName, Hook};
use crate::netlink::Body;

/// `IPQM_PACKET` on the wire; the payload follows it.
///
/// | LP64 | ILP32 | field |
/// |---|---|---|
/// | 0 | 0 | word, packet id |
/// | 8 | 4 | word, mark |
/// | 16 | 8 | signed word, arrival time, seconds |
/// | 24 | 12 | signed word, arrival time, microseconds |
/// | 32 | 16 | u32, hook |
/// | 36 | 20 | 16 bytes, input device name |
/// | 52 | 36 | 16 bytes, output device name |
/// | 68 | 52 | u16 in network order, protocol |
/// | 70 | 54 | u16, hardware type |
/// | 72 | 56 | u8, hardware address length |
/// | 73 | 57 | 8 bytes, hardware address |
/// | 88 | 68 | word, data length: bytes of payload |
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
#[doc(alias = "ipq_packet_msg_t")]
pub struct PacketMsg<A: Abi = Native> {
    id: A::UnsignedLong,
    mark: A::UnsignedLong,
    timestamp_seconds: A::Long,
    timestamp_microseconds: A::Long,
    hook: U32<A::Order>,
    input_device: [u8; DeviceName::LEN],
    output_device: [u8; DeviceName::LEN],
    hw_protocol: U16<NetworkEndian>,
    hw_type: U16<A::Order>,
    hw_addrlen: u8,
    hw_addr: [u8; 8],
    _pad: A::AfterByte,
    data_len: A::UnsignedLong,
}

impl<A: Abi> PacketMsg<A> {
    /// What a kernel says of `packet`; the payload, of the same length, is to follow.
    ///
    /// # Errors
    ///
    /// If a number of `packet` does not fit the word.
    pub fn new(packet: &Packet<'_>) -> Result<Self, EncodeError> {
        Self::with_payload_len(packet, packet.payload.len())
    }

    /// The same of a packet with a payload of `payload_len` bytes, of which not all need be there.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_payload_len(packet: &Packet<'_>, payload_len: usize) -> Result<Self, EncodeError> {
        let word = |field, value| {
            A::UnsignedLong::try_from(value)
                .map_err(|_| EncodeError::new::<A::UnsignedLong>(field, value))
        };
        let signed = |field, value| {
            A::Long::try_from(value).map_err(|_| EncodeError::new::<A::Long>(field, value))
        };
        let data_len = u64::try_from(payload_len).unwrap_or(u64::MAX);
        Ok(Self {
            id: word("packet id", packet.id)?,
            mark: word("mark", packet.mark)?,
            timestamp_seconds: signed("seconds", packet.timestamp.seconds)?,
            timestamp_microseconds: signed("microseconds", packet.timestamp.microseconds)?,
            hook: packet.hook.0.into(),
            input_device: packet.input_device.field(),
            output_device: packet.output_device.field(),
            hw_protocol: packet.hw_protocol.0.into(),
            hw_type: packet.hw_type.0.into(),
            hw_addrlen: packet.hw_address.claimed_len(),
            hw_addr: packet.hw_address.field(),
            _pad: A::AfterByte::default(),
            data_len: word("data length", data_len)?,
        })
    }

    /// What this says of a packet with this payload.
    fn describe<'a>(&self, payload: &'a [u8]) -> Packet<'a> {
        Packet {
            id: self.id.into(),
            mark: self.mark.into(),
            timestamp: Timestamp {
                seconds: self.timestamp_seconds.into(),
                microseconds: self.timestamp_microseconds.into(),
            },
            hook: Hook(self.hook.get()),
            input_device: DeviceName::from_wire(self.input_device),
            output_device: DeviceName::from_wire(self.output_device),
            hw_protocol: EtherType(self.hw_protocol.get()),
            hw_type: HardwareType(self.hw_type.get()),
            hw_address: HardwareAddress::from_wire(self.hw_addrlen, self.hw_addr),
            payload,
        }
    }
}

/// When a packet arrived. All zero if the kernel did not say, as for a packet made on this host.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
    /// Microseconds after them; outside 0 to 999,999 it is a lie.
    pub microseconds: i64,
}

impl Timestamp {
    /// No time given.
    pub const NONE: Self = Self { seconds: 0, microseconds: 0 };

    /// Whether the kernel gave no time.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// `1795429884.481597`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.seconds, self.microseconds)
    }
}

/// A queued packet, free of word size: what an `IPQM_PACKET` says. It borrows the payload.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Packet<'a> {
    /// Names the packet in a verdict. An address in the kernel: opaque, all bits used, used again at once.
    pub id: u64,
    /// The netfilter mark.
    pub mark: u64,
    /// When it arrived.
    pub timestamp: Timestamp,
    /// Where it was queued.
    pub hook: Hook,
    /// The device it came in by, empty when none.
    pub input_device: DeviceName,
    /// The device it is to leave by, empty when none.
    pub output_device: DeviceName,
    /// Its protocol; [`EtherType::NONE`] for a packet made on this host, at `LOCAL_OUT`.
    pub hw_protocol: EtherType,
    /// The type of the input device's link layer.
    pub hw_type: HardwareType,
    /// The sender's link-layer address.
    pub hw_address: HardwareAddress,
    /// The packet from its IP header on, as far as the copy mode and range allow.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The body of an `IPQM_PACKET`. Bytes after the payload are padding and not looked at.
    ///
    /// # Errors
    ///
    /// If the fixed part (96 bytes, or 72 with 32-bit words) is not all there, or the data length claims more
    /// payload than there is.
    pub fn decode<A: Abi>(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (raw, rest) = split::<A>(body)?;
        let claimed = raw.data_len.into();
        let payload = usize::try_from(claimed).ok().and_then(|len| rest.get(..len));
        let payload = payload.ok_or(DecodeError {
            what: "data length of the packet message",
            offset: offset_of!(PacketMsg<A>, data_len),
            problem: Problem::ClaimsTooMuch { claimed, have: rest.len() },
        })?;
        Ok(raw.describe(payload))
    }

    /// The body of an `IPQM_PACKET` of which only the beginning was received: the payload is what is there of it.
    ///
    /// # Errors
    ///
    /// If the fixed part is not all there.
    pub fn decode_cut<A: Abi>(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (raw, rest) = split::<A>(body)?;
        let whole = usize::try_from(raw.data_len.into()).ok().and_then(|len| rest.get(..len));
        Ok(raw.describe(whole.unwrap_or(rest)))
    }
}

/// The fixed part of a packet message, and what follows it.
fn split<A: Abi>(body: &[u8]) -> Result<(&PacketMsg<A>, &[u8]), DecodeError> {
    PacketMsg::<A>::ref_from_prefix(body).map_err(|_| {
        DecodeError::too_short("packet message", size_of::<PacketMsg<A>>(), body.len())
    })
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({self})")
    }
}

/// `packet id 0x… LOCAL_OUT out lo protocol 0x0800 33 bytes`: what is absent is left out.
impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packet id {:#x} {}", self.id, self.hook)?;
        if !self.input_device.is_empty() {
            write!(f, " in {}", self.input_device)?;
        }
        if !self.output_device.is_empty() {
            write!(f, " out {}", self.output_device)?;
        }
        if self.mark != 0 {
            write!(f, " mark {:#x}", self.mark)?;
        }
        if !self.timestamp.is_none() {
            write!(f, " at {}", self.timestamp)?;
        }
        if !self.hw_address.is_empty() {
            write!(f, " from {} ({})", self.hw_address, self.hw_type)?;
        }
        write!(f, " protocol {} {} bytes", self.hw_protocol, self.payload.len())
    }
}

impl<A: Abi> Body for PacketMsg<A> {
    type Order = A::Order;
}

/// Every field has alignment 1, so nothing but this notices a forgotten pad.
#[expect(clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn is_laid_out_as_in_c<A: Abi>(word: usize) -> bool {
    offset_of!(PacketMsg<A>, id) == 0
        && offset_of!(PacketMsg<A>, mark) == word
        && offset_of!(PacketMsg<A>, timestamp_seconds) == 2 * word
        && offset_of!(PacketMsg<A>, timestamp_microseconds) == 3 * word
        && offset_of!(PacketMsg<A>, hook) == 4 * word
        && offset_of!(PacketMsg<A>, input_device) == 4 * word + 4
        && offset_of!(PacketMsg<A>, output_device) == 4 * word + 20
        && offset_of!(PacketMsg<A>, hw_protocol) == 4 * word + 36
        && offset_of!(PacketMsg<A>, hw_type) == 4 * word + 38
        && offset_of!(PacketMsg<A>, hw_addrlen) == 4 * word + 40
        && offset_of!(PacketMsg<A>, hw_addr) == 4 * word + 41
        && offset_of!(PacketMsg<A>, data_len) == 5 * word + 48
        && size_of::<PacketMsg<A>>() == 6 * word + 48
}

const _: () = assert!(is_laid_out_as_in_c::<Ilp32>(4) && is_laid_out_as_in_c::<Lp64>(8));
