//! Captures: the IP packets of a pcap or pcapng file, and a pcap file of IP packets.
//!
//! A [`Reader`] goes through a file of any size one record at a time and gives an [`Entry`] for
//! each: the packet from its IP header on, as it enters a kernel, or why there is none. What is no
//! IP is no fault of the file, and what is malformed concerns one packet: the reader goes on after
//! both. A file whose framing is damaged ends with one [`CaptureError`], since nothing after the
//! damage can be trusted.
//!
//! | format | read |
//! |---|---|
//! | pcap | either byte order; micro- and nanoseconds; the variant with longer record headers |
//! | pcapng | either byte order; any sections and interfaces; all three kinds of packet blocks |
//!
//! Link types are those with a name in [`LinkType`]; the packets of any other are [`Entry::NotIp`].
//!
//! A [`Writer`] writes pcap files of raw IP, which every tool reads. A [`PcapngWriter`] writes comments as well.
//!
//! ```
//! use ipq_sim::capture::{Entry, Precision, Reader, Timestamp, Writer};
//!
//! let mut packet = [0; 20];
//! packet[0] = 0x45;
//! let mut writer = Writer::new(Vec::new(), Precision::Nanoseconds)?;
//! writer.write(Timestamp::EPOCH, &packet)?;
//! let file = writer.finish()?;
//!
//! for entry in Reader::new(file.as_slice())? {
//!     let Entry::Packet(read) = entry? else { continue };
//!     assert_eq!((read.number, read.data.as_slice()), (1, packet.as_slice()));
//! }
//! # Ok::<(), ipq_sim::capture::CaptureError>(())
//! ```

mod error;
mod ip;
mod link;
mod link_type;
mod malformed;
mod order;
mod pcap;
mod pcapng;
mod pcapng_writer;
mod reader;
mod source;
mod time;
mod writer;

pub use error::{CaptureError, CaptureErrorKind};
pub use link_type::LinkType;
pub use malformed::MalformedReason;
pub use pcapng_writer::{Interface, PcapngWriter};
pub use reader::Reader;
pub use time::Timestamp;
pub use writer::{Precision, Writer};

use ipq_proto::{Family, HardwareAddress, HardwareType};

/// The longest record of a capture that is believed, in bytes: 16 MiB.
pub const MAX_RECORD_LEN: usize = 16 << 20;

/// What a [`Reader`] found in one packet record.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// An IP packet. Only its first header is known to be there; all else may be malformed.
    Packet(CapturedPacket),
    /// A packet that carries no IP, or has a link type this module does not read.
    NotIp {
        /// The position in the file, from 1.
        number: u64,
    },
    /// A packet that contradicts itself, so that no IP packet can be had from it.
    Malformed {
        /// The position in the file, from 1.
        number: u64,
        /// The contradiction.
        reason: MalformedReason,
    },
}

impl Entry {
    /// The position in the file, from 1, as Wireshark counts.
    pub const fn number(&self) -> u64 {
        match self {
            Self::Packet(CapturedPacket { number, .. })
            | Self::NotIp { number }
            | Self::Malformed { number, .. } => *number,
        }
    }
}

/// One packet record of a capture, as [`Reader::next_record`] gives it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// A packet, from its link layer on.
    Frame {
        /// The position in the file, from 1, as Wireshark counts.
        number: u64,
        /// When it was captured.
        timestamp: Timestamp,
        /// What it begins with.
        link_type: LinkType,
        /// Its bytes, as far as the capture has them.
        data: Vec<u8>,
        /// Its length on the wire in bytes, as claimed.
        original_len: usize,
    },
    /// A record that contradicts itself.
    Malformed {
        /// The position in the file, from 1.
        number: u64,
        /// The contradiction.
        reason: MalformedReason,
    },
}

/// One packet of a capture that carries IP, from its IP header on.
///
/// Padding of the link layer is trimmed as a kernel does it; a packet that a file holds without a
/// link layer ([`LinkType::RAW`] and its like, BSD loopback, NFLOG) is kept as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CapturedPacket {
    /// The position in the file, from 1, as Wireshark counts.
    pub number: u64,
    /// When it was captured; [`Timestamp::EPOCH`] in a simple packet block, which has no time.
    pub timestamp: Timestamp,
    /// The IP version, which both the link layer (where it says) and the header itself agree on.
    pub family: Family,
    /// The type of the link layer; [`HardwareType::NONE`] for all but Ethernet and Linux cooked.
    pub hardware_type: HardwareType,
    /// The sender's link-layer address; [`HardwareAddress::NONE`] if the capture has none.
    pub hardware_address: HardwareAddress,
    /// The packet: at least the shortest header of its family.
    pub data: Vec<u8>,
    /// The packet's length on the wire, from its IP header on, if the snap length cut some of it.
    pub cut: Option<usize>,
}
