//! A file of verdicts, one a line: [`VerdictLog`] writes it, [`entries`] reads it.

use core::fmt::{self, Write as _};
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
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
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
    /// The line that was written last, whose memory the next one takes.
    line: Entry,
}

impl VerdictLog {
    /// Creates the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| Failure::writing(path, error))?;
        Ok(Self { out: BufWriter::new(file), path: path.to_owned(), line: Entry::default() })
    }

    /// Writes what becomes of a packet.
    pub(crate) fn write(&mut self, packet: &Packet<'_>, verdict: Verdict) -> Result<(), Failure> {
        let mut hasher = FnvHasher::default();
        hasher.write(packet.payload());
        let id = packet.id();
        let line = &mut self.line;
        line.number += 1;
        set(&mut line.id, format_args!("{id}"));
        set(&mut line.queue, format_args!("{}", id.queue()));
        set(&mut line.hash, format_args!("{:016x}", hasher.finish()));
        line.data_len = packet.payload().len();
        set(&mut line.verdict, format_args!("{verdict}"));
        set(&mut line.summary, format_args!("{}", Dissection::of(packet)));
        serde_json::to_writer(&mut self.out, line)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(|error| Failure::writing(&self.path, error))
    }

    /// Writes out what is in a buffer.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::writing(&self.path, error))
    }
}

/// Makes `text` say something else.
fn set(text: &mut String, value: fmt::Arguments<'_>) {
    text.clear();
    // Nothing that is printed here fails, and there is memory or an end.
    let _ = text.write_fmt(value);
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
