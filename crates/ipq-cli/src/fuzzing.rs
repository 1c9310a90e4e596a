//! What fuzz targets do with an input: functions that panic where they find a bug.

mod decoding;
mod filters;
mod scenarios;

pub use decoding::decode_command;
pub use filters::filters;
pub use scenarios::scenarios;
