//! What the tests across the crates of ipq share: the recordings of a real kernel as values and their replay, and networks
//! of the real kernel to be alone in, with other hosts at the end of a wire.

#![forbid(unsafe_code)]

pub mod conformance;
pub mod host;
pub mod namespace;
pub mod recording;
