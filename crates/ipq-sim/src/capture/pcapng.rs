//! The framing of pcapng files: [`Section`].
//!
//! Blocks are taken apart here and not by `pcap-parser`, because only here it is known that a block
//! is complete: a length inside of it that lies makes the parser ask for more of the file. It reads
//! the section header and the options of interfaces.

use std::io;

use pcap_parser::pcapng::{
    BOM_MAGIC, EPB_MAGIC, IDB_MAGIC, InterfaceDescriptionBlock, OptionCode, SHB_MAGIC, SPB_MAGIC,
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock,
};

use super::error::CaptureErrorKind;
use super::link::Frame;
use super::malformed::MalformedReason;
use super::order::{Order, to_usize};
use super::source::Source;
use super::time::Clock;
use super::{LinkType, MAX_RECORD_LEN, Timestamp};

/// The block type of the section header reads the same in both byte orders.
const SECTION_HEADER: [u8; 4] = SHB_MAGIC.to_be_bytes();
/// The packet block before there was the enhanced one.
const OBSOLETE_PACKET: u32 = 2;
/// Type and length at the start of a block; the length again at its end.
const BLOCK_HEADER_LEN: usize = 8;
const BLOCK_TRAILER_LEN: usize = 4;
const MIN_BLOCK_LEN: u32 = 12;

/// What is known inside a section: the byte order, and the interfaces described so far.
#[derive(Debug)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Debug)]
struct Interface {
    link_type: LinkType,
    /// How much of a packet is captured at most; 0 for all of it.
    snap_len: u32,
    clock: Clock,
}

impl Section {
    /// Whether a file that starts with `magic` is of this format.
    pub(super) fn is(magic: [u8; 4]) -> bool {
        magic == SECTION_HEADER
    }

    /// Reads the first section header.
    pub(super) fn open<R: io::Read>(source: &mut Source<R>) -> Result<Self, CaptureErrorKind> {
        // The byte order is not known before the section header says it.
        let mut section = Self { order: Order::Little, interfaces: Vec::new() };
        section.read_block(source)?;
        section.enter(source.record())?;
        Ok(section)
    }

    /// The next packet; `None` at the end of the file.
    pub(super) fn next<'s, R: io::Read>(
        &mut self,
        source: &'s mut Source<R>,
    ) -> Result<Option<Result<Frame<'s>, MalformedReason>>, CaptureErrorKind> {
        let block_type = loop {
            if !source.begin(BLOCK_HEADER_LEN)? {
                return Ok(None);
            }
            match self.read_block(source)? {
                SHB_MAGIC => self.enter(source.record())?,
                IDB_MAGIC => self.interfaces.push(Interface::parse(source.record(), self.order)?),
                block_type @ (EPB_MAGIC | SPB_MAGIC | OBSOLETE_PACKET) => break block_type,
                _ => {}
            }
        };
        Ok(Some(match block_type {
            SPB_MAGIC => self.simple_packet(source.record()),
            EPB_MAGIC => self.packet(source.record(), Order::u32_at),
            _ => self.packet(source.record(), |order, fields, offset| {
                order.u16_at(fields, offset).map(u32::from)
            }),
        }))
    }

    /// Reads all of the block that was begun, and gives its type.
    fn read_block<R: io::Read>(&mut self, source: &mut Source<R>) -> Result<u32, CaptureErrorKind> {
        let mut header = source.fill(BLOCK_HEADER_LEN)?;
        if header.starts_with(&SECTION_HEADER) {
            header = source.fill(BLOCK_HEADER_LEN + 4)?;
            self.order = [Order::Little, Order::Big]
                .into_iter()
                .find(|order| order.u32_at(header, BLOCK_HEADER_LEN) == Some(BOM_MAGIC))
                .ok_or(CaptureErrorKind::Header("section header"))?;
        }
        let Some([block_type, claimed]) = self.order.u32s(header) else {
            return Err(CaptureErrorKind::Header("block header"));
        };
        let len = to_usize(claimed);
        if len > MAX_RECORD_LEN {
            return Err(CaptureErrorKind::TooLong { claimed });
        }
        if claimed < MIN_BLOCK_LEN || !claimed.is_multiple_of(4) {
            return Err(CaptureErrorKind::BlockLength { claimed });
        }
        let block = source.fill(len)?;
        match self.order.u32_at(block, len - BLOCK_TRAILER_LEN) {
            Some(end) if end != claimed => {
                Err(CaptureErrorKind::BlockLengths { start: claimed, end })
            }
            _ => Ok(block_type),
        }
    }

    /// Begins a section, which knows nothing of the interfaces of the one before.
    fn enter(&mut self, block: &[u8]) -> Result<(), CaptureErrorKind> {
        let Ok((_, header)) = parse_sectionheaderblock(block) else {
            return Err(CaptureErrorKind::Header("section header"));
        };
        let (major, minor) = (header.major_version, header.minor_version);
        if major != 1 {
            return Err(CaptureErrorKind::Version { major, minor });
        }
        self.interfaces.clear();
        Ok(())
    }

    /// An enhanced packet block, or the obsolete one: they differ in how wide the interface's
    /// number is.
    fn packet<'a>(
        &self,
        block: &'a [u8],
        interface_at: impl Fn(Order, &[u8], usize) -> Option<u32>,
    ) -> Result<Frame<'a>, MalformedReason> {
        let (fields, rest) = split(block, 20)?;
        let too_short = MalformedReason::Block { len: block.len(), min: 32 };
        let [_, high, low, captured, original] = self.order.u32s(fields).ok_or(too_short)?;
        let interface = self.interface(interface_at(self.order, fields, 0).ok_or(too_short)?)?;
        let ticks = u64::from(high) << 32 | u64::from(low);
        Ok(Frame {
            link_type: interface.link_type,
            order: self.order,
            timestamp: interface.clock.time(ticks).ok_or(MalformedReason::Time { ticks })?,
            original_len: to_usize(original),
            data: captured_part(rest, captured)?,
        })
    }

    /// A simple packet block: of the first interface, without a time, and as long as the snap
    /// length lets it be.
    fn simple_packet<'a>(&self, block: &'a [u8]) -> Result<Frame<'a>, MalformedReason> {
        let (fields, rest) = split(block, 4)?;
        let too_short = MalformedReason::Block { len: block.len(), min: 16 };
        let original = self.order.u32_at(fields, 0).ok_or(too_short)?;
        let interface = self.interface(0)?;
        let captured =
            if interface.snap_len == 0 { original } else { original.min(interface.snap_len) };
        Ok(Frame {
            link_type: interface.link_type,
            order: self.order,
            timestamp: Timestamp::EPOCH,
            original_len: to_usize(original),
            data: captured_part(rest, captured)?,
        })
    }

    fn interface(&self, index: u32) -> Result<&Interface, MalformedReason> {
        let described = self.interfaces.len();
        self.interfaces.get(to_usize(index)).ok_or(MalformedReason::Interface { index, described })
    }
}

impl Interface {
    fn parse(block: &[u8], order: Order) -> Result<Self, CaptureErrorKind> {
        let parsed = match order {
            Order::Little => parse_interfacedescriptionblock_le(block),
            Order::Big => parse_interfacedescriptionblock_be(block),
        };
        let Ok((_, description)) = parsed else {
            return Err(CaptureErrorKind::Header("interface description"));
        };
        Ok(Self {
            link_type: LinkType::of_pcap(description.linktype),
            snap_len: description.snaplen,
            clock: clock(&description, order),
        })
    }
}

/// The clock that the options of an interface describe.
///
/// The parser reads on behind the end of the options, and reads the offset in one byte order only.
fn clock(description: &InterfaceDescriptionBlock<'_>, order: Order) -> Clock {
    let mut clock = Clock::DEFAULT;
    let options = description.options.iter();
    for option in options.take_while(|option| option.code != OptionCode::EndOfOpt) {
        let value = option.as_bytes().unwrap_or_default();
        match option.code {
            OptionCode::IfTsresol => {
                clock.resolution = value.first().copied().unwrap_or(clock.resolution);
            }
            OptionCode::IfTsoffset => {
                clock.offset = value.first_chunk().map_or(clock.offset, |value| order.i64(*value));
            }
            _ => {}
        }
    }
    clock
}

/// What is inside of a packet block: fields of `len` bytes, and the rest.
fn split(block: &[u8], len: usize) -> Result<(&[u8], &[u8]), MalformedReason> {
    let min = BLOCK_HEADER_LEN + len + BLOCK_TRAILER_LEN;
    block
        .get(BLOCK_HEADER_LEN..block.len().saturating_sub(BLOCK_TRAILER_LEN))
        .and_then(|body| body.split_at_checked(len))
        .ok_or(MalformedReason::Block { len: block.len(), min })
}

/// The packet at the start of `rest`, before padding and options.
fn captured_part(rest: &[u8], captured: u32) -> Result<&[u8], MalformedReason> {
    let claimed = to_usize(captured);
    rest.get(..claimed).ok_or(MalformedReason::Captured { claimed, room: rest.len() })
}
