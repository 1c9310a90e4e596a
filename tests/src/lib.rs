//! What the tests across the crates of ipq share: the recordings of a real kernel as values, and their replay.

#![forbid(unsafe_code)]

pub mod conformance;
//! What the tests across the crates of ipq share: the recordings of a real kernel, as values, and networks of the real
//! kernel to be alone in.

#![forbid(unsafe_code)]

pub mod namespace;
pub mod recording;
