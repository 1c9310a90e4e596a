//! Writing a capture with comments: [`PcapngWriter`].

use std::borrow::Cow;
use std::io;

use pcap_parser::{
    BOM_MAGIC, EPB_MAGIC, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, Linktype,
    OptionCode, PcapNGOption, SHB_MAGIC, SectionHeaderBlock, ToVec,
};

use super::error::{CaptureError, CaptureErrorKind};
use super::writer::SNAP_LEN;
use super::{LinkType, Timestamp};

/// A pcapng file: packets of several interfaces, each with a comment, as Wireshark shows them. Times are in nanoseconds.
///
/// ```
/// use ipq_sim::capture::{LinkType, PcapngWriter, Reader, Timestamp};
///
/// let mut writer = PcapngWriter::new(Vec::new())?;
/// let eth0 = writer.add_interface("eth0", LinkType::RAW)?;
/// writer.write(eth0, Timestamp::EPOCH, &[0x45; 20], "the first one")?;
/// let file = writer.finish()?;
/// assert_eq!(Reader::new(file.as_slice())?.count(), 1);
/// # Ok::<(), ipq_sim::capture::CaptureError>(())
/// ```
#[derive(Debug)]
pub struct PcapngWriter<W> {
    inner: W,
    n_interfaces: u32,
    n_packets: u64,
}

/// An interface of a [`PcapngWriter`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interface(u32);

/// The resolution of times, as the exponent of ten that a second is divided by.
const NANOSECONDS: u8 = 9;

impl<W: io::Write> PcapngWriter<W> {
    /// Writes the header to `inner`, which should be buffered.
    ///
    /// # Errors
    ///
    /// Fails if `inner` cannot be written.
    pub fn new(inner: W) -> Result<Self, CaptureError> {
        let mut writer = Self { inner, n_interfaces: 0, n_packets: 0 };
        let block = SectionHeaderBlock {
            block_type: SHB_MAGIC,
            block_len1: 0,
            bom: BOM_MAGIC,
            major_version: 1,
            minor_version: 0,
            section_len: -1,
            options: vec![option(OptionCode::ShbUserAppl, b"ipq")],
            block_len2: 0,
        };
        writer.block(block).map_err(CaptureError::writing)?;
        Ok(writer)
    }

    /// Adds an interface that packets may be of.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn add_interface(
        &mut self,
        name: &str,
        link_type: LinkType,
    ) -> Result<Interface, CaptureError> {
        let block = InterfaceDescriptionBlock {
            block_type: IDB_MAGIC,
            block_len1: 0,
            linktype: Linktype(link_type.0.into()),
            reserved: 0,
            snaplen: SNAP_LEN,
            options: vec![option(OptionCode::IfName, name.as_bytes())],
            block_len2: 0,
            if_tsresol: NANOSECONDS,
            if_tsoffset: 0,
        };
        self.block(block).map_err(CaptureError::writing)?;
        self.n_interfaces += 1;
        Ok(Interface(self.n_interfaces - 1))
    }

    /// Writes `packet` with a comment. Of one longer than 262144 bytes, and of a comment longer than 65535, the rest is cut
    /// off.
    ///
    /// # Errors
    ///
    /// Fails if the time is before 1970 or after the year 2554, with nothing written, or if the packet cannot be written.
    pub fn write(
        &mut self,
        interface: Interface,
        timestamp: Timestamp,
        packet: &[u8],
        comment: &str,
    ) -> Result<(), CaptureError> {
        self.write_cut(interface, timestamp, packet, packet.len(), comment)
    }

    /// Writes `packet`, of which only the start is known: it had `original_len` bytes.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_cut(
        &mut self,
        Interface(interface): Interface,
        timestamp: Timestamp,
        packet: &[u8],
        original_len: usize,
        comment: &str,
    ) -> Result<(), CaptureError> {
        let number = self.n_packets.saturating_add(1);
        self.packet(interface, timestamp, packet, original_len.max(packet.len()), comment)
            .map_err(|kind| CaptureError::writing(kind).at_packet(number))?;
        self.n_packets = number;
        Ok(())
    }

    /// Writes out what is in a buffer and gives back what was written to.
    ///
    /// # Errors
    ///
    /// Fails if that cannot be written.
    pub fn finish(mut self) -> Result<W, CaptureError> {
        self.inner.flush().map_err(|error| CaptureError::writing(error.into()))?;
        Ok(self.inner)
    }

    fn packet(
        &mut self,
        if_id: u32,
        timestamp: Timestamp,
        packet: &[u8],
        original_len: usize,
        comment: &str,
    ) -> Result<(), CaptureErrorKind> {
        let nanoseconds = nanoseconds(timestamp).ok_or(CaptureErrorKind::Time(timestamp))?;
        let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let data = packet.get(..super::order::to_usize(SNAP_LEN)).unwrap_or(packet);
        let len = |len| u32::try_from(len).unwrap_or(u32::MAX);
        self.block(EnhancedPacketBlock {
            block_type: EPB_MAGIC,
            block_len1: 0,
            if_id,
            ts_high: half(nanoseconds >> u32::BITS),
            ts_low: half(nanoseconds),
            caplen: len(data.len()),
            origlen: len(original_len),
            data,
            options: vec![option(OptionCode::Comment, comment.as_bytes())],
            block_len2: 0,
        })
    }

    fn block(&mut self, mut block: impl ToVec) -> Result<(), CaptureErrorKind> {
        let bytes = block.to_vec().map_err(io::Error::other)?;
        Ok(self.inner.write_all(&bytes)?)
    }
}

fn option(code: OptionCode, value: &[u8]) -> PcapNGOption<'_> {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    PcapNGOption { code, len, value: Cow::Borrowed(value) }
}

/// A time as the file has it.
fn nanoseconds(timestamp: Timestamp) -> Option<u64> {
    let seconds = u64::try_from(timestamp.seconds()).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(timestamp.nanoseconds().into())
}
