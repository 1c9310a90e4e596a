//! Writing a capture: [`Writer`].

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use pcap_parser::pcap::PcapHeader;
use pcap_parser::{Linktype, ToVec};

use super::error::{CaptureError, CaptureErrorKind};
use super::{LinkType, Timestamp};

/// The longest part of a packet that is written, in bytes: what tcpdump and Wireshark read at most.
pub(super) const SNAP_LEN: u32 = 262_144;

/// How exact the times in a written capture are.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Precision {
    /// What every program since 1990 reads.
    Microseconds,
    /// What libpcap reads since 1.5 (2013).
    #[default]
    Nanoseconds,
}

/// A pcap file of IP packets without a link layer (link type [`RAW`](super::LinkType::RAW)).
///
/// Whatever is in a packet is written; a reader takes it for IP by its first four bits.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    precision: Precision,
    path: Option<PathBuf>,
    n_packets: u64,
}

impl Writer<BufWriter<File>> {
    /// Creates the file at `path`, or empties it, and writes the header. Errors name the file.
    ///
    /// Call [`finish`](Self::finish) at the end: packets still in the buffer are also written when
    /// the writer is dropped, but errors are then lost.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be created or written.
    pub fn create(path: impl AsRef<Path>, precision: Precision) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        File::create(path)
            .map_err(|error| CaptureError::writing(error.into()))
            .and_then(|file| Self::new(BufWriter::new(file), precision))
            .map(|writer| Self { path: Some(path.to_owned()), ..writer })
            .map_err(|error| error.in_file(Some(path)))
    }
}

impl<W: io::Write> Writer<W> {
    /// Writes the header to `inner`.
    ///
    /// That should be buffered: it is written in small pieces.
    ///
    /// # Errors
    ///
    /// Fails if `inner` cannot be written.
    pub fn new(inner: W, precision: Precision) -> Result<Self, CaptureError> {
        Self::of_link_type(inner, precision, LinkType::RAW)
    }

    /// Writes the header of a file with another link type, whose headers the packets begin with.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_link_type(
        mut inner: W,
        precision: Precision,
        link_type: LinkType,
    ) -> Result<Self, CaptureError> {
        let header = PcapHeader {
            magic_number: match precision {
                Precision::Microseconds => 0xa1b2_c3d4,
                Precision::Nanoseconds => 0xa1b2_3c4d,
            },
            snaplen: SNAP_LEN,
            network: Linktype(link_type.0.into()),
            ..PcapHeader::new()
        };
        let header = header.to_vec_raw().map_err(io::Error::other);
        let written = header.and_then(|header| inner.write_all(&header));
        written.map_err(|error| CaptureError::writing(error.into()))?;
        Ok(Self { inner, precision, path: None, n_packets: 0 })
    }

    /// Writes `packet`, captured at `timestamp`.
    ///
    /// Of one longer than 262144 bytes the rest is cut off, as in any capture with that snap
    /// length.
    ///
    /// # Errors
    ///
    /// Fails if the time is before 1970 or after February 2106, with nothing written, or if the
    /// packet cannot be written.
    pub fn write(&mut self, timestamp: Timestamp, packet: &[u8]) -> Result<(), CaptureError> {
        self.write_cut(timestamp, packet, packet.len())
    }

    /// Writes `packet`, of which only the start is known: it had `original_len` bytes.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_cut(
        &mut self,
        timestamp: Timestamp,
        packet: &[u8],
        original_len: usize,
    ) -> Result<(), CaptureError> {
        let number = self.n_packets.saturating_add(1);
        self.write_record(timestamp, packet, original_len.max(packet.len()))
            .map_err(|kind| self.error(kind).at_packet(number))?;
        self.n_packets = number;
        Ok(())
    }

    /// Writes out what is in a buffer.
    ///
    /// # Errors
    ///
    /// Fails if that cannot be written.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        self.inner.flush().map_err(|error| self.error(error.into()))
    }

    /// Writes out what is in a buffer and gives back what was written to.
    ///
    /// # Errors
    ///
    /// Fails if that cannot be written.
    pub fn finish(mut self) -> Result<W, CaptureError> {
        self.flush()?;
        Ok(self.inner)
    }

    fn write_record(
        &mut self,
        timestamp: Timestamp,
        packet: &[u8],
        original_len: usize,
    ) -> Result<(), CaptureErrorKind> {
        let seconds = u32::try_from(timestamp.seconds());
        let captured = u32::try_from(packet.len()).unwrap_or(u32::MAX).min(SNAP_LEN);
        let seconds = seconds.map_err(|_| CaptureErrorKind::Time(timestamp))?;
        let fraction = match self.precision {
            Precision::Microseconds => timestamp.nanoseconds() / 1000,
            Precision::Nanoseconds => timestamp.nanoseconds(),
        };
        let original = u32::try_from(original_len).unwrap_or(u32::MAX);
        // In the order of the file header; the library would allocate for it.
        let header = [seconds, fraction, captured, original].map(u32::to_le_bytes);
        let captured_len = super::order::to_usize(captured);
        self.inner.write_all(header.as_flattened())?;
        Ok(self.inner.write_all(packet.get(..captured_len).unwrap_or(packet))?)
    }

    fn error(&self, kind: CaptureErrorKind) -> CaptureError {
        CaptureError::writing(kind).in_file(self.path.as_deref())
    }
}
