//! What fuzz targets do with an input: functions that panic where they find a bug.

mod captures;
mod clients;
mod model;
mod operation;
mod operations;
mod request;
mod run;
mod user_bytes;

pub use captures::captures;
pub use clients::served_clients;
pub use operations::operations;
pub use user_bytes::user_bytes;
