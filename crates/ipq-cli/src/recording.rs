//! A queue on file: [`Recording`].

use core::fmt::Write;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use ipq::{DeviceName, Packet, Verdict};
use ipq_sim::capture::{CaptureError, Interface, LinkType, PcapngWriter, Timestamp};

use crate::failure::Failure;
use crate::metadata::Metadata;

/// A pcapng file of queued packets, with what the kernel said of each and its verdict as a comment.
pub(crate) struct Recording {
    writer: PcapngWriter<BufWriter<File>>,
    path: PathBuf,
    /// The devices that packets came in by, or were to leave by.
    interfaces: Vec<(DeviceName, Interface)>,
    comment: String,
}

/// How many devices a file describes at most; packets of others are counted to the first.
const MAX_INTERFACES: usize = 1024;

impl Recording {
    /// Creates the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| Failure::writing(path, error))?;
        let writer = PcapngWriter::new(BufWriter::new(file)).map_err(named(path))?;
        Ok(Self { writer, path: path.to_owned(), interfaces: Vec::new(), comment: String::new() })
    }

    /// Writes a packet that arrived at `time`.
    pub(crate) fn write(
        &mut self,
        time: Timestamp,
        packet: &Packet<'_>,
        verdict: Verdict,
    ) -> Result<(), Failure> {
        let interface = self.interface(packet)?;
        let whole_len = packet.packet_len().and_then(|len| usize::try_from(len).ok());
        let whole_len = whole_len.unwrap_or_else(|| packet.payload().len());
        self.comment.clear();
        // Nothing that is printed here fails, and there is memory or an end.
        let _ = write!(self.comment, "verdict {verdict}, {}", Metadata(packet));
        self.writer
            .write_cut(interface, time, packet.payload(), whole_len, &self.comment)
            .map_err(named(&self.path))
    }

    /// Writes out what is in a buffer.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.writer.finish().map(|_| ()).map_err(named(&self.path))
    }

    /// The interface of a packet, which is described first if it is new.
    fn interface(&mut self, packet: &Packet<'_>) -> Result<Interface, Failure> {
        let (input, output) = (packet.input_device(), packet.output_device());
        let device = if input.is_empty() { output } else { input };
        let is_full = self.interfaces.len() >= MAX_INTERFACES;
        let is_it = |(known, _): &&(DeviceName, Interface)| *known == device || is_full;
        if let Some((_, interface)) = self.interfaces.iter().find(is_it) {
            return Ok(*interface);
        }
        let interface = self
            .writer
            .add_interface(&device.to_string(), LinkType::RAW)
            .map_err(named(&self.path))?;
        self.interfaces.push((device, interface));
        Ok(interface)
    }
}

/// An error that names its file.
fn named(path: &Path) -> impl Fn(CaptureError) -> Failure {
    |error| error.in_file(Some(path)).into()
}
