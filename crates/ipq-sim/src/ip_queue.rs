//! The `ip_queue` module, one instance for each family: [`IpQueue`].
//!
//! It holds what waits for a verdict and knows who the peer is. What it decides to do with packets, the kernel
//! does ([`network`](crate::network)). Source of every rule: spec/ip_queue-kernel.md.

use ipq_proto::ip_queue::Listener;
use ipq_proto::{CopyMode, Family};
use ipq_sys::IpQueueStatus;

use crate::packet::{Packet, Position};
use waiting::{Slot, Waiting};

mod encode;
mod modules;
mod serve;
mod waiting;

pub(crate) use modules::IpQueues;

/// The maximum length of a queue unless the sysctl says otherwise.
#[doc(alias = "IPQ_QMAX_DEFAULT")]
pub(crate) const DEFAULT_MAX_LENGTH: u32 = 1024;

/// One instance of the module.
#[derive(Debug)]
pub(crate) struct IpQueue {
    family: Family,
    /// Who gets the packets, and how much of each.
    listener: Listener,
    max_length: u32,
    queue_dropped: u32,
    netlink_dropped: u32,
    waiting: Waiting,
}

/// Why a packet is not queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    CopyModeNone,
    NoPeer,
    Full,
}

impl IpQueue {
    /// The module as it is when it has just been loaded. Ids are drawn from `seed`.
    pub(crate) fn new(family: Family, seed: u64, word_len: usize) -> Self {
        Self {
            family,
            listener: Listener::default(),
            max_length: DEFAULT_MAX_LENGTH,
            queue_dropped: 0,
            netlink_dropped: 0,
            waiting: Waiting::new(seed, word_len),
        }
    }

    /// Makes a program the peer, unless another one is; says whether it is.
    pub(crate) fn claim(&mut self, port_id: u32) -> bool {
        *self.listener.peer.get_or_insert(port_id) == port_id
    }

    /// Who would get a packet now, and how much of it.
    ///
    /// A full queue is counted.
    pub(crate) fn admit(&mut self) -> Result<(u32, CopyMode), Refusal> {
        let Listener { peer, mode } = self.listener;
        let peer = peer.ok_or(Refusal::NoPeer)?;
        if mode == CopyMode::None {
            return Err(Refusal::CopyModeNone);
        }
        if self.waiting.len() >= u64::from(self.max_length) || self.waiting.is_out_of_ids() {
            self.queue_dropped = self.queue_dropped.wrapping_add(1);
            return Err(Refusal::Full);
        }
        Ok((peer, mode))
    }

    /// The id that the next packet to be queued will have.
    pub(crate) fn next_id(&self) -> u64 {
        self.waiting.next_id()
    }

    /// Lets `packet` wait for a verdict, under [`next_id`](Self::next_id).
    pub(crate) fn enqueue(&mut self, packet: Packet, position: Position) {
        self.waiting.insert(packet, position);
    }

    /// Takes the packet `id` out of the queue. Its id stays in use until its slot is [released](Self::release).
    pub(crate) fn take(&mut self, id: u64) -> Option<(Packet, Position, Slot)> {
        self.waiting.take(id)
    }

    /// Lets the id of a packet that was taken be used again.
    pub(crate) fn release(&mut self, slot: Slot) {
        self.waiting.release(slot);
    }

    /// Counts a message that its reader's buffer had no room for.
    pub(crate) fn count_lost_message(&mut self) {
        self.netlink_dropped = self.netlink_dropped.wrapping_add(1);
    }

    /// The peer's port id.
    pub(crate) fn peer(&self) -> Option<u32> {
        self.listener.peer
    }

    /// Takes out the packets that `condition` holds for, in the order they came.
    pub(crate) fn flush(&mut self, condition: impl Fn(&Packet) -> bool) -> Vec<Packet> {
        self.waiting.flush(condition)
    }

    /// The peer's socket has closed: there is no peer and no mode any more.
    pub(crate) fn reset(&mut self) {
        self.listener = Listener::default();
    }

    /// `net.ipv4.ip_queue_maxlen`.
    pub(crate) fn set_max_length(&mut self, max_length: u32) {
        self.max_length = max_length;
    }

    /// What `/proc/net/ip_queue` says.
    pub(crate) fn status(&self) -> IpQueueStatus {
        IpQueueStatus {
            family: self.family,
            peer_port_id: self.listener.peer.unwrap_or(0),
            copy_mode: self.listener.mode,
            queue_length: self.waiting.len(),
            queue_max_length: self.max_length,
            queue_dropped: self.queue_dropped,
            netlink_dropped: self.netlink_dropped,
        }
    }
}
