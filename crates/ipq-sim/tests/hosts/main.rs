//! Hosts with a TCP/IP stack at the ends of the simulated network.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

mod datagrams;
mod fragments;
mod network;
mod pings;
mod streams;
