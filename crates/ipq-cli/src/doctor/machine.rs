//! The machine that is looked at: its files, and what only its running kernel tells: [`Machine`] and [`Senses`].

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use ipq::Errno;

/// A machine.
#[derive(Debug)]
pub(super) struct Machine<'s> {
    /// The folder that its `/proc`, `/sys`, `/boot` and `/lib` are in.
    pub(super) root: PathBuf,
    pub(super) senses: &'s dyn Senses,
}

/// What no file says.
pub(super) trait Senses: core::fmt::Debug {
    /// What the kernel answers to a request for the queue with this number which changes nothing: `ENODEV` where nobody
    /// has it, `EPERM` where somebody else has it, or the right to ask is missing.
    fn ask(&self, queue: u16) -> Result<Option<Errno>, String>;

    /// What a program prints that lists rules.
    fn listing(&self, program: &str, arguments: &[&str]) -> Result<String, String>;

    /// Whether there is such a program.
    fn has_program(&self, program: &str) -> bool;

    /// Whether the loopback device is up, if that can be told.
    fn loopback_is_up(&self) -> Option<bool>;

    /// Whether the network belongs to the user namespace that this program runs in.
    fn network_is_ours(&self) -> Option<bool>;

    /// Whether a network and the root of it can be had by `unshare -Urn`, and else why not.
    fn unshare(&self) -> Result<(), String>;
}

/// No file that is read here is anywhere near this long, in bytes.
const LONGEST: u64 = 16 << 20;

impl Machine<'_> {
    /// What a file says; the path is below the root.
    pub(super) fn text(&self, path: &str) -> io::Result<String> {
        read(File::open(self.root.join(path))?)
    }

    /// The same of a file that is compressed.
    pub(super) fn compressed_text(&self, path: &str) -> io::Result<String> {
        read(GzDecoder::new(File::open(self.root.join(path))?))
    }

    /// The number that a file says.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path).ok()?.trim().parse().ok()
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// What is in a folder.
    pub(super) fn names(&self, path: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// Where a link leads.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.root.join(path)).ok()?;
        Some(target.to_str()?.to_owned())
    }
}

fn read(file: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
