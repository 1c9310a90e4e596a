//! What fuzz targets do with an input: functions that panic where they find a bug.

mod kernel;
mod rewriting;
mod session;
mod shared;
mod tally;

pub use rewriting::{rewriting, rewriting_in_words};
pub use session::{session, session_in_words};
pub use shared::{shared_session, shared_session_in_words};
