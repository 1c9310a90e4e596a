//! The bytes of a capture, one record at a time: [`Source`].

use std::io::Read;

use super::error::CaptureErrorKind;

/// A stream and the record that is being read from it.
#[derive(Debug)]
pub(super) struct Source<R> {
    inner: R,
    /// Where in the stream the record starts.
    offset: u64,
    record: Vec<u8>,
}

impl<R: Read> Source<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, offset: 0, record: Vec::new() }
    }

    /// Starts the next record with its first `len` bytes, at least one; `false` if the stream ends
    /// before it.
    pub(super) fn begin(&mut self, len: usize) -> Result<bool, CaptureErrorKind> {
        self.offset = self.offset.saturating_add(to_u64(self.record.len()));
        self.record.clear();
        match self.fill(len) {
            Err(CaptureErrorKind::Truncated { found: 0, .. }) => Ok(false),
            filled => filled.map(|_| true),
        }
    }

    /// The record from its start on, read as far as `len` bytes.
    ///
    /// The length may be a lie: memory is taken as bytes arrive, not as they are promised.
    pub(super) fn fill(&mut self, len: usize) -> Result<&[u8], CaptureErrorKind> {
        let missing = to_u64(len.saturating_sub(self.record.len()));
        self.inner.by_ref().take(missing).read_to_end(&mut self.record)?;
        match self.record.len() {
            found if found < len => Err(CaptureErrorKind::Truncated { needed: len, found }),
            _ => Ok(&self.record),
        }
    }

    /// The record, as far as it was read.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// Where in the stream the record starts.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_memory_for_a_promise() {
        let mut source = Source::new([1, 2, 3].as_slice());
        assert!(source.begin(1).unwrap());
        assert!(source.fill(usize::MAX).is_err());
        assert!(source.record.capacity() < 1024);
    }

    #[test]
    fn knows_where_each_record_starts() {
        let mut source = Source::new([1, 2, 3, 4, 5].as_slice());
        assert!(source.begin(2).unwrap());
        assert_eq!(source.fill(3).unwrap(), [1, 2, 3]);
        assert!(source.begin(2).unwrap());
        assert_eq!((source.offset(), source.record()), (3, [4, 5].as_slice()));
        assert!(!source.begin(2).unwrap());
        assert_eq!(source.offset(), 5);
    }
}
