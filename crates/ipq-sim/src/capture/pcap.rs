//! The framing of pcap files: [`Pcap`].

use std::io;

use pcap_parser::pcap::parse_pcap_header;

use super::error::CaptureErrorKind;
use super::link::Frame;
use super::order::{Order, to_usize};
use super::source::Source;
use super::{LinkType, MAX_RECORD_LEN, Timestamp};

const FILE_HEADER_LEN: usize = 24;

/// A pcap file in either byte order.
const BIG_ENDIAN: [u8; 4] = [0xa1, 0xb2, 0xc3, 0xd4];
const LITTLE_ENDIAN: [u8; 4] = [0xd4, 0xc3, 0xb2, 0xa1];
/// With nanoseconds instead of microseconds.
const BIG_ENDIAN_NANOSECONDS: [u8; 4] = [0xa1, 0xb2, 0x3c, 0x4d];
const LITTLE_ENDIAN_NANOSECONDS: [u8; 4] = [0x4d, 0x3c, 0xb2, 0xa1];
/// "Modified" pcap, as libpcap of some Linux distributions wrote it around 2000: eight bytes more
/// in every record header, with the interface and the packet type.
const BIG_ENDIAN_MODIFIED: [u8; 4] = [0xa1, 0xb2, 0xcd, 0x34];
const LITTLE_ENDIAN_MODIFIED: [u8; 4] = [0x34, 0xcd, 0xb2, 0xa1];

/// What the header of a pcap file says of all its records.
#[derive(Debug)]
pub(super) struct Pcap {
    order: Order,
    link_type: LinkType,
    nanoseconds_per_unit: u32,
    record_header_len: usize,
}

impl Pcap {
    /// Whether a file that starts with `magic` is of this format.
    pub(super) const fn is(magic: [u8; 4]) -> bool {
        matches!(
            magic,
            BIG_ENDIAN
                | LITTLE_ENDIAN
                | BIG_ENDIAN_NANOSECONDS
                | LITTLE_ENDIAN_NANOSECONDS
                | BIG_ENDIAN_MODIFIED
                | LITTLE_ENDIAN_MODIFIED
        )
    }

    /// Reads the file header.
    pub(super) fn open<R: io::Read>(source: &mut Source<R>) -> Result<Self, CaptureErrorKind> {
        let needed = FILE_HEADER_LEN;
        let header = source.fill(needed)?;
        let mut header: [u8; FILE_HEADER_LEN] = *header
            .first_chunk()
            .ok_or(CaptureErrorKind::Truncated { needed, found: header.len() })?;
        let is_modified =
            header.starts_with(&BIG_ENDIAN_MODIFIED) || header.starts_with(&LITTLE_ENDIAN_MODIFIED);
        // The parser knows the modified format in one byte order only, and the file header is as in
        // the others.
        if header.starts_with(&BIG_ENDIAN_MODIFIED) {
            header.iter_mut().zip(BIG_ENDIAN).for_each(|(byte, plain)| *byte = plain);
        }
        let Ok((_, header)) = parse_pcap_header(&header) else {
            return Err(CaptureErrorKind::Header("file header"));
        };
        if header.version_major != 2 {
            let (major, minor) = (header.version_major, header.version_minor);
            return Err(CaptureErrorKind::Version { major, minor });
        }
        Ok(Self {
            order: if header.is_bigendian() { Order::Big } else { Order::Little },
            link_type: LinkType::of_pcap(header.network),
            nanoseconds_per_unit: if header.is_nanosecond_precision() { 1 } else { 1000 },
            record_header_len: if is_modified { 24 } else { 16 },
        })
    }

    /// The next packet; `None` at the end of the file.
    pub(super) fn next<'s, R: io::Read>(
        &self,
        source: &'s mut Source<R>,
    ) -> Result<Option<Frame<'s>>, CaptureErrorKind> {
        let header_len = self.record_header_len;
        if !source.begin(header_len)? {
            return Ok(None);
        }
        let found = source.record().len();
        let Some([seconds, fraction, captured, original]) = self.order.u32s(source.record()) else {
            return Err(CaptureErrorKind::Truncated { needed: header_len, found });
        };
        let captured_len = to_usize(captured);
        if captured_len > MAX_RECORD_LEN {
            return Err(CaptureErrorKind::TooLong { claimed: captured });
        }
        let record = source.fill(header_len + captured_len)?;
        Ok(Some(Frame {
            link_type: self.link_type,
            order: self.order,
            timestamp: Timestamp::of_pcap(seconds, fraction, self.nanoseconds_per_unit),
            original_len: to_usize(original),
            data: record.get(header_len..).unwrap_or_default(),
        }))
    }
}
