//! Seeds that are messages: recorded ones of `ip_queue`, and made ones of `nfnetlink_queue`.

use std::collections::BTreeMap;

use ipq_proto::netlink::{Body, ErrorMsg, Flags, Framed, Header, MessageType, padding};
use ipq_proto::nfqueue::{
    self as nfq, Command, CommandMsg, FlagsMsg, MarkAttribute, MaxLengthMsg, Packet, ParamsMsg,
    QueueFlags, SkbInfo, Timestamp, VerdictMsg, Vlan,
};
use ipq_proto::{CopyMode, EtherType, HardwareAddress, Hook, Verdict};
use zerocopy::{BigEndian, ByteOrder, Immutable, IntoBytes, LittleEndian};

use super::Seed;
use crate::recording::{self, Event};

/// Each message once for each target that reads messages.
pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, bytes) in recorded() {
        for target in ["decode_any", "round_trip"] {
            seeds.push(Seed::new(target, format!("recorded-{name}.bin"), bytes.clone()));
        }
    }
    let (little, big) = (nfqueue::<LittleEndian>(), nfqueue::<BigEndian>());
    for (order, messages) in [("little", little), ("big", big)] {
        for (name, bytes) in messages {
            for target in ["decode_any", "round_trip", "netlink_framing"] {
                let name = format!("nfqueue-{order}-{name}.bin");
                seeds.push(Seed::new(target, name, bytes.clone()));
            }
        }
    }
    seeds
}

/// The recorded datagrams, one of each kind and length, by a name.
pub(super) fn recorded() -> BTreeMap<String, Vec<u8>> {
    let recordings =
        [recording::packets(), recording::probe()].map(|recording| recording.expect("it reads"));
    let mut datagrams = BTreeMap::new();
    for item in recordings.iter().flat_map(recording::Recording::items) {
        let (bytes, is_whole, direction) = match &item.event {
            Event::Send(sent) => (&sent.bytes, sent.is_whole(), "sent"),
            Event::Receive(received) => (&received.bytes, received.is_whole(), "received"),
            _ => continue,
        };
        let kind = bytes.get(4..6).map_or("short", |kind| match kind {
            [0x11, 0] => "mode",
            [0x12, 0] => "verdict",
            [0x13, 0] => "packet",
            [2, 0] => "reply",
            _ => "other",
        });
        // Long ones say nothing that short ones do not.
        if is_whole && (1..400).contains(&bytes.len()) {
            let name = format!("{direction}-{kind}-{}", bytes.len());
            datagrams.entry(name).or_insert_with(|| bytes.clone());
        }
    }
    datagrams
}

/// A datagram of each kind, by a name.
pub(super) fn nfqueue<O: ByteOrder + 'static>() -> Vec<(&'static str, Vec<u8>)> {
    let request = |body: Vec<u8>| body;
    let verdict = |id, trailing: &[u8]| {
        framed(nfq::VERDICT, VerdictMsg::<O>::new(3, id, Verdict::Accept), trailing)
    };
    let mark = MarkAttribute::<O>::new(7);
    let replacement =
        [&nfq::payload_attribute_header::<O>(20).expect("it is short")[..], &[0x45; 20]];
    let two_verdicts = [
        [
            verdict(1, &[]),
            framed(nfq::VERDICT_BATCH, VerdictMsg::<O>::new(3, 9, Verdict::Drop), &[]),
        ]
        .map(padded)
        .concat(),
        verdict(2, mark.as_bytes()),
    ];
    let bind = CommandMsg::<O>::new(3, Command::BIND, 2);
    let flags = FlagsMsg::<O>::new(3, QueueFlags::GSO, QueueFlags::FAIL_OPEN);
    let refused = Header::new(nfq::CONFIG, Flags::REQUEST, 7, 29);
    let refused = Header { len: 28, ..refused };
    // What was refused, and an attribute that says why: its offset.
    let explained = [bind.as_bytes(), &attribute::<O>(2, &20_u32.to_ne_bytes())].concat();
    vec![
        ("packet", packet::<O>(&all_attributes())),
        ("packet-without-payload", packet::<O>(&Packet { id: 1, ..Packet::default() })),
        ("bind", request(framed(nfq::CONFIG, bind, &[]))),
        (
            "copy-mode",
            request(framed(
                nfq::CONFIG,
                ParamsMsg::<O>::new(3, CopyMode::Packet { range: 99 }),
                &[],
            )),
        ),
        ("maximum-length", request(framed(nfq::CONFIG, MaxLengthMsg::<O>::new(3, 10), &[]))),
        ("flags", request(framed(nfq::CONFIG, flags, &[]))),
        ("verdict-with-replacement", verdict(1, &replacement.concat())),
        ("three-verdicts", two_verdicts.concat()),
        ("acknowledgement", framed(MessageType::ERROR, ErrorMsg::<O>::new(0, refused), &[])),
        ("refusal", framed(MessageType::ERROR, ErrorMsg::<O>::new(-22, refused), &explained)),
    ]
}

fn framed<B: Body>(message_type: MessageType, body: B, trailing: &[u8]) -> Vec<u8>
where
    Framed<B>: IntoBytes + Immutable,
{
    let header = Header::new(message_type, Flags::REQUEST.union(Flags::ACK), 7, 29);
    let head = Framed::new(header, body, trailing.len()).expect("a short message");
    [head.as_bytes(), trailing].concat()
}

fn padded(mut message: Vec<u8>) -> Vec<u8> {
    message.extend(padding(message.len()));
    message
}

fn attribute<O: ByteOrder>(kind: u16, data: &[u8]) -> Vec<u8> {
    let head = ipq_proto::netlink::attribute::header::<O>(kind, data.len()).expect("it is short");
    [&head[..], data].concat()
}

fn packet<O: ByteOrder>(packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 512];
    let len = packet.encode::<O>(&mut buffer).expect("there is room");
    buffer.truncate(len);
    buffer
}

/// A packet of which everything is told.
fn all_attributes() -> Packet<'static> {
    Packet {
        family: 2,
        queue: 3,
        id: 7,
        hw_protocol: EtherType::IPV4,
        hook: Hook::LocalIn,
        mark: Some(1),
        timestamp: Some(Timestamp { seconds: 1_795_429_884, microseconds: 481_597 }),
        input_device: Some(2),
        output_device: Some(3),
        physical_input_device: Some(4),
        physical_output_device: Some(5),
        hw_address: Some(HardwareAddress::from_wire(6, [2, 0, 0, 0, 0, 1, 0, 0])),
        packet_len: Some(1500),
        skb_info: Some(SkbInfo(5)),
        uid: Some(1000),
        gid: Some(1000),
        security_context: Some(b"kernel"),
        conntrack: Some(&[8, 0, 3, 0, 0, 0, 0, 1]),
        conntrack_info: Some(2),
        vlan: Some(Vlan { protocol: EtherType(0x8100), tci: 0x2005 }),
        link_header: Some(&[0xff; 14]),
        priority: Some(6),
        payload: Some(&[0x45, 0, 0, 21, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0]),
    }
}
