//! What a packet may bring along besides its bytes: [`Extras`].

use ipq_proto::HardwareAddress;
use ipq_proto::netlink::attribute;
use ipq_proto::nfqueue::Vlan;

use crate::device::{DeviceIndex, Devices};
use crate::packet::Packet;

/// How long a part of [`Extras`] may be, in bytes: what the length field of an attribute can say.
const MAX_LEN: usize = 0xffff - attribute::HEADER_LEN;

/// What a packet brings along besides its bytes, for [`Kernel::receive_with`](crate::Kernel::receive_with) and
/// [`Kernel::send_with`](crate::Kernel::send_with). As it is: nothing.
///
/// `nfnetlink_queue` tells of these things; `ip_queue` knows the mark and the sender's address alone.
///
/// ```
/// use ipq_sim::Extras;
///
/// let extras = Extras { mark: 7, owner: Some((1000, 1000)), ..Extras::default() };
/// # let _ = extras;
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extras {
    /// The netfilter mark. A packet that comes in has got it from a device.
    #[doc(alias("NFQA_MARK", "SO_MARK"))]
    pub mark: u32,
    /// The priority in queueing disciplines. Forwarding IPv4 makes it anew, of the type of service.
    #[doc(alias("NFQA_PRIORITY", "SO_PRIORITY"))]
    pub priority: u32,
    /// The link-layer address of who sent a packet that comes in.
    #[doc(alias = "NFQA_HWADDR")]
    pub sender: HardwareAddress,
    /// User and group of the socket that sends a packet: told where the queue's flags ask for them.
    #[doc(alias("NFQA_UID", "NFQA_GID"))]
    pub owner: Option<(u32, u32)>,
    /// The security context of that socket: told where the queue's flags ask for it.
    #[doc(alias = "NFQA_SECCTX")]
    pub security_context: Option<Vec<u8>>,
    /// What connection tracking knows of the packet, attributes of `nfnetlink_conntrack.h`, and the state of the
    /// connection: told where the queue's flags ask for them.
    #[doc(alias("NFQA_CT", "NFQA_CT_INFO"))]
    pub conntrack: Option<(Vec<u8>, u32)>,
    /// The port of a bridge that the packet came in by: the name of a device.
    #[doc(alias = "NFQA_IFINDEX_PHYSINDEV")]
    pub bridge_input: Option<String>,
    /// The port of a bridge that it is to leave by: the name of a device.
    #[doc(alias = "NFQA_IFINDEX_PHYSOUTDEV")]
    pub bridge_output: Option<String>,
    /// The VLAN tag that the hardware took off. A real kernel tells it of packets in a bridge.
    #[doc(alias = "NFQA_VLAN")]
    pub vlan: Option<Vlan>,
    /// The link-layer header. A real kernel tells it of packets in a bridge.
    #[doc(alias = "NFQA_L2HDR")]
    pub link_header: Option<Vec<u8>>,
}

/// What of [`Extras`] is rare enough to be kept apart from the packet.
#[derive(Debug)]
pub(crate) struct Rare {
    pub(crate) security_context: Option<Vec<u8>>,
    pub(crate) conntrack: Option<(Vec<u8>, u32)>,
    pub(crate) bridge_input: Option<DeviceIndex>,
    pub(crate) bridge_output: Option<DeviceIndex>,
    pub(crate) vlan: Option<Vlan>,
    pub(crate) link_header: Option<Vec<u8>>,
}

impl Extras {
    /// Hands all of it but the sender's address, which belongs to a link, over to `packet`.
    ///
    /// # Panics
    ///
    /// If there is no device of a name in it, or a part of it is too long for a message.
    pub(crate) fn hand_over(self, packet: &mut Packet, devices: &Devices) {
        let conntrack = self.conntrack.as_ref().map(|(attributes, _)| attributes);
        for bytes in
            [&self.security_context, &self.link_header].into_iter().flatten().chain(conntrack)
        {
            assert!(bytes.len() <= MAX_LEN, "{} bytes do not fit into an attribute", bytes.len());
        }
        let Self { mark, priority, sender: _, owner, .. } = self;
        packet.mark = mark;
        packet.priority = priority;
        let index = |name: Option<String>| name.map(|name| devices.index(&name));
        packet.owner = owner;
        let rare = Rare {
            security_context: self.security_context,
            conntrack: self.conntrack,
            bridge_input: index(self.bridge_input),
            bridge_output: index(self.bridge_output),
            vlan: self.vlan,
            link_header: self.link_header,
        };
        packet.rare = rare.is_something().then(|| Box::new(rare));
    }
}

impl Rare {
    /// Whether there is anything in it.
    fn is_something(&self) -> bool {
        self.security_context.is_some()
            || self.conntrack.is_some()
            || self.bridge_input.is_some()
            || self.bridge_output.is_some()
            || self.vlan.is_some()
            || self.link_header.is_some()
    }
}
