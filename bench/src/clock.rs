//! Processor time: [`processor_time`].

use core::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time that this program takes for `work`, with all its threads. What else the machine does costs none of
/// it, but for what it does to caches.
pub fn processor_time(work: impl FnOnce()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
    let start = now();
    work();
    now().saturating_sub(start)
}
