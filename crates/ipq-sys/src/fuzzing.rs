//! What fuzz targets do with an input, and what those of other crates are made of.

mod bytes;
mod frames;
mod peer;
mod rounds;
mod script;
mod structure;

pub use bytes::Bytes;
pub use frames::served_frames;
pub use peer::Peer;
pub use rounds::{end, round};
pub use script::{Said, Script, State};
pub use structure::{in_words, structure};
