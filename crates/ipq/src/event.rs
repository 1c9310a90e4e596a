//! What a read brings: [`Event`].

use core::fmt;

use ipq_proto::Errno;
use ipq_proto::netlink::MessageType;

use crate::{Packet, PacketId};

/// What came out of a queue. A session can go on after each of these.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'b> {
    /// A packet that waits for a verdict.
    Packet(Packet<'b>),
    /// A packet whose message was longer than the buffer. It waits for a verdict like any other; the payload is
    /// what did fit, so it is no good as a replacement.
    #[doc(alias = "MSG_TRUNC")]
    Truncated {
        /// The packet; `None` if not even its id did fit: then it stays queued until the session ends.
        packet: Option<Packet<'b>>,
        /// How long the message was: a buffer that is to hold it needs as many bytes.
        message_len: usize,
    },
    /// The kernel refused a request.
    #[doc(alias = "NLMSG_ERROR")]
    Refused(Refusal),
    /// The receive buffer was full. The kernel dropped packets that it could not announce; how many, it does not
    /// say here.
    #[doc(alias = "ENOBUFS")]
    Overrun,
    /// A message that a process sent and not the kernel. It was discarded unread.
    Foreign {
        /// The port id of its sender.
        port_id: u32,
    },
    /// A signal came before anything else.
    #[doc(alias = "EINTR")]
    Interrupted,
    /// A message that says nothing to a session, such as the acknowledgement of a request.
    Other(MessageType),
}

/// A request that the kernel refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Refusal {
    /// Why. `ENOENT` says that no such packet is queued any more, for example because a device went down.
    pub errno: Errno,
    /// The packet that the request was about, if it was a verdict.
    pub packet: Option<PacketId>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.packet {
            Some(id) => write!(f, "the verdict for packet {id} was refused: {}", self.errno),
            None => write!(f, "a request was refused: {}", self.errno),
        }?;
        match (self.errno, self.packet) {
            (Errno::ENOENT, Some(_)) => f.write_str("; it is not queued any more"),
            (Errno::EBUSY, _) => f.write_str("; another program has the queue"),
            (Errno::EPERM, _) => f.write_str("; CAP_NET_ADMIN is missing"),
            _ => Ok(()),
        }
    }
}
