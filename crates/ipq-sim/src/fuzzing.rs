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
pub use clients::{served_clients, served_clients_in_words};
pub use operations::{operations, operations_in_words};
pub use user_bytes::user_bytes;
