//! The messages of `ip_queue` (IPv4) and `ip6_queue` (IPv6): mode and verdict towards the kernel, packet and
//! error towards the program.
//!
//! | message | on the wire, generic over [`Abi`](crate::Abi) | its meaning, free of word size |
//! |---|---|---|
//! | `IPQM_MODE` | [`ModeMsg`] | [`ModeRequest`] |
//! | `IPQM_VERDICT` | [`VerdictMsg`], then the replacement | [`VerdictRequest`] |
//! | `IPQM_PACKET` | [`PacketMsg`], then the payload | [`Packet`] |
//! | `NLMSG_ERROR` | [`ErrorMsg`](crate::netlink::ErrorMsg), then the request | [`Reply`](crate::netlink::Reply) |
//!
//! [`Message`] is any of the four. To send one, wrap its wire form in [`Framed`](crate::netlink::Framed) and
//! follow it with what belongs behind it:
//!
//! ```
//! use ipq_proto::ip_queue::{self, ModeMsg};
//! use ipq_proto::netlink::{Flags, Framed, Header};
//! use ipq_proto::{CopyMode, Native};
//! use zerocopy::IntoBytes;
//!
//! let header = Header::new(ip_queue::MODE, Flags::REQUEST, 1, 4711);
//! let request = Framed::new(header, ModeMsg::<Native>::new(CopyMode::Metadata), 0)?;
//! assert_eq!(request.as_bytes().len(), 16 + 3 * size_of::<usize>());
//! # Ok::<(), ipq_proto::EncodeError>(())
//! ```

mod listener;
mod message;
mod mode;
mod packet;
mod verdict;

pub use listener::{Accepted, Listener, Refused};
pub use message::{Message, datagram};
pub use mode::{ModeMsg, ModeRequest};
pub use packet::{Packet, PacketMsg, Timestamp};
pub use verdict::{VerdictMsg, VerdictRequest};

use crate::netlink::MessageType;

/// The netlink protocol of `ip_queue`, for IPv4.
pub const NETLINK_FIREWALL: i32 = 3;
/// The netlink protocol of `ip6_queue`, for IPv6.
pub const NETLINK_IP6_FW: i32 = 13;

/// Where the protocol's own types begin; not a message.
#[doc(alias = "IPQM_BASE")]
pub const BASE: MessageType = MessageType(0x10);
/// User to kernel: how much of each packet is wanted.
#[doc(alias = "IPQM_MODE")]
pub const MODE: MessageType = MessageType(0x11);
/// User to kernel: what to do with a packet.
#[doc(alias = "IPQM_VERDICT")]
pub const VERDICT: MessageType = MessageType(0x12);
/// Kernel to user: a queued packet.
#[doc(alias = "IPQM_PACKET")]
pub const PACKET: MessageType = MessageType(0x13);
/// The first type that is not the protocol's.
#[doc(alias = "IPQM_MAX")]
pub const MAX: MessageType = MessageType(0x14);
