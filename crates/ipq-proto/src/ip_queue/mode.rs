//! `IPQM_MODE`.

use core::fmt;
use core::mem::offset_of;

use zerocopy::byteorder::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::abi::{Abi, Ilp32, Lp64, Native};
use crate::error::{DecodeError, EncodeError};
use crate::netfilter::CopyMode;
use crate::netlink::Body;

/// `IPQM_MODE` on the wire.
///
/// | LP64 | ILP32 | field |
/// |---|---|---|
/// | 0 | 0 | u8, copy mode |
/// | 8 | 4 | word, copy range in bytes |
/// | 16 | 8 | word, unused |
///
/// In C the mode shares a union with the verdict, and the kernel refuses a message shorter than the union. Hence
/// the unused word, which is sent as 0.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
#[doc(alias("ipq_mode_msg_t", "ipq_peer_msg_t"))]
pub struct ModeMsg<A: Abi = Native> {
    value: u8,
    _pad: A::AfterByte,
    range: A::UnsignedLong,
    _rest_of_union: A::UnsignedLong,
}

impl<A: Abi> ModeMsg<A> {
    /// Asks for `mode`.
    pub fn new(mode: CopyMode) -> Self {
        Self {
            value: mode.value(),
            range: U32::<A::Order>::new(mode.range()).into(),
            ..Self::new_zeroed()
        }
    }

    /// Asks for whatever the two numbers say, nonsense included.
    ///
    /// # Errors
    ///
    /// If `range` does not fit the word.
    pub fn from_raw(value: u8, range: u64) -> Result<Self, EncodeError> {
        let word = A::UnsignedLong::try_from(range)
            .map_err(|_| EncodeError::new::<A::UnsignedLong>("copy range", range))?;
        Ok(Self { value, range: word, ..Self::new_zeroed() })
    }
}

/// What an `IPQM_MODE` asks for, free of word size.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ModeRequest {
    /// The copy mode as a number; above 2 it is none.
    pub value: u8,
    /// The copy range in bytes, as asked for: the kernel cuts it.
    pub range: u64,
}

impl ModeRequest {
    /// The body of an `IPQM_MODE`.
    ///
    /// # Errors
    ///
    /// If it is shorter than the union of mode and verdict: 24 bytes, or 12 with 32-bit words.
    pub fn decode<A: Abi>(body: &[u8]) -> Result<Self, DecodeError> {
        let (raw, _) = ModeMsg::<A>::ref_from_prefix(body).map_err(|_| {
            DecodeError::too_short("mode message", size_of::<ModeMsg<A>>(), body.len())
        })?;
        Ok(Self { value: raw.value, range: raw.range.into() })
    }

    /// The mode that a kernel makes of it; `None` if there is no such mode.
    pub fn copy_mode(&self) -> Option<CopyMode> {
        CopyMode::from_wire(self.value, self.range)
    }
}

/// `mode packet range 2048`.
impl fmt::Display for ModeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, range } = self;
        match value {
            0 => write!(f, "mode none range {range}"),
            1 => write!(f, "mode metadata range {range}"),
            2 => write!(f, "mode packet range {range}"),
            _ => write!(f, "mode {value} range {range}"),
        }
    }
}

impl<A: Abi> Body for ModeMsg<A> {
    type Order = A::Order;
}

/// Every field has alignment 1, so nothing but this notices a forgotten pad.
#[expect(clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn is_laid_out_as_in_c<A: Abi>(word: usize) -> bool {
    size_of::<A::UnsignedLong>() == word
        && offset_of!(ModeMsg<A>, value) == 0
        && offset_of!(ModeMsg<A>, range) == word
        && size_of::<ModeMsg<A>>() == 3 * word
}

const _: () = assert!(is_laid_out_as_in_c::<Ilp32>(4) && is_laid_out_as_in_c::<Lp64>(8));
