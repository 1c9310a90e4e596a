//! `ip_queue` of a simulated kernel next to the bridge over its `nfnetlink_queue`: told the same, both say the same.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

mod cut;
mod random;
mod worlds;
