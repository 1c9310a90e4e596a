//! Byte order: a capture is in that of the machine which wrote it.

/// The byte order of a file, or of a section of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The two bytes at `offset` as a number; `None` if they are not there.
    pub(super) fn u16_at(self, bytes: &[u8], offset: usize) -> Option<u16> {
        let number = *bytes.get(offset..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(number),
            Self::Big => u16::from_be_bytes(number),
        })
    }

    /// The four bytes at `offset` as a number; `None` if they are not there.
    pub(super) fn u32_at(self, bytes: &[u8], offset: usize) -> Option<u32> {
        Some(self.u32(*bytes.get(offset..)?.first_chunk()?))
    }

    /// The first `N` numbers of four bytes each; `None` if there are fewer.
    pub(super) fn u32s<const N: usize>(self, bytes: &[u8]) -> Option<[u32; N]> {
        let (words, _) = bytes.as_chunks();
        words.first_chunk().map(|words| words.map(|word| self.u32(word)))
    }

    /// Eight bytes as a number with a sign.
    pub(super) fn i64(self, number: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(number),
            Self::Big => i64::from_be_bytes(number),
        }
    }

    fn u32(self, number: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(number),
            Self::Big => u32::from_be_bytes(number),
        }
    }
}

/// A length of the file's in the unit of memory. One that does not fit is longer than anything
/// there can be.
pub(super) fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
