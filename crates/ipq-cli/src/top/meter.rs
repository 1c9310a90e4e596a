//! What happened in each second: [`Meter`].

use core::time::Duration;

use ipq::Verdict;

/// How many seconds are remembered.
const KEPT: usize = 600;

/// Over how many seconds a rate is the average.
const AVERAGED: u64 = 5;

/// What happened in one second, or altogether.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) accepted: u64,
    pub(super) dropped: u64,
    /// Other verdicts.
    pub(super) other: u64,
    /// Packets that no program saw.
    pub(super) lost: u64,
    /// The most that waited in the queues at once.
    pub(super) waiting: u64,
}

/// The last minutes, second by second. Times are those since the start, and never go back: what comes late is of now.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    /// A ring: the second `s` is at `s % KEPT`.
    seconds: Vec<Counts>,
    newest: Duration,
    total: Counts,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            seconds: vec![Counts::default(); KEPT],
            newest: Duration::ZERO,
            total: Counts::default(),
        }
    }

    /// All counts since the start; `waiting` is what waits now.
    pub(super) const fn total(&self) -> &Counts {
        &self.total
    }

    /// The latest time that anything was counted at.
    pub(super) const fn newest(&self) -> Duration {
        self.newest
    }

    /// A packet of this many bytes got a verdict.
    pub(super) fn packet(&mut self, at: Duration, bytes: u64, verdict: Verdict) {
        self.count(at, |counts| {
            counts.packets += 1;
            counts.bytes = counts.bytes.saturating_add(bytes);
            match verdict {
                Verdict::Accept => counts.accepted += 1,
                Verdict::Drop => counts.dropped += 1,
                _ => counts.other += 1,
            }
        });
    }

    /// So many packets are lost altogether, and so many wait now.
    pub(super) fn kernel(&mut self, at: Duration, lost: u64, waiting: u64) {
        let more = lost.saturating_sub(self.total.lost);
        self.count(at, |counts| {
            counts.lost += more;
            counts.waiting = counts.waiting.max(waiting);
        });
        self.total.waiting = waiting;
    }

    fn count(&mut self, at: Duration, count: impl Fn(&mut Counts)) {
        let at = at.max(self.newest);
        let (from, to) = (self.newest.as_secs(), at.as_secs());
        for second in (from + 1..=to).take(KEPT) {
            // Where time has jumped further than the ring reaches, all of it is emptied, whichever end begins.
            self.seconds[place(second)] = Counts::default();
        }
        self.newest = at;
        count(&mut self.seconds[place(to)]);
        count(&mut self.total);
    }

    /// The counts of a second; nothing where it is forgotten, or has not come.
    fn of_second(&self, second: u64) -> Counts {
        let newest = self.newest.as_secs();
        let is_kept = second <= newest && newest - second < KEPT as u64;
        if is_kept { self.seconds[place(second)] } else { Counts::default() }
    }

    /// How much of something there is in a second, on the average of the last ones before `now`.
    pub(super) fn rate(&self, now: Duration, what: impl Fn(&Counts) -> u64) -> f64 {
        let second = now.as_secs();
        let whole = second.min(AVERAGED);
        if whole == 0 {
            // The first second is not over: what has come so far.
            return to_float(what(&self.of_second(0)));
        }
        let sum: u64 = (second - whole..second).map(|second| what(&self.of_second(second))).sum();
        to_float(sum) / to_float(whole)
    }

    /// Something in each of the last `width` seconds up to the one of `now`, the oldest first.
    pub(super) fn history(
        &self,
        now: Duration,
        width: usize,
        what: impl Fn(&Counts) -> u64,
    ) -> Vec<u64> {
        let last = now.as_secs();
        let first = last.saturating_sub((width as u64).saturating_sub(1));
        (first..=last).map(|second| what(&self.of_second(second))).take(width).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the remainder is below KEPT")]
const fn place(second: u64) -> usize {
    (second % KEPT as u64) as usize
}

/// For what is shown with three digits.
#[expect(clippy::cast_precision_loss, reason = "nobody sees the last digits")]
pub(super) const fn to_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn milliseconds(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn rate(meter: &Meter, now: Duration, what: fn(&Counts) -> u64) -> String {
        format!("{:.2}", meter.rate(now, what))
    }

    #[test]
    fn rates_are_the_average_of_whole_seconds() {
        let mut meter = Meter::new();
        meter.packet(milliseconds(100), 50, Verdict::Accept);
        meter.packet(milliseconds(900), 50, Verdict::Drop);
        assert_eq!(rate(&meter, milliseconds(950), |counts| counts.packets), "2.00");
        assert_eq!(rate(&meter, milliseconds(1500), |counts| counts.bytes), "100.00");
        assert_eq!(rate(&meter, milliseconds(4000), |counts| counts.packets), "0.50");
        assert_eq!(rate(&meter, milliseconds(6000), |counts| counts.packets), "0.00");
        for second in 6..16 {
            for _ in 0..10 {
                meter.packet(milliseconds(second * 1000), 1, Verdict::Repeat);
            }
        }
        assert_eq!(rate(&meter, milliseconds(15_999), |counts| counts.other), "10.00");
        assert_eq!((meter.total().packets, meter.total().other), (102, 100));
    }

    #[test]
    fn the_history_ends_now_and_forgets_what_is_long_past() {
        let mut meter = Meter::new();
        meter.packet(milliseconds(0), 1, Verdict::Accept);
        meter.packet(milliseconds(2000), 1, Verdict::Accept);
        let packets = |counts: &Counts| counts.packets;
        assert_eq!(meter.history(milliseconds(3000), 10, packets), [1, 0, 1, 0]);
        assert_eq!(meter.history(milliseconds(3000), 2, packets), [1, 0]);
        assert_eq!(meter.history(milliseconds(3000), 0, packets), [0; 0]);
        for jump in [KEPT as u64 - 1, KEPT as u64, KEPT as u64 * 2 + 7, 1 << 40] {
            let later = meter.newest() + Duration::from_secs(jump);
            meter.packet(later, 1, Verdict::Accept);
            assert_eq!(meter.history(later, 3, packets), [0, 0, 1], "after {jump} s");
        }
    }

    #[test]
    fn losses_are_counted_once_and_the_backlog_is_the_most_of_a_second() {
        let mut meter = Meter::new();
        meter.kernel(milliseconds(0), 3, 10);
        meter.kernel(milliseconds(500), 3, 4);
        meter.kernel(milliseconds(1500), 8, 0);
        assert_eq!(meter.history(milliseconds(1500), 2, |counts| counts.lost), [3, 5]);
        assert_eq!(meter.history(milliseconds(1500), 2, |counts| counts.waiting), [10, 0]);
        assert_eq!((meter.total().lost, meter.total().waiting), (8, 0));
        // A counter that begins anew, because the queue did, is no loss.
        meter.kernel(milliseconds(1600), 2, 0);
        assert_eq!(meter.total().lost, 8);
    }

    proptest! {
        #[test]
        fn nothing_is_forgotten_within_the_kept_seconds(steps in prop::collection::vec(0_u64..3000, 1..200)) {
            let mut meter = Meter::new();
            let mut now = 0;
            for step in &steps {
                now += step;
                meter.packet(milliseconds(now), 2, Verdict::Accept);
            }
            let shown: u64 =
                meter.history(milliseconds(now), KEPT, |counts| counts.packets).iter().sum();
            prop_assert_eq!(shown, steps.len() as u64);
            prop_assert_eq!(meter.total().bytes, 2 * shown);
        }
    }
}
