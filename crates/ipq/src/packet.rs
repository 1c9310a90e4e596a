//! What a session hands out: [`Packet`] and [`PacketId`].

use core::fmt;

use ipq_proto::ip_queue::{self as wire, Timestamp};
use ipq_proto::{DeviceName, EtherType, Family, HardwareAddress, HardwareType, Hook};

/// Names a queued packet in a verdict.
///
/// Opaque: a kernel may use it again as soon as the packet has its verdict.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[doc(alias = "ipq_id_t")]
pub struct PacketId {
    family: Family,
    number: u64,
}

impl PacketId {
    /// The packet of `family` that the kernel calls `number`. Those that sessions hand out are made like this.
    pub const fn new(family: Family, number: u64) -> Self {
        Self { family, number }
    }

    /// What the kernel calls it.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// The family of the packet; the two families count apart.
    pub const fn family(self) -> Family {
        self.family
    }
}

/// `0xffff88001e1052a0`.
impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.number)
    }
}

/// A queued packet. It borrows the buffer that it was read into, and not the queue.
#[derive(Clone, Copy, Debug)]
#[doc(alias = "ipq_packet_msg_t")]
pub struct Packet<'b> {
    family: Family,
    message: wire::Packet<'b>,
}

impl<'b> Packet<'b> {
    pub(crate) const fn new(family: Family, message: wire::Packet<'b>) -> Self {
        Self { family, message }
    }

    /// What to call it in its verdict.
    pub const fn id(&self) -> PacketId {
        PacketId::new(self.family, self.message.id)
    }

    /// Its family.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Where it was queued.
    pub const fn hook(&self) -> Hook {
        self.message.hook
    }

    /// Its netfilter mark.
    pub const fn mark(&self) -> u64 {
        self.message.mark
    }

    /// When it arrived; `None` for a packet made on this host.
    pub fn timestamp(&self) -> Option<Timestamp> {
        Some(self.message.timestamp).filter(|timestamp| !timestamp.is_none())
    }

    /// The device it came in by, empty when none.
    pub const fn input_device(&self) -> DeviceName {
        self.message.input_device
    }

    /// The device it is to leave by, empty when none.
    pub const fn output_device(&self) -> DeviceName {
        self.message.output_device
    }

    /// Its protocol as the link layer has it; [`EtherType::NONE`] for a packet made on this host, at `LOCAL_OUT`.
    pub const fn hw_protocol(&self) -> EtherType {
        self.message.hw_protocol
    }

    /// The type of the link layer it came in by.
    pub const fn hw_type(&self) -> HardwareType {
        self.message.hw_type
    }

    /// The link-layer address it came from.
    pub const fn hw_address(&self) -> HardwareAddress {
        self.message.hw_address
    }

    /// Its bytes from the IP header on, as far as the copy mode and range allow; none with copy mode metadata.
    pub const fn payload(&self) -> &'b [u8] {
        self.message.payload
    }
}
