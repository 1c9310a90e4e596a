//! Memory of packets and messages that have ended, for those to come: [`Buffers`].

/// How much is kept, in bytes: enough for bursts of a hundred thousand short packets.
const MOST: usize = 64 << 20;

/// Empty vectors with room in them, so that a kernel that has warmed up allocates nothing for a packet.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Vec<Vec<u8>>,
    bytes: usize,
}

impl Buffers {
    /// An empty vector.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.free.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// A copy of `data`.
    pub(crate) fn copy(&mut self, data: &[u8]) -> Vec<u8> {
        let mut buffer = self.take();
        buffer.extend_from_slice(data);
        buffer
    }

    /// Keeps the memory of `buffer`.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let bytes = self.bytes + buffer.capacity();
        if bytes <= MOST {
            buffer.clear();
            self.bytes = bytes;
            self.free.push(buffer);
        }
    }
}
