//! What fuzz targets do with an input: functions that panic where they find a bug.

mod kernel;
mod rewriting;
mod session;
mod shared;
mod tally;

pub use rewriting::rewriting;
pub use session::session;
pub use shared::shared_session;
