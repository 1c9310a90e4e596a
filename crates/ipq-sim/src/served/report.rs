//! What became of what was in a served kernel: [`ServedReport`].

use core::time::Duration;
use std::collections::BTreeMap;

use crate::capture::CaptureError;
use crate::fate::{Outcome, Totals};
use crate::scenario::Finding;

/// What became of what was in a served kernel.
#[derive(Debug)]
pub struct ServedReport {
    /// How many packets there were.
    pub totals: Totals,
    /// How long it was, in simulated time.
    pub time: Duration,
    /// How each ended, in words, and how many did so; the most frequent first.
    pub fates: Vec<(String, u64)>,
    /// The expectations of its scenario.
    pub findings: Vec<Finding>,
    /// Those about numbers that only the built-in programs of scenarios tell, and which are not known therefore.
    pub unknown: Vec<Finding>,
    /// What ended a capture before its end.
    pub failure: Option<CaptureError>,
}

impl ServedReport {
    /// Whether all went as it was to go, as far as that is known.
    pub fn is_good(&self) -> bool {
        self.failure.is_none() && self.findings.iter().all(|finding| finding.holds)
    }
}

/// How packets have ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    fates: BTreeMap<String, u64>,
    steps: u32,
}

impl Tally {
    /// How many steps of the kernel may leave their outcomes behind.
    const PATIENCE: u32 = 1024;

    /// Counts a step; says whether it is time to count what ended.
    pub(super) fn is_due(&mut self) -> bool {
        self.steps = (self.steps + 1) % Self::PATIENCE;
        self.steps == 0
    }

    pub(super) fn add(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            *self.fates.entry(outcome.fate.to_string()).or_default() += 1;
        }
    }

    pub(super) fn fates(self) -> Vec<(String, u64)> {
        let mut fates: Vec<_> = self.fates.into_iter().collect();
        fates.sort_by_key(|&(_, count)| core::cmp::Reverse(count));
        fates
    }
}
