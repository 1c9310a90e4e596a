//! Why a packet of a capture holds no IP packet although it should: [`MalformedReason`].

use core::fmt;

use ipq_proto::Family;

use super::LinkType;

/// Why a packet of a capture holds no IP packet although it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MalformedReason {
    /// The header of the link layer is not all there.
    LinkHeader {
        /// The link layer.
        link_type: LinkType,
        /// How many bytes there are.
        len: usize,
    },
    /// A VLAN tag is not all there.
    VlanTag {
        /// How many bytes there are.
        len: usize,
    },
    /// An attribute of an NFLOG message is shorter than its own header or longer than the message.
    NflogAttribute {
        /// The length it claims.
        claimed: usize,
        /// How many bytes there are.
        room: usize,
    },
    /// An NFLOG message has no payload attribute.
    NflogWithoutPacket,
    /// The version in the IP header is not the one that the link layer says, or is none.
    Version {
        /// What the link layer says; `None` if it leaves the matter to the header.
        link: Option<Family>,
        /// What the header says.
        header: u8,
    },
    /// Not even the shortest IP header is there.
    IpHeader {
        /// The family, if known.
        family: Option<Family>,
        /// How many bytes there are.
        len: usize,
    },
    /// A pcapng packet block is too short to be one.
    Block {
        /// Its length.
        len: usize,
        /// The shortest there is of its type.
        min: usize,
    },
    /// A pcapng packet block says that it holds more of a packet than it has room for.
    Captured {
        /// The length it says.
        claimed: usize,
        /// The room there is.
        room: usize,
    },
    /// A pcapng packet block names an interface that its section does not describe.
    Interface {
        /// The interface.
        index: u32,
        /// How many interfaces were described so far.
        described: usize,
    },
    /// A pcapng packet block has a time that is too far off to be expressed.
    Time {
        /// The time in the unit of the interface.
        ticks: u64,
    },
}

impl fmt::Display for MalformedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LinkHeader { link_type, len } => {
                write!(f, "{len} bytes are too few for the link-layer header ({link_type})")
            }
            Self::VlanTag { len } => write!(f, "{len} bytes are too few for a VLAN tag"),
            Self::NflogAttribute { claimed, room } => {
                write!(f, "NFLOG attribute claims {claimed} bytes, {room} are there")
            }
            Self::NflogWithoutPacket => f.write_str("NFLOG message has no packet in it"),
            Self::Version { link: Some(family), header } => {
                let name = name(Some(family));
                write!(f, "link type says {name}, the header says version {header}")
            }
            Self::Version { link: None, header } => {
                write!(f, "the header says version {header}, which is no IP")
            }
            Self::IpHeader { family, len } => {
                write!(f, "{len} bytes are too few for an {} header", name(family))
            }
            Self::Block { len, min } => {
                write!(f, "{len} bytes are too few for a packet block, the shortest has {min}")
            }
            Self::Captured { claimed, room } => {
                write!(f, "block claims {claimed} bytes of a packet and has room for {room}")
            }
            Self::Interface { index, described } => {
                write!(f, "interface {index} is not among the {described} described so far")
            }
            Self::Time { ticks } => write!(f, "time of {ticks} ticks is too far off"),
        }
    }
}

const fn name(family: Option<Family>) -> &'static str {
    match family {
        Some(Family::Ipv4) => "IPv4",
        Some(Family::Ipv6) => "IPv6",
        None => "IP",
    }
}
