//! The messages of `nfnetlink_queue`: configuration and verdicts towards the kernel, packets and errors towards
//! the program.
//!
//! Sources: spec/nfqueue.md, `linux/netfilter/nfnetlink.h`, `linux/netfilter/nfnetlink_queue.h`.
//!
//! After the netlink header come four bytes ([`Generic`]: family, version, queue number), then attributes. The
//! headers of messages and attributes are in the byte order of the kernel, which is the parameter `O`; numbers
//! inside attributes are in network order. Word size plays no part.
//!
//! | message | on the wire | its meaning |
//! |---|---|---|
//! | `NFQNL_MSG_CONFIG` | [`CommandMsg`], [`ParamsMsg`], [`MaxLengthMsg`], [`FlagsMsg`] | [`ConfigRequest`] |
//! | `NFQNL_MSG_VERDICT`, `NFQNL_MSG_VERDICT_BATCH` | [`VerdictMsg`], then [`MarkAttribute`] and the replacement | [`VerdictRequest`] |
//! | `NFQNL_MSG_PACKET` | [`Packet::encode`] | [`Packet`] |
//!
//! The kernel reads every message of a datagram, so several verdicts can be sent at once.

mod config;
mod generic;
mod message;
mod packet;
mod verdict;

pub use config::{
    Command, CommandMsg, ConfigRequest, FlagsMsg, MaxLengthMsg, ParamsMsg, QueueFlags,
};
pub use generic::Generic;
pub use message::Message;
pub use packet::{Packet, SkbInfo, Timestamp, Vlan};
pub use verdict::{MarkAttribute, VerdictMsg, VerdictRequest, payload_attribute_header};

use crate::netlink::MessageType;

/// The netlink protocol of netfilter.
pub const NETLINK_NETFILTER: i32 = 12;

/// The subsystem of netfilter's netlink protocol that queues packets.
#[doc(alias = "NFNL_SUBSYS_QUEUE")]
pub const SUBSYSTEM: u8 = 3;

/// The longest payload that the kernel copies, in bytes: what the length field of an attribute can say.
pub const MAX_PAYLOAD: u32 = 0xffff - 4;

/// Kernel to user: a queued packet.
#[doc(alias = "NFQNL_MSG_PACKET")]
pub const PACKET: MessageType = MessageType(0x0300);
/// User to kernel: what to do with one packet.
#[doc(alias = "NFQNL_MSG_VERDICT")]
pub const VERDICT: MessageType = MessageType(0x0301);
/// User to kernel: how a queue is to work.
#[doc(alias = "NFQNL_MSG_CONFIG")]
pub const CONFIG: MessageType = MessageType(0x0302);
/// User to kernel: what to do with all packets up to one.
#[doc(alias = "NFQNL_MSG_VERDICT_BATCH")]
pub const VERDICT_BATCH: MessageType = MessageType(0x0303);

/// Whether the id `a` was given out before `b`, or is the same: ids wrap around after 2^32. Of two that are just half of that
/// apart neither is later.
pub const fn is_not_later(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() <= 0
}
