//! One direction of a conversation: the messages that are on their way, and what became of the others.

use std::collections::{BTreeMap, VecDeque};

use core::fmt;
use core::time::Duration;

use ipq_sys::{Clock, Received};

use super::schedule::Treatment;

/// What became of the messages in one direction. At any time `messages + duplicated + injected` is the sum of `passed`,
/// `lost`, `refused`, `failed` and `kept`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Messages that one side sent, the attempts that were refused among them.
    pub messages: u64,
    /// Copies that were made of them.
    pub duplicated: u64,
    /// Messages that nobody sent: the spurious errors.
    pub injected: u64,
    /// Messages that the other side got, whole or not.
    pub passed: u64,
    /// Messages that were lost by a fault.
    pub lost: u64,
    /// Messages that a fault refused to send: their sender was told.
    pub refused: u64,
    /// Messages that the transport inside refused to send. The sender of one that was kept back cannot be told.
    pub failed: u64,
    /// Messages that are kept back now: delayed, held, or waiting for the next one.
    pub kept: u64,
}

/// The messages of one direction that are on their way.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// All but `kept`.
    traffic: Traffic,
    /// What goes next.
    ready: VecDeque<Kept>,
    /// What goes later, by its time and the order it came.
    delayed: BTreeMap<(Clock, u64), Kept>,
    /// Tells apart what is due at the same time.
    delays: u64,
    /// What goes after the next one.
    swapped: Option<Kept>,
    held: VecDeque<Kept>,
    /// How many messages are still to be held.
    holding: u64,
}

/// A message that is kept back.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Which message of its direction it is, from 1; 0 if nobody sent it.
    pub(super) number: u64,
    pub(super) bytes: Box<[u8]>,
    /// How long it was before it was cut, where that is told.
    pub(super) datagram_len: usize,
}

impl Track {
    /// Counts a message that comes, and gives its number.
    pub(super) fn count(&mut self) -> u64 {
        self.traffic.messages += 1;
        self.traffic.messages
    }

    pub(super) fn traffic(&self) -> Traffic {
        let kept = self.ready.len()
            + self.delayed.len()
            + usize::from(self.swapped.is_some())
            + self.held.len();
        Traffic { kept: kept as u64, ..self.traffic }
    }

    /// The counts, to add to.
    pub(super) fn traffic_mut(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    /// Whether a message that nothing happens to goes straight through.
    pub(super) fn is_clear(&self) -> bool {
        self.holding == 0 && self.swapped.is_none() && self.ready.is_empty()
    }

    /// Whether a message waits for the next one.
    pub(super) fn has_swapped(&self) -> bool {
        self.swapped.is_some()
    }

    /// Lets a message go as it was treated: now, later, or when the test says so.
    pub(super) fn place(&mut self, kept: Kept, treatment: &Treatment, now: Clock) {
        for _ in 0..treatment.duplicates {
            self.traffic.duplicated += 1;
            self.place_one(kept.clone(), treatment.delay, false, now);
        }
        self.place_one(kept, treatment.delay, treatment.waits_for_next, now);
    }

    fn place_one(&mut self, kept: Kept, delay: Duration, waits_for_next: bool, now: Clock) {
        if self.holding > 0 {
            self.holding = self.holding.saturating_sub(u64::from(self.holding != u64::MAX));
            self.held.push_back(kept);
        } else if !delay.is_zero() {
            self.delays += 1;
            self.delayed.insert((now.saturating_add(delay), self.delays), kept);
        } else if waits_for_next {
            self.swapped = Some(kept);
        } else {
            self.pass(kept);
        }
    }

    /// Lets a message go next, and after it the one that waited for it.
    fn pass(&mut self, kept: Kept) {
        self.ready.push_back(kept);
        self.ready.extend(self.swapped.take());
    }

    /// Lets a message go that nobody sent.
    pub(super) fn inject(&mut self, bytes: Vec<u8>) {
        self.traffic.injected += 1;
        let datagram_len = bytes.len();
        self.ready.push_back(Kept { number: 0, bytes: bytes.into(), datagram_len });
    }

    /// Takes what goes now.
    pub(super) fn take(&mut self, now: Clock) -> Option<Kept> {
        if self.ready.is_empty() && self.due().is_some_and(|due| due <= now) {
            self.pass_delayed();
        }
        self.ready.pop_front()
    }

    /// Whether something goes now.
    pub(super) fn is_ready(&self, now: Clock) -> bool {
        !self.ready.is_empty() || self.due().is_some_and(|due| due <= now)
    }

    /// When the first delayed message goes.
    pub(super) fn due(&self) -> Option<Clock> {
        self.delayed.first_key_value().map(|(&(due, _), _)| due)
    }

    /// Lets the first delayed message go, whatever the time; says whether there was one.
    pub(super) fn pass_delayed(&mut self) -> bool {
        let Some((_, kept)) = self.delayed.pop_first() else { return false };
        self.pass(kept);
        true
    }

    /// Lets the message go that waits for the next one; says whether there was one.
    pub(super) fn give_up_swapping(&mut self) -> bool {
        let Some(kept) = self.swapped.take() else { return false };
        self.ready.push_back(kept);
        true
    }

    /// Holds as many messages of those to come; `u64::MAX` holds all.
    pub(super) fn hold(&mut self, messages: u64) {
        self.holding = self.holding.saturating_add(messages);
    }

    /// The numbers of the held messages, in the order they came.
    pub(super) fn held(&self) -> impl Iterator<Item = u64> {
        self.held.iter().map(|kept| kept.number)
    }

    /// Lets a held message go; says whether there was one.
    pub(super) fn release(&mut self, number: u64) -> bool {
        let position = self.held.iter().position(|kept| kept.number == number);
        let Some(kept) = position.and_then(|at| self.held.remove(at)) else { return false };
        self.pass(kept);
        true
    }

    /// Lets all held messages go, and holds no more.
    pub(super) fn release_all(&mut self) {
        self.holding = 0;
        while let Some(kept) = self.held.pop_front() {
            self.pass(kept);
        }
    }
}

impl Kept {
    /// Puts the message into `buffer`, as if it were received now.
    pub(super) fn hand_over(&self, buffer: &mut [u8]) -> Received {
        hand_over(&self.bytes, self.datagram_len, buffer)
    }
}

/// Puts a message, which was `datagram_len` bytes long, into `buffer`.
pub(super) fn hand_over(bytes: &[u8], datagram_len: usize, buffer: &mut [u8]) -> Received {
    let len = bytes.len().min(buffer.len());
    buffer[..len].copy_from_slice(&bytes[..len]);
    if len < datagram_len {
        Received::Truncated { len, datagram_len }
    } else {
        Received::Datagram { len }
    }
}

/// `10 messages, 1 duplicated, 9 passed, 2 lost`: what is 0 is left out, but for the first.
impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages", self.messages)?;
        let counts = [
            (self.duplicated, "duplicated"),
            (self.injected, "injected"),
            (self.passed, "passed"),
            (self.lost, "lost"),
            (self.refused, "refused"),
            (self.failed, "failed"),
            (self.kept, "kept back"),
        ];
        let mut counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}
