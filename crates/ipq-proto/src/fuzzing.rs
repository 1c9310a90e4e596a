//! What fuzz targets do with an input: functions that panic where they find a bug.
//!
//! They are here, and not in `fuzz/`, so that a target is one line and ordinary tests can use them. This module alone
//! needs `std`, and it is there only with the feature `fuzzing`.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic is what tells of a bug"
)]

mod decode;
mod framing;
mod requests;
mod round_trip;

pub use decode::decode_any;
pub use framing::netlink_framing;
pub use round_trip::round_trip;
