//! What fuzz targets do with an input: functions that panic where they find a bug.

mod captures;

pub use captures::captures;
