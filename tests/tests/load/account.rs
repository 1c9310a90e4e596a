//! Datagrams with numbers, and what became of each: [`Arrivals`] and [`Account`].

use core::fmt;

use ipq::{NfqueueStatus, Snapshot, Verdict};

/// What datagrams count that are not part of a flood: when one has arrived, so has all that was sent before it.
pub(crate) const MARKERS: u64 = 1 << 63;

/// What a program decides on the datagram with this number.
pub(crate) fn verdict(number: u64) -> Verdict {
    if number < MARKERS && number % 4 == 3 { Verdict::Drop } else { Verdict::Accept }
}

/// The number of a datagram: the end of its packet.
pub(crate) fn number(packet: &[u8]) -> u64 {
    u64::from_be_bytes(*packet.last_chunk().unwrap())
}

/// Which datagrams have arrived.
#[derive(Debug)]
pub(crate) struct Arrivals {
    /// A bit for each. Written to once before, so that it takes no memory later.
    seen: Vec<u64>,
    /// How many came.
    pub(crate) delivered: u64,
    /// How many came again.
    pub(crate) twice: u64,
    /// How many were to be dropped.
    pub(crate) unwanted: u64,
}

impl Arrivals {
    /// For so many at most.
    pub(crate) fn of(most: u64) -> Self {
        let seen = vec![u64::MAX; usize::try_from(most.div_ceil(64)).unwrap()];
        Self { seen, delivered: 0, twice: 0, unwanted: 0 }
    }

    pub(crate) fn note(&mut self, number: u64) {
        self.delivered += 1;
        if number >= MARKERS {
            return;
        }
        self.unwanted += u64::from(verdict(number) == Verdict::Drop);
        let (word, bit) = (usize::try_from(number / 64).unwrap(), 1 << (number % 64));
        self.twice += u64::from(self.seen[word] & bit == 0);
        self.seen[word] &= !bit;
    }
}

/// Every packet of a flood, by what became of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Account {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    /// Lost on the way from the queue to the receiver: by the device, and by the receiver's own buffer.
    pub(crate) lost_behind: u64,
    pub(crate) by_verdict: u64,
    pub(crate) by_full_queue: u64,
    pub(crate) by_full_buffer: u64,
    /// Still in the queue when the program had its last word.
    pub(crate) waiting: u64,
}

impl Account {
    /// What the program and the kernel have counted.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let queues = &snapshot.kernel.nfqueues;
        let sum = |field: fn(&NfqueueStatus) -> u64| queues.iter().map(field).sum();
        Self {
            by_verdict: snapshot.statistics.dropped,
            by_full_queue: sum(|queue| queue.queue_dropped.into()),
            by_full_buffer: sum(|queue| queue.user_dropped.into()),
            waiting: sum(|queue| queue.queue_length),
            ..Self::default()
        }
    }

    /// How many did not get past the queue.
    pub(crate) fn kept(&self) -> u64 {
        self.by_verdict + self.by_full_queue + self.by_full_buffer + self.waiting
    }

    /// How many are accounted for.
    pub(crate) fn sum(&self) -> u64 {
        self.kept() + self.delivered + self.lost_behind
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent={} delivered={} lost_behind={} by_verdict={} by_full_queue={} by_full_buffer={} waiting={}",
            self.sent,
            self.delivered,
            self.lost_behind,
            self.by_verdict,
            self.by_full_queue,
            self.by_full_buffer,
            self.waiting
        )
    }
}
