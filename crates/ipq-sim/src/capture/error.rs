//! Why a capture cannot be read or written any further: [`CaptureError`].

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{MAX_RECORD_LEN, Timestamp};

/// Why a capture cannot be read or written any further, and where.
///
/// Printed, it is one line that says all of it: `reading x.pcap: packet 12 at offset 3452: record
/// claims 4000000000 bytes, more than 16777216: the file is damaged`.
#[derive(Debug)]
pub struct CaptureError {
    action: Action,
    path: Option<PathBuf>,
    packet: Option<u64>,
    offset: Option<u64>,
    kind: CaptureErrorKind,
}

/// What was attempted.
#[derive(Clone, Copy, Debug)]
enum Action {
    Reading,
    Writing,
}

/// Why a capture cannot be read or written any further.
#[derive(Debug)]
#[non_exhaustive]
pub enum CaptureErrorKind {
    /// The operating system, or the stream, refused.
    Io(io::Error),
    /// There is not a single byte.
    Empty,
    /// It is no pcap and no pcapng file.
    Foreign {
        /// Its first four bytes.
        magic: [u8; 4],
    },
    /// It is of a version of its format that nobody has defined yet, or that is very old.
    Version {
        /// The major version.
        major: u16,
        /// The minor version.
        minor: u16,
    },
    /// It ends in the middle of a record.
    Truncated {
        /// How many bytes of the record are needed to go on.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A record says that it is longer than [`MAX_RECORD_LEN`].
    TooLong {
        /// The length it says, in bytes.
        claimed: u32,
    },
    /// A pcapng block says a length that no block can have: below 12, or not a multiple of 4.
    BlockLength {
        /// The length it says, in bytes.
        claimed: u32,
    },
    /// A pcapng block says one length at its start and another at its end.
    BlockLengths {
        /// The length at the start.
        start: u32,
        /// The length at the end.
        end: u32,
    },
    /// A header makes no sense, of the file, a section or an interface: no packet after it can.
    Header(
        /// Which of them.
        &'static str,
    ),
    /// A time that a pcap file cannot express: before 1970, or after February 2106.
    Time(
        /// The time.
        Timestamp,
    ),
}

impl CaptureError {
    /// The error before any packet.
    pub(super) fn reading(kind: CaptureErrorKind, offset: Option<u64>) -> Self {
        Self { action: Action::Reading, path: None, packet: None, offset, kind }
    }

    pub(super) fn writing(kind: CaptureErrorKind) -> Self {
        Self { action: Action::Writing, path: None, packet: None, offset: None, kind }
    }

    /// The same error, of the file with this name.
    #[must_use]
    pub fn in_file(self, path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_owned), ..self }
    }

    pub(super) fn at_packet(self, number: u64) -> Self {
        Self { packet: Some(number), ..self }
    }

    /// What went wrong.
    pub const fn kind(&self) -> &CaptureErrorKind {
        &self.kind
    }

    /// The file, if it was opened by name.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The number of the packet that came next, from 1; `None` in the header of the file.
    pub const fn packet(&self) -> Option<u64> {
        self.packet
    }

    /// Where the record starts that could not be read, in bytes from the start of the file.
    pub const fn offset(&self) -> Option<u64> {
        self.offset
    }
}

// The text has all there is to say, a cause below included; so there is no `source`, which would be
// printed twice.
impl core::error::Error for CaptureError {}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.action {
            Action::Reading => "reading ",
            Action::Writing => "writing ",
        })?;
        match &self.path {
            Some(path) => write!(f, "{}: ", path.display())?,
            None => f.write_str("a capture: ")?,
        }
        match (self.packet, self.offset) {
            (Some(packet), Some(offset)) => write!(f, "packet {packet} at offset {offset}: ")?,
            (Some(packet), None) => write!(f, "packet {packet}: ")?,
            (None, Some(offset)) => write!(f, "offset {offset}: ")?,
            (None, None) => {}
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for CaptureErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Empty => {
                f.write_str("the file is empty: not even the header of a capture is there")
            }
            Self::Foreign { magic } => {
                f.write_str("it starts with")?;
                magic.iter().try_for_each(|byte| write!(f, " {byte:02x}"))?;
                f.write_str(hint(*magic))
            }
            Self::Version { major, minor } => {
                write!(f, "version {major}.{minor} of the file format is unknown")
            }
            Self::Truncated { needed, found } => {
                write!(f, "{found} of {needed} bytes are there: the file was cut short")
            }
            Self::TooLong { claimed } => write!(
                f,
                "record claims {claimed} bytes, more than {MAX_RECORD_LEN}: the file is damaged"
            ),
            Self::BlockLength { claimed } => write!(
                f,
                "block claims {claimed} bytes, not a multiple of 4 from 12 on: the file is damaged"
            ),
            Self::BlockLengths { start, end } => write!(
                f,
                "block claims {start} bytes at its start and {end} at its end: the file is damaged"
            ),
            Self::Header(which) => write!(f, "the {which} makes no sense: the file is damaged"),
            Self::Time(time) => {
                write!(f, "time {time} is out of the range of a pcap file: 1970 to 2106")
            }
        }
    }
}

/// What to do with a file that starts with `magic`.
const fn hint(magic: [u8; 4]) -> &'static str {
    match magic {
        [0x1f, 0x8b, ..]
        | [0x28, 0xb5, 0x2f, 0xfd]
        | [0xfd, b'7', b'z', b'X']
        | [b'B', b'Z', b'h', _] => {
            ", which is no pcap or pcapng file but a compressed one: unpack it first"
        }
        _ => ", which is no pcap or pcapng file",
    }
}

impl From<io::Error> for CaptureErrorKind {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
