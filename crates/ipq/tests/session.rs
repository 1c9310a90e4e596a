//! Sessions, from outside: over simulated kernels of either family and any word size, and over transports that lie.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

#[path = "common/mod.rs"]
mod common;
#[path = "common/exposition.rs"]
mod exposition;

#[path = "session/checksums.rs"]
mod checksums;
#[path = "session/errors.rs"]
mod errors;
#[path = "session/families.rs"]
mod families;
#[path = "session/fault_plans.rs"]
mod fault_plans;
#[path = "session/faults.rs"]
mod faults;
#[path = "session/hostile.rs"]
mod hostile;
#[path = "session/loss.rs"]
mod loss;
#[path = "session/modes.rs"]
mod modes;
#[path = "session/names.rs"]
mod names;
#[path = "session/nfqueue.rs"]
mod nfqueue;
#[path = "session/nfqueue_simulated.rs"]
mod nfqueue_simulated;
#[path = "session/reading.rs"]
mod reading;
#[path = "session/rewriting.rs"]
mod rewriting;
#[path = "session/running.rs"]
mod running;
#[path = "session/shared.rs"]
mod shared;
#[path = "session/stopping.rs"]
mod stopping;
#[path = "session/verdicts.rs"]
mod verdicts;
#[path = "session/workers.rs"]
mod workers;
