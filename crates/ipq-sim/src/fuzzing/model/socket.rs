//! The programs' sockets, and what waits in them.

use std::collections::VecDeque;

use ipq_sys::Protocol;

use super::wire::HEADER_LEN;

/// A netlink socket of a program.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a state of its own")]
pub(in crate::fuzzing) struct Socket {
    pub(super) protocol: Protocol,
    pub(super) port_id: u32,
    pub(super) is_privileged: bool,
    pub(super) receive_buffer: usize,
    /// Whether it wants to know of a full receive buffer.
    pub(super) reports_overruns: bool,
    /// Whether its program was killed.
    pub(super) is_dead: bool,
    waiting: VecDeque<Message>,
    has_overrun: bool,
}

/// A message of the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) enum Message {
    /// These bytes, of which the last so many are padding that may be anything.
    Exactly(Vec<u8>, usize),
    /// A packet by `nfnetlink_queue`, whose attributes may come in any order.
    Announcement(Announcement),
}

/// What `nfnetlink_queue` tells of a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) struct Announcement {
    /// The netlink header but for its length, and the header of netfilter.
    pub(super) head: Vec<u8>,
    /// Types and data, by type.
    pub(super) attributes: Vec<(u16, Vec<u8>)>,
    pub(super) len: usize,
}

impl Message {
    pub(in crate::fuzzing) fn len(&self) -> usize {
        match self {
            Self::Exactly(bytes, _) => bytes.len(),
            Self::Announcement(announcement) => announcement.len,
        }
    }
}

/// What a program hears when it asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) enum Heard {
    Message(Message),
    Overrun,
    Nothing,
    /// Its socket is of no use any more.
    Dead,
}

impl Socket {
    pub(super) fn new(protocol: Protocol, port_id: u32, is_privileged: bool) -> Self {
        Self {
            protocol,
            port_id,
            is_privileged,
            receive_buffer: 0,
            reports_overruns: true,
            is_dead: false,
            waiting: VecDeque::new(),
            has_overrun: false,
        }
    }

    /// Whether the receive buffer is not yet over its size: then it takes one more message, however long.
    pub(super) fn has_room(&self) -> bool {
        let used: usize = self.waiting.iter().map(|message| cost(message.len())).sum();
        used <= self.receive_buffer
    }

    /// Puts a message into the receive buffer; says whether there was room.
    pub(super) fn put(&mut self, message: Message) -> bool {
        let has_room = self.has_room();
        if has_room {
            self.waiting.push_back(message);
        } else {
            self.has_overrun = self.reports_overruns;
        }
        has_room
    }

    pub(super) fn take(&mut self) -> Heard {
        if self.is_dead {
            return Heard::Dead;
        }
        if core::mem::take(&mut self.has_overrun) {
            return Heard::Overrun;
        }
        self.waiting.pop_front().map_or(Heard::Nothing, Heard::Message)
    }

    pub(super) fn die(&mut self) {
        self.is_dead = true;
        self.waiting.clear();
    }
}

/// What a message costs in a receive buffer: chosen so that four of 112 bytes go into 2240, as was recorded, with the
/// last one going in while the buffer is not yet over its size.
fn cost(len: usize) -> usize {
    (len + 320).next_power_of_two() + 192
}

impl Announcement {
    /// The length of the netlink header's length.
    const LENGTH_LEN: usize = 4;

    /// A message of these attributes. The last one has no padding.
    pub(super) fn new(mut head: Vec<u8>, mut attributes: Vec<(u16, Vec<u8>)>) -> Self {
        let padded: usize =
            attributes.iter().map(|(_, data)| super::wire::aligned(4 + data.len())).sum();
        let padding = attributes.last().map_or(0, |(_, data)| data.len().wrapping_neg() % 4);
        let len = head.len() + padded - padding;
        head.drain(..Self::LENGTH_LEN);
        attributes.sort();
        Self { head, attributes, len }
    }

    /// The same, of bytes that came.
    pub(super) fn read(layout: super::wire::Layout, bytes: &[u8]) -> Self {
        let (head, rest) = bytes.split_at((HEADER_LEN + 4).min(bytes.len()));
        assert_eq!(usize::try_from(layout.u32(head)), Ok(bytes.len()), "the length of a message");
        let attributes = layout.attributes(rest).into_iter();
        let mut attributes: Vec<_> = attributes.map(|(kind, data)| (kind, data.to_vec())).collect();
        attributes.sort();
        Self { head: head[Self::LENGTH_LEN..].to_vec(), attributes, len: bytes.len() }
    }
}
