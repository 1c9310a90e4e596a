//! The simulated kernel, from outside: every rule of spec/ip_queue-kernel.md, in both families, and nfnetlink_queue.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

#[path = "common/mod.rs"]
mod common;

#[path = "kernel/bodies.rs"]
mod bodies;
#[path = "kernel/departures.rs"]
mod departures;
#[path = "kernel/handlers.rs"]
mod handlers;
#[path = "kernel/hooks.rs"]
mod hooks;
#[path = "kernel/hops.rs"]
mod hops;
#[path = "nfqueue/mod.rs"]
mod nfqueue;
#[path = "kernel/queueing.rs"]
mod queueing;
#[path = "kernel/random.rs"]
mod random;
#[path = "kernel/receiver.rs"]
mod receiver;
#[path = "kernel/repeatable.rs"]
mod repeatable;
#[path = "kernel/replacements.rs"]
mod replacements;
#[path = "kernel/requests.rs"]
mod requests;
#[path = "kernel/rules.rs"]
mod rules;
#[path = "served/mod.rs"]
mod served;
#[path = "kernel/status.rs"]
mod status;
#[path = "kernel/time.rs"]
mod time;
#[path = "kernel/verdicts.rs"]
mod verdicts;
