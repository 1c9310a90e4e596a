//! What is encoded for `nfnetlink_queue` is the bytes that it should be, and is decoded to the same, in either byte
//! order; what has no room is an error.

use ipq_proto::netlink::{
    self, Body, ErrorMsg, Flags, Framed, Header, MessageType, Reply, messages, padding,
};
use ipq_proto::nfqueue::{
    CONFIG, Command, CommandMsg, ConfigRequest, FlagsMsg, MAX_PAYLOAD, MarkAttribute, MaxLengthMsg,
    Message, PACKET, Packet, ParamsMsg, QueueFlags, SkbInfo, Timestamp, VERDICT, VERDICT_BATCH,
    VerdictMsg, VerdictRequest, Vlan, payload_attribute_header,
};
use ipq_proto::{CopyMode, EncodeError, EtherType, HardwareAddress, Hook, Verdict};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use zerocopy::IntoBytes;

mod nfqueue_common;
use nfqueue_common::{ALL, Order, all, with};

/// The header that [`Order::message`] has.
const fn header(message_type: MessageType) -> Header {
    Header::new(message_type, Flags(5), 7, 29)
}

/// `body`, and what follows it, as a message. Emits into a dirty buffer that is longer than needed.
fn framed<B: Body>(message_type: MessageType, body: B, trailing: &[u8]) -> Vec<u8> {
    let head = Framed::new(header(message_type), body, trailing.len()).expect("a short message");
    let mut buffer = vec![0xa5; size_of_val(&head) + 8];
    head.write_to_prefix(&mut buffer).expect("the buffer has room for it");
    let (emitted, behind) = buffer.split_at(size_of_val(&head));
    assert!(behind.iter().all(|&byte| byte == 0xa5), "wrote behind the message");
    [emitted, trailing].concat()
}

/// A verdict with all that may follow it.
fn verdict(order: Order, message_type: MessageType, request: &VerdictRequest<'_>) -> Vec<u8> {
    let VerdictRequest { queue, id, verdict, mark, priority, replacement } = *request;
    let mut trailing = Vec::new();
    with!(order, O => {
        if let Some(mark) = mark {
            trailing.extend(MarkAttribute::<O>::new(mark).as_bytes());
        }
        if let Some(priority) = priority {
            trailing.extend(order.attribute(21, &priority.to_be_bytes()));
        }
        if let Some(replacement) = replacement {
            let head = payload_attribute_header::<O>(replacement.len()).expect("it is short");
            trailing.extend(head.iter().chain(replacement));
        }
        framed(message_type, VerdictMsg::<O>::new(queue, id, verdict), &trailing)
    })
}

/// Decodes `bytes`, with other bytes behind them as well.
#[track_caller]
fn check(order: Order, bytes: &[u8], message: Message<'_>, behind: &[u8]) {
    assert_eq!(order.decode(bytes), Ok(message), "{order:?}");
    let longer = [bytes, padding(bytes.len()), behind].concat();
    assert_eq!(order.decode(&longer), Ok(message), "{order:?}, with bytes behind it");
}

fn orders() -> impl Strategy<Value = Order> {
    prop::sample::select(Order::BOTH.to_vec())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..100)
}

/// The parts of a packet that borrow.
type Data = [Option<Vec<u8>>; 4];

/// Any packet with any attributes, without those that borrow; and those.
fn packets() -> impl Strategy<Value = (Packet<'static>, Data)> {
    let place = any::<(u8, u16, u32, u16, u8)>();
    let numbers = proptest::array::uniform11(of(any::<u32>()));
    let others = (
        of(any::<(u64, u64)>()),
        of(any::<(u8, [u8; 8])>()),
        of(any::<(u16, u16)>()),
        proptest::array::uniform4(of(bytes())),
    );
    (place, numbers, others).prop_map(|(place, numbers, (time, address, vlan, data))| {
        let (family, queue, id, hw_protocol, hook) = place;
        let [input, output, port_in, port_out, mark, len, info, uid, gid, ct, priority] = numbers;
        let packet = Packet {
            family,
            queue,
            id,
            hw_protocol: EtherType(hw_protocol),
            hook: Hook(hook.into()),
            mark,
            timestamp: time.map(|(seconds, microseconds)| Timestamp { seconds, microseconds }),
            input_device: input,
            output_device: output,
            physical_input_device: port_in,
            physical_output_device: port_out,
            hw_address: address.map(|(len, field)| HardwareAddress::from_wire(len, field)),
            packet_len: len,
            skb_info: info.map(SkbInfo),
            uid,
            gid,
            conntrack_info: ct,
            vlan: vlan.map(|(protocol, tci)| Vlan { protocol: EtherType(protocol), tci }),
            priority,
            ..Packet::default()
        };
        (packet, data)
    })
}

/// `packet` with what it borrows.
fn with_data<'a>(packet: &Packet<'a>, data: &'a Data) -> Packet<'a> {
    let [payload, conntrack, link_header, security_context] = data.each_ref().map(Option::as_deref);
    Packet { payload, conntrack, link_header, security_context, ..*packet }
}

proptest! {
    #[test]
    fn packet_goes_round(order in orders(), (packet, data) in packets(), behind in bytes()) {
        let packet = with_data(&packet, &data);
        let bytes = order.encode(&packet).expect("everything fits");
        check(order, &bytes, Message::Packet(packet), &behind);
        let body = &bytes[16..];
        prop_assert_eq!(with!(order, O => Packet::decode_cut::<O>(body)), Ok(packet));
        let other = Order::BOTH.into_iter().find(|&other| other != order).expect("there are two");
        prop_assert!(other.decode(&bytes).is_err(), "the byte order matters");
    }

    #[test]
    fn packet_in_a_buffer_that_is_too_short_is_an_error(
        order in orders(), (packet, data) in packets(),
    ) {
        let packet = with_data(&packet, &data);
        let bytes = order.encode(&packet).expect("everything fits");
        for len in 0..bytes.len() {
            let mut buffer = vec![0xa5; len];
            let error = EncodeError {
                field: "buffer of length",
                value: i128::try_from(len).expect("a short buffer"),
                bits: 0,
            };
            let encoded = with!(order, O => packet.encode::<O>(&mut buffer));
            prop_assert_eq!(encoded, Err(error));
        }
        let mut buffer = vec![0xa5; bytes.len()];
        let encoded = with!(order, O => packet.encode::<O>(&mut buffer));
        prop_assert_eq!(encoded, Ok(bytes.len()));
        prop_assert_eq!(buffer, bytes);
    }

    #[test]
    fn commands_go_round(
        order in orders(), queue: u16, command: u8, family: u16, behind in bytes(),
    ) {
        let command = Command(command);
        let bytes = with!(order, O => {
            framed(CONFIG, CommandMsg::<O>::new(queue, command, family), &[])
        });
        let request = ConfigRequest {
            queue, command: Some((command, family)), ..ConfigRequest::default()
        };
        check(order, &bytes, Message::Config(request), &behind);
    }

    #[test]
    fn copy_modes_go_round(order in orders(), queue: u16, range: u32, behind in bytes()) {
        for mode in [CopyMode::None, CopyMode::Metadata, CopyMode::Packet { range }] {
            let bytes = with!(order, O => framed(CONFIG, ParamsMsg::<O>::new(queue, mode), &[]));
            let request = ConfigRequest {
                queue, params: Some((mode.value(), mode.range())), ..ConfigRequest::default()
            };
            check(order, &bytes, Message::Config(request), &behind);
        }
    }

    #[test]
    fn lengths_and_flags_go_round(
        order in orders(), queue: u16, packets: u32, flags: u32, mask: u32, behind in bytes(),
    ) {
        let bytes = with!(order, O => framed(CONFIG, MaxLengthMsg::<O>::new(queue, packets), &[]));
        let nothing = ConfigRequest { queue, ..ConfigRequest::default() };
        let request = ConfigRequest { max_length: Some(packets), ..nothing };
        check(order, &bytes, Message::Config(request), &behind);

        let (flags, mask) = (QueueFlags(flags), QueueFlags(mask));
        let bytes = with!(order, O => framed(CONFIG, FlagsMsg::<O>::new(queue, flags, mask), &[]));
        let request = ConfigRequest { flags: Some(flags), mask: Some(mask), ..nothing };
        check(order, &bytes, Message::Config(request), &behind);
    }

    #[test]
    fn verdicts_go_round(
        order in orders(), queue: u16, id: u32, value: u32, mark in of(any::<u32>()),
        priority in of(any::<u32>()), replacement in of(bytes()), behind in bytes(),
    ) {
        let request = VerdictRequest {
            queue, id, verdict: Verdict(value), mark, priority, replacement: replacement.as_deref(),
        };
        let bytes = verdict(order, VERDICT, &request);
        check(order, &bytes, Message::Verdict(request), &behind);
        let bytes = verdict(order, VERDICT_BATCH, &request);
        check(order, &bytes, Message::VerdictBatch(request), &behind);
    }

    #[test]
    fn messages_of_one_datagram_go_round(
        order in orders(), (packet, data) in packets(),
        ids in vec((any::<u32>(), of(any::<u32>()), of(bytes())), 0..8), code: i32,
    ) {
        let packet = with_data(&packet, &data);
        let reply = Reply { code, request: header(VERDICT), rest: &[1, 2, 3] };
        let error = with!(order, O => {
            framed(MessageType::ERROR, ErrorMsg::<O>::new(code, reply.request), reply.rest)
        });
        let mut datagram = Vec::new();
        let mut expected = Vec::new();
        for (id, mark, replacement) in &ids {
            let (mark, replacement) = (*mark, replacement.as_deref());
            let request = VerdictRequest {
                queue: 3, id: *id, verdict: Verdict::Repeat, mark, priority: None, replacement,
            };
            let packet = Packet { id: *id, ..packet };
            let all = [
                (verdict(order, VERDICT, &request), Message::Verdict(request)),
                (order.encode(&packet).expect("it fits"), Message::Packet(packet)),
                (error.clone(), Message::Reply(reply)),
            ];
            for (bytes, message) in all {
                expected.push((datagram.len(), message));
                datagram.extend(&bytes);
                datagram.extend(padding(bytes.len()));
            }
        }
        let seen: Vec<_> = with!(order, O => messages::<O>(&datagram)
            .map(|message| {
                let message = message.expect("a whole message");
                (message.offset, Message::decode::<O>(&message).expect("it is right"))
            })
            .collect());
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn requests_are_these_bytes() {
    for order in Order::BOTH {
        let check = |framed: Vec<u8>, message_type, attributes: &[&[u8]]| {
            assert_eq!(framed, order.message(message_type, &attributes.concat())[..], "{order:?}");
        };
        with!(order, O => {
            // The header here has the family 10; a request has none.
            let none = |framed: Vec<u8>| {
                assert_eq!(framed[16..20], [0, 0, 0x12, 0x34]);
                [&framed[..16], &[10], &framed[17..]].concat()
            };
            let queue = 0x1234;
            let bind = CommandMsg::<O>::new(queue, Command::BIND, 0);
            check(none(framed(CONFIG, bind, &[])), CONFIG, &[&order.attribute(1, &[1, 0, 0, 0])]);
            let family = CommandMsg::<O>::new(queue, Command::PF_UNBIND, 10);
            check(none(framed(CONFIG, family, &[])), CONFIG, &[&order.attribute(1, &[4, 0, 0, 10])]);

            // Five bytes of data, and so a length of 9, in a message that is a multiple of 4 long.
            let params = ParamsMsg::<O>::new(queue, CopyMode::Packet { range: 0x0102_0304 });
            let attribute = [&order.u16(9)[..], &order.u16(2), &[1, 2, 3, 4, 2, 0, 0, 0]].concat();
            check(none(framed(CONFIG, params, &[])), CONFIG, &[&attribute]);
            let metadata = ParamsMsg::<O>::new(queue, CopyMode::Metadata);
            let attribute = [&order.u16(9)[..], &order.u16(2), &[0, 0, 0, 0, 1, 0, 0, 0]].concat();
            check(none(framed(CONFIG, metadata, &[])), CONFIG, &[&attribute]);

            let max_length = MaxLengthMsg::<O>::new(queue, 0x0102_0304);
            let attribute = order.attribute(3, &[1, 2, 3, 4]);
            check(none(framed(CONFIG, max_length, &[])), CONFIG, &[&attribute]);
            let flags = FlagsMsg::<O>::new(queue, QueueFlags(0x11), QueueFlags(0x1f));
            let (flag, mask) =
                (order.attribute(5, &[0, 0, 0, 0x11]), order.attribute(4, &[0, 0, 0, 0x1f]));
            check(none(framed(CONFIG, flags, &[])), CONFIG, &[&flag, &mask]);

            let head = order.attribute(2, &[0, 5, 0, 3, 1, 2, 3, 4]);
            let bare = VerdictMsg::<O>::new(queue, 0x0102_0304, Verdict(0x0005_0003));
            check(none(framed(VERDICT, bare, &[])), VERDICT, &[&head]);
            check(none(framed(VERDICT_BATCH, bare, &[])), VERDICT_BATCH, &[&head]);
        });
        let request = VerdictRequest {
            queue: 0x1234,
            id: 0x0102_0304,
            verdict: Verdict::Accept,
            mark: Some(0x1112_1314),
            priority: None,
            replacement: Some(&[0x45, 0, 0]),
        };
        let mut bytes = verdict(order, VERDICT, &request);
        assert_eq!(bytes[16], 0, "the family");
        bytes[16] = 10;
        let head = order.attribute(2, &[0, 0, 0, 1, 1, 2, 3, 4]);
        let mark = order.attribute(3, &[0x11, 0x12, 0x13, 0x14]);
        let replacement = &order.attribute(10, &[0x45, 0, 0])[..7];
        check(bytes, VERDICT, &[&head, &mark, replacement]);
    }
}

#[test]
fn a_packet_is_these_attributes_with_the_payload_last_and_unpadded() {
    for order in Order::BOTH {
        let bytes = order.encode(&ALL).expect("it fits");
        assert_eq!(bytes.len() % 4, 1, "the payload has 21 bytes");
        let header = Header {
            len: u32::try_from(bytes.len()).expect("a short message"),
            ..Header::new(PACKET, Flags::NONE, 0, 0)
        };
        let (message, rest) =
            with!(order, O => netlink::Message::decode::<O>(&bytes)).expect("whole");
        assert_eq!((message.header, rest), (header, &[][..]));
        assert_eq!(message.body[..4], [10, 0, 0x12, 0x34]);

        // The same attributes as by hand, padding included, in whatever order.
        let mut attributes = message.body[4..].to_vec();
        attributes.extend(padding(attributes.len()));
        let mut expected = Vec::new();
        for (kind, data) in all(order) {
            let nested = if kind == 19 { 0x8000 } else { 0 };
            expected.push(order.attribute(kind | nested, &data));
        }
        assert!(attributes.ends_with(expected.last().expect("the payload")));
        let mut found = Vec::new();
        let mut rest = &*attributes;
        while !rest.is_empty() {
            let next = expected.iter().find(|attribute| rest.starts_with(attribute));
            let next = next.unwrap_or_else(|| panic!("not an attribute: {rest:x?}"));
            found.push(next.clone());
            rest = &rest[next.len()..];
        }
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_longest_payload_fits_and_a_longer_one_is_an_error() {
    let most = usize::try_from(MAX_PAYLOAD).expect("a number of 16 bits");
    let long = vec![0x45; most + 1];
    for order in Order::BOTH {
        let packet = Packet { payload: Some(&long[..most]), ..ALL };
        let bytes = order.encode(&packet).expect("it fits");
        assert_eq!(order.decode(&bytes), Ok(Message::Packet(packet)));
        let request = VerdictRequest {
            queue: 1,
            id: 2,
            verdict: Verdict::Accept,
            mark: None,
            priority: None,
            replacement: packet.payload,
        };
        let bytes = verdict(order, VERDICT, &request);
        assert_eq!(order.decode(&bytes), Ok(Message::Verdict(request)));

        let error = EncodeError { field: "attribute length", value: 65_536, bits: 16 };
        for packet in [
            Packet { payload: Some(&long), ..ALL },
            Packet { conntrack: Some(&long), ..ALL },
            Packet { link_header: Some(&long), ..ALL },
            Packet { security_context: Some(&long), ..ALL },
        ] {
            assert_eq!(order.encode(&packet), Err(error));
        }
        for len in [most + 1, 65_536, usize::MAX] {
            let error = with!(order, O => payload_attribute_header::<O>(len));
            let value = i128::try_from(len).expect("fewer bits");
            let field = "length of the replacement";
            assert_eq!(error, Err(EncodeError { field, value, bits: 16 }));
        }
        let packet = Packet { hook: Hook(256), ..ALL };
        assert_eq!(order.encode(&packet), Err(EncodeError { field: "hook", value: 256, bits: 8 }));
    }
}

#[test]
fn flags_are_a_set() {
    let both = QueueFlags::FAIL_OPEN.union(QueueFlags::GSO);
    assert_eq!(both, QueueFlags(5));
    assert!(both.contains(QueueFlags::GSO) && both.contains(both));
    assert!(!both.contains(QueueFlags::CONNTRACK) && !QueueFlags::GSO.contains(both));
    assert!(SkbInfo(3).contains(SkbInfo::GSO) && !SkbInfo(3).contains(SkbInfo(4)));
}
