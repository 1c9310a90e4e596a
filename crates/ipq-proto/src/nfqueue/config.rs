//! `NFQNL_MSG_CONFIG`.

use core::fmt;

use zerocopy::byteorder::{NetworkEndian, U16, U32};
use zerocopy::{ByteOrder, FromBytes, Immutable, IntoBytes, Unaligned};

use super::Generic;
use crate::error::DecodeError;
use crate::netfilter::CopyMode;
use crate::netlink::Body;
use crate::netlink::attribute::{Attribute, FixedAttribute, attributes};

const CFG_CMD: u16 = 1;
const CFG_PARAMS: u16 = 2;
const CFG_QUEUE_MAXLEN: u16 = 3;
const CFG_MASK: u16 = 4;
const CFG_FLAGS: u16 = 5;

/// A command to a queue (`NFQNL_CFG_CMD_*`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Command(pub u8);

impl Command {
    /// Claims the queue for this socket.
    #[doc(alias = "NFQNL_CFG_CMD_BIND")]
    pub const BIND: Self = Self(1);
    /// Gives the queue up; what it holds is dropped.
    #[doc(alias = "NFQNL_CFG_CMD_UNBIND")]
    pub const UNBIND: Self = Self(2);
    /// Makes `nfnetlink_queue` the handler of an address family. Needed before Linux 3.8, without effect since.
    #[doc(alias = "NFQNL_CFG_CMD_PF_BIND")]
    pub const PF_BIND: Self = Self(3);
    /// Undoes it.
    #[doc(alias = "NFQNL_CFG_CMD_PF_UNBIND")]
    pub const PF_UNBIND: Self = Self(4);
}

/// Options of a queue (`NFQA_CFG_F_*`), any combination.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct QueueFlags(pub u32);

impl QueueFlags {
    /// A full queue lets packets pass instead of dropping them.
    #[doc(alias = "NFQA_CFG_F_FAIL_OPEN")]
    pub const FAIL_OPEN: Self = Self(1);
    /// Packets come with what connection tracking knows of them.
    #[doc(alias = "NFQA_CFG_F_CONNTRACK")]
    pub const CONNTRACK: Self = Self(2);
    /// Packets come as large as the stack has them, their checksums perhaps unfinished.
    #[doc(alias = "NFQA_CFG_F_GSO")]
    pub const GSO: Self = Self(4);
    /// Packets come with the user and group of the socket that sent them.
    #[doc(alias = "NFQA_CFG_F_UID_GID")]
    pub const UID_GID: Self = Self(8);
    /// Packets come with the security context of the socket that sent them.
    #[doc(alias = "NFQA_CFG_F_SECCTX")]
    pub const SECURITY_CONTEXT: Self = Self(16);

    /// Whether all of `other`'s are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A command, on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
#[doc(alias("nfqnl_msg_config_cmd", "NFQA_CFG_CMD"))]
pub struct CommandMsg<O: ByteOrder> {
    generic: Generic,
    attribute: FixedAttribute<O, RawCommand>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct RawCommand {
    command: u8,
    _pad: u8,
    family: U16<NetworkEndian>,
}

impl<O: ByteOrder> CommandMsg<O> {
    /// A command to `queue`; `family` (`AF_INET` 2, `AF_INET6` 10) counts for `PF_BIND` and `PF_UNBIND` only.
    pub const fn new(queue: u16, command: Command, family: u16) -> Self {
        let data = RawCommand { command: command.0, _pad: 0, family: U16::new(family) };
        Self { generic: Generic::new(0, queue), attribute: FixedAttribute::new(CFG_CMD, data) }
    }
}

/// The copy mode of a queue, on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
#[doc(alias("nfqnl_msg_config_params", "NFQA_CFG_PARAMS"))]
pub struct ParamsMsg<O: ByteOrder> {
    generic: Generic,
    attribute: FixedAttribute<O, RawParams>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct RawParams {
    range: U32<NetworkEndian>,
    mode: u8,
    _pad: [u8; 3],
}

impl<O: ByteOrder> ParamsMsg<O> {
    /// How much of each packet of `queue` is wanted.
    pub const fn new(queue: u16, mode: CopyMode) -> Self {
        let data = RawParams { range: U32::new(mode.range()), mode: mode.value(), _pad: [0; 3] };
        let packed_len = 5;
        Self {
            generic: Generic::new(0, queue),
            attribute: FixedAttribute::with_len(CFG_PARAMS, data, packed_len),
        }
    }
}

/// The maximum length of a queue, on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
#[doc(alias = "NFQA_CFG_QUEUE_MAXLEN")]
pub struct MaxLengthMsg<O: ByteOrder> {
    generic: Generic,
    attribute: FixedAttribute<O, U32<NetworkEndian>>,
}

impl<O: ByteOrder> MaxLengthMsg<O> {
    /// How many packets may wait in `queue`.
    pub const fn new(queue: u16, packets: u32) -> Self {
        let attribute = FixedAttribute::new(CFG_QUEUE_MAXLEN, U32::new(packets));
        Self { generic: Generic::new(0, queue), attribute }
    }
}

/// Options of a queue, on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
#[doc(alias("NFQA_CFG_FLAGS", "NFQA_CFG_MASK"))]
pub struct FlagsMsg<O: ByteOrder> {
    generic: Generic,
    flags: FixedAttribute<O, U32<NetworkEndian>>,
    mask: FixedAttribute<O, U32<NetworkEndian>>,
}

impl<O: ByteOrder> FlagsMsg<O> {
    /// Sets the options of `queue` that `mask` names as `flags` has them.
    pub const fn new(queue: u16, flags: QueueFlags, mask: QueueFlags) -> Self {
        Self {
            generic: Generic::new(0, queue),
            flags: FixedAttribute::new(CFG_FLAGS, U32::new(flags.0)),
            mask: FixedAttribute::new(CFG_MASK, U32::new(mask.0)),
        }
    }
}

impl<O: ByteOrder + 'static> Body for CommandMsg<O> {
    type Order = O;
}
impl<O: ByteOrder + 'static> Body for ParamsMsg<O> {
    type Order = O;
}
impl<O: ByteOrder + 'static> Body for MaxLengthMsg<O> {
    type Order = O;
}
impl<O: ByteOrder + 'static> Body for FlagsMsg<O> {
    type Order = O;
}

/// What an `NFQNL_MSG_CONFIG` asks for: one thing or several.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ConfigRequest {
    /// The number of the queue.
    pub queue: u16,
    /// A command and, for `PF_BIND` and `PF_UNBIND`, the address family.
    pub command: Option<(Command, u16)>,
    /// The copy mode as a number, above 2 it is none; and the range in bytes.
    pub params: Option<(u8, u32)>,
    /// How many packets may wait.
    pub max_length: Option<u32>,
    /// Options.
    pub flags: Option<QueueFlags>,
    /// Which options are meant.
    pub mask: Option<QueueFlags>,
}

impl ConfigRequest {
    /// The body of an `NFQNL_MSG_CONFIG`. Unknown attributes are skipped.
    ///
    /// # Errors
    ///
    /// If it is cut short, or a length in it lies.
    pub fn decode<O: ByteOrder>(body: &[u8]) -> Result<Self, DecodeError> {
        let (generic, rest) = Generic::split(body)?;
        let mut request = Self { queue: generic.queue(), ..Self::default() };
        match request.take_all::<O>(rest) {
            Ok(()) => Ok(request),
            Err(error) => Err(error.at(size_of::<Generic>())),
        }
    }

    /// Takes over what all attributes say.
    ///
    /// A function of its own, and its error another one's, so that the request stays where it is: it is a lot to be moved
    /// about in registers.
    #[inline(never)]
    fn take_all<O: ByteOrder>(&mut self, rest: &[u8]) -> Result<(), DecodeError> {
        for attribute in attributes::<O>(rest) {
            let attribute = attribute?;
            if self.take(&attribute).is_none() {
                let Attribute { kind, data, .. } = attribute;
                return Err(too_short(kind, data.len(), attribute.data_offset()));
            }
        }
        Ok(())
    }

    /// Takes over what an attribute says; `None` if it is too short.
    #[inline]
    fn take(&mut self, attribute: &Attribute<'_>) -> Option<()> {
        let number = || attribute.read::<U32<NetworkEndian>>().map(U32::get);
        match attribute.kind {
            CFG_CMD => {
                let raw: RawCommand = attribute.read()?;
                self.command = Some((Command(raw.command), raw.family.get()));
            }
            CFG_PARAMS => {
                let raw: PackedParams = attribute.read()?;
                self.params = Some((raw.mode, raw.range.get()));
            }
            CFG_QUEUE_MAXLEN => self.max_length = Some(number()?),
            CFG_FLAGS => self.flags = Some(QueueFlags(number()?)),
            CFG_MASK => self.mask = Some(QueueFlags(number()?)),
            _ => (),
        }
        Some(())
    }
}

/// The error of an attribute that has so many bytes of data, too few, from `offset` on.
#[cold]
#[inline(never)]
fn too_short(kind: u16, have: usize, offset: usize) -> DecodeError {
    let (what, need) = match kind {
        CFG_CMD => ("queue command", size_of::<RawCommand>()),
        CFG_PARAMS => ("copy mode", size_of::<PackedParams>()),
        CFG_QUEUE_MAXLEN => ("maximum length", size_of::<u32>()),
        CFG_FLAGS => ("queue flags", size_of::<u32>()),
        _ => ("mask of queue flags", size_of::<u32>()),
    };
    DecodeError::too_short(what, need, have).at(offset)
}

/// [`RawParams`] without the padding, which a sender may leave out.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct PackedParams {
    range: U32<NetworkEndian>,
    mode: u8,
}

/// `config queue 0 bind maxlen 1024`: what is absent is left out.
impl fmt::Display for ConfigRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "config queue {}", self.queue)?;
        if let Some((command, family)) = self.command {
            match command {
                Command::BIND => f.write_str(" bind")?,
                Command::UNBIND => f.write_str(" unbind")?,
                Command::PF_BIND => write!(f, " bind family {family}")?,
                Command::PF_UNBIND => write!(f, " unbind family {family}")?,
                Command(other) => write!(f, " command {other}")?,
            }
        }
        if let Some((mode, range)) = self.params {
            write!(f, " copy mode {mode} range {range}")?;
        }
        if let Some(max_length) = self.max_length {
            write!(f, " maxlen {max_length}")?;
        }
        if let Some(flags) = self.flags {
            write!(f, " flags {:#x}", flags.0)?;
        }
        if let Some(mask) = self.mask {
            write!(f, " mask {:#x}", mask.0)?;
        }
        Ok(())
    }
}

const _: () = {
    type Any = zerocopy::LittleEndian;
    assert!(size_of::<CommandMsg<Any>>() == 12);
    assert!(size_of::<ParamsMsg<Any>>() == 16);
    assert!(size_of::<MaxLengthMsg<Any>>() == 12);
    assert!(size_of::<FlagsMsg<Any>>() == 20);
    assert!(size_of::<PackedParams>() == 5);
};
