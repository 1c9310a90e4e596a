//! A datagram that is written into a buffer which may be too short for it: [`Cut`].

use ipq_sys::Received;

/// Takes a datagram in pieces and keeps what there is room for, as recvmsg(2) does.
#[derive(Debug)]
pub(crate) struct Cut<'b> {
    buffer: &'b mut [u8],
    /// The length of the datagram so far.
    len: usize,
}

impl<'b> Cut<'b> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Goes on with `bytes`.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let room = self.buffer.get_mut(self.len..).unwrap_or_default();
        let fitting = room.len().min(bytes.len());
        room[..fitting].copy_from_slice(&bytes[..fitting]);
        self.len += bytes.len();
    }

    /// Goes on with as many bytes that are not known, and lie beyond the buffer.
    pub(crate) fn skip(&mut self, len: usize) {
        self.len += len;
    }

    /// The length of the datagram so far, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What a receiver of the datagram sees.
    pub(crate) fn received(&self) -> Received {
        let (len, datagram_len) = (self.len.min(self.buffer.len()), self.len);
        if len == datagram_len {
            Received::Datagram { len }
        } else {
            Received::Truncated { len, datagram_len }
        }
    }
}
