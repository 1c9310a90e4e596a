//! What the tests across the crates of ipq share: the recordings of a real kernel, as values.

#![forbid(unsafe_code)]

pub mod recording;
