//! A file of verdicts, one a line: [`VerdictLog`] writes it, [`entries`] reads it.

use core::hash::Hasher;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use fnv::FnvHasher;
use ipq::{Packet, Verdict};
use serde::{Deserialize, Serialize};

use crate::dissect::Dissection;
use crate::failure::Failure;

/// A line of the file, as JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Entry {
    /// The position in the file, from 1.
    pub(crate) number: u64,
    /// What the kernel called the packet, and in which queue.
    pub(crate) id: String,
    pub(crate) queue: String,
    /// FNV-1a over the packet's bytes: the same packet has the same, whatever the kernel calls it.
    pub(crate) hash: String,
    pub(crate) data_len: usize,
    pub(crate) verdict: String,
    pub(crate) summary: String,
}

/// A file of verdicts that is being written.
pub(crate) struct VerdictLog {
    out: BufWriter<File>,
    path: PathBuf,
    written: u64,
}

impl VerdictLog {
    /// Creates the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| Failure::writing(path, error))?;
        Ok(Self { out: BufWriter::new(file), path: path.to_owned(), written: 0 })
    }

    /// Writes what becomes of a packet.
    pub(crate) fn write(&mut self, packet: &Packet<'_>, verdict: Verdict) -> Result<(), Failure> {
        let mut hasher = FnvHasher::default();
        hasher.write(packet.payload());
        self.written += 1;
        let entry = Entry {
            number: self.written,
            id: packet.id().to_string(),
            queue: packet.id().queue().to_string(),
            hash: format!("{:016x}", hasher.finish()),
            data_len: packet.payload().len(),
            verdict: verdict.to_string(),
            summary: Dissection::of(packet).to_string(),
        };
        serde_json::to_writer(&mut self.out, &entry)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(|error| Failure::writing(&self.path, error))
    }

    /// Writes out what is in a buffer.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::writing(&self.path, error))
    }
}

/// The lines of a file of verdicts; after an error there are none.
pub(crate) fn entries(path: &Path) -> Result<Vec<Entry>, Failure> {
    let reading = |error: io::Error| Failure::reading(path, error);
    let file = File::open(path).map_err(reading)?;
    let mut entries = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(reading)?;
        let wrong = |error| {
            let number = index + 1;
            Failure::reading(path, format_args!("line {number} is no verdict of a log: {error}"))
        };
        entries.push(serde_json::from_str(&line).map_err(wrong)?);
    }
    Ok(entries)
}
