//! `nfnetlink_queue`: the queues of one kernel, by number.
//!
//! It holds what waits for a verdict and knows which program has which queue. What it decides to do with packets,
//! the kernel does ([`network`](crate::network)). The rules are those of Linux 6.18, next to which it is tested: told
//! the same, both answer the same, byte for byte. Where they differ this one is wrong, but for these rules:
//!
//! - It is the only subsystem of netfilter here. Messages to any other one are answered `EOPNOTSUPP`, whatever a real
//!   kernel may have.
//! - Connections are tracked only if the kernel is built so, and then by whoever makes the packets. The real kernel beside
//!   it has no connection tracking.
//! - No packet is longer than its device sends: there are none for the hardware to cut up (GSO).
//! - What a message costs in a receive buffer depends on a kernel's build ([`netlink`](crate::netlink)).
//! - Which of several queues gets the packets between two addresses is drawn from the seed; a real kernel draws it too.

use core::cmp::Reverse;
use std::collections::BTreeMap;

use ipq_proto::nfqueue::{MAX_PAYLOAD, QueueFlags};
use ipq_proto::{CopyMode, Errno};
use ipq_sys::NfqueueStatus;

use crate::netlink::SocketKey;
use crate::packet::Packet;
use waiting::Waiting;

mod announce;
mod receive;
mod requests;
mod waiting;

/// The maximum length of a queue unless its program says otherwise.
#[doc(alias = "NFQNL_QMAX_DEFAULT")]
const DEFAULT_MAX_LENGTH: u32 = 1024;

/// The options that there are.
const ALL_FLAGS: QueueFlags = QueueFlags::FAIL_OPEN
    .union(QueueFlags::CONNTRACK)
    .union(QueueFlags::GSO)
    .union(QueueFlags::UID_GID)
    .union(QueueFlags::SECURITY_CONTEXT);

/// How many lists the kernel keeps its queues in, by their number.
const LISTS: u16 = 16;

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Nfqueues {
    queues: BTreeMap<u16, Nfqueue>,
    /// How often one was bound.
    bound: u64,
}

/// A queue that a program has.
#[derive(Debug)]
pub(crate) struct Nfqueue {
    owner: Owner,
    /// Which one it was of all that were bound.
    birth: u64,
    mode: CopyMode,
    /// The range that applies where the mode is packet, in bytes.
    range: u32,
    max_length: u32,
    flags: QueueFlags,
    queue_dropped: u32,
    user_dropped: u32,
    waiting: Waiting,
}

/// The socket that has a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    pub(crate) socket: SocketKey,
    pub(crate) port_id: u32,
}

/// Why a packet is not queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    CopyModeNone,
    Full,
}

impl Nfqueues {
    pub(crate) fn get(&mut self, number: u16) -> Option<&mut Nfqueue> {
        self.queues.get_mut(&number)
    }

    /// The queue `number`, for a request by `owner`; `None` if no program has it.
    fn of(&mut self, owner: Owner, number: u16) -> Result<Option<&mut Nfqueue>, Errno> {
        match self.queues.get_mut(&number) {
            Some(queue) if queue.owner.port_id != owner.port_id => Err(Errno::EPERM),
            queue => Ok(queue),
        }
    }

    /// Gives the queue `number` to `owner`.
    pub(crate) fn bind(&mut self, owner: Owner, number: u16) -> Result<(), Errno> {
        if self.of(owner, number)?.is_some() {
            return Err(Errno::EBUSY);
        }
        self.bound += 1;
        self.queues.insert(number, Nfqueue::new(owner, self.bound));
        Ok(())
    }

    fn unbind(&mut self, number: u16) -> Option<Nfqueue> {
        self.queues.remove(&number)
    }

    /// Takes out the queues of a socket that has closed.
    pub(crate) fn unbind_all(&mut self, port_id: u32) -> Vec<Nfqueue> {
        self.queues
            .extract_if(.., |_, queue| queue.owner.port_id == port_id)
            .map(|(_, queue)| queue)
            .collect()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Nfqueue> {
        self.queues.values_mut()
    }

    /// How many packets wait in all queues.
    pub(crate) fn len(&self) -> u64 {
        self.queues.values().map(|queue| queue.waiting.len()).sum()
    }

    /// What `/proc/net/netfilter/nfnetlink_queue` says, a queue a line, in the order of its lists: those that were bound
    /// last come first.
    pub(crate) fn status(&self) -> Vec<NfqueueStatus> {
        let mut queues: Vec<_> = self.queues.iter().collect();
        queues.sort_by_key(|&(number, queue)| {
            let [high, low] = number.to_be_bytes();
            (u16::from(high ^ low) % LISTS, Reverse(queue.birth))
        });
        queues.into_iter().map(|(&number, queue)| queue.status(number)).collect()
    }
}

impl Nfqueue {
    fn new(owner: Owner, birth: u64) -> Self {
        Self {
            owner,
            birth,
            mode: CopyMode::None,
            range: MAX_PAYLOAD,
            max_length: DEFAULT_MAX_LENGTH,
            flags: QueueFlags::default(),
            queue_dropped: 0,
            user_dropped: 0,
            waiting: Waiting::default(),
        }
    }

    /// Whether a packet may be queued now. A full queue is counted, unless it lets packets pass.
    pub(crate) fn admit(&mut self) -> Result<CopyMode, Refusal> {
        if self.mode == CopyMode::None {
            return Err(Refusal::CopyModeNone);
        }
        if self.waiting.len() >= u64::from(self.max_length) {
            if !self.fails_open() {
                self.queue_dropped = self.queue_dropped.wrapping_add(1);
            }
            return Err(Refusal::Full);
        }
        Ok(self.mode)
    }

    /// Whether packets pass that the queue cannot take.
    pub(crate) fn fails_open(&self) -> bool {
        self.flags.contains(QueueFlags::FAIL_OPEN)
    }

    /// Sets the copy mode. A number that stands for none changes nothing, as in the real kernel.
    fn set_mode(&mut self, mode: u8, range: u32) {
        let range = match range {
            0 => MAX_PAYLOAD,
            range => range.min(MAX_PAYLOAD),
        };
        (self.mode, self.range) = match mode {
            0 => (CopyMode::None, 0),
            1 => (CopyMode::Metadata, 0),
            2 => (CopyMode::Packet { range }, range),
            _ => return,
        };
    }

    /// Sets how many packets may wait.
    pub(crate) fn set_max_length(&mut self, packets: u32) {
        self.max_length = packets;
    }

    fn set_flags(&mut self, flags: QueueFlags, mask: QueueFlags) {
        self.flags = QueueFlags(self.flags.0 & !mask.0 | flags.0 & mask.0);
    }

    /// Takes out the packets that `condition` holds for, in the order they came.
    pub(crate) fn flush(&mut self, condition: impl Fn(&Packet) -> bool) -> Vec<Packet> {
        self.waiting.flush(condition)
    }

    /// Counts on from `id`, as if so many packets had been queued.
    pub(crate) fn set_last_id(&mut self, id: u32) {
        self.waiting.set_last_id(id);
    }

    fn status(&self, number: u16) -> NfqueueStatus {
        NfqueueStatus {
            queue: number,
            port_id: self.owner.port_id,
            queue_length: self.waiting.len(),
            copy_mode: self.mode.value(),
            copy_range: self.range,
            queue_dropped: self.queue_dropped,
            user_dropped: self.user_dropped,
            last_id: self.waiting.last_id(),
        }
    }
}
