//! What fuzz targets do with an input: functions that panic where they find a bug.

mod frames;

pub use frames::served_frames;
