//! Whether a process grows: [`Memory`].

use core::sync::atomic::{AtomicU64, Ordering};
use std::fs;

/// The bytes of a process that are in memory, as they were at first and as they became.
#[derive(Debug)]
pub(crate) struct Memory {
    pid: u32,
    warm: AtomicU64,
    peak: AtomicU64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, warm: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    /// Looks. What is seen before a program has warmed up is what it may have.
    pub(crate) fn sample(&self, is_warm: bool) {
        let resident = resident(self.pid);
        let seen = if is_warm { &self.peak } else { &self.warm };
        seen.fetch_max(resident, Ordering::Relaxed);
    }

    /// How many bytes more it has had than when it was warm.
    pub(crate) fn growth(&self) -> u64 {
        let warm = self.warm.load(Ordering::Relaxed);
        assert!(warm > 0, "nobody has looked");
        self.peak.load(Ordering::Relaxed).saturating_sub(warm)
    }

    /// The most that it has had.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed).max(self.warm.load(Ordering::Relaxed))
    }
}

/// How many bytes of a process are in memory.
pub(crate) fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * PAGE
}

/// What `/proc` counts in, on the machines that run the tests.
const PAGE: u64 = 4096;
