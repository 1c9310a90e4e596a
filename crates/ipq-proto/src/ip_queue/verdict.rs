//! `IPQM_VERDICT`.

use core::fmt;
use core::mem::offset_of;

use zerocopy::byteorder::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::abi::{Abi, Ilp32, Lp64, Native};
use crate::error::{DecodeError, EncodeError};
use crate::netfilter::Verdict;
use crate::netlink::Body;

/// `IPQM_VERDICT` on the wire; the replacement follows it.
///
/// | LP64 | ILP32 | field |
/// |---|---|---|
/// | 0 | 0 | u32, verdict |
/// | 8 | 4 | word, packet id |
/// | 16 | 8 | word, data length: 0, or bytes of replacement |
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
#[doc(alias = "ipq_verdict_msg_t")]
pub struct VerdictMsg<A: Abi = Native> {
    value: U32<A::Order>,
    _pad: A::AfterInt,
    id: A::UnsignedLong,
    data_len: A::UnsignedLong,
}

impl<A: Abi> VerdictMsg<A> {
    /// Decides on the packet `id`; `data_len` says how many bytes of replacement follow, 0 for none.
    ///
    /// # Errors
    ///
    /// If `id` or `data_len` does not fit the word: no kernel of this word size gave out such an id.
    pub fn new(id: u64, verdict: Verdict, data_len: u64) -> Result<Self, EncodeError> {
        let word = |field, value| {
            A::UnsignedLong::try_from(value)
                .map_err(|_| EncodeError::new::<A::UnsignedLong>(field, value))
        };
        Ok(Self {
            value: verdict.0.into(),
            _pad: A::AfterInt::default(),
            id: word("packet id", id)?,
            data_len: word("data length", data_len)?,
        })
    }
}

/// What an `IPQM_VERDICT` decides, free of word size.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct VerdictRequest<'a> {
    /// Which packet.
    pub id: u64,
    /// What becomes of it, as asked for.
    pub verdict: Verdict,
    /// The length of the replacement in bytes, as claimed.
    pub data_len: u64,
    /// The bytes that follow, whatever was claimed.
    pub data: &'a [u8],
}

impl<'a> VerdictRequest<'a> {
    /// The body of an `IPQM_VERDICT`.
    ///
    /// # Errors
    ///
    /// If it is shorter than 24 bytes, or 12 with 32-bit words.
    pub fn decode<A: Abi>(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (raw, data) = VerdictMsg::<A>::ref_from_prefix(body).map_err(|_| {
            DecodeError::too_short("verdict message", size_of::<VerdictMsg<A>>(), body.len())
        })?;
        Ok(Self {
            id: raw.id.into(),
            verdict: Verdict(raw.value.get()),
            data_len: raw.data_len.into(),
            data,
        })
    }

    /// The replacement as the kernel sees it: none unless the claimed length is that of what follows and not 0.
    pub fn replacement(&self) -> Option<&'a [u8]> {
        let claimed = usize::try_from(self.data_len).ok()?;
        (claimed != 0 && claimed == self.data.len()).then_some(self.data)
    }
}

impl fmt::Debug for VerdictRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerdictRequest")
            .field("id", &format_args!("{:#x}", self.id))
            .field("verdict", &self.verdict)
            .field("data_len", &self.data_len)
            .field("data_there", &self.data.len())
            .finish()
    }
}

/// `verdict accept id 0x… replacement 33 bytes`.
impl fmt::Display for VerdictRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, verdict, data_len, data } = self;
        match verdict.name() {
            Some(name) => write!(f, "verdict {name} id {id:#x}")?,
            None => write!(f, "{verdict} id {id:#x}")?,
        }
        match self.replacement() {
            Some(replacement) => write!(f, " replacement {} bytes", replacement.len()),
            None if *data_len == 0 && data.is_empty() => Ok(()),
            None => write!(f, " no replacement: claims {data_len} bytes, {} follow", data.len()),
        }
    }
}

impl<A: Abi> Body for VerdictMsg<A> {
    type Order = A::Order;
}

/// Every field has alignment 1, so nothing but this notices a forgotten pad.
#[expect(clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn is_laid_out_as_in_c<A: Abi>(word: usize) -> bool {
    offset_of!(VerdictMsg<A>, value) == 0
        && offset_of!(VerdictMsg<A>, id) == word
        && offset_of!(VerdictMsg<A>, data_len) == 2 * word
        && size_of::<VerdictMsg<A>>() == 3 * word
}

const _: () = assert!(is_laid_out_as_in_c::<Ilp32>(4) && is_laid_out_as_in_c::<Lp64>(8));
