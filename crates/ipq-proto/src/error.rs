//! What can be wrong with bytes and with numbers: [`DecodeError`] and [`EncodeError`].

use core::fmt;

/// Bytes that are not the message they were taken for.
///
/// `offset` counts bytes from the start of what was decoded: of the datagram for a netlink header, of the
/// message's body for what is in it. Printed, the error is one line without a full stop, fit for
/// "failed to …: ".
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DecodeError {
    /// What was being decoded, for example `netlink header`.
    pub what: &'static str,
    /// Where it was, or should have been.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with the bytes that a [`DecodeError`] names. Lengths are in bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// There are fewer bytes than the fixed part needs.
    TooShort {
        /// Bytes that are needed.
        need: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// A length field claims less than the header it is part of.
    ClaimsTooLittle {
        /// The length it claims.
        claimed: u64,
        /// The least that it can be.
        least: usize,
    },
    /// A length field claims more than there is.
    ClaimsTooMuch {
        /// The length it claims.
        claimed: u64,
        /// Bytes that are there.
        have: usize,
    },
}

impl DecodeError {
    pub(crate) const fn too_short(what: &'static str, need: usize, have: usize) -> Self {
        Self { what, offset: 0, problem: Problem::TooShort { need, have } }
    }

    /// The same error, `base` bytes further on.
    #[must_use]
    pub const fn at(self, base: usize) -> Self {
        Self { offset: self.offset.saturating_add(base), ..self }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, offset, problem } = self;
        write!(f, "{what} at byte {offset}: ")?;
        match problem {
            Problem::TooShort { need, have } => write!(f, "needs {need} bytes, {have} are there"),
            Problem::ClaimsTooLittle { claimed, least } => {
                write!(f, "claims a length of {claimed}, less than the least, {least}")
            }
            Problem::ClaimsTooMuch { claimed, have } => {
                write!(f, "claims a length of {claimed}, only {have} bytes are there")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// A number that the layout in use has no room for, or a buffer that has no room for a message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EncodeError {
    /// Which field.
    pub field: &'static str,
    /// The number.
    pub value: i128,
    /// The width of the field in bits; 0 where `value` is the length of a buffer that is too short.
    pub bits: u32,
}

impl EncodeError {
    /// `field` of type `F` cannot hold `value`.
    pub(crate) fn new<F>(field: &'static str, value: impl Into<i128>) -> Self {
        let bits = u32::try_from(size_of::<F>()).unwrap_or(u32::MAX).saturating_mul(8);
        Self { field, value: value.into(), bits }
    }

    /// There are only `len` bytes to encode into.
    pub(crate) fn buffer_too_short(len: usize) -> Self {
        let value = u64::try_from(len).unwrap_or(u64::MAX).into();
        Self { field: "buffer of length", value, bits: 0 }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, bits } = self;
        match bits {
            0 => write!(f, "{field} {value} is too short"),
            _ => write!(f, "{field} {value} does not fit {bits} bits"),
        }
    }
}

impl core::error::Error for EncodeError {}
