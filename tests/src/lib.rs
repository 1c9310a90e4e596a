//! What the tests across the crates of ipq share: the recordings of a real kernel as values and their replay, and networks
//! of the real kernel to be alone in.

#![forbid(unsafe_code)]

pub mod conformance;
pub mod namespace;
pub mod recording;
