//! `netlink-packet-netfilter` as it is. It has no messages of queues: their attributes stay bytes, each in a vector of
//! its own, so what it does is less than the others do.

use core::hint::black_box;

use ipq_proto::nfqueue::{self as nfq, SUBSYSTEM};
use netlink_packet_core::{DefaultNla, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    NetfilterSubsystem,
};

use super::messages::{WANTED, Wanted};
use super::{Digest, Direction, Measured, Message, decode, encode};

/// Reads or writes a message so many times; `None` if it has no attributes, or is the kernel's to write.
pub fn run(direction: Direction, message: Message, times: u64) -> Option<Measured> {
    match (direction, message) {
        _ if !message.is_nfqueue() => None,
        (Direction::Encode, Message::NfqueuePacket) => None,
        (Direction::Encode, _) => Some(write(message, times)),
        (Direction::Decode, _) => {
            let bytes = message.bytes();
            let read = NetlinkMessage::<NetfilterMessage>::deserialize;
            Some(decode(&bytes, times, read))
        }
    }
}

impl Digest for NetlinkMessage<NetfilterMessage> {
    fn digest(&self) -> Option<u64> {
        None
    }
}

fn write(message: Message, times: u64) -> Measured {
    let message_type = match message {
        Message::NfqueueConfig => nfq::CONFIG,
        Message::NfqueueBatch => nfq::VERDICT_BATCH,
        _ => nfq::VERDICT,
    };
    let [_, message_type] = message_type.0.to_be_bytes();
    encode(times, |buffer| {
        let wanted = black_box(&WANTED);
        let attributes = match message {
            Message::NfqueueConfig => vec![params(wanted)],
            Message::NfqueueReplacement => {
                vec![verdict(wanted), DefaultNla::new(10, wanted.replacement.to_vec())]
            }
            _ => vec![verdict(wanted)],
        };
        let inner = NetfilterMessageInner::Other {
            subsys: NetfilterSubsystem::Other(SUBSYSTEM),
            message_type,
            attributes,
        };
        let generic = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, wanted.queue);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = wanted.sequence;
        let body = NetfilterMessage::new(generic, inner);
        let mut message = NetlinkMessage::new(header, body.into());
        message.finalize();
        message.serialize(buffer);
        message.header.length as usize
    })
}

fn verdict(wanted: &Wanted) -> DefaultNla {
    let numbers = [wanted.verdict.0, wanted.id].map(u32::to_be_bytes);
    DefaultNla::new(2, numbers.concat())
}

fn params(wanted: &Wanted) -> DefaultNla {
    DefaultNla::new(2, [wanted.range.to_be_bytes().as_slice(), &[2]].concat())
}
