//! Sessions on the kernel that runs the tests: its own nfnetlink_queue, rules and devices, and packets that are really
//! sent.
//!
//! A test says what it needs of a [`Network`](network::Network) and never how that comes about, so that each one runs
//! on a [simulated kernel](simulated) too: where the two disagree, the simulated one is wrong. The network of the
//! [real kernel](real) is a user and a network namespace for each test, made by running the test again in a child; the
//! machine's own network is never touched, and nothing needs root. What the kernel does not allow or does not have is said on standard error: `skipped: <test>: <reason>`.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

#[macro_use(on_every_kernel)]
extern crate ipq_tests;

mod allocation;
mod asynchronous;
mod basics;
mod batches;
mod families;
mod faults;
mod forwarding;
mod full;
mod large;
mod marks;
mod modes;
mod network;
mod options;
mod owners;
mod privileges;
mod real;
mod replacement;
mod rewriting;
mod shared;
mod simulated;
mod streams;
mod support;
