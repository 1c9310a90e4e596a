//! How packets end: [`Fate`], [`Outcome`] and [`Totals`].

use core::fmt;

use ipq_proto::{DeviceName, Family, Hook};

use crate::capture::Timestamp;

/// How a packet ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fate {
    /// It was received: by this host, or by the one at the other end of the device that it left by.
    Delivered,
    /// It was discarded.
    Dropped(Reason),
    /// It was longer than its way out takes, and left as fragments. They are packets of their own.
    Fragmented,
    /// It was a fragment, and is part of another packet now, that of the first fragment.
    Reassembled,
}

/// Why a packet was discarded.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// A rule with the target DROP, at this hook.
    Rule(Hook),
    /// It was to be queued, and the kernel has no queue: the module is not loaded.
    NoQueue,
    /// It was to be queued, and no program had asked for packets.
    NoPeer,
    /// It was to be queued, and the program's copy mode was none.
    CopyModeNone,
    /// The queue had its maximum length.
    QueueFull,
    /// The program's receive buffer was full, or its socket gone.
    ReceiveBufferFull,
    /// The program decided so.
    Verdict,
    /// The replacement made the packet longer than 65,535 bytes.
    ReplacementTooLong,
    /// The program went away while the packet was queued.
    PeerClosed,
    /// A device that it came in by, or was to leave by, went down.
    DeviceDown,
    /// The module was unloaded while the packet was queued.
    ModuleUnloaded,
    /// It was to be forwarded and had no hop left.
    #[doc(alias("TTL", "hop limit"))]
    HopLimit,
    /// It was longer than its way out takes, and was not to be cut up.
    #[doc(alias = "MTU")]
    TooLong,
    /// It was a fragment, and the others did not come.
    ReassemblyTimeout,
    /// Its receiver found no IP header of its family, or one that makes no sense.
    Malformed,
    /// Its receiver found fewer bytes than the header says.
    Short,
    /// Its receiver found the checksum of the IP header wrong.
    IpChecksum,
    /// Its receiver found the checksum of TCP, UDP or ICMP wrong.
    TransportChecksum,
}

impl Fate {
    /// All that there are.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let whole = [Self::Delivered, Self::Fragmented, Self::Reassembled];
        let rules = Hook::ALL.map(Reason::Rule);
        whole.into_iter().chain(Reason::OTHERS.into_iter().chain(rules).map(Self::Dropped))
    }
}

impl Reason {
    /// All but the rules.
    const OTHERS: [Self; 17] = [
        Self::NoQueue,
        Self::NoPeer,
        Self::CopyModeNone,
        Self::QueueFull,
        Self::ReceiveBufferFull,
        Self::Verdict,
        Self::ReplacementTooLong,
        Self::PeerClosed,
        Self::DeviceDown,
        Self::ModuleUnloaded,
        Self::HopLimit,
        Self::TooLong,
        Self::ReassemblyTimeout,
        Self::Malformed,
        Self::Short,
        Self::IpChecksum,
        Self::TransportChecksum,
    ];
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered => f.write_str("delivered"),
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
            Self::Fragmented => f.write_str("left as fragments"),
            Self::Reassembled => f.write_str("put together with other fragments"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rule(hook) => return write!(f, "by a rule at {hook}"),
            Self::NoQueue => "the module is not loaded",
            Self::NoPeer => "no program has the queue",
            Self::CopyModeNone => "the copy mode is none",
            Self::QueueFull => "the queue is full",
            Self::ReceiveBufferFull => "the receive buffer is full",
            Self::Verdict => "by a verdict",
            Self::ReplacementTooLong => "the replacement is too long",
            Self::PeerClosed => "the program went away",
            Self::DeviceDown => "a device went down",
            Self::ModuleUnloaded => "the module was unloaded",
            Self::HopLimit => "no hop left",
            Self::TooLong => "longer than the link takes",
            Self::ReassemblyTimeout => "the other fragments did not come",
            Self::Malformed => "no sensible IP header",
            Self::Short => "shorter than its header says",
            Self::IpChecksum => "wrong IP checksum",
            Self::TransportChecksum => "wrong transport checksum",
        })
    }
}

/// A packet that has ended, as it was at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Which packet: they count from 1, in the order they entered.
    pub number: u64,
    /// How it ended.
    pub fate: Fate,
    /// Its family.
    pub family: Family,
    /// When it arrived, in the capture's time; `None` for a packet made on this host.
    pub timestamp: Option<Timestamp>,
    /// Its netfilter mark.
    pub mark: u32,
    /// The device it came in by, empty when none.
    pub input_device: DeviceName,
    /// The device it left by, or was to leave by, empty when none.
    pub output_device: DeviceName,
    /// Its bytes from the IP header on.
    pub data: Vec<u8>,
}

/// How many packets entered a kernel and what became of them. Always
/// `entered == delivered + dropped + fragmented + reassembled + incomplete + queued`, once the kernel stands still.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Packets that came in by a device or were made on this host.
    pub entered: u64,
    /// Packets that were received.
    pub delivered: u64,
    /// Packets that were discarded.
    pub dropped: u64,
    /// Packets that left as fragments, each of which entered as well.
    pub fragmented: u64,
    /// Fragments that became part of another packet.
    pub reassembled: u64,
    /// Fragments for this host that wait for others.
    pub incomplete: u64,
    /// Packets that wait for a verdict.
    pub queued: u64,
}
