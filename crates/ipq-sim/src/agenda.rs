//! What is to happen when: [`Agenda`].

use core::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use ipq_sys::Clock;

/// What is to happen, by the time at which it is due. What is due at the same time happens in the order it was planned.
///
/// Most of what happens leads to something else at the same time. That waits in a queue of its own, so that it costs the
/// same however much there is.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    /// What was planned for the time at which it was planned. It is over before any time passes.
    now: VecDeque<E>,
    later: BinaryHeap<Reverse<Appointment<E>>>,
    appointments: u64,
}

#[derive(Debug)]
struct Appointment<E> {
    time: Clock,
    number: u64,
    event: E,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { now: VecDeque::new(), later: BinaryHeap::new(), appointments: 0 }
    }
}

impl<E> Agenda<E> {
    /// Plans an event for a time, at the time it is `now`.
    pub(crate) fn plan(&mut self, now: Clock, time: Clock, event: E) {
        if time <= now {
            self.now.push_back(event);
            return;
        }
        let number = self.appointments;
        self.appointments += 1;
        self.later.push(Reverse(Appointment { time, number, event }));
    }

    /// What comes next, and when, if it is `now`.
    pub(crate) fn next(&self, now: Clock) -> Option<(Clock, &E)> {
        let later = self.later.peek().map(|Reverse(it)| (it.time, &it.event));
        // What is due now and was planned for it before comes first.
        later
            .filter(|&(time, _)| time <= now)
            .or_else(|| self.now.front().map(|event| (now, event)))
            .or(later)
    }

    /// Takes out what comes next, unless that is later than `limit`.
    #[inline]
    pub(crate) fn take(&mut self, now: Clock, limit: Option<Clock>) -> Option<(Clock, E)> {
        let is_due = |time: Clock| limit.is_none_or(|limit| time <= limit);
        let time = self.later.peek().map(|Reverse(it)| it.time);
        if time.is_none_or(|time| time > now)
            && is_due(now)
            && let Some(event) = self.now.pop_front()
        {
            return Some((now, event));
        }
        time.filter(|&time| is_due(time))?;
        self.later.pop().map(|Reverse(it)| (it.time, it.event))
    }
}

impl<E> Appointment<E> {
    fn key(&self) -> (Clock, u64) {
        (self.time, self.number)
    }
}

impl<E> PartialEq for Appointment<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Appointment<E> {}

impl<E> PartialOrd for Appointment<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Appointment<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_the_same_time_happens_as_it_was_planned() {
        let (zero, second) = (Clock::ZERO, Clock::from_secs(1));
        let mut agenda = Agenda::default();
        agenda.plan(zero, second, "planned before");
        agenda.plan(zero, second, "planned next");
        agenda.plan(zero, zero, "at once");
        assert_eq!(agenda.next(zero), Some((zero, &"at once")));
        assert_eq!(agenda.take(zero, Some(zero)), Some((zero, "at once")));
        assert_eq!(agenda.take(zero, Some(zero)), None);
        assert_eq!(agenda.take(zero, None), Some((second, "planned before")));
        agenda.plan(second, second, "then");
        agenda.plan(second, zero, "too late, and so at once");
        assert_eq!(agenda.next(second), Some((second, &"planned next")));
        let rest: Vec<_> = core::iter::from_fn(|| agenda.take(second, Some(second))).collect();
        let events = ["planned next", "then", "too late, and so at once"];
        assert_eq!(rest, events.map(|event| (second, event)));
        assert_eq!(agenda.next(second), None);
    }
}
