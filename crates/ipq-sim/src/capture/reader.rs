//! Going through a capture: [`Reader`].

use core::iter::FusedIterator;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::error::{CaptureError, CaptureErrorKind};
use super::ip::Datagram;
use super::link::Frame;
use super::malformed::MalformedReason;
use super::pcap::Pcap;
use super::pcapng::Section;
use super::source::Source;
use super::{CapturedPacket, Entry, Record};

/// The packets of a capture, in the order of the file.
///
/// It holds one record in memory at a time. After an error it gives nothing more.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    format: Format,
    path: Option<PathBuf>,
    n_packets: u64,
    has_ended: bool,
}

#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    Pcapng(Section),
}

impl Reader<BufReader<File>> {
    /// Opens the file at `path` and reads its header. Errors name the file.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is empty, is no capture, or ends inside the header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        File::open(path)
            .map_err(|error| CaptureError::reading(error.into(), None))
            .and_then(|file| Self::new(BufReader::new(file)))
            .map(|reader| Self { path: Some(path.to_owned()), ..reader })
            .map_err(|error| error.in_file(Some(path)))
    }
}

impl<R: io::Read> Reader<R> {
    /// Reads the header of the capture in `inner`.
    ///
    /// That should be buffered: it is read in small pieces.
    ///
    /// # Errors
    ///
    /// Fails if `inner` cannot be read, is empty, is no capture, or ends inside the header.
    pub fn new(inner: R) -> Result<Self, CaptureError> {
        let mut source = Source::new(inner);
        let format = Format::open(&mut source)
            .map_err(|kind| CaptureError::reading(kind, Some(source.offset())))?;
        Ok(Self { source, format, path: None, n_packets: 0, has_ended: false })
    }

    /// The next record as it is, link layer and all; `None` at the end, and after an error.
    ///
    /// For what is no IP: [`next`](Iterator::next) is the same for the IP packet in it.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read any further.
    pub fn next_record(&mut self) -> Option<Result<Record, CaptureError>> {
        self.advance(record)
    }

    /// The same as [`next`](Iterator::next), with a packet in the memory of `buffer`, which it takes: so that nothing need be
    /// allocated for a packet.
    pub(crate) fn next_in(&mut self, buffer: &mut Vec<u8>) -> Option<Result<Entry, CaptureError>> {
        self.advance(|number, frame| entry(number, frame, buffer))
    }

    /// Goes on by one record, and has `take` make something of it and its number.
    fn advance<T>(
        &mut self,
        take: impl FnOnce(u64, Result<Frame<'_>, MalformedReason>) -> T,
    ) -> Option<Result<T, CaptureError>> {
        if self.has_ended {
            return None;
        }
        let number = self.n_packets.saturating_add(1);
        match self.format.next(&mut self.source) {
            Ok(Some(frame)) => {
                self.n_packets = number;
                Some(Ok(take(number, frame)))
            }
            Ok(None) => {
                self.has_ended = true;
                None
            }
            Err(kind) => {
                self.has_ended = true;
                let error = CaptureError::reading(kind, Some(self.source.offset()));
                Some(Err(error.at_packet(number).in_file(self.path.as_deref())))
            }
        }
    }
}

impl<R: io::Read> Iterator for Reader<R> {
    type Item = Result<Entry, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_in(&mut Vec::new())
    }
}

impl<R: io::Read> FusedIterator for Reader<R> {}

impl Format {
    fn open<R: io::Read>(source: &mut Source<R>) -> Result<Self, CaptureErrorKind> {
        let needed = 4;
        if !source.begin(needed)? {
            return Err(CaptureErrorKind::Empty);
        }
        let found = source.record().len();
        let magic = source.record().first_chunk();
        match *magic.ok_or(CaptureErrorKind::Truncated { needed, found })? {
            magic if Pcap::is(magic) => Pcap::open(source).map(Self::Pcap),
            magic if Section::is(magic) => Section::open(source).map(Self::Pcapng),
            magic => Err(CaptureErrorKind::Foreign { magic }),
        }
    }

    fn next<'s, R: io::Read>(
        &mut self,
        source: &'s mut Source<R>,
    ) -> Result<Option<Result<Frame<'s>, MalformedReason>>, CaptureErrorKind> {
        match self {
            Self::Pcap(pcap) => Ok(pcap.next(source)?.map(Ok)),
            Self::Pcapng(section) => section.next(source),
        }
    }
}

fn record(number: u64, frame: Result<Frame<'_>, MalformedReason>) -> Record {
    match frame {
        Ok(frame) => Record::Frame {
            number,
            timestamp: frame.timestamp,
            link_type: frame.link_type,
            data: frame.data.to_vec(),
            original_len: frame.original_len,
        },
        Err(reason) => Record::Malformed { number, reason },
    }
}

fn entry(number: u64, frame: Result<Frame<'_>, MalformedReason>, buffer: &mut Vec<u8>) -> Entry {
    match frame.and_then(|frame| packet(number, &frame, buffer)) {
        Ok(Some(packet)) => Entry::Packet(packet),
        Ok(None) => Entry::NotIp { number },
        Err(reason) => Entry::Malformed { number, reason },
    }
}

fn packet(
    number: u64,
    frame: &Frame<'_>,
    buffer: &mut Vec<u8>,
) -> Result<Option<CapturedPacket>, MalformedReason> {
    let Some(payload) = frame.payload()? else {
        return Ok(None);
    };
    let datagram = Datagram::parse(&payload)?;
    buffer.clear();
    buffer.extend_from_slice(datagram.data);
    Ok(Some(CapturedPacket {
        number,
        timestamp: frame.timestamp,
        family: datagram.family,
        hardware_type: payload.hardware_type,
        hardware_address: payload.hardware_address,
        data: core::mem::take(buffer),
        cut: datagram.cut,
    }))
}
