//! What is printed, whatever the format: [`Output`] and [`Summary`].

use core::time::Duration;
use std::io;
use std::path::Path;

use ipq::{Errno, Packet, PacketId, Verdict};
use ipq_sim::Malformed;

/// A format. Data go to stdout, messages to stderr.
pub(crate) trait Output {
    /// A packet and the verdict it got, and whether another packet takes its place.
    fn packet(&mut self, packet: &Packet<'_>, verdict: Verdict, is_changed: bool)
    -> io::Result<()>;

    /// Something that went wrong and was survived.
    fn trouble(&mut self, trouble: &Trouble) -> io::Result<()>;

    /// A frame of a capture that makes no sense.
    fn malformed(&mut self, path: &Path, malformed: &Malformed) -> io::Result<()>;

    /// The end.
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;
}

/// Something that went wrong and was survived.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// The error number that the kernel gave, if it gave one.
    pub(crate) errno: Option<Errno>,
    /// The packet it is about, if it is known.
    pub(crate) packet: Option<PacketId>,
    /// The same in words.
    pub(crate) text: String,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    /// Packets read.
    pub(crate) packets: u64,
    /// Bytes of payload read.
    pub(crate) bytes: u64,
    pub(crate) accepted: u64,
    pub(crate) dropped: u64,
    /// Other verdicts.
    pub(crate) other: u64,
    /// What went wrong and was survived.
    pub(crate) errors: u64,
    /// Packets that the kernel dropped because nobody read them in time.
    pub(crate) lost: u64,
    /// Frames of a capture that carry no IP.
    pub(crate) skipped: u64,
    /// Those of them that are malformed.
    pub(crate) malformed: u64,
    /// Packets of a family that was not asked for.
    pub(crate) unclaimed: u64,
    /// How long it took by the kernel's clock: from the first packet to the last, and the time-out behind it.
    pub(crate) time: Duration,
}
