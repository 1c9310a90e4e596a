//! The parts of `netlink-packet-core` that a crate of its family is made of, put together as such a crate would, and
//! at their best: nothing is allocated, and what is read is what `ipq-proto` reads.

use core::hint::black_box;

use ipq_proto::nfqueue::{self as nfq, ConfigRequest, Packet, SkbInfo, Timestamp, VerdictRequest};
use ipq_proto::{EtherType, HardwareAddress, Hook, Verdict};
use netlink_packet_core::{
    DecodeError, Emitable, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable, Nla, NlaBuffer, NlasIterator, emit_u16_be, emit_u32_be, parse_u16_be,
    parse_u32_be,
};

use super::messages::{PAYLOAD, WANTED, Wanted, nfqueue_packet};
use super::{Digest, Direction, Measured, Message, decode, encode};

/// Bytes of `struct nlmsghdr`.
const HEADER_LEN: usize = 16;

/// Bytes of `struct nfgenmsg`.
const GENERIC_LEN: usize = 4;

/// Reads or writes a message so many times; `None` if it has no attributes.
pub fn run(direction: Direction, message: Message, times: u64) -> Option<Measured> {
    if !message.is_nfqueue() {
        return None;
    }
    Some(match direction {
        Direction::Decode => read(message, times),
        Direction::Encode => write(message, times),
    })
}

fn read(message: Message, times: u64) -> Measured {
    let bytes = message.bytes();
    let work = (bytes.as_slice(), times);
    match message {
        Message::NfqueueConfig => each(work, nfq::CONFIG.0, parse_config),
        Message::NfqueuePacket => each(work, nfq::PACKET.0, parse_packet),
        Message::NfqueueBatch => each(work, nfq::VERDICT_BATCH.0, parse_verdict),
        _ => each(work, nfq::VERDICT.0, parse_verdict),
    }
}

/// Reads a message of one type over and over.
fn each<'b, T: Digest>(
    (bytes, times): (&'b [u8], u64),
    message_type: u16,
    parse: impl Fn(&'b [u8]) -> Result<T, DecodeError>,
) -> Measured {
    decode(bytes, times, |bytes| {
        let message = NetlinkBuffer::new_checked(bytes)?;
        if message.message_type() != message_type {
            return Ok(None);
        }
        // What the buffer lends lives no longer than it does.
        let body = bytes.get(HEADER_LEN..message.length() as usize).unwrap_or_default();
        parse(body).map(Some)
    })
}

fn split(body: &[u8]) -> Result<(u8, u16, &[u8]), DecodeError> {
    let Some((&[family, _, high, low], attributes)) = body.split_first_chunk::<GENERIC_LEN>()
    else {
        return Err(DecodeError::buffer_too_small(body.len(), GENERIC_LEN));
    };
    Ok((family, u16::from_be_bytes([high, low]), attributes))
}

/// The data of an attribute that came out of `attributes`: the buffer's own would not live as long.
fn value(nla: NlaBuffer<&[u8]>) -> &[u8] {
    &nla.into_inner()[4..][..nla.value_length()]
}

fn parse_packet(body: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let (family, queue, attributes) = split(body)?;
    let mut packet = Packet { family, queue, ..Packet::default() };
    for nla in NlasIterator::new(attributes) {
        let nla = nla?;
        let value = value(nla);
        match nla.kind() {
            1 => {
                packet.id = parse_u32_be(field(value, 0..4)?)?;
                packet.hw_protocol = EtherType(parse_u16_be(field(value, 4..6)?)?);
                packet.hook = Hook(field(value, 6..7)?[0].into());
            }
            3 => packet.mark = Some(parse_u32_be(value)?),
            4 => {
                let [seconds, microseconds] =
                    [parse_u64_be(field(value, 0..8)?)?, parse_u64_be(field(value, 8..16)?)?];
                packet.timestamp = Some(Timestamp { seconds, microseconds });
            }
            5 => packet.input_device = Some(parse_u32_be(value)?),
            6 => packet.output_device = Some(parse_u32_be(value)?),
            7 => packet.physical_input_device = Some(parse_u32_be(value)?),
            8 => packet.physical_output_device = Some(parse_u32_be(value)?),
            9 => {
                let len = u8::try_from(parse_u16_be(field(value, 0..2)?)?).unwrap_or(u8::MAX);
                let mut address = [0; 8];
                address.copy_from_slice(field(value, 4..12)?);
                packet.hw_address = Some(HardwareAddress::from_wire(len, address));
            }
            10 => packet.payload = Some(value),
            11 => packet.conntrack = Some(value),
            12 => packet.conntrack_info = Some(parse_u32_be(value)?),
            13 => packet.packet_len = Some(parse_u32_be(value)?),
            14 => packet.skb_info = Some(SkbInfo(parse_u32_be(value)?)),
            16 => packet.uid = Some(parse_u32_be(value)?),
            17 => packet.gid = Some(parse_u32_be(value)?),
            18 => packet.security_context = Some(value),
            20 => packet.link_header = Some(value),
            21 => packet.priority = Some(parse_u32_be(value)?),
            _ => (),
        }
    }
    Ok(packet)
}

fn field(value: &[u8], range: core::ops::Range<usize>) -> Result<&[u8], DecodeError> {
    value.get(range.clone()).ok_or_else(|| DecodeError::buffer_too_small(value.len(), range.end))
}

fn parse_u64_be(value: &[u8]) -> Result<u64, DecodeError> {
    netlink_packet_core::parse_u64_be(value)
}

fn parse_verdict(body: &[u8]) -> Result<VerdictRequest<'_>, DecodeError> {
    let (_, queue, attributes) = split(body)?;
    let (id, verdict) = (0, Verdict::Drop);
    let mut request =
        VerdictRequest { queue, id, verdict, mark: None, priority: None, replacement: None };
    for nla in NlasIterator::new(attributes) {
        let nla = nla?;
        let value = value(nla);
        match nla.kind() {
            2 => {
                request.verdict = Verdict(parse_u32_be(field(value, 0..4)?)?);
                request.id = parse_u32_be(field(value, 4..8)?)?;
            }
            3 => request.mark = Some(parse_u32_be(value)?),
            10 => request.replacement = Some(value),
            21 => request.priority = Some(parse_u32_be(value)?),
            _ => (),
        }
    }
    Ok(request)
}

fn parse_config(body: &[u8]) -> Result<ConfigRequest, DecodeError> {
    let (_, queue, attributes) = split(body)?;
    let mut request = ConfigRequest { queue, ..ConfigRequest::default() };
    for nla in NlasIterator::new(attributes) {
        let nla = nla?;
        let value = value(nla);
        match nla.kind() {
            2 => {
                let range = parse_u32_be(field(value, 0..4)?)?;
                request.params = Some((field(value, 4..5)?[0], range));
            }
            3 => request.max_length = Some(parse_u32_be(value)?),
            _ => (),
        }
    }
    Ok(request)
}

/// An attribute, as the family's crates have them.
#[derive(Debug)]
enum QueueNla<'p> {
    PacketHeader { id: u32, protocol: u16, hook: u8 },
    Verdict { verdict: u32, id: u32 },
    Params { range: u32, mode: u8 },
    Number(u16, u32),
    Timestamp(Timestamp),
    HardwareAddress(HardwareAddress),
    Payload(&'p [u8]),
}

impl Nla for QueueNla<'_> {
    fn value_len(&self) -> usize {
        match self {
            Self::PacketHeader { .. } => 7,
            Self::Verdict { .. } => 8,
            Self::Params { .. } => 5,
            Self::Number(..) => 4,
            Self::Timestamp(_) => 16,
            Self::HardwareAddress(_) => 12,
            Self::Payload(payload) => payload.len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::PacketHeader { .. } => 1,
            Self::Verdict { .. } | Self::Params { .. } => 2,
            Self::Number(kind, _) => *kind,
            Self::Timestamp(_) => 4,
            Self::HardwareAddress(_) => 9,
            Self::Payload(_) => 10,
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        const ROOM: &str = "as much as was asked for";
        match self {
            Self::PacketHeader { id, protocol, hook } => {
                emit_u32_be(buffer, *id).expect(ROOM);
                emit_u16_be(&mut buffer[4..], *protocol).expect(ROOM);
                buffer[6] = *hook;
            }
            Self::Verdict { verdict, id } => {
                emit_u32_be(buffer, *verdict).expect(ROOM);
                emit_u32_be(&mut buffer[4..], *id).expect(ROOM);
            }
            Self::Params { range, mode } => {
                emit_u32_be(buffer, *range).expect(ROOM);
                buffer[4] = *mode;
            }
            Self::Number(_, number) => emit_u32_be(buffer, *number).expect(ROOM),
            Self::Timestamp(Timestamp { seconds, microseconds }) => {
                buffer[..8].copy_from_slice(&seconds.to_be_bytes());
                buffer[8..].copy_from_slice(&microseconds.to_be_bytes());
            }
            Self::HardwareAddress(address) => {
                emit_u16_be(buffer, address.claimed_len().into()).expect(ROOM);
                buffer[2..4].fill(0);
                buffer[4..].copy_from_slice(&address.field());
            }
            Self::Payload(payload) => buffer.copy_from_slice(payload),
        }
    }
}

/// A message of a queue: `struct nfgenmsg` and attributes.
#[derive(Debug)]
struct QueueMessage<'n> {
    message_type: u16,
    family: u8,
    queue: u16,
    nlas: &'n [QueueNla<'n>],
}

impl NetlinkSerializable for QueueMessage<'_> {
    fn message_type(&self) -> u16 {
        self.message_type
    }

    fn buffer_len(&self) -> usize {
        GENERIC_LEN + self.nlas.buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let [high, low] = self.queue.to_be_bytes();
        let (generic, rest) = buffer.split_at_mut(GENERIC_LEN);
        generic.copy_from_slice(&[self.family, 0, high, low]);
        self.nlas.emit(rest);
    }
}

fn write(message: Message, times: u64) -> Measured {
    // What a packet says is there before it is written.
    let packet = nfqueue_packet(&PAYLOAD);
    encode(times, |buffer| {
        let wanted = black_box(&WANTED);
        let verdict = QueueNla::Verdict { verdict: wanted.verdict.0, id: wanted.id };
        match message {
            Message::NfqueuePacket => packet_into(black_box(&packet), buffer),
            Message::NfqueueConfig => {
                let params = QueueNla::Params { range: wanted.range, mode: 2 };
                put(buffer, nfq::CONFIG.0, wanted, &[params])
            }
            Message::NfqueueReplacement => {
                let nlas = [verdict, QueueNla::Payload(&wanted.replacement)];
                put(buffer, nfq::VERDICT.0, wanted, &nlas)
            }
            Message::NfqueueBatch => put(buffer, nfq::VERDICT_BATCH.0, wanted, &[verdict]),
            _ => put(buffer, nfq::VERDICT.0, wanted, &[verdict]),
        }
    })
}

fn packet_into(packet: &Packet<'_>, buffer: &mut [u8]) -> usize {
    let (Some(input), Some(output), Some(mark)) =
        (packet.input_device, packet.output_device, packet.mark)
    else {
        return 0;
    };
    let (Some(address), Some(timestamp), Some(uid), Some(gid), Some(info), Some(payload)) = (
        packet.hw_address,
        packet.timestamp,
        packet.uid,
        packet.gid,
        packet.skb_info,
        packet.payload,
    ) else {
        return 0;
    };
    let hook = u8::try_from(packet.hook.0).unwrap_or_default();
    let nlas = [
        QueueNla::PacketHeader { id: packet.id, protocol: packet.hw_protocol.0, hook },
        QueueNla::Number(5, input),
        QueueNla::Number(6, output),
        QueueNla::Number(3, mark),
        QueueNla::HardwareAddress(address),
        QueueNla::Timestamp(timestamp),
        QueueNla::Number(16, uid),
        QueueNla::Number(17, gid),
        QueueNla::Number(14, info.0),
        QueueNla::Payload(payload),
    ];
    let message = QueueMessage {
        message_type: nfq::PACKET.0,
        family: packet.family,
        queue: packet.queue,
        nlas: &nlas,
    };
    serialize(buffer, NetlinkHeader::default(), message)
}

/// Puts a request into a buffer; returns its length.
fn put(buffer: &mut [u8], message_type: u16, wanted: &Wanted, nlas: &[QueueNla<'_>]) -> usize {
    let mut header = NetlinkHeader::default();
    header.flags = netlink_packet_core::NLM_F_REQUEST;
    header.sequence_number = wanted.sequence;
    let message = QueueMessage { message_type, family: 0, queue: wanted.queue, nlas };
    serialize(buffer, header, message)
}

fn serialize(buffer: &mut [u8], header: NetlinkHeader, message: QueueMessage<'_>) -> usize {
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    message.serialize(buffer);
    message.header.length as usize
}
