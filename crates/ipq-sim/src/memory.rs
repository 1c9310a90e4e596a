//! Memory of packets and messages that have ended, for those to come: [`Memory`].

use ipq_proto::Family;

use crate::packet::{Packet, Parts, Spent};

/// How much is kept of each kind, in bytes: enough for bursts of a hundred thousand short packets.
const MOST: usize = 64 << 20;

/// What is kept so that a kernel that has warmed up allocates nothing for a packet.
///
/// Packets and messages have memory of their own: a packet that waits would take a message's, which is longer, and the next
/// message another one.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    packets: Vec<Spent>,
    /// For the bytes of packets.
    pub(crate) bytes: Buffers,
    /// For messages to programs.
    pub(crate) messages: Buffers,
}

impl Memory {
    /// A packet that has just entered. Its bytes are its own.
    pub(crate) fn packet(&mut self, number: u64, family: Family, data: Vec<u8>) -> Packet {
        Packet::new(self.packets.pop(), number, family, data)
    }

    /// Keeps the memory of a packet that has ended, and of its bytes if it still has them.
    pub(crate) fn keep(&mut self, packet: Packet) {
        let (spent, data) = packet.end();
        self.bytes.give(data);
        if self.packets.len() < MOST / size_of::<Parts>() {
            self.packets.push(spent);
        }
    }
}

/// Empty vectors with room in them.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Vec<Vec<u8>>,
    bytes: usize,
}

impl Buffers {
    /// An empty vector.
    #[inline]
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

    /// Keeps the memory of `buffer`, if it has any.
    #[inline]
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let bytes = self.bytes + buffer.capacity();
        if buffer.capacity() > 0 && bytes <= MOST {
            buffer.clear();
            self.bytes = bytes;
            self.free.push(buffer);
        }
    }
}
