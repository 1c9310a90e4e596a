//! What the tests across the crates of ipq share: the recordings of a real kernel as values, and their replay.

#![forbid(unsafe_code)]

pub mod conformance;
pub mod recording;
