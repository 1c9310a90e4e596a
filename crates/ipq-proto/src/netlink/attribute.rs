//! Netlink attributes: type, length, value.
//!
//! Lengths and types are in the byte order of the kernel, like the header; what netfilter puts into them is in
//! network order.

use core::fmt;
use core::marker::PhantomData;

use zerocopy::byteorder::U16;
use zerocopy::{ByteOrder, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::padding;
use crate::error::{DecodeError, Problem};

/// Bytes in the header of an attribute.
#[doc(alias = "NLA_HDRLEN")]
pub const HEADER_LEN: usize = 4;

/// The bits of the type that are flags: nested, and in network order.
#[doc(alias("NLA_F_NESTED", "NLA_F_NET_BYTEORDER"))]
const FLAGS: u16 = 0xc000;

/// Marks an attribute whose data are attributes.
const NESTED: u16 = 0x8000;

/// The header of an attribute on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
#[doc(alias = "nlattr")]
pub(crate) struct RawAttribute<O: ByteOrder> {
    len: U16<O>,
    kind: U16<O>,
}

/// An attribute of a fixed size on the wire. `T` is a multiple of 4 bytes: what pads the data to that is part of
/// it, and [`with_len`](Self::with_len) says how much of it counts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
pub(crate) struct FixedAttribute<O: ByteOrder, T> {
    header: RawAttribute<O>,
    data: T,
}

/// The four bytes before the data of an attribute; `None` if its length field has no room for so many.
pub fn header<O: ByteOrder>(kind: u16, data_len: usize) -> Option<[u8; HEADER_LEN]> {
    let mut bytes = [0; HEADER_LEN];
    bytes.copy_from_slice(RawAttribute::<O>::new(kind, data_len)?.as_bytes());
    Some(bytes)
}

impl<O: ByteOrder> RawAttribute<O> {
    /// The header of an attribute with `data_len` bytes of data, which must be few enough.
    pub(crate) fn new(kind: u16, data_len: usize) -> Option<Self> {
        let len = u16::try_from(data_len.checked_add(HEADER_LEN)?).ok()?;
        Some(Self { len: len.into(), kind: kind.into() })
    }

    /// The type, without the flag bits.
    fn kind(self) -> u16 {
        self.kind.get() & !FLAGS
    }
}

impl<O: ByteOrder, T: Copy> FixedAttribute<O, T> {
    /// An attribute all of whose data count.
    pub(crate) const fn new(kind: u16, data: T) -> Self {
        Self::with_len(kind, data, size_of::<T>())
    }

    /// An attribute of which only the first `len` bytes of data count.
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a few bytes")]
    pub(crate) const fn with_len(kind: u16, data: T, len: usize) -> Self {
        const { assert!(size_of::<T>().is_multiple_of(super::ALIGNMENT) && size_of::<T>() < 64) };
        let len = U16::new(HEADER_LEN.saturating_add(len) as u16);
        Self { header: RawAttribute { len, kind: U16::new(kind) }, data }
    }
}

/// One attribute of a message.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Attribute<'a> {
    /// Its type, without the flag bits.
    pub kind: u16,
    /// Its data, without padding.
    pub data: &'a [u8],
    /// Where its header starts in the bytes that were decoded.
    pub offset: usize,
}

impl fmt::Debug for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attribute({} at {}, {} bytes)", self.kind, self.offset, self.data.len())
    }
}

/// The attributes in `bytes`, lengths and types in the byte order `O`.
///
/// The iterator ends after the first error. The last attribute may lack its padding; fewer than four bytes after
/// it are padding.
pub fn attributes<O: ByteOrder>(bytes: &[u8]) -> Attributes<'_, O> {
    Attributes { rest: bytes, whole_len: bytes.len(), order: PhantomData }
}

/// What is there of an attribute at the start of `bytes` that goes on past their end, and how many bytes of data
/// it claims.
pub fn cut_attribute<'a, O: ByteOrder + 'a>(bytes: &'a [u8]) -> Option<(Attribute<'a>, usize)> {
    let (raw, data) = RawAttribute::<O>::ref_from_prefix(bytes).ok()?;
    let claimed = usize::from(raw.len.get()).checked_sub(HEADER_LEN)?;
    let attribute = Attribute { kind: raw.kind(), data, offset: 0 };
    (claimed > data.len()).then_some((attribute, claimed))
}

/// Iterator over attributes, made by [`attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a, O> {
    rest: &'a [u8],
    /// How many bytes there were in the beginning.
    whole_len: usize,
    order: PhantomData<O>,
}

impl<'a, O: ByteOrder + 'a> Iterator for Attributes<'a, O> {
    type Item = Result<Attribute<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest;
        let (raw, after) = RawAttribute::<O>::ref_from_prefix(bytes).ok()?;
        let offset = self.whole_len.saturating_sub(bytes.len());
        let claimed = usize::from(raw.len.get());
        let data = claimed.checked_sub(HEADER_LEN).and_then(|len| after.get(..len));
        let Some(data) = data else {
            self.rest = &[];
            return Some(Err(lies(claimed, bytes.len(), offset)));
        };
        // Within the bytes, so that nothing is left to check: the last padding may be missing.
        self.rest = bytes.get(aligned(claimed).min(bytes.len())..).unwrap_or(&[]);
        Some(Ok(Attribute { kind: raw.kind(), data, offset }))
    }
}

/// A length with its padding.
const fn aligned(len: usize) -> usize {
    const MASK: usize = super::ALIGNMENT.wrapping_sub(1);
    len.wrapping_add(MASK) & !MASK
}

/// What is wrong with a length that is no attribute's.
#[cold]
fn lies(claimed: usize, have: usize, offset: usize) -> DecodeError {
    let claimed_number = u64::try_from(claimed).unwrap_or(u64::MAX);
    let problem = if claimed > have {
        Problem::ClaimsTooMuch { claimed: claimed_number, have }
    } else {
        Problem::ClaimsTooLittle { claimed: claimed_number, least: HEADER_LEN }
    };
    DecodeError { what: "netlink attribute", offset, problem }
}

impl<'a, O: ByteOrder + 'a> core::iter::FusedIterator for Attributes<'a, O> {}

impl<'a> Attribute<'a> {
    /// The data as a value of a fixed size; longer data are cut, as the kernel may add to them.
    #[inline]
    pub(crate) fn value<T: FromBytes>(&self, what: &'static str) -> Result<T, DecodeError> {
        self.read().ok_or_else(|| self.error(what, size_of::<T>()))
    }

    /// The same; `None` if they are shorter.
    #[inline]
    pub(crate) fn read<T: FromBytes>(&self) -> Option<T> {
        T::read_from_prefix(self.data).ok().map(|(value, _)| value)
    }

    #[cold]
    fn error(&self, what: &'static str, need: usize) -> DecodeError {
        DecodeError::too_short(what, need, self.data.len()).at(self.data_offset())
    }

    /// Where the next attribute starts in the bytes that were decoded: behind the padding.
    pub const fn end(&self) -> usize {
        let len = self.data.len();
        self.data_offset().saturating_add(len.next_multiple_of(super::ALIGNMENT))
    }

    /// Where its data start in the bytes that were decoded.
    pub(crate) const fn data_offset(&self) -> usize {
        self.offset.saturating_add(HEADER_LEN)
    }

    /// The attributes inside this one; errors count from [`data_offset`](Self::data_offset).
    pub(crate) fn nested<O: ByteOrder>(&self) -> Attributes<'a, O> {
        attributes(self.data)
    }
}

/// Writes attributes one after the other into a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'b, O> {
    /// Where the next byte goes.
    rest: &'b mut [u8],
    whole_len: usize,
    order: PhantomData<O>,
}

/// The buffer is full, or an attribute is too long for its length field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DoesNotFit;

impl<'b, O: ByteOrder> Writer<'b, O> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        Self { whole_len: buffer.len(), rest: buffer, order: PhantomData }
    }

    /// Bytes written.
    pub(crate) const fn len(&self) -> usize {
        self.whole_len.saturating_sub(self.rest.len())
    }

    /// Appends bytes as they are.
    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit> {
        let rest = core::mem::take(&mut self.rest);
        let (place, rest) = rest.split_at_mut_checked(bytes.len()).ok_or(DoesNotFit)?;
        place.copy_from_slice(bytes);
        self.rest = rest;
        Ok(())
    }

    /// Appends an attribute of a fixed size: in one piece, since that is what most of them are.
    #[inline]
    pub(crate) fn fixed<T>(&mut self, attribute: &FixedAttribute<O, T>) -> Result<(), DoesNotFit>
    where
        T: Copy + IntoBytes + Immutable + Unaligned,
    {
        self.bytes(attribute.as_bytes())
    }

    /// Appends an attribute, with its padding.
    pub(crate) fn attribute(&mut self, kind: u16, data: &[u8]) -> Result<(), DoesNotFit> {
        let header = RawAttribute::<O>::new(kind, data.len()).ok_or(DoesNotFit)?;
        self.bytes(header.as_bytes())?;
        self.bytes(data)?;
        self.bytes(padding(data.len()))
    }

    /// Appends an attribute whose data are two others.
    pub(crate) fn nest(&mut self, kind: u16, inner: [(u16, &[u8]); 2]) -> Result<(), DoesNotFit> {
        let lens = inner.iter().map(|(_, data)| {
            data.len().saturating_add(padding(data.len()).len()).saturating_add(HEADER_LEN)
        });
        let header = RawAttribute::<O>::new(kind | NESTED, lens.fold(0, usize::saturating_add));
        self.bytes(header.ok_or(DoesNotFit)?.as_bytes())?;
        inner.iter().try_for_each(|(kind, data)| self.attribute(*kind, data))
    }
}
