//! libipq for C, as it is installed: headers, symbols, manual pages, and the programs in `tests/c`, in C and in C++,
//! linked with the shared and with the static library, on a simulated kernel and on the real one.
//!
//! What a machine does not have is said on standard error: `skipped: <test>: <reason>`.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

#[macro_use(on_every_kernel)]
extern crate ipq_tests;

mod headers;
mod manuals;
mod memory;
mod network;
mod privileges;
mod programs;
mod real;
mod simulated;
mod symbols;
