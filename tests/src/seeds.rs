//! The seeds of the fuzz targets: what the recordings, the captures and the scenarios of the project are to each target.
//!
//! `cargo xtask fuzz-seeds` writes them into `fuzz/seeds`; a test compares. What is there beside them was put there by hand:
//! the inputs of crashes, and what no file of the project has.

mod conversations;
mod files;
mod messages;
mod structure;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A seed: its target, its file name, and what is in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seed {
    /// The target.
    pub target: &'static str,
    /// The name of the file.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Seed {
    fn new(target: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { target, name: name.into(), bytes: bytes.into() }
    }

    /// Where its file is.
    pub fn path(&self) -> PathBuf {
        root().join("fuzz/seeds").join(self.target).join(&self.name)
    }
}

/// All of them, in an order of no meaning.
///
/// # Errors
///
/// If a file that they are made from cannot be read.
///
/// # Panics
///
/// If two of a target have the same name.
pub fn all() -> io::Result<Vec<Seed>> {
    let mut seeds = messages::seeds();
    seeds.extend(files::seeds()?);
    seeds.extend(conversations::seeds()?);
    let mut paths = BTreeSet::new();
    for seed in &seeds {
        assert!(paths.insert(seed.path()), "two seeds {}", seed.path().display());
    }
    Ok(seeds)
}

/// Writes all of them.
///
/// # Errors
///
/// As [`all`], and if a file cannot be written.
pub fn write() -> io::Result<usize> {
    let seeds = all()?;
    for seed in &seeds {
        let path = seed.path();
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(path, &seed.bytes)?;
    }
    Ok(seeds.len())
}

/// The seeds that are not in their files.
///
/// # Errors
///
/// As [`all`].
pub fn missing() -> io::Result<Vec<PathBuf>> {
    let is_there = |seed: &Seed| fs::read(seed.path()).is_ok_and(|bytes| bytes == seed.bytes);
    let missing = all()?.into_iter().filter(|seed| !is_there(seed));
    Ok(missing.map(|seed| seed.path()).collect())
}

/// The top of the project.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}
