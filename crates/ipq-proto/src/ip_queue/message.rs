//! Any message of the protocol, from either side.

use core::fmt;

use super::{MODE, ModeRequest, PACKET, Packet, VERDICT, VerdictRequest};
use crate::abi::{Abi, AbiVisitor, DataModel};
use crate::error::DecodeError;
use crate::netlink::{self, Header, MessageType, Reply};

/// A message of `ip_queue`, whichever side sent it, free of word size and byte order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// `NLMSG_ERROR`, kernel to user.
    Reply(Reply<'a>),
    /// `IPQM_MODE`, user to kernel.
    Mode(ModeRequest),
    /// `IPQM_VERDICT`, user to kernel.
    Verdict(VerdictRequest<'a>),
    /// `IPQM_PACKET`, kernel to user.
    Packet(Packet<'a>),
    /// A message of another type, with its body.
    Other(MessageType, &'a [u8]),
}

impl<'a> Message<'a> {
    /// What `message` says, in the layout `A`.
    ///
    /// # Errors
    ///
    /// If its body is shorter than its type demands, or a length in it lies. The offset is that in the datagram.
    pub fn decode<A: Abi>(message: &netlink::Message<'a>) -> Result<Self, DecodeError> {
        let body = message.body;
        let decoded = match message.header.message_type {
            MessageType::ERROR => Reply::decode::<A::Order>(body).map(Self::Reply),
            MODE => ModeRequest::decode::<A>(body).map(Self::Mode),
            VERDICT => VerdictRequest::decode::<A>(body).map(Self::Verdict),
            PACKET => Packet::decode::<A>(body).map(Self::Packet),
            other => return Ok(Self::Other(other, body)),
        };
        decoded.map_err(|error| error.at(message.offset.saturating_add(netlink::HEADER_LEN)))
    }
}

/// The first message of `datagram`, header and meaning, in the layout that `model` says.
///
/// `ip_queue` puts one message into a datagram, and reads no more than the first.
///
/// # Errors
///
/// As [`netlink::Message::decode`] and [`Message::decode`].
pub fn datagram(model: DataModel, datagram: &[u8]) -> Result<(Header, Message<'_>), DecodeError> {
    struct Decode<'a>(&'a [u8]);
    impl<'a> AbiVisitor for Decode<'a> {
        type Output = Result<(Header, Message<'a>), DecodeError>;

        fn visit<A: Abi>(self) -> Self::Output {
            let (message, _) = netlink::Message::decode::<A::Order>(self.0)?;
            Ok((message.header, Message::decode::<A>(&message)?))
        }
    }
    model.with(Decode(datagram))
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => reply.fmt(f),
            Self::Mode(request) => request.fmt(f),
            Self::Verdict(request) => request.fmt(f),
            Self::Packet(packet) => packet.fmt(f),
            Self::Other(message_type, body) => {
                write!(f, "message of type {message_type}, {} bytes", body.len())
            }
        }
    }
}
