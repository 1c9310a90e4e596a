//! `NFQNL_MSG_VERDICT` and `NFQNL_MSG_VERDICT_BATCH`.

use core::fmt;

use zerocopy::byteorder::{NetworkEndian, U32};
use zerocopy::{ByteOrder, FromBytes, Immutable, IntoBytes, Unaligned};

use super::Generic;
use crate::error::{DecodeError, EncodeError};
use crate::netfilter::Verdict;
use crate::netlink::Body;
use crate::netlink::attribute::{self, FixedAttribute, attributes};

const VERDICT_HDR: u16 = 2;
const MARK: u16 = 3;
const PAYLOAD: u16 = 10;
const PRIORITY: u16 = 21;

/// A verdict on the wire, for one packet or for a batch; a mark and a replacement may follow it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
#[doc(alias("nfqnl_msg_verdict_hdr", "NFQA_VERDICT_HDR"))]
pub struct VerdictMsg<O: ByteOrder> {
    generic: Generic,
    attribute: FixedAttribute<O, RawVerdict>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct RawVerdict {
    verdict: U32<NetworkEndian>,
    id: U32<NetworkEndian>,
}

impl<O: ByteOrder> VerdictMsg<O> {
    /// Decides on the packet `id` of `queue`; in a batch, on all packets that are not later than it.
    pub const fn new(queue: u16, id: u32, verdict: Verdict) -> Self {
        let data = RawVerdict { verdict: U32::new(verdict.0), id: U32::new(id) };
        Self { generic: Generic::new(0, queue), attribute: FixedAttribute::new(VERDICT_HDR, data) }
    }
}

impl<O: ByteOrder + 'static> Body for VerdictMsg<O> {
    type Order = O;
}

/// A netfilter mark that a verdict gives its packet, on the wire, to follow the [`VerdictMsg`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
#[doc(alias = "NFQA_MARK")]
pub struct MarkAttribute<O: ByteOrder>(FixedAttribute<O, U32<NetworkEndian>>);

impl<O: ByteOrder> MarkAttribute<O> {
    /// The mark.
    pub const fn new(mark: u32) -> Self {
        Self(FixedAttribute::new(MARK, U32::new(mark)))
    }
}

/// The four bytes that come before a replacement of `len` bytes. Its padding may be left out at the end of a
/// message.
///
/// # Errors
///
/// If it is longer than 65,531 bytes.
#[doc(alias = "NFQA_PAYLOAD")]
pub fn payload_attribute_header<O: ByteOrder>(len: usize) -> Result<[u8; 4], EncodeError> {
    attribute::header::<O>(PAYLOAD, len).ok_or_else(|| {
        EncodeError::new::<u16>("length of the replacement", i128::try_from(len).unwrap_or(-1))
    })
}

/// What a verdict decides.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct VerdictRequest<'a> {
    /// The number of the queue.
    pub queue: u16,
    /// Which packet; in a batch, the last of those that are meant.
    pub id: u32,
    /// What becomes of it, as asked for.
    pub verdict: Verdict,
    /// The netfilter mark it gets.
    pub mark: Option<u32>,
    /// The priority it gets in queueing disciplines.
    #[doc(alias = "NFQA_PRIORITY")]
    pub priority: Option<u32>,
    /// The packet that takes its place.
    pub replacement: Option<&'a [u8]>,
}

impl<'a> VerdictRequest<'a> {
    /// The body of a verdict; `None` if it has no verdict in it. Unknown attributes are skipped.
    ///
    /// # Errors
    ///
    /// If it is cut short, or a length in it lies.
    pub fn decode<O: ByteOrder + 'a>(body: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let (generic, rest) = Generic::split(body)?;
        let (mut decided, mut mark, mut priority, mut replacement) = (None, None, None, None);
        for attribute in attributes::<O>(rest) {
            let at = |error: DecodeError| error.at(size_of::<Generic>());
            let attribute = attribute.map_err(at)?;
            let number = |what| attribute.value::<U32<NetworkEndian>>(what).map_err(at);
            match attribute.kind {
                VERDICT_HDR => {
                    let raw: RawVerdict = attribute.value("verdict").map_err(at)?;
                    decided = Some((raw.id.get(), Verdict(raw.verdict.get())));
                }
                MARK => mark = Some(number("mark")?.get()),
                PRIORITY => priority = Some(number("priority")?.get()),
                PAYLOAD => replacement = Some(attribute.data),
                _ => (),
            }
        }
        let queue = generic.queue();
        Ok(decided.map(|(id, verdict)| Self { queue, id, verdict, mark, priority, replacement }))
    }
}

impl fmt::Debug for VerdictRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerdictRequest({self})")
    }
}

/// `verdict accept queue 0 id 7 mark 0x1 replacement 33 bytes`.
impl fmt::Display for VerdictRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict.name() {
            Some(name) => write!(f, "verdict {name}")?,
            None => write!(f, "{}", self.verdict)?,
        }
        write!(f, " queue {} id {}", self.queue, self.id)?;
        if let Some(mark) = self.mark {
            write!(f, " mark {mark:#x}")?;
        }
        if let Some(priority) = self.priority {
            write!(f, " priority {priority}")?;
        }
        match self.replacement {
            Some(replacement) => write!(f, " replacement {} bytes", replacement.len()),
            None => Ok(()),
        }
    }
}

const _: () = {
    type Any = zerocopy::LittleEndian;
    assert!(size_of::<VerdictMsg<Any>>() == 16);
    assert!(size_of::<MarkAttribute<Any>>() == 8);
};
