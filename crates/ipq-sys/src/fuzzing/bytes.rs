//! A string of bytes in a structured input: [`Bytes`].

use core::fmt;
use core::ops::Deref;

use arbitrary::{Arbitrary, Result, Unstructured};

/// Bytes behind their length, so that a seed can have a whole packet or message in it, one piece.
///
/// What `arbitrary` makes of a `Vec<u8>` has something between any two bytes. Of many, only the first and the number are
/// printed.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Bytes(pub Vec<u8>);

/// How many bytes are printed at most.
const PRINTED: usize = 16;

impl<'a> Arbitrary<'a> for Bytes {
    /// The length in two bytes, little-endian, then so many bytes, or as many as there are.
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let len = usize::from(input.arbitrary::<u16>()?);
        input.bytes(len.min(input.len())).map(|bytes| Self(bytes.to_vec()))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.split_at_checked(PRINTED) {
            Some((first, rest)) if !rest.is_empty() => {
                write!(f, "{first:02x?} and {} more", rest.len())
            }
            _ => write!(f, "{:02x?}", self.0),
        }
    }
}
