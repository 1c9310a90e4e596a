//! What a session hands out: [`Packet`] and [`PacketId`].

use core::fmt;

use ipq_proto::ip_queue as ipq;
use ipq_proto::ip_queue::Timestamp;
use ipq_proto::nfqueue::{self as nfq, SkbInfo, Vlan};
use ipq_proto::{DataModel, DeviceName, EtherType, Family, HardwareAddress, HardwareType, Hook};

use crate::{ip_queue, nfqueue};

/// Names a queued packet in a verdict.
///
/// Opaque: a kernel may use it again as soon as the packet has its verdict.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[doc(alias = "ipq_id_t")]
pub struct PacketId {
    queue: QueueName,
    number: u64,
}

/// Which of a kernel's queues.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum QueueName {
    /// The `ip_queue` of a family.
    IpQueue(Family),
    /// A queue of `nfnetlink_queue`, by its number.
    Nfqueue(u16),
}

/// `ip_queue`, `ip6_queue` or `queue 3`.
impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IpQueue(Family::Ipv4) => f.write_str("ip_queue"),
            Self::IpQueue(Family::Ipv6) => f.write_str("ip6_queue"),
            Self::Nfqueue(number) => write!(f, "queue {number}"),
        }
    }
}

impl PacketId {
    /// The packet that the `ip_queue` of `family` calls `number`.
    pub const fn in_ip_queue(family: Family, number: u64) -> Self {
        Self { queue: QueueName::IpQueue(family), number }
    }

    /// The packet number `id` of queue number `queue` of `nfnetlink_queue`.
    pub fn in_nfqueue(queue: u16, id: u32) -> Self {
        Self { queue: QueueName::Nfqueue(queue), number: id.into() }
    }

    /// What the kernel calls it.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// The queue that it is in.
    pub const fn queue(self) -> QueueName {
        self.queue
    }
}

/// `0xffff88001e1052a0`.
impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.number)
    }
}

/// A queued packet. It borrows the buffer that it was read into, and not the queue.
///
/// What every kernel tells has plain accessors; what only `nfnetlink_queue` tells, and depending on its age and the
/// queue's [options](crate::Options), is an `Option`.
#[derive(Clone, Copy, Debug)]
#[doc(alias = "ipq_packet_msg_t")]
pub struct Packet<'b> {
    id: PacketId,
    family: Family,
    mark: u64,
    timestamp: Option<Timestamp>,
    hook: Hook,
    input_device: DeviceName,
    output_device: DeviceName,
    hw_protocol: EtherType,
    hw_type: HardwareType,
    hw_address: HardwareAddress,
    payload: &'b [u8],
    more: Option<nfq::Packet<'b>>,
}

impl<'b> Packet<'b> {
    pub(crate) fn of_ip_queue(family: Family, message: &ipq::Packet<'b>) -> Self {
        Self {
            id: PacketId::in_ip_queue(family, message.id),
            family,
            mark: message.mark,
            timestamp: Some(message.timestamp).filter(|timestamp| !timestamp.is_none()),
            hook: message.hook,
            input_device: message.input_device,
            output_device: message.output_device,
            hw_protocol: message.hw_protocol,
            hw_type: message.hw_type,
            hw_address: message.hw_address,
            payload: message.payload,
            more: None,
        }
    }

    /// A packet of `nfnetlink_queue`, with the names of its devices and the link-layer type of the one it came in by.
    #[inline]
    pub(crate) fn of_nfqueue(
        family: Family,
        message: &nfq::Packet<'b>,
        [input_device, output_device]: [DeviceName; 2],
        hw_type: HardwareType,
    ) -> Self {
        let word = |value| i64::try_from(value).unwrap_or(i64::MAX);
        Self {
            id: PacketId::in_nfqueue(message.queue, message.id),
            family,
            mark: message.mark.unwrap_or(0).into(),
            timestamp: message.timestamp.map(|time| Timestamp {
                seconds: word(time.seconds),
                microseconds: word(time.microseconds),
            }),
            hook: message.hook,
            input_device,
            output_device,
            hw_protocol: message.hw_protocol,
            hw_type,
            hw_address: message.hw_address.unwrap_or_default(),
            payload: message.payload.unwrap_or(&[]),
            more: Some(*message),
        }
    }

    /// What to call it in its verdict.
    pub const fn id(&self) -> PacketId {
        self.id
    }

    /// Its family.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Where it was queued.
    pub const fn hook(&self) -> Hook {
        self.hook
    }

    /// Its netfilter mark.
    pub const fn mark(&self) -> u64 {
        self.mark
    }

    /// When it arrived; `None` for a packet made on this host.
    pub const fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The device it came in by, empty when none.
    pub const fn input_device(&self) -> DeviceName {
        self.input_device
    }

    /// The device it is to leave by, empty when none.
    pub const fn output_device(&self) -> DeviceName {
        self.output_device
    }

    /// Its protocol as the link layer has it; [`EtherType::NONE`] where the kernel does not know yet.
    pub const fn hw_protocol(&self) -> EtherType {
        self.hw_protocol
    }

    /// The type of the link layer it came in by.
    pub const fn hw_type(&self) -> HardwareType {
        self.hw_type
    }

    /// The link-layer address it came from.
    pub const fn hw_address(&self) -> HardwareAddress {
        self.hw_address
    }

    /// Its bytes from the IP header on, as far as the copy mode and range allow; none with copy mode metadata.
    pub const fn payload(&self) -> &'b [u8] {
        self.payload
    }

    /// How long the packet is, in bytes, if the payload is less than that.
    pub fn packet_len(&self) -> Option<u32> {
        self.more.and_then(|more| more.packet_len)
    }

    /// The state of its checksums.
    pub fn skb_info(&self) -> Option<SkbInfo> {
        self.more.and_then(|more| more.skb_info)
    }

    /// The user that the socket which sent it belongs to.
    pub fn uid(&self) -> Option<u32> {
        self.more.and_then(|more| more.uid)
    }

    /// The group that the socket which sent it belongs to.
    pub fn gid(&self) -> Option<u32> {
        self.more.and_then(|more| more.gid)
    }

    /// The security context of the socket that sent it.
    pub fn security_context(&self) -> Option<&'b [u8]> {
        self.more.and_then(|more| more.security_context)
    }

    /// What connection tracking knows of it, as the attributes of `nfnetlink_conntrack.h`.
    pub fn conntrack(&self) -> Option<&'b [u8]> {
        self.more.and_then(|more| more.conntrack)
    }

    /// The state of its connection (`enum ip_conntrack_info`).
    pub fn conntrack_info(&self) -> Option<u32> {
        self.more.and_then(|more| more.conntrack_info)
    }

    /// The VLAN tag that the hardware took off.
    pub fn vlan(&self) -> Option<Vlan> {
        self.more.and_then(|more| more.vlan)
    }

    /// Its link-layer header.
    pub fn link_header(&self) -> Option<&'b [u8]> {
        self.more.and_then(|more| more.link_header)
    }

    /// Its priority in queueing disciplines.
    pub fn priority(&self) -> Option<u32> {
        self.more.and_then(|more| more.priority)
    }

    /// The indices of the bridge ports it came in by and is to leave by.
    pub fn bridge_ports(&self) -> (Option<u32>, Option<u32>) {
        let ports =
            |more: nfq::Packet<'_>| (more.physical_input_device, more.physical_output_device);
        self.more.map_or((None, None), ports)
    }
}

/// What it takes to find a packet in its message again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    model: DataModel,
    pub(crate) id: PacketId,
    family: Family,
    devices: [DeviceName; 2],
    hw_type: HardwareType,
    /// Whether the end of the message is missing.
    pub(crate) is_truncated: bool,
}

impl Outline {
    pub(crate) fn of(packet: &Packet<'_>, is_truncated: bool, model: DataModel) -> Self {
        Self {
            model,
            id: packet.id,
            family: packet.family,
            devices: [packet.input_device, packet.output_device],
            hw_type: packet.hw_type,
            is_truncated,
        }
    }

    /// The packet in `message`.
    ///
    /// # Panics
    ///
    /// If it is not the message that this is the outline of.
    pub(crate) fn find<'b>(&self, message: &'b [u8]) -> Packet<'b> {
        let found = match self.id.queue {
            QueueName::IpQueue(family) => ip_queue::packet(self.model, message, self.is_truncated)
                .map(|packet| Packet::of_ip_queue(family, &packet)),
            QueueName::Nfqueue(_) => nfqueue::packet(self.model, message, self.is_truncated)
                .map(|packet| Packet::of_nfqueue(self.family, &packet, self.devices, self.hw_type)),
        };
        found.expect("a packet was found in this message before")
    }
}
