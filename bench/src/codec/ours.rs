//! `ipq-proto`, as a program for the kernel of this machine uses it.

use core::hint::black_box;

use ipq_proto::ip_queue::{self as ipq, ModeMsg, PacketMsg};
use ipq_proto::netlink::{self, Body, Flags, Framed, Header, MessageType};
use ipq_proto::nfqueue::{self as nfq, ParamsMsg};
use ipq_proto::{CopyMode, DecodeError, Native, Problem};
use zerocopy::{IntoBytes, NativeEndian};

use super::messages::{PAYLOAD, WANTED, Wanted, ip_queue_packet, nfqueue_packet};
use super::{Digest, Direction, Measured, Message, decode, encode};

/// Why a message that `ipq-proto` has written is sound.
const SOUND: &str = "written by its own encoder";

/// What is said of a message of another type than the one to be read.
const OTHER_TYPE: DecodeError = DecodeError {
    what: "message type",
    offset: 4,
    problem: Problem::TooShort { need: 0, have: 0 },
};

/// Reads or writes a message so many times.
pub fn run(direction: Direction, message: Message, times: u64) -> Measured {
    match direction {
        Direction::Decode => read(message, times),
        Direction::Encode => write_many(message, times),
    }
}

fn read(message: Message, times: u64) -> Measured {
    let bytes = message.bytes();
    let work = (bytes.as_slice(), times);
    let verdict = nfq::VerdictRequest::decode::<NativeEndian>;
    match message {
        Message::IpQueuePacket => each(work, ipq::PACKET, ipq::Packet::decode::<Native>),
        Message::IpQueueVerdict => each(work, ipq::VERDICT, ipq::VerdictRequest::decode::<Native>),
        Message::IpQueueMode => each(work, ipq::MODE, ipq::ModeRequest::decode::<Native>),
        Message::NfqueuePacket => each(work, nfq::PACKET, nfq::Packet::decode::<NativeEndian>),
        Message::NfqueueVerdict | Message::NfqueueReplacement => each(work, nfq::VERDICT, verdict),
        Message::NfqueueBatch => each(work, nfq::VERDICT_BATCH, verdict),
        Message::NfqueueConfig => {
            each(work, nfq::CONFIG, nfq::ConfigRequest::decode::<NativeEndian>)
        }
    }
}

/// Reads a message of one type over and over.
fn each<'b, T: Digest>(
    (bytes, times): (&'b [u8], u64),
    expected: MessageType,
    read: impl Fn(&'b [u8]) -> Result<T, DecodeError>,
) -> Measured {
    decode(bytes, times, |bytes| {
        let (message, _) = netlink::Message::decode::<NativeEndian>(bytes)?;
        if message.header.message_type != expected {
            return Err(OTHER_TYPE);
        }
        read(message.body)
    })
}

fn write_many(message: Message, times: u64) -> Measured {
    // What a message is to say is there before it is written.
    let (ip_queue, nfqueue) = (ip_queue_packet(&PAYLOAD), nfqueue_packet(&PAYLOAD));
    match message {
        Message::IpQueuePacket => {
            encode(times, |buffer| ip_queue_packet_into(black_box(&ip_queue), buffer))
        }
        Message::IpQueueVerdict => requests(times, ip_queue_verdict_into),
        Message::IpQueueMode => requests(times, ip_queue_mode_into),
        Message::NfqueuePacket => {
            encode(times, |buffer| nfqueue_packet_into(black_box(&nfqueue), buffer))
        }
        Message::NfqueueVerdict => requests(times, verdict_into),
        Message::NfqueueReplacement => requests(times, replacement_into),
        Message::NfqueueBatch => requests(times, batch_into),
        Message::NfqueueConfig => requests(times, config_into),
    }
}

/// Writes a request over and over.
fn requests(times: u64, write: impl Fn(&Wanted, &mut [u8]) -> usize) -> Measured {
    encode(times, |buffer| write(black_box(&WANTED), buffer))
}

/// Writes a message once; returns its length.
pub(super) fn write(message: Message, buffer: &mut [u8]) -> usize {
    match message {
        Message::IpQueuePacket => ip_queue_packet_into(&ip_queue_packet(&PAYLOAD), buffer),
        Message::IpQueueVerdict => ip_queue_verdict_into(&WANTED, buffer),
        Message::IpQueueMode => ip_queue_mode_into(&WANTED, buffer),
        Message::NfqueuePacket => nfqueue_packet_into(&nfqueue_packet(&PAYLOAD), buffer),
        Message::NfqueueVerdict => verdict_into(&WANTED, buffer),
        Message::NfqueueReplacement => replacement_into(&WANTED, buffer),
        Message::NfqueueBatch => batch_into(&WANTED, buffer),
        Message::NfqueueConfig => config_into(&WANTED, buffer),
    }
}

fn ip_queue_packet_into(packet: &ipq::Packet<'_>, buffer: &mut [u8]) -> usize {
    let header = Header::new(ipq::PACKET, Flags::NONE, 0, 0);
    let body = PacketMsg::<Native>::new(packet).expect(SOUND);
    put(buffer, header, body, &[packet.payload])
}

fn nfqueue_packet_into(packet: &nfq::Packet<'_>, buffer: &mut [u8]) -> usize {
    packet.encode::<NativeEndian>(buffer).expect(SOUND)
}

fn ip_queue_verdict_into(wanted: &Wanted, buffer: &mut [u8]) -> usize {
    let body = ipq::VerdictMsg::<Native>::new(wanted.address, wanted.verdict, 0).expect(SOUND);
    put(buffer, request(ipq::VERDICT, wanted), body, &[])
}

fn ip_queue_mode_into(wanted: &Wanted, buffer: &mut [u8]) -> usize {
    let mode = CopyMode::Packet { range: wanted.range };
    put(buffer, request(ipq::MODE, wanted), ModeMsg::<Native>::new(mode), &[])
}

fn verdict_into(wanted: &Wanted, buffer: &mut [u8]) -> usize {
    put(buffer, request(nfq::VERDICT, wanted), verdict(wanted), &[])
}

fn batch_into(wanted: &Wanted, buffer: &mut [u8]) -> usize {
    put(buffer, request(nfq::VERDICT_BATCH, wanted), verdict(wanted), &[])
}

fn replacement_into(wanted: &Wanted, buffer: &mut [u8]) -> usize {
    let replacement = wanted.replacement.as_slice();
    let attribute = nfq::payload_attribute_header::<NativeEndian>(replacement.len()).expect(SOUND);
    let header = request(nfq::VERDICT, wanted);
    put(buffer, header, verdict(wanted), &[&attribute, replacement])
}

fn config_into(wanted: &Wanted, buffer: &mut [u8]) -> usize {
    let mode = CopyMode::Packet { range: wanted.range };
    let body = ParamsMsg::<NativeEndian>::new(wanted.queue, mode);
    put(buffer, request(nfq::CONFIG, wanted), body, &[])
}

fn verdict(wanted: &Wanted) -> nfq::VerdictMsg<NativeEndian> {
    nfq::VerdictMsg::new(wanted.queue, wanted.id, wanted.verdict)
}

fn request(message_type: MessageType, wanted: &Wanted) -> Header {
    Header::new(message_type, Flags::REQUEST, wanted.sequence, 0)
}

/// Puts a message and what follows it into a buffer; returns its length.
fn put<B: Body>(buffer: &mut [u8], header: Header, body: B, more: &[&[u8]]) -> usize {
    let more_len = more.iter().map(|bytes| bytes.len()).sum();
    let framed = Framed::new(header, body, more_len).expect(SOUND);
    let mut len = size_of::<Framed<B>>();
    buffer[..len].copy_from_slice(framed.as_bytes());
    for bytes in more {
        buffer[len..][..bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    }
    len
}
