//! `ipq_sim::fault` and the seeds, from outside: each fault in a conversation with a simulated kernel.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

#[path = "common/mod.rs"]
#[expect(dead_code, reason = "the tests of the simulated kernel use the rest")]
mod common;

#[path = "fault/conversation.rs"]
mod conversation;
#[path = "fault/delays.rs"]
mod delays;
#[path = "fault/holding.rs"]
mod holding;
#[path = "fault/plans.rs"]
mod plans;
#[path = "fault/repeatable.rs"]
mod repeatable;
#[path = "fault/seeds.rs"]
mod seeds;
#[path = "fault/to_kernel.rs"]
mod to_kernel;
#[path = "fault/to_program.rs"]
mod to_program;
