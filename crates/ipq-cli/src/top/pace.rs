//! When a packet of a simulated kernel comes in real time: [`Pace`].

use core::time::Duration;
use std::time::Instant;

use crate::args::Speed;

/// How the time that is shown goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// With the clock on the wall, which is so many times as slow.
    Clock { started: Instant, times: f64 },
    /// With the packets, which come as fast as they can.
    Packets,
}

impl Pace {
    /// That of a real kernel, which starts now.
    pub(super) fn real() -> Self {
        Self::Clock { started: Instant::now(), times: 1.0 }
    }

    /// That of a simulated one, which starts now.
    pub(super) fn simulated(speed: Speed) -> Self {
        match speed {
            Speed::Times(times) => Self::Clock { started: Instant::now(), times },
            Speed::Max => Self::Packets,
        }
    }

    /// The time since the start, where `newest` is that of the newest packet.
    pub(super) fn now(self, newest: Duration) -> Duration {
        match self {
            Self::Clock { started, times } => scaled(started.elapsed(), times),
            Self::Packets => newest,
        }
    }

    /// How long to wait until the clock shows `at`.
    pub(super) fn wait(self, at: Duration) -> Duration {
        match self {
            Self::Clock { started, times } => {
                scaled(at, times.recip()).saturating_sub(started.elapsed())
            }
            Self::Packets => Duration::ZERO,
        }
    }
}

/// So many times as long, or the longest there is.
fn scaled(duration: Duration, times: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * times).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_as_fast_as_it_is_said() {
        const HOUR: Duration = Duration::from_hours(1);
        let waits = |speed| Pace::simulated(speed).wait(HOUR);
        assert_eq!(waits(Speed::Max), Duration::ZERO);
        for (times, seconds) in [(1.0, 3600), (60.0, 60), (0.5, 7200)] {
            let (wait, all) = (waits(Speed::Times(times)), Duration::from_secs(seconds));
            assert!(wait <= all && wait > all / 2, "{wait:?}");
        }
        assert_eq!(Pace::simulated(Speed::Max).now(HOUR), HOUR);
        assert_eq!(scaled(Duration::MAX, 2.0), Duration::MAX);
    }
}
