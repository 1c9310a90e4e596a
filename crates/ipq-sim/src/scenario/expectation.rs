//! What is to come of a scenario, and whether it did: [`Finding`].

use core::fmt;

use super::format::Expectation;
use crate::fate::{Fate, Outcome, Totals};
use crate::kernel::Kernel;

/// What became of an expectation. It prints as a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What was looked at.
    pub that: String,
    /// What it was to be, in words.
    pub expected: String,
    /// What it was; `None` if there is nothing of that name.
    pub found: Option<u64>,
    /// Whether it was as expected.
    pub holds: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { that, expected, found, holds } = self;
        let holds = if *holds { "ok" } else { "FAILED" };
        match found {
            Some(found) => write!(f, "{holds}: {that}: {found}, expected {expected}"),
            None => write!(f, "{holds}: {that}: there is no such number"),
        }
    }
}

/// That an expectation expects anything.
pub(super) fn check(expectation: &Expectation) -> Result<(), String> {
    let Expectation { that, equals, at_least, at_most } = expectation;
    if equals.is_none() && at_least.is_none() && at_most.is_none() {
        return Err(format!("{that:?} is expected to be what? equals, at-least or at-most"));
    }
    Ok(())
}

impl Expectation {
    pub(super) fn find(&self, found: Option<u64>) -> Finding {
        let Self { that, equals, at_least, at_most } = self;
        let words = [("", *equals), ("at least ", *at_least), ("at most ", *at_most)];
        let words =
            words.iter().filter_map(|(words, number)| number.map(|n| format!("{words}{n}")));
        let holds = found.is_some_and(|found| {
            equals.is_none_or(|number| found == number)
                && at_least.is_none_or(|number| found >= number)
                && at_most.is_none_or(|number| found <= number)
        });
        let expected = words.collect::<Vec<_>>().join(" and ");
        Finding { that: that.clone(), expected, found, holds }
    }
}

/// A number of the kernel: one of its totals, how many packets had a fate, or the milliseconds that passed.
pub(super) fn of_kernel(name: &str, kernel: &Kernel, outcomes: &[Outcome]) -> Option<u64> {
    let Totals { entered, delivered, dropped, fragmented, reassembled, incomplete, queued } =
        kernel.totals();
    let with_fate = |fate: &Fate| fate.to_string() == name;
    match name {
        "entered" => Some(entered),
        "delivered" => Some(delivered),
        "dropped" => Some(dropped),
        "fragmented" => Some(fragmented),
        "reassembled" => Some(reassembled),
        "incomplete" => Some(incomplete),
        "queued" => Some(queued),
        "milliseconds" => Some(u64::try_from(kernel.now().as_millis()).unwrap_or(u64::MAX)),
        _ => Fate::all()
            .any(|fate| with_fate(&fate))
            .then(|| outcomes.iter().filter(|outcome| with_fate(&outcome.fate)).count() as u64),
    }
}
