//! What is to go wrong, and when: [`FaultPlan`].

use core::fmt;

use ipq_sys::Clock;
use serde::{Deserialize, Serialize};

use super::text::Text;
use super::{Direction, Fault};

/// What is to go wrong in a conversation, and the seed of all that is drawn.
///
/// A message meets the faults in their order, until one loses it. Two transports with the same plan draw apart if
/// their protocols differ, so that the sockets of both families need not fail alike.
///
/// Deserialized, from a scenario for example, it is a seed (0 unless given) and a list:
///
/// ```
/// let plan: ipq_sim::fault::FaultPlan = toml::from_str(r#"
///     seed = 7
///     faults = [
///         { fault = "lose", direction = "to-program", rate = 0.01 },
///         { fault = "delay", direction = "to-kernel", delay = "10ms", every = 3 },
///         { fault = "refuse", errno = "ENOBUFS", nth = 5 },
///     ]
/// "#)?;
/// assert_eq!(plan.faults().len(), 3);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    faults: Vec<PlannedFault>,
}

/// A fault, and which messages it strikes: every one that it can happen to, unless conditions say less.
///
/// All conditions have to hold. Made by [`Fault::to_program`] and [`Fault::to_kernel`].
///
/// Deserialized, it has the fields `fault`, `direction` (needed only where there are two), `rate`, `nth`, `every`,
/// `from` and `until`, `at-most`, and what the fault itself needs: `delay`, `release`, `bytes`, `length`, `port-id` or `errno`.
/// Times are texts such as `10ms`, error numbers names such as `ENOBUFS`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "Text", into = "Text")]
#[must_use = "it happens only as part of a plan"]
pub struct PlannedFault {
    pub(super) fault: Fault,
    pub(super) direction: Direction,
    pub(super) rate: Option<f64>,
    pub(super) nth: Option<u64>,
    pub(super) every: Option<u64>,
    pub(super) from: Option<Clock>,
    pub(super) until: Option<Clock>,
    pub(super) at_most: Option<u64>,
}

impl FaultPlan {
    /// A plan without faults.
    pub const fn new(seed: u64) -> Self {
        Self { seed, faults: Vec::new() }
    }

    /// Adds a fault behind those that are there.
    #[must_use]
    pub fn with(mut self, fault: PlannedFault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The same faults under another seed.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The faults, in the order in which a message meets them.
    pub fn faults(&self) -> &[PlannedFault] {
        &self.faults
    }
}

impl Extend<PlannedFault> for FaultPlan {
    fn extend<I: IntoIterator<Item = PlannedFault>>(&mut self, faults: I) {
        self.faults.extend(faults);
    }
}

impl PlannedFault {
    #[track_caller]
    pub(super) fn new(fault: Fault, direction: Direction) -> Self {
        if let Some(only) = fault.only_direction() {
            assert!(only == direction, "the fault `{fault}` can only happen {only}");
        }
        let (rate, nth, every, from, until, at_most) = (None, None, None, None, None, None);
        Self { fault, direction, rate, nth, every, from, until, at_most }
    }

    /// Strikes each message with this probability.
    ///
    /// # Panics
    ///
    /// If it is not between 0 and 1.
    #[track_caller]
    pub fn rate(self, probability: f64) -> Self {
        Self { rate: Some(probability), ..self }.checked()
    }

    /// Strikes only the message with this number, from 1, of those that the fault can happen to. One that another fault
    /// has lost counts, and is not struck.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn nth(self, number: u64) -> Self {
        Self { nth: Some(number), ..self }.checked()
    }

    /// Strikes one message of as many, the last of them.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn every(self, messages: u64) -> Self {
        Self { every: Some(messages), ..self }.checked()
    }

    /// Strikes only from one time of the transport's clock until just before another. On a simulated kernel these are
    /// times since it started; a real transport's [`now`](ipq_sys::Transport::now) tells.
    ///
    /// # Panics
    ///
    /// If the second is not later than the first.
    #[track_caller]
    pub fn between(self, from: Clock, until: Clock) -> Self {
        Self { from: Some(from), until: Some(until), ..self }.checked()
    }

    /// Strikes no more often than this.
    pub fn at_most(self, times: u64) -> Self {
        Self { at_most: Some(times), ..self }
    }

    /// The fault.
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// Which way the messages go that it strikes.
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    #[track_caller]
    fn checked(self) -> Self {
        match self.problem() {
            None => self,
            Some(problem) => panic!("{problem}"),
        }
    }

    /// What makes no sense about its conditions.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { rate, nth, every, from, until, .. } = *self;
        if let Some(rate) = rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
            return Some(format!("a rate is between 0 and 1, and not {rate}"));
        }
        if nth == Some(0) {
            return Some("messages are numbered from 1".to_owned());
        }
        if every == Some(0) {
            return Some(
                "a fault can strike every message, or every 2nd, but not every 0th".to_owned(),
            );
        }
        if until.is_some_and(|until| until <= from.unwrap_or_default()) {
            return Some(
                "the time until which a fault strikes is not later than its first".to_owned(),
            );
        }
        None
    }
}

/// A line for the seed, and one for each fault.
impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {:#x}", self.seed)?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n{fault}"))
    }
}

/// `to-program: delay 10ms, rate 0.01, at most 3`.
impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.direction, self.fault)?;
        if let Some(rate) = self.rate {
            write!(f, ", rate {rate}")?;
        }
        if let Some(number) = self.nth {
            write!(f, ", only message {number}")?;
        }
        if let Some(messages) = self.every {
            write!(f, ", one of {messages}")?;
        }
        if let Some(time) = self.from {
            write!(f, ", from {}", humantime::format_duration(time))?;
        }
        if let Some(time) = self.until {
            write!(f, ", until {}", humantime::format_duration(time))?;
        }
        match self.at_most {
            Some(times) => write!(f, ", at most {times}"),
            None => Ok(()),
        }
    }
}
