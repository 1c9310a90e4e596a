//! How simulated time passes: [`Speed`] and [`Pace`].

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::time::Instant;

use crate::{Clock, Deadline};

/// How fast simulated time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as the programs can: while one works, it stands still.
    #[default]
    Max,
    /// So many seconds in each second, more than 0, whatever the programs do.
    Times(f64),
}

/// `max`, or a positive number.
impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.parse().ok().filter(|&times: &f64| times > 0.0 && times.is_finite());
        times.map(Self::Times).ok_or("a speed is max or a positive number, such as 1 or 0.5")
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Times(times) => times.fmt(f),
        }
    }
}

/// Simulated time beside real time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    speed: Speed,
    /// What both clocks showed when time began to pass.
    start: Option<(Instant, Clock)>,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Self {
        Self { speed, start: None }
    }

    /// Whether it passes only while no program works.
    pub(super) fn waits_for_programs(&self) -> bool {
        self.speed == Speed::Max
    }

    /// Until when the kernel may run now, if its clock shows `simulated`.
    pub(super) fn limit(&mut self, simulated: Clock) -> Deadline {
        let Speed::Times(times) = self.speed else { return Deadline::Never };
        let (real, start) = *self.start.get_or_insert_with(|| (Instant::now(), simulated));
        let passed = scaled(real.elapsed(), times);
        Deadline::At(start.saturating_add(passed))
    }

    /// How long it takes until the kernel's clock shows `event`.
    pub(super) fn until(&self, event: Clock) -> Duration {
        match (self.speed, self.start) {
            (Speed::Times(times), Some((real, start))) => {
                let due = scaled(event.saturating_sub(start), times.recip());
                due.saturating_sub(real.elapsed())
            }
            _ => Duration::ZERO,
        }
    }
}

/// A time so many times as long; the longest there is, if that is too long.
fn scaled(time: Duration, times: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * times).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_speed_can_be() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        for wrong in ["", "0", "-1", "inf", "NaN", "fast", "1x"] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn scales_real_time_and_survives_what_is_too_long() {
        assert_eq!(scaled(Duration::from_secs(2), 1.5), Duration::from_secs(3));
        assert_eq!(scaled(Duration::MAX, 2.0), Duration::MAX);
        let mut pace = Pace::new(Speed::Times(1e300));
        assert_eq!(pace.until(Clock::from_secs(1)), Duration::ZERO, "not yet begun");
        let start = Clock::from_secs(3);
        assert!(matches!(pace.limit(start), Deadline::At(limit) if limit >= start));
        assert_eq!(pace.until(Clock::from_secs(1)), Duration::ZERO);
    }
}
