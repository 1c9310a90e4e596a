//! The datagrams of a file, whatever kind it is: [`read`].

use core::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use ipq_sim::capture::{CaptureError, LinkType, Reader, Record};

use super::dialect::Protocol;
use super::hex;
use crate::args::FormatArg;
use crate::failure::Failure;

/// A datagram, and what is known of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Datagram {
    /// Where in the file it is, in words.
    pub(super) place: String,
    /// Whose messages they are, if the capture says it.
    pub(super) protocol: Option<Protocol>,
    pub(super) bytes: Vec<u8>,
}

/// What is wrong with a file, that no datagrams can be had from it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum InputError {
    /// A word in a hex dump that is none.
    Hex { line: usize, column: usize, token: String },
    /// A hex dump that is not even text.
    NotText { offset: usize },
    /// A capture without a single record of netlink.
    NoNetlink { link_type: LinkType },
    /// More than is read into memory.
    TooLong,
    /// Nothing at all.
    Empty,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex { line, column, token } => {
                let token = token.escape_default();
                write!(f, "line {line}, column {column}: \"{token}\" is no hexadecimal byte")
            }
            Self::NotText { offset } => {
                write!(f, "byte {offset} is no text, so this is no hex dump: try --format raw")
            }
            Self::NoNetlink { link_type } => write!(
                f,
                "its packets are {link_type} ({}), not netlink (253): capture on an nlmon device, or see what \
                 'ipq-cli replay' makes of it",
                link_type.0
            ),
            Self::TooLong => {
                write!(f, "more than {LONGEST} bytes: cut it up, or capture it as pcap")
            }
            Self::Empty => f.write_str("there is not a single byte"),
        }
    }
}

/// The longest hex dump or raw datagram that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// The file at `path`, or the standard input.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|error| Failure::reading(path, error))?;
    Ok(Box::new(file))
}

/// Hands each datagram of a file to `each`, with its number from 1.
pub(super) fn read(
    path: &Path,
    input: impl Read,
    format: FormatArg,
    mut each: impl FnMut(u64, &Datagram) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::reading(path, error);
    let mut input = BufReader::new(input);
    let start = input.fill_buf().map_err(failed)?;
    let is_capture = match format {
        FormatArg::Auto => is_capture(start),
        FormatArg::Pcap => true,
        FormatArg::Hex | FormatArg::Raw => false,
    };
    if is_capture {
        return read_capture(path, input, each);
    }
    let mut bytes = Vec::new();
    input.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let datagrams = in_memory(bytes, format).map_err(|error| Failure::reading(path, error))?;
    (1..).zip(&datagrams).try_for_each(|(number, datagram)| each(number, datagram))
}

/// The datagrams of a hex dump, or the one that the bytes are.
fn in_memory(bytes: Vec<u8>, format: FormatArg) -> Result<Vec<Datagram>, InputError> {
    if bytes.len() as u64 > LONGEST {
        return Err(InputError::TooLong);
    }
    if bytes.is_empty() {
        return Err(InputError::Empty);
    }
    let text = match (format, core::str::from_utf8(&bytes)) {
        (FormatArg::Hex, Ok(text)) => Some(text),
        (FormatArg::Hex, Err(error)) => {
            return Err(InputError::NotText { offset: error.valid_up_to() });
        }
        (FormatArg::Raw, _) => None,
        (_, text) => text.ok().filter(|text| hex::is_likely(text)),
    };
    match text {
        Some(text) => hex::datagrams(text),
        None => Ok(vec![Datagram { bytes, ..Datagram::default() }]),
    }
}

/// Whether a file that begins so is a capture: pcap in either order and precision, or pcapng.
fn is_capture(start: &[u8]) -> bool {
    let magic = start.first_chunk().copied().map(u32::from_be_bytes);
    magic.is_some_and(|magic| {
        [magic, magic.swap_bytes()]
            .iter()
            .any(|magic| matches!(magic, 0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34 | 0x0a0d_0d0a))
    })
}

fn read_capture(
    path: &Path,
    input: impl Read,
    mut each: impl FnMut(u64, &Datagram) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let named = |error: CaptureError| Failure::from(error.in_file(Some(path)));
    let mut reader = Reader::new(input).map_err(named)?;
    let (mut found, mut other) = (0, None);
    while let Some(record) = reader.next_record() {
        let Record::Frame { number, link_type, data, .. } = record.map_err(named)? else {
            continue;
        };
        match link_type {
            LinkType::NETLINK => {
                found += 1;
                each(found, &of_frame(number, &data))?;
            }
            link_type => other = other.or(Some(link_type)),
        }
    }
    match other {
        Some(link_type) if found == 0 => {
            Err(Failure::reading(path, InputError::NoNetlink { link_type }))
        }
        _ => Ok(()),
    }
}

/// The datagram behind the header of sixteen bytes, whose last two are the netlink protocol.
fn of_frame(number: u64, data: &[u8]) -> Datagram {
    let place = format!("packet {number}");
    match data.split_first_chunk::<16>() {
        Some((&[.., high, low], bytes)) => {
            let protocol = Protocol::of_netlink(u16::from_be_bytes([high, low]));
            Datagram { place, protocol, bytes: bytes.to_vec() }
        }
        None => {
            Datagram { place: format!("{place}, cut in its link header"), ..Datagram::default() }
        }
    }
}
