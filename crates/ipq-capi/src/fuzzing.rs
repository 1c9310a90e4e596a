//! What fuzz targets do with an input: functions that panic where they find a bug.

mod kernels;
mod library;

pub use library::{c_library, c_library_in_words};
