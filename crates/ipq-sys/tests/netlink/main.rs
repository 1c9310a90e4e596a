//! `NetlinkSocket` on the kernel that runs the tests.
//!
//! No kernel since 3.5 has `ip_queue`, so the socket is tested on the netlink protocol that they all have: requests to
//! nfnetlink that change nothing and are acknowledged. What needs privileges runs again in a child, inside a user and a
//! network namespace of its own; the machine's own is never touched.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

mod batches;
mod deadlines;
mod exchange;
mod foreign;
mod old_kernel;
mod open;
mod overrun;
mod support;
mod waiting;
