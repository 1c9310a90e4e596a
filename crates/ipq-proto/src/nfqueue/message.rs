//! Any message of the protocol, from either side.

use core::fmt;

use zerocopy::ByteOrder;

use super::{CONFIG, ConfigRequest, PACKET, Packet, VERDICT, VERDICT_BATCH, VerdictRequest};
use crate::error::DecodeError;
use crate::netlink::{self, MessageType, Reply};

/// A message of `nfnetlink_queue`, whichever side sent it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// `NLMSG_ERROR`, kernel to user.
    Reply(Reply<'a>),
    /// `NFQNL_MSG_CONFIG`, user to kernel.
    Config(ConfigRequest),
    /// `NFQNL_MSG_VERDICT`, user to kernel.
    Verdict(VerdictRequest<'a>),
    /// `NFQNL_MSG_VERDICT_BATCH`, user to kernel.
    VerdictBatch(VerdictRequest<'a>),
    /// `NFQNL_MSG_PACKET`, kernel to user.
    Packet(Packet<'a>),
    /// A message of another type, or a verdict without a verdict in it, with its body.
    Other(MessageType, &'a [u8]),
}

impl<'a> Message<'a> {
    /// What `message` says, in the byte order `O`.
    ///
    /// # Errors
    ///
    /// If its body is shorter than its type demands, or a length in it lies. The offset is that in the datagram.
    pub fn decode<O: ByteOrder + 'a>(message: &netlink::Message<'a>) -> Result<Self, DecodeError> {
        let (message_type, body) = (message.header.message_type, message.body);
        let other = Self::Other(message_type, body);
        let decoded = match message_type {
            MessageType::ERROR => Reply::decode::<O>(body).map(Self::Reply),
            CONFIG => ConfigRequest::decode::<O>(body).map(Self::Config),
            VERDICT => VerdictRequest::decode::<O>(body)
                .map(|request| request.map_or(other, Self::Verdict)),
            VERDICT_BATCH => VerdictRequest::decode::<O>(body)
                .map(|request| request.map_or(other, Self::VerdictBatch)),
            PACKET => Packet::decode::<O>(body).map(Self::Packet),
            _ => return Ok(other),
        };
        decoded.map_err(|error| error.at(message.offset.saturating_add(netlink::HEADER_LEN)))
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => reply.fmt(f),
            Self::Config(request) => request.fmt(f),
            Self::Verdict(request) => request.fmt(f),
            Self::VerdictBatch(request) => write!(f, "batch {request}"),
            Self::Packet(packet) => packet.fmt(f),
            Self::Other(message_type, body) => {
                write!(f, "message of type {message_type}, {} bytes", body.len())
            }
        }
    }
}
