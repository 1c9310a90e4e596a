//! The bridge on the kernel that runs the tests, in networks of its own: what recordings do not show.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

mod descriptor;
mod fixture;
mod payloads;
