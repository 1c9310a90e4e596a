//! Under load and failure: floods that no program can take, programs that are killed, signals during every call, the
//! longest packets, and what is left when all is closed.
//!
//! Each test has a short form, which is what an ordinary run does, and a long one: `cargo xtask load --seconds 60`. What
//! can be done on both has two arms, the kernel that runs the tests, in namespaces of its own, and a simulated one.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

#[macro_use(on_every_kernel)]
extern crate ipq_tests;

mod account;
mod flood;
mod ground;
mod kills;
mod leaks;
mod length;
mod memory;
mod processes;
mod real;
mod report;
mod signals;
mod simulated;
mod world;
