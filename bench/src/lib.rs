//! What the programs of `cargo xtask bench` share: messages and who reads and writes them ([`codec`]), a program on the
//! simulated kernel ([`simulated`]), and what receivers have in common.
//!
//! A *receiver* takes packets off a queue and accepts them all. Every receiver, in Rust or in C (`c/receiver.h`):
//!
//! - has the command line `QUEUE MAXLEN RCVBUF GSO` ([`Options`]) and sets all of it on its queue;
//! - prints `ready` when packets may come;
//! - prints a report at SIGUSR1, and another at SIGTERM, after which it ends: the packets so far, the processor time it
//!   has used, and the time, both in nanoseconds ([`Reporter`]).
//!
//! It has one thread, and looks for signals when something was received: another thread would make its system calls
//! dearer. Whoever wants a report therefore sends a packet after the signal, which is counted only after the report.
//!
//! [`Reporter`]: reporter::Reporter
//! [`Options`]: options::Options

#![forbid(unsafe_code)]

pub mod clock;
pub mod codec;
pub mod options;
pub mod reporter;
pub mod simulated;

/// The UDP port whose packets are queued.
pub const UDP_PORT: u16 = 9999;

/// The TCP port whose packets are queued, on the way there.
pub const TCP_PORT: u16 = 9998;
