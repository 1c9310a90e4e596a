//! The `nfnetlink_queue` messages against a C compiler and the uapi headers: the bytes that gcc made of
//! `tests/golden/nfqueue.c`, in either byte order and word size, decode to the values that stand there and are what
//! those values encode to. That the committed bytes are what gcc makes is for `tests/golden.rs`.

use core::marker::PhantomData;
use ipq_proto::netlink::{self, Body, ErrorMsg, Flags, Framed, Header, MessageType, Reply};
use ipq_proto::nfqueue::{
    CONFIG, Command, CommandMsg, ConfigRequest, FlagsMsg, MarkAttribute, MaxLengthMsg, Message,
    PACKET, Packet, ParamsMsg, QueueFlags, SkbInfo, Timestamp, VERDICT, VERDICT_BATCH, VerdictMsg,
    VerdictRequest, Vlan, payload_attribute_header,
};
use ipq_proto::{CopyMode, EtherType, HardwareAddress, Hook, Verdict};
use zerocopy::{BigEndian, ByteOrder, IntoBytes, LittleEndian};

const LITTLE: [&[u8]; 2] =
    [include_bytes!("../golden/nfqueue-lp64.bin"), include_bytes!("../golden/nfqueue-ilp32.bin")];
const BIG: [&[u8]; 2] = [
    include_bytes!("../golden/nfqueue_big-lp64.bin"),
    include_bytes!("../golden/nfqueue_big-ilp32.bin"),
];

/// A datagram that is read message by message.
struct Golden<'a, O> {
    rest: &'a [u8],
    order: PhantomData<O>,
}

impl<O: ByteOrder + 'static> Golden<'_, O> {
    /// The next message has this header and says this; and `encoded` is this message.
    #[track_caller]
    fn next(&mut self, header: Header, expected: Message<'_>, encoded: &[u8]) {
        let (message, rest) = netlink::Message::decode::<O>(self.rest).expect("whole");
        let header = Header { len: message.header.len, ..header };
        assert_eq!(message.header, header);
        assert_eq!(Message::decode::<O>(&message), Ok(expected));
        assert_eq!(encoded, &self.rest[..encoded.len()]);
        assert_eq!(encoded.len(), 16 + message.body.len());
        self.rest = rest;
    }

    /// As [`next`](Self::next), of a fixed part and what follows it.
    #[track_caller]
    fn framed<B: Body>(&mut self, header: Header, expected: Message<'_>, body: B, after: &[u8]) {
        let head = Framed::new(header, body, after.len()).expect("a short message");
        self.next(header, expected, &[head.as_bytes(), after].concat());
    }
}

/// A request's header.
fn request(message_type: MessageType, sequence: u32, port_id: u32) -> Header {
    Header::new(message_type, Flags::REQUEST, sequence, port_id)
}

fn check_config<O: ByteOrder + 'static>(golden: &mut Golden<'_, O>) {
    let acknowledged = Flags::REQUEST.union(Flags::ACK);
    let header = Header { flags: acknowledged, ..request(CONFIG, 0x0102_0304, 0x1112_1314) };
    let command = Some((Command::PF_BIND, 0x3132));
    let config = ConfigRequest { queue: 0x2122, command, ..ConfigRequest::default() };
    let body = CommandMsg::<O>::new(0x2122, Command::PF_BIND, 0x3132);
    golden.framed(header, Message::Config(config), body, &[]);

    let params = Some((2, 0x4142_4344));
    let config = ConfigRequest { queue: 0x0506, params, ..ConfigRequest::default() };
    let body = ParamsMsg::<O>::new(0x0506, CopyMode::Packet { range: 0x4142_4344 });
    golden.framed(request(CONFIG, 0x0102, 0x0304), Message::Config(config), body, &[]);

    let max_length = Some(0x5152_5354);
    let config = ConfigRequest { queue: 3, max_length, ..ConfigRequest::default() };
    let body = MaxLengthMsg::<O>::new(3, 0x5152_5354);
    golden.framed(request(CONFIG, 1, 2), Message::Config(config), body, &[]);

    let some = QueueFlags::FAIL_OPEN.union(QueueFlags::GSO).union(QueueFlags::SECURITY_CONTEXT);
    let all = some.union(QueueFlags::CONNTRACK).union(QueueFlags::UID_GID);
    let (flags, mask) = (Some(some), Some(all));
    let config = ConfigRequest { queue: 3, flags, mask, ..ConfigRequest::default() };
    let body = FlagsMsg::<O>::new(3, some, all);
    golden.framed(request(CONFIG, 1, 2), Message::Config(config), body, &[]);
}

fn check_verdicts<O: ByteOrder + 'static>(golden: &mut Golden<'_, O>) {
    let verdict = VerdictRequest {
        queue: 6,
        id: 0x7172_7374,
        verdict: Verdict(0x6162_6364),
        mark: Some(0x8182_8384),
        priority: None,
        replacement: Some(&[0x91, 0x92, 0x93]),
    };
    let mark = MarkAttribute::<O>::new(0x8182_8384);
    let payload = payload_attribute_header::<O>(3).expect("three bytes");
    let after = [mark.as_bytes(), &payload, &[0x91, 0x92, 0x93]].concat();
    let body = VerdictMsg::<O>::new(6, 0x7172_7374, Verdict(0x6162_6364));
    golden.framed(request(VERDICT, 4, 5), Message::Verdict(verdict), body, &after);

    let id = 0xa1a2_a3a4;
    let verdict = VerdictRequest {
        queue: 9,
        id,
        verdict: Verdict::Accept,
        mark: None,
        priority: None,
        replacement: None,
    };
    let body = VerdictMsg::<O>::new(9, id, Verdict::Accept);
    golden.framed(request(VERDICT_BATCH, 7, 8), Message::VerdictBatch(verdict), body, &[]);
}

fn check_packet<O: ByteOrder + 'static>(golden: &mut Golden<'_, O>) {
    let checksums = SkbInfo(SkbInfo::CHECKSUM_NOT_READY.0 | SkbInfo::CHECKSUM_NOT_VERIFIED.0);
    let packet = Packet {
        family: 10,
        queue: 0xb1b2,
        id: 0xc1c2_c3c4,
        hw_protocol: EtherType::IPV6,
        hook: Hook::PostRouting,
        mark: Some(0x0506_0708),
        timestamp: Some(Timestamp {
            seconds: 0x7172_7374_7576_7778,
            microseconds: 0x8182_8384_8586_8788,
        }),
        input_device: Some(0x0101_0101),
        output_device: Some(0x0303_0303),
        physical_input_device: Some(0x0202_0202),
        physical_output_device: Some(0x0404_0404),
        hw_address: Some(HardwareAddress::from_wire(6, [2, 3, 4, 5, 6, 7, 8, 9])),
        packet_len: Some(0x5152_5354),
        skb_info: Some(checksums),
        uid: Some(0x2122_2324),
        gid: Some(0x3132_3334),
        security_context: Some(b"secrets"),
        conntrack: Some(&[8, 7, 6, 5, 4, 3, 2, 1]),
        conntrack_info: Some(0x4142_4344),
        vlan: Some(Vlan { protocol: EtherType(0x88a8), tci: 0x6162 }),
        link_header: Some(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        priority: Some(0x1112_1314),
        payload: Some(&[0x60, 1, 2, 3, 4]),
    };
    let mut buffer = [0xa5; 512];
    let len = packet.encode::<O>(&mut buffer).expect("it fits");
    let header = Header::new(PACKET, Flags::NONE, 0, 0);
    golden.next(header, Message::Packet(packet), &buffer[..len]);
}

fn check_replies<O: ByteOrder + 'static>(golden: &mut Golden<'_, O>) {
    let acknowledged = Flags::REQUEST.union(Flags::ACK);
    let asked = Header { len: 28, flags: acknowledged, ..request(CONFIG, 10, 11) };
    let reply = Reply { code: 0, request: asked, rest: &[] };
    // NLM_F_CAPPED: the kernel repeats no more than the request's header.
    let header = Header::new(MessageType::ERROR, Flags(0x100), 10, 11);
    golden.framed(header, Message::Reply(reply), ErrorMsg::<O>::new(0, asked), &[]);

    let asked = Header { len: 20, ..request(VERDICT, 12, 13) };
    let rest = &[0, 0, 0, 14];
    let reply = Reply { code: -2, request: asked, rest };
    let header = Header::new(MessageType::ERROR, Flags::NONE, 12, 13);
    golden.framed(header, Message::Reply(reply), ErrorMsg::<O>::new(-2, asked), rest);
}

fn check<O: ByteOrder + 'static>(datagram: &[u8]) {
    let mut golden = Golden::<O> { rest: datagram, order: PhantomData };
    check_config(&mut golden);
    check_verdicts(&mut golden);
    check_packet(&mut golden);
    check_replies(&mut golden);
    assert_eq!(golden.rest, []);
}

#[test]
fn messages_are_what_a_c_compiler_makes_of_the_uapi_headers() {
    for datagram in LITTLE {
        check::<LittleEndian>(datagram);
    }
    for datagram in BIG {
        check::<BigEndian>(datagram);
    }
}

#[test]
fn word_size_plays_no_part_and_byte_order_does() {
    assert_eq!(LITTLE[0], LITTLE[1]);
    assert_eq!(BIG[0], BIG[1]);
    assert_ne!(LITTLE[0], BIG[0]);
}
