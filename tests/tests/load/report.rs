//! What was measured: [`report`].

use std::io::{self, Write};

/// Says it on standard error, in one piece: a word for what it is about, then names with values, which
/// `cargo xtask load` makes tables of.
pub(crate) fn report(line: &str) {
    let _ = io::stderr().write_all(format!("load: {line}\n").as_bytes());
}
