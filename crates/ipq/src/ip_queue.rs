//! The `ip_queue` side of a lane: what is asked of the kernel and what its messages say.

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self as wire, Message, ModeMsg, VerdictMsg};
use ipq_proto::netlink::{self, Framed, Header, Reply};
use ipq_proto::{Abi, CopyMode, DataModel, DecodeError, EncodeError, Family, Verdict};
use zerocopy::IntoBytes;

use crate::PacketId;

/// Appends a request for a copy mode to `out`.
pub(crate) fn encode_mode(
    model: DataModel,
    header: Header,
    mode: CopyMode,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    struct Encode<'o>(Header, CopyMode, &'o mut Vec<u8>);
    impl AbiVisitor for Encode<'_> {
        type Output = Result<(), EncodeError>;

        fn visit<A: Abi>(self) -> Self::Output {
            let Self(header, mode, out) = self;
            out.extend_from_slice(Framed::new(header, ModeMsg::<A>::new(mode), 0)?.as_bytes());
            Ok(())
        }
    }
    model.with(Encode(header, mode, out))
}

/// Appends a verdict to `out`, all but the replacement itself, which is to follow.
pub(crate) fn encode_verdict(
    model: DataModel,
    header: Header,
    (number, verdict): (u64, Verdict),
    replacement_len: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    struct Encode<'o>(Header, u64, Verdict, usize, &'o mut Vec<u8>);
    impl AbiVisitor for Encode<'_> {
        type Output = Result<(), EncodeError>;

        fn visit<A: Abi>(self) -> Self::Output {
            let Self(header, number, verdict, len, out) = self;
            let body = VerdictMsg::<A>::new(number, verdict, len as u64)?;
            out.extend_from_slice(Framed::new(header, body, len)?.as_bytes());
            Ok(())
        }
    }
    model.with(Encode(header, number, verdict, replacement_len, out))
}

/// The packet of a datagram; `None` if its message is another, or makes no sense.
#[inline]
pub(crate) fn decode_packet(model: DataModel, datagram: &[u8]) -> Option<wire::Packet<'_>> {
    struct Decode<'b>(&'b [u8]);
    impl<'b> AbiVisitor for Decode<'b> {
        type Output = Option<wire::Packet<'b>>;

        #[inline]
        fn visit<A: Abi>(self) -> Self::Output {
            let (message, _) = netlink::Message::decode::<A::Order>(self.0).ok()?;
            let is_packet = message.header.message_type == wire::PACKET;
            is_packet.then(|| wire::Packet::decode::<A>(message.body).ok())?
        }
    }
    model.with(Decode(datagram))
}

/// The first message of a datagram of which only the beginning was received.
pub(crate) fn decode_cut(model: DataModel, beginning: &[u8]) -> Result<Message<'_>, DecodeError> {
    struct Decode<'b>(&'b [u8]);
    impl<'b> AbiVisitor for Decode<'b> {
        type Output = Result<Message<'b>, DecodeError>;

        fn visit<A: Abi>(self) -> Self::Output {
            let message = netlink::Message::decode_cut::<A::Order>(self.0)?;
            match message.header.message_type {
                wire::PACKET => wire::Packet::decode_cut::<A>(message.body).map(Message::Packet),
                // What a refusal repeats of the request may be cut anywhere.
                _ => Message::decode::<A>(&message),
            }
        }
    }
    model.with(Decode(beginning))
}

/// The packet that a message announces, if it does.
pub(crate) fn packet(model: DataModel, message: &[u8], is_cut: bool) -> Option<wire::Packet<'_>> {
    if !is_cut {
        return decode_packet(model, message);
    }
    match decode_cut(model, message).ok()? {
        Message::Packet(packet) => Some(packet),
        _ => None,
    }
}

/// The packet that a refused request was about: the kernel repeats the request.
pub(crate) fn subject(model: DataModel, family: Family, reply: &Reply<'_>) -> Option<PacketId> {
    struct Decode<'b>(&'b [u8]);
    impl AbiVisitor for Decode<'_> {
        type Output = Option<u64>;

        fn visit<A: Abi>(self) -> Self::Output {
            wire::VerdictRequest::decode::<A>(self.0).ok().map(|request| request.id)
        }
    }
    match reply.request.message_type {
        wire::VERDICT => {
            model.with(Decode(reply.rest)).map(|number| PacketId::in_ip_queue(family, number))
        }
        _ => None,
    }
}
