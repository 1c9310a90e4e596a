//! The `nfnetlink_queue` side of a lane: what is asked of the kernel and what its messages say.

use core::cell::RefCell;
use core::ops::RangeInclusive;

use ipq_proto::abi::AbiVisitor;
use ipq_proto::netlink::{self, Framed, Header, MessageType, Reply, padding};
use ipq_proto::nfqueue::{
    self as wire, Command, CommandMsg, Generic, MarkAttribute, Message, ParamsMsg, VerdictMsg,
};
use ipq_proto::{
    Abi, CopyMode, DataModel, DecodeError, DeviceName, EncodeError, Family, HardwareType, Verdict,
};
use ipq_sys::{DeviceInfo, Devices, Transport};
use zerocopy::IntoBytes;

use crate::outstanding::Outstanding;
use crate::{Families, Packet, PacketId};

/// Several queues of `nfnetlink_queue` on one socket.
#[derive(Debug)]
pub(crate) struct Nfqueue {
    first: u16,
    pub(crate) families: Families,
    /// For each queue, what waits for a verdict.
    outstanding: Vec<Outstanding>,
    devices: RefCell<Devices>,
}

impl Nfqueue {
    pub(crate) fn new(numbers: RangeInclusive<u16>, families: Families) -> Self {
        let first = *numbers.start();
        let outstanding = numbers.map(|_| Outstanding::default()).collect();
        Self { first, families, outstanding, devices: RefCell::default() }
    }

    /// The numbers of the queues.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u16> + use<> {
        (self.first..=u16::MAX).take(self.outstanding.len())
    }

    /// Whether a queue is one of these.
    pub(crate) fn has(&self, queue: u16) -> bool {
        let position = queue.checked_sub(self.first);
        position.is_some_and(|position| usize::from(position) < self.outstanding.len())
    }

    /// What waits in a queue, if it is one of these.
    pub(crate) fn outstanding(&mut self, queue: u16) -> Option<&mut Outstanding> {
        self.outstanding.get_mut(usize::from(queue.checked_sub(self.first)?))
    }

    /// The packets that were read and not decided on, in the order of their queues.
    pub(crate) fn undecided(&self) -> impl Iterator<Item = PacketId> {
        self.numbers().zip(&self.outstanding).flat_map(|(queue, outstanding)| {
            outstanding.undecided().map(move |id| PacketId::in_nfqueue(queue, id))
        })
    }

    /// Whether a packet of a queue has been read.
    pub(crate) fn has_read(&self, queue: u16, number: u64) -> bool {
        let position = queue.checked_sub(self.first).map(usize::from);
        let outstanding = position.and_then(|position| self.outstanding.get(position));
        outstanding
            .zip(u32::try_from(number).ok())
            .is_some_and(|(waiting, id)| waiting.has_read(id))
    }

    /// The family of a packet, if it is one that is asked for.
    #[inline]
    pub(crate) fn family_of(&self, message: &wire::Packet<'_>) -> Option<Family> {
        message.ip_family().filter(|&family| self.families.contains(family))
    }

    /// Whether a packet that this message is about came to a hook of a family that is asked for, and so is of that family.
    /// Nothing else is looked at; a hook of a bridge has no family of packets.
    #[inline]
    pub(crate) fn asks_for_hook_of(&self, message: &[u8]) -> bool {
        let body = message.get(netlink::HEADER_LEN..).unwrap_or_default();
        let family = Generic::split(body).ok().and_then(|(it, _)| Family::of_hook(it.family));
        family.is_some_and(|family| self.families.contains(family))
    }

    /// A packet as a session hands it out.
    #[inline]
    pub(crate) fn describe<'b>(
        &self,
        family: Family,
        message: &wire::Packet<'b>,
        transport: &dyn Transport,
    ) -> Packet<'b> {
        let mut devices = self.devices.borrow_mut();
        let mut device = |index: Option<u32>| devices.info(index?, transport);
        let (input, output) = (device(message.input_device), device(message.output_device));
        let name = |device: Option<DeviceInfo>| device.map_or(DeviceName::NONE, |info| info.name);
        // A link-layer type without an address says nothing, and ip_queue gives neither.
        let hw_type = match (input, message.hw_address) {
            (Some(info), Some(_)) => info.hw_type,
            _ => HardwareType::NONE,
        };
        Packet::of_nfqueue(family, message, [name(input), name(output)], hw_type)
    }
}

/// What can be asked of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Config {
    Command(Command, u16),
    Mode(CopyMode),
}

/// Appends a configuration request for `queue` to `out`.
pub(crate) fn encode_config(
    model: DataModel,
    header: Header,
    queue: u16,
    config: Config,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    struct Encode<'o>(Header, u16, Config, &'o mut Vec<u8>);
    impl AbiVisitor for Encode<'_> {
        type Output = Result<(), EncodeError>;

        fn visit<A: Abi>(self) -> Self::Output {
            let Self(header, queue, config, out) = self;
            match config {
                Config::Command(command, family) => {
                    let body = CommandMsg::<A::Order>::new(queue, command, family);
                    out.extend_from_slice(Framed::new(header, body, 0)?.as_bytes());
                }
                Config::Mode(mode) => {
                    let body = ParamsMsg::<A::Order>::new(queue, mode);
                    out.extend_from_slice(Framed::new(header, body, 0)?.as_bytes());
                }
            }
            Ok(())
        }
    }
    model.with(Encode(header, queue, config, out))
}

/// A verdict, whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision<'r> {
    pub(crate) queue: u16,
    pub(crate) id: u32,
    pub(crate) verdict: Verdict,
    pub(crate) mark: Option<u32>,
    pub(crate) replacement: &'r [u8],
}

/// Appends a verdict to `out`, all but the replacement itself, which is to follow.
pub(crate) fn encode_verdict(
    model: DataModel,
    header: Header,
    decision: &Decision<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    struct Encode<'o>(Header, &'o Decision<'o>, &'o mut Vec<u8>);
    impl AbiVisitor for Encode<'_> {
        type Output = Result<(), EncodeError>;

        fn visit<A: Abi>(self) -> Self::Output {
            let Self(header, decision, out) = self;
            let mark = decision.mark.map(MarkAttribute::<A::Order>::new);
            let mark = mark.as_ref().map_or(&[][..], |mark| mark.as_bytes());
            let replacement_len = decision.replacement.len();
            let attribute = match replacement_len {
                0 => None,
                len => Some(wire::payload_attribute_header::<A::Order>(len)?),
            };
            let attribute = attribute.as_ref().map_or(&[][..], |header| header.as_slice());
            let trailing_len = mark.len() + attribute.len() + replacement_len;
            let body = VerdictMsg::<A::Order>::new(decision.queue, decision.id, decision.verdict);
            out.extend_from_slice(Framed::new(header, body, trailing_len)?.as_bytes());
            out.extend_from_slice(mark);
            out.extend_from_slice(attribute);
            Ok(())
        }
    }
    model.with(Encode(header, decision, out))
}

/// The body of a datagram's message about a packet; `None` if its message is another.
#[inline]
pub(crate) fn packet_body(model: DataModel, datagram: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
    struct Find<'b>(&'b [u8]);
    impl<'b> AbiVisitor for Find<'b> {
        type Output = Result<Option<&'b [u8]>, DecodeError>;

        #[inline]
        fn visit<A: Abi>(self) -> Self::Output {
            let (message, _) = netlink::Message::decode::<A::Order>(self.0)?;
            let is_packet = message.header.message_type == wire::PACKET;
            Ok(is_packet.then_some(message.body))
        }
    }
    model.with(Find(datagram))
}

/// What a message about a packet says. An error's offset is that in the body.
#[inline]
pub(crate) fn decode_packet(
    model: DataModel,
    body: &[u8],
) -> Result<wire::Packet<'_>, DecodeError> {
    struct Decode<'b>(&'b [u8]);
    impl<'b> AbiVisitor for Decode<'b> {
        type Output = Result<wire::Packet<'b>, DecodeError>;

        #[inline]
        fn visit<A: Abi>(self) -> Self::Output {
            wire::Packet::decode::<A::Order>(self.0)
        }
    }
    model.with(Decode(body))
}

/// The first message of a datagram. The kernel puts one packet into a datagram.
pub(crate) fn decode(
    model: DataModel,
    datagram: &[u8],
) -> Result<(Header, Message<'_>), DecodeError> {
    struct Decode<'b>(&'b [u8]);
    impl<'b> AbiVisitor for Decode<'b> {
        type Output = Result<(Header, Message<'b>), DecodeError>;

        fn visit<A: Abi>(self) -> Self::Output {
            let (message, _) = netlink::Message::decode::<A::Order>(self.0)?;
            Ok((message.header, Message::decode::<A::Order>(&message)?))
        }
    }
    model.with(Decode(datagram))
}

/// The first message of a datagram of which only the beginning was received.
pub(crate) fn decode_cut(
    model: DataModel,
    beginning: &[u8],
) -> Result<(Header, Message<'_>), DecodeError> {
    struct Decode<'b>(&'b [u8]);
    impl<'b> AbiVisitor for Decode<'b> {
        type Output = Result<(Header, Message<'b>), DecodeError>;

        fn visit<A: Abi>(self) -> Self::Output {
            let message = netlink::Message::decode_cut::<A::Order>(self.0)?;
            let decoded = match message.header.message_type {
                wire::PACKET => {
                    wire::Packet::decode_cut::<A::Order>(message.body).map(Message::Packet)
                }
                _ => Message::decode::<A::Order>(&message),
            };
            Ok((message.header, decoded?))
        }
    }
    model.with(Decode(beginning))
}

/// The packet that a message announces, if it does.
pub(crate) fn packet(model: DataModel, message: &[u8], is_cut: bool) -> Option<wire::Packet<'_>> {
    if !is_cut {
        return decode_packet(model, packet_body(model, message).ok()??).ok();
    }
    match decode_cut(model, message).ok()?.1 {
        Message::Packet(packet) => Some(packet),
        _ => None,
    }
}

/// The type of the first message of a datagram, or of its beginning; `None` if not even its header is there.
pub(crate) fn message_type(model: DataModel, beginning: &[u8]) -> Option<MessageType> {
    struct Decode<'b>(&'b [u8]);
    impl AbiVisitor for Decode<'_> {
        type Output = Option<MessageType>;

        fn visit<A: Abi>(self) -> Self::Output {
            let message = netlink::Message::decode_cut::<A::Order>(self.0).ok()?;
            Some(message.header.message_type)
        }
    }
    model.with(Decode(beginning))
}

/// The packet that a refused request was about: the kernel repeats the request.
pub(crate) fn subject(model: DataModel, reply: &Reply<'_>) -> Option<PacketId> {
    struct Decode<'b>(&'b [u8]);
    impl AbiVisitor for Decode<'_> {
        type Output = Option<PacketId>;

        fn visit<A: Abi>(self) -> Self::Output {
            let request = wire::VerdictRequest::decode::<A::Order>(self.0).ok()??;
            Some(PacketId::in_nfqueue(request.queue, request.id))
        }
    }
    match reply.request.message_type {
        wire::VERDICT | wire::VERDICT_BATCH => model.with(Decode(reply.rest)),
        _ => None,
    }
}

/// Fills `out` up to where the next message of a datagram may start.
pub(crate) fn pad(out: &mut Vec<u8>) {
    out.extend_from_slice(padding(out.len()));
}
