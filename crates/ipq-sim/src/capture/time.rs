//! Times of a capture: [`Timestamp`], and the [`Clock`] of a pcapng interface.

use core::fmt;
use core::time::Duration;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// A point in time, in nanoseconds since the Unix epoch; it may lie before it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    // The order of the fields is the order in time: the nanoseconds always count forwards.
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// 1970-01-01 00:00:00 UTC.
    pub const EPOCH: Self = Self { seconds: 0, nanoseconds: 0 };

    /// The time `nanoseconds` after the second `seconds`; `None` if that is a second or more.
    pub const fn new(seconds: i64, nanoseconds: u32) -> Option<Self> {
        if nanoseconds < NANOS_PER_SECOND { Some(Self { seconds, nanoseconds }) } else { None }
    }

    /// The whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// The nanoseconds since [`seconds`](Self::seconds), below 1 000 000 000.
    pub const fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// How long after `earlier` this is; `None` if it is before. Packets of a capture need not be
    /// in order.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        let nanoseconds = u128::try_from(self.total().checked_sub(earlier.total())?).ok()?;
        let seconds = u64::try_from(nanoseconds / u128::from(NANOS_PER_SECOND)).ok()?;
        let fraction = u32::try_from(nanoseconds % u128::from(NANOS_PER_SECOND)).ok()?;
        Some(Duration::new(seconds, fraction))
    }

    /// The time `duration` later, or the last one there is.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        // Both are below a second, so that one second at most is carried.
        let nanoseconds = self.nanoseconds + duration.subsec_nanos();
        let carried = nanoseconds.checked_sub(NANOS_PER_SECOND);
        let seconds = self.seconds.checked_add_unsigned(duration.as_secs());
        let seconds = seconds.and_then(|seconds| seconds.checked_add(carried.is_some().into()));
        Self { seconds: seconds.unwrap_or(i64::MAX), nanoseconds: carried.unwrap_or(nanoseconds) }
    }

    /// The time `duration` earlier, or the first one there is.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self::of_total(self.total() - total_of(duration))
    }

    /// The time in a pcap record. Damaged files have fractions above a second; they count as
    /// written.
    pub(super) fn of_pcap(seconds: u32, fraction: u32, nanoseconds_per_unit: u32) -> Self {
        let nanoseconds = u64::from(fraction) * u64::from(nanoseconds_per_unit);
        let whole = nanoseconds / u64::from(NANOS_PER_SECOND);
        let rest = nanoseconds % u64::from(NANOS_PER_SECOND);
        Self {
            seconds: i64::from(seconds) + i64::try_from(whole).unwrap_or_default(),
            nanoseconds: u32::try_from(rest).unwrap_or_default(),
        }
    }

    /// The time that many nanoseconds after the epoch, or the nearest one there is.
    fn of_total(nanoseconds: i128) -> Self {
        let per_second = i128::from(NANOS_PER_SECOND);
        let seconds = nanoseconds.div_euclid(per_second);
        let limit = if seconds < 0 { i64::MIN } else { i64::MAX };
        Self {
            seconds: i64::try_from(seconds).unwrap_or(limit),
            nanoseconds: u32::try_from(nanoseconds.rem_euclid(per_second)).unwrap_or_default(),
        }
    }

    fn total(self) -> i128 {
        i128::from(self.seconds) * i128::from(NANOS_PER_SECOND) + i128::from(self.nanoseconds)
    }
}

/// Seconds since the epoch with nine decimals: `1560000000.000000001`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let sign = if total < 0 { "-" } else { "" };
        let nanoseconds = total.unsigned_abs();
        let per_second = u128::from(NANOS_PER_SECOND);
        write!(f, "{sign}{}.{:09}", nanoseconds / per_second, nanoseconds % per_second)
    }
}

/// The nanoseconds of a duration, of which there are fewer than 2^94.
fn total_of(duration: Duration) -> i128 {
    i128::from(duration.as_secs()) * i128::from(NANOS_PER_SECOND)
        + i128::from(duration.subsec_nanos())
}

/// How an interface of a pcapng file counts time (options `if_tsresol` and `if_tsoffset`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Ticks a second: 10 to this power or, if the highest bit is set, 2 to the power of the other
    /// bits.
    pub(super) resolution: u8,
    /// What is added, in seconds.
    pub(super) offset: i64,
}

impl Clock {
    /// Microseconds since the epoch: what counts if the file does not say.
    pub(super) const DEFAULT: Self = Self { resolution: 6, offset: 0 };

    /// The time after `ticks`; `None` if it is too far off to be expressed.
    pub(super) fn time(self, ticks: u64) -> Option<Timestamp> {
        let base = if self.resolution & 0x80 == 0 { 10_u128 } else { 2 };
        let ticks = u128::from(ticks);
        let (seconds, nanoseconds) = match base.checked_pow(u32::from(self.resolution & 0x7f)) {
            // The remainder is below 2^64 like the ticks, so that the product fits.
            Some(rate) => (ticks / rate, ticks % rate * u128::from(NANOS_PER_SECOND) / rate),
            // More ticks a second than 128 bits count: 64 bits of them are less than a nanosecond.
            None => (0, 0),
        };
        let seconds = i64::try_from(seconds).ok()?.checked_add(self.offset)?;
        Timestamp::new(seconds, u32::try_from(nanoseconds).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(resolution: u8, offset: i64, ticks: u64, expected: &str) {
        let time = Clock { resolution, offset }.time(ticks);
        let time = time.map_or_else(|| "none".to_owned(), |time| time.to_string());
        assert_eq!(time, expected, "{resolution:#x} {offset} {ticks}");
    }

    #[test]
    fn counts_in_every_resolution() {
        check(0, 0, 7, "7.000000000");
        check(6, 0, 1_500_000, "1.500000000");
        check(6, 0, 1, "0.000001000");
        check(9, 0, 1_000_000_001, "1.000000001");
        check(12, 0, 1_999_999_999_999, "1.999999999");
        check(19, 0, u64::MAX, "1.844674407");
        check(20, 0, u64::MAX, "0.184467440");
        check(38, 0, u64::MAX, "0.000000000");
        check(39, 0, u64::MAX, "0.000000000");
        check(127, 0, u64::MAX, "0.000000000");
        check(0x80, 0, 7, "7.000000000");
        check(0x8a, 0, 1536, "1.500000000");
        check(0xbf, 0, 1 << 62, "0.500000000");
        check(0xc0, 0, 1 << 63, "0.500000000");
        check(0xff, 0, u64::MAX, "0.000000000");
    }

    #[test]
    fn adds_the_offset_and_never_overflows() {
        check(6, 1_000_000_000, 250_000, "1000000000.250000000");
        check(6, -1, 250_000, "-0.750000000");
        check(6, i64::MIN, 0, "-9223372036854775808.000000000");
        check(6, i64::MAX, 999_999, "9223372036854775807.999999000");
        check(6, i64::MAX, 1_000_000, "none");
        check(0, 0, u64::MAX, "none");
        check(0, 0, 1 << 63, "none");
        check(0, -1, (1 << 63) - 1, "9223372036854775806.000000000");
    }

    #[test]
    fn every_clock_is_total() {
        for resolution in 0..=u8::MAX {
            for offset in [i64::MIN, -1, 0, 1, i64::MAX] {
                for ticks in [0, 1, 999, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
                    if let Some(time) = (Clock { resolution, offset }).time(ticks) {
                        assert!(time.nanoseconds() < NANOS_PER_SECOND);
                    }
                }
            }
        }
    }

    #[test]
    fn carries_a_pcap_fraction_above_a_second() {
        let time = Timestamp::of_pcap(1, u32::MAX, 1000);
        assert_eq!(time.to_string(), "4295.967295000");
        assert_eq!(Timestamp::of_pcap(u32::MAX, 1, 1).to_string(), "4294967295.000000001");
    }

    #[test]
    fn measures_forwards_only() {
        let early = Timestamp::new(-1, 999_999_999).unwrap();
        let late = Timestamp::new(1, 1).unwrap();
        assert!(early < late);
        assert_eq!(late.since(early), Some(Duration::new(1, 2)));
        assert_eq!(early.since(late), None);
        assert_eq!(Timestamp::new(0, NANOS_PER_SECOND), None);
        let ends = (Timestamp::new(i64::MIN, 0).unwrap(), Timestamp::new(i64::MAX, 0).unwrap());
        assert_eq!(ends.1.since(ends.0), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn adds_as_the_total_says() {
        let seconds = [i64::MIN, -2, -1, 0, 1, i64::MAX - 1, i64::MAX];
        let durations = [0, 1, 2, i64::MAX as u64, 1 << 63, u64::MAX];
        let fractions = [0, 1, 500_000_000, 999_999_999];
        for (seconds, nanoseconds) in seconds.iter().flat_map(|s| fractions.map(|f| (*s, f))) {
            for (more, fraction) in durations.iter().flat_map(|s| fractions.map(|f| (*s, f))) {
                let (time, duration) =
                    (Timestamp { seconds, nanoseconds }, Duration::new(more, fraction));
                let expected = Timestamp::of_total(time.total() + total_of(duration));
                assert_eq!(time.saturating_add(duration), expected, "{time} + {duration:?}");
            }
        }
    }
}
