//! What a session has seen and done: [`Statistics`].

use core::sync::atomic::{AtomicU64, Ordering};

use zerocopy::{Immutable, IntoBytes};

/// `struct ipq_statistics`.
#[derive(Clone, Copy, Debug, Default, Eq, Immutable, IntoBytes, PartialEq)]
#[repr(C)]
pub(crate) struct Statistics {
    /// Packets read, those that were cut included.
    pub(crate) packets: u64,
    /// Bytes of payload read.
    pub(crate) bytes: u64,
    /// Verdicts sent.
    pub(crate) verdicts: u64,
    /// Requests that the kernel refused, as far as it was read.
    pub(crate) refused: u64,
    /// Messages longer than the buffer.
    pub(crate) truncated: u64,
    /// How often the receive buffer was full.
    pub(crate) overruns: u64,
    /// Messages that were not the kernel's.
    pub(crate) foreign: u64,
    /// Messages that made no sense.
    pub(crate) malformed: u64,
}

/// The same while it is counted, by any thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    verdicts: AtomicU64,
    refused: AtomicU64,
    truncated: AtomicU64,
    overruns: AtomicU64,
    foreign: AtomicU64,
    malformed: AtomicU64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn packet(&self, payload_len: usize) {
        add(&self.packets, 1);
        add(&self.bytes, payload_len);
    }

    pub(crate) fn verdicts(&self, count: usize) {
        add(&self.verdicts, count);
    }

    pub(crate) fn refused(&self) {
        add(&self.refused, 1);
    }

    pub(crate) fn truncated(&self) {
        add(&self.truncated, 1);
    }

    pub(crate) fn overrun(&self) {
        add(&self.overruns, 1);
    }

    pub(crate) fn foreign(&self) {
        add(&self.foreign, 1);
    }

    pub(crate) fn malformed(&self) {
        add(&self.malformed, 1);
    }

    pub(crate) fn now(&self) -> Statistics {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            packets: count(&self.packets),
            bytes: count(&self.bytes),
            verdicts: count(&self.verdicts),
            refused: count(&self.refused),
            truncated: count(&self.truncated),
            overruns: count(&self.overruns),
            foreign: count(&self.foreign),
            malformed: count(&self.malformed),
        }
    }
}
