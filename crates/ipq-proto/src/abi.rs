//! Word size and byte order: [`Abi`] at compile time, [`DataModel`] at run time.
//!
//! `ip_queue` messages hold C `long`, `unsigned long` and `size_t`, so a 32-bit kernel (ILP32) and a 64-bit one
//! (LP64) lay them out differently, and everything is in the kernel's own byte order. Each message is therefore
//! defined once, generic over an [`Abi`]. Code that learns the kernel's model only at run time, say from a
//! capture, makes the one step from value to type with [`DataModel::with`].

use core::fmt;
use core::hash::Hash;
use core::marker::PhantomData;

use zerocopy::byteorder::{BigEndian, I32, I64, LittleEndian, NativeEndian, U32, U64};
use zerocopy::{ByteOrder, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The C data model of a kernel: how wide its words are and in which order their bytes lie.
///
/// Sealed: [`Ilp32`] and [`Lp64`] are all there is. The structures have two kinds of hole, a single byte that
/// fills up to the next word and an `int` that does; [`AfterByte`](Abi::AfterByte) and
/// [`AfterInt`](Abi::AfterInt) are their sizes.
pub trait Abi: sealed::Sealed + Copy + fmt::Debug + Eq + Hash + 'static {
    /// Byte order of every field that is not in network order.
    type Order: ByteOrder;
    /// `unsigned long` and `size_t`.
    type UnsignedLong: Field + From<U32<Self::Order>> + TryFrom<u64> + Into<u64>;
    /// `long`.
    type Long: Field + TryFrom<i64> + Into<i64>;
    /// Padding between a `u8` and the next word: 3 or 7 bytes.
    type AfterByte: Field + Default;
    /// Padding between a `u32` and the next word: 0 or 4 bytes.
    type AfterInt: Field + Default;
}

/// What a field of a message on the wire must be: plain bytes of alignment 1.
///
/// Alignment 1 because netlink aligns to 4 bytes only, so that an LP64 message may start in the middle of a word.
pub trait Field:
    FromBytes
    + IntoBytes
    + KnownLayout
    + Immutable
    + Unaligned
    + Copy
    + fmt::Debug
    + Eq
    + Hash
    + 'static
{
}

impl<T> Field for T where
    T: FromBytes
        + IntoBytes
        + KnownLayout
        + Immutable
        + Unaligned
        + Copy
        + fmt::Debug
        + Eq
        + Hash
        + 'static
{
}

/// 32-bit kernels: `int`, `long` and pointers of 4 bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ilp32<O = NativeEndian>(PhantomData<O>);

/// 64-bit kernels: `int` of 4 bytes, `long` and pointers of 8.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Lp64<O = NativeEndian>(PhantomData<O>);

/// The model of the machine this code is compiled for.
#[cfg(target_pointer_width = "64")]
pub type Native = Lp64;
/// The model of the machine this code is compiled for.
#[cfg(not(target_pointer_width = "64"))]
pub type Native = Ilp32;

impl<O: ByteOrder + 'static> Abi for Ilp32<O> {
    type Order = O;
    type UnsignedLong = U32<O>;
    type Long = I32<O>;
    type AfterByte = [u8; 3];
    type AfterInt = [u8; 0];
}

impl<O: ByteOrder + 'static> Abi for Lp64<O> {
    type Order = O;
    type UnsignedLong = U64<O>;
    type Long = I64<O>;
    type AfterByte = [u8; 7];
    type AfterInt = [u8; 4];
}

/// A data model as a value: which of the four [`Abi`]s.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DataModel {
    /// 32-bit words, least significant byte first: i386, arm.
    Ilp32Little,
    /// 32-bit words, most significant byte first: powerpc, mips.
    Ilp32Big,
    /// 64-bit words, least significant byte first: `x86_64`, aarch64.
    Lp64Little,
    /// 64-bit words, most significant byte first: s390x, ppc64.
    Lp64Big,
}

/// Something to do with an [`Abi`] that is known only at run time, for [`DataModel::with`].
pub trait AbiVisitor {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<A: Abi>(self) -> Self::Output;
}

impl DataModel {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Ilp32Little, Self::Ilp32Big, Self::Lp64Little, Self::Lp64Big];

    /// The model of the machine this code is compiled for.
    pub const NATIVE: Self = match (cfg!(target_pointer_width = "64"), cfg!(target_endian = "big"))
    {
        (false, false) => Self::Ilp32Little,
        (false, true) => Self::Ilp32Big,
        (true, false) => Self::Lp64Little,
        (true, true) => Self::Lp64Big,
    };

    /// Bytes in a word: 4 or 8.
    pub const fn word_len(self) -> usize {
        match self {
            Self::Ilp32Little | Self::Ilp32Big => 4,
            Self::Lp64Little | Self::Lp64Big => 8,
        }
    }

    /// Whether the most significant byte comes first.
    pub const fn is_big_endian(self) -> bool {
        matches!(self, Self::Ilp32Big | Self::Lp64Big)
    }

    /// A number as a C `long` holds it: cut to 32 bits where words have 32.
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "what C does to a long of 32 bits"
    )]
    pub const fn cut_to_long(self, number: i64) -> i64 {
        match self.word_len() {
            4 => number as i32 as i64,
            _ => number,
        }
    }

    /// Calls `visitor` with the [`Abi`] that this model is.
    pub fn with<V: AbiVisitor>(self, visitor: V) -> V::Output {
        match self {
            Self::Ilp32Little => visitor.visit::<Ilp32<LittleEndian>>(),
            Self::Ilp32Big => visitor.visit::<Ilp32<BigEndian>>(),
            Self::Lp64Little => visitor.visit::<Lp64<LittleEndian>>(),
            Self::Lp64Big => visitor.visit::<Lp64<BigEndian>>(),
        }
    }
}

impl fmt::Display for DataModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ilp32Little => "ILP32 little-endian",
            Self::Ilp32Big => "ILP32 big-endian",
            Self::Lp64Little => "LP64 little-endian",
            Self::Lp64Big => "LP64 big-endian",
        })
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "what seals a trait must not be named")]
    pub trait Sealed {}
    impl<O> Sealed for super::Ilp32<O> {}
    impl<O> Sealed for super::Lp64<O> {}
}
