//! Messages of `nfnetlink_queue` that lie: every decoder answers with an error or with the value as it is, in
//! either byte order, and never panics, looks past the end, or goes on for ever.

use ipq_proto::netlink::attribute::attributes;
use ipq_proto::netlink::{MessageType, messages};
use ipq_proto::nfqueue::{
    CONFIG, Command, ConfigRequest, Message, PACKET, Packet, QueueFlags, VERDICT, VERDICT_BATCH,
    VerdictRequest,
};
use ipq_proto::{DecodeError, EtherType, Problem, Verdict};

mod nfqueue_common;

#[path = "nfqueue_hostile/arbitrary.rs"]
mod arbitrary;
#[path = "nfqueue_hostile/cut.rs"]
mod cut;
#[path = "nfqueue_hostile/values.rs"]
mod values;

use nfqueue_common::{ALL, Order, all, with};

/// Where the attributes start in a datagram.
const ATTRIBUTES: usize = 20;

/// The packet of a message; anything else is a failure.
fn packet(message: Result<Message<'_>, DecodeError>) -> Packet<'_> {
    match message {
        Ok(Message::Packet(packet)) => packet,
        other => panic!("no packet: {other:?}"),
    }
}

fn attribute_error(offset: usize, problem: Problem) -> DecodeError {
    DecodeError { what: "netlink attribute", offset, problem }
}

/// A packet message of these attributes, by hand.
fn packet_message(order: Order, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let attributes: Vec<_> =
        attributes.iter().map(|(kind, data)| order.attribute(*kind, data)).collect();
    order.message(PACKET, &attributes.concat())
}

fn decode_cut(order: Order, body: &[u8]) -> Result<Packet<'_>, DecodeError> {
    with!(order, O => Packet::decode_cut::<O>(body))
}

/// Makes the length in the header that of what is there.
fn set_len(order: Order, datagram: &mut [u8]) {
    let len = u32::try_from(datagram.len()).expect("a short message");
    datagram[..4].copy_from_slice(&order.u32(len));
}

/// Where each attribute of a datagram starts, and how many bytes it says it has.
fn spans(order: Order, datagram: &[u8]) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let mut at = ATTRIBUTES;
    while at < datagram.len() {
        let field = datagram[at..at + 2].try_into().expect("two bytes");
        let len = match order {
            Order::Little => u16::from_le_bytes(field),
            Order::Big => u16::from_be_bytes(field),
        };
        spans.push((at, len.into()));
        at += usize::from(len).next_multiple_of(4);
    }
    spans
}

#[test]
fn refuses_every_truncated_datagram() {
    for order in Order::BOTH {
        let bytes = order.encode(&ALL).expect("it fits");
        for have in 0..bytes.len() {
            let claimed = u64::try_from(bytes.len()).expect("a short message");
            let problem = match have {
                0..16 => Problem::TooShort { need: 16, have },
                _ => Problem::ClaimsTooMuch { claimed, have },
            };
            let error = DecodeError { what: "netlink header", offset: 0, problem };
            assert_eq!(order.decode(&bytes[..have]), Err(error), "{order:?}, {have} bytes");
        }
    }
}

#[test]
fn a_message_cut_between_attributes_says_what_is_there_and_else_is_refused() {
    for order in Order::BOTH {
        let whole = order.encode(&ALL).expect("it fits");
        let spans = spans(order, &whole);
        assert_eq!(spans.len(), all(order).len());
        for len in 16..=whole.len() {
            let mut bytes = whole[..len].to_vec();
            set_len(order, &mut bytes);
            let what = format!("{order:?}, {len} bytes");
            // The attribute in which the message ends, if there is enough of it to be one.
            let cut = spans.iter().find(|(at, claims)| at + 4 <= len && len < at + claims);
            match order.decode(&bytes) {
                Err(error) if len < ATTRIBUTES => {
                    let problem = Problem::TooShort { need: 4, have: len - 16 };
                    let what = "netfilter message";
                    assert_eq!(error, DecodeError { what, offset: 16, problem });
                }
                Err(error) => {
                    let problem = match cut {
                        Some(&(at, claims)) => {
                            let claimed = u64::try_from(claims).expect("a short attribute");
                            attribute_error(at, Problem::ClaimsTooMuch { claimed, have: len - at })
                        }
                        None => DecodeError {
                            what: "packet header",
                            offset: len,
                            problem: Problem::TooShort { need: 7, have: 0 },
                        },
                    };
                    assert_eq!(error, problem, "{what}");
                    assert!(cut.is_some() || len < ATTRIBUTES + 4, "{what}");
                }
                Ok(Message::Packet(packet)) => {
                    assert_eq!(cut, None, "{what}");
                    // It has all that is before the cut, and nothing of what is after it.
                    let (at, claims) = *spans.iter().rfind(|(at, _)| at + 4 <= len).expect("some");
                    let mut expected = whole[..at + claims].to_vec();
                    if packet.payload.is_none() {
                        expected.resize(expected.len().next_multiple_of(4), 0);
                    }
                    set_len(order, &mut expected);
                    expected[4..16].copy_from_slice(&whole[4..16]);
                    assert_eq!(order.encode(&packet).as_ref(), Ok(&expected), "{what}");
                }
                Ok(other) => panic!("{what}: {other:?}"),
            }
        }
    }
}

#[test]
fn decodes_at_every_alignment() {
    let verdict = [(2, vec![0, 0, 0, 1, 0, 0, 0, 9]), (10, vec![7; 5])];
    for order in Order::BOTH {
        let verdict: Vec<_> =
            verdict.iter().flat_map(|(kind, data)| order.attribute(*kind, data)).collect();
        let config = order.attribute(1, &[1, 0, 0, 2]);
        let datagrams = [
            packet_message(order, &all(order)),
            order.message(VERDICT, &verdict),
            order.message(CONFIG, &config),
        ];
        for datagram in datagrams {
            let message = order.decode(&datagram).expect("it is right");
            for offset in 0..16 {
                let moved = [&vec![0xff; offset], &*datagram].concat();
                assert_eq!(order.decode(&moved[offset..]), Ok(message), "{order:?}, {offset}");
            }
        }
        assert_eq!(packet(order.decode(&packet_message(order, &all(order)))), ALL);
    }
}

#[test]
fn refuses_attribute_lengths_that_lie() {
    for order in Order::BOTH {
        let whole = packet_message(order, &all(order));
        for (at, _) in spans(order, &whole) {
            let have = whole.len() - at;
            let beyond = u16::try_from(have + 1).expect("a short message");
            for claimed in [0, 1, 2, 3, beyond, beyond + 1, 0x7fff, 0x8000, 0xffff] {
                let mut bytes = whole.clone();
                bytes[at..at + 2].copy_from_slice(&order.u16(claimed));
                let problem = match claimed {
                    0..4 => Problem::ClaimsTooLittle { claimed: claimed.into(), least: 4 },
                    _ => Problem::ClaimsTooMuch { claimed: claimed.into(), have },
                };
                assert_eq!(order.decode(&bytes), Err(attribute_error(at, problem)), "{order:?}");
                let body = &bytes[16..];
                let is_packet_header = at == ATTRIBUTES;
                assert_eq!(decode_cut(order, body).is_err(), is_packet_header, "{order:?}");
            }
        }
    }
}

#[test]
fn an_attribute_that_lies_ends_the_iteration() {
    let bytes = [8, 0, 3, 0, 1, 2, 3, 4, 3, 0, 3, 0, 8, 0, 3, 0, 1, 2, 3, 4];
    let mut all = attributes::<zerocopy::LittleEndian>(&bytes);
    let first = all.next().expect("one").expect("it is right");
    assert_eq!((first.kind, first.data, first.offset), (3, &[1, 2, 3, 4][..], 0));
    let problem = Problem::ClaimsTooLittle { claimed: 3, least: 4 };
    assert_eq!(all.next(), Some(Err(attribute_error(8, problem))));
    assert_eq!(all.next(), None);
    assert_eq!(all.next(), None);
}

/// Decodes with the data of one attribute cut to every length below `need`, and with bytes after them.
#[track_caller]
fn check_fixed(order: Order, message_type: MessageType, kind: u16, need: usize, what: &str) {
    let first = match (message_type, kind) {
        (PACKET, 2..) => order.attribute(1, &[0; 7]),
        (VERDICT | VERDICT_BATCH, 3..) => order.attribute(2, &[0; 8]),
        _ => Vec::new(),
    };
    for have in 0..need {
        let bytes = [&*first, &order.attribute(kind, &vec![0; have])].concat();
        let error = order.decode(&order.message(message_type, &bytes)).expect_err("too short");
        assert_eq!(error.what, what);
        assert_eq!(error.offset, ATTRIBUTES + first.len() + 4, "{what}");
        assert_eq!(error.problem, Problem::TooShort { need, have }, "{what}");
    }
    let more = |more: &[u8]| {
        let data = [&vec![0; need], more].concat();
        order.message(message_type, &[&*first, &order.attribute(kind, &data)].concat())
    };
    assert_eq!(order.decode(&more(&[1, 2, 3, 4, 5])), order.decode(&more(&[])), "{what}");
    assert!(order.decode(&more(&[])).is_ok(), "{what}");
}

#[test]
fn refuses_data_that_are_too_short_and_takes_longer_ones() {
    for order in Order::BOTH {
        check_fixed(order, PACKET, 1, 7, "packet header");
        check_fixed(order, PACKET, 3, 4, "mark");
        check_fixed(order, PACKET, 4, 16, "timestamp");
        check_fixed(order, PACKET, 5, 4, "input device");
        check_fixed(order, PACKET, 6, 4, "output device");
        check_fixed(order, PACKET, 7, 4, "input port");
        check_fixed(order, PACKET, 8, 4, "output port");
        check_fixed(order, PACKET, 9, 12, "hardware address");
        check_fixed(order, PACKET, 12, 4, "connection state");
        check_fixed(order, PACKET, 13, 4, "packet length");
        check_fixed(order, PACKET, 14, 4, "checksum state");
        check_fixed(order, PACKET, 16, 4, "user id");
        check_fixed(order, PACKET, 17, 4, "group id");
        check_fixed(order, PACKET, 21, 4, "priority");
        for message_type in [VERDICT, VERDICT_BATCH] {
            check_fixed(order, message_type, 2, 8, "verdict");
            check_fixed(order, message_type, 3, 4, "mark");
        }
        check_fixed(order, CONFIG, 1, 4, "queue command");
        check_fixed(order, CONFIG, 2, 5, "copy mode");
        check_fixed(order, CONFIG, 3, 4, "maximum length");
        check_fixed(order, CONFIG, 4, 4, "mask of queue flags");
        check_fixed(order, CONFIG, 5, 4, "queue flags");
    }
}

#[test]
fn the_last_attribute_may_lack_its_padding() {
    for order in Order::BOTH {
        for (kind, data) in all(order) {
            let header = if kind == 1 { Vec::new() } else { vec![(1, vec![9; 7])] };
            let padded = packet_message(order, &[&*header, &[(kind, data.clone())]].concat());
            let lacks = data.len().next_multiple_of(4) - data.len();
            let mut bytes = padded[..padded.len() - lacks].to_vec();
            set_len(order, &mut bytes);
            assert_eq!(order.decode(&bytes), order.decode(&padded), "{order:?}, type {kind}");
            assert!(order.decode(&bytes).is_ok(), "{order:?}, type {kind}");
            assert_eq!(decode_cut(order, &bytes[16..]), Ok(packet(order.decode(&padded))));
        }
        // The copy mode, the one attribute of a request that is no multiple of 4 bytes.
        let params = order.attribute(2, &[0, 0, 8, 0, 2]);
        let bytes = order.message(CONFIG, &params[..9]);
        assert_eq!(bytes.len(), 29);
        let request =
            ConfigRequest { queue: 0x1234, params: Some((2, 2048)), ..ConfigRequest::default() };
        assert_eq!(order.decode(&bytes), Ok(Message::Config(request)));
    }
}

#[test]
fn messages_of_every_length_follow_one_another() {
    for order in Order::BOTH {
        for len in 0..9 {
            let payload = vec![0x45; len];
            let expected = Packet {
                family: 10,
                queue: 0x1234,
                id: 0x0909_0909,
                hw_protocol: EtherType(0x0909),
                hook: ipq_proto::Hook(9),
                payload: Some(&payload),
                ..Packet::default()
            };
            let mut first = packet_message(order, &[(1, vec![9; 7]), (10, payload.clone())]);
            let padding = first.len();
            first.truncate(20 + 12 + 4 + len);
            set_len(order, &mut first);
            first.resize(padding, 0xee);
            let datagram = [&*first, &*first, &first[..20 + 12 + 4 + len]].concat();
            let seen: Vec<_> = with!(order, O => messages::<O>(&datagram)
                .map(|message| Message::decode::<O>(&message.expect("a whole message")))
                .collect());
            assert_eq!(seen, vec![Ok(Message::Packet(expected)); 3], "{order:?}, {len} bytes");
        }
    }
}

#[test]
fn an_error_in_a_later_message_is_found_where_it_is() {
    for order in Order::BOTH {
        let mut first = order.message(CONFIG, &order.attribute(2, &[0; 5])[..9]);
        first.resize(32, 0);
        let second = order.message(VERDICT, &order.attribute(3, &[0; 2]));
        let datagram = [first, second].concat();
        let errors: Vec<_> = with!(order, O => messages::<O>(&datagram)
            .filter_map(|message| Message::decode::<O>(&message.expect("whole")).err())
            .collect());
        let problem = Problem::TooShort { need: 4, have: 2 };
        assert_eq!(errors, [DecodeError { what: "mark", offset: 32 + 20 + 4, problem }]);
    }
}

#[test]
fn skips_unknown_attributes() {
    let unknown = [0, 2, 15, 22, 23, 0x00ff, 0x3fff];
    for order in Order::BOTH {
        let known = all(order);
        for position in 0..=known.len() {
            for kind in unknown {
                for len in 0..5 {
                    let mut attributes = known.clone();
                    attributes.insert(position, (kind, vec![0xff; len]));
                    let bytes = packet_message(order, &attributes);
                    assert_eq!(packet(order.decode(&bytes)), ALL, "{order:?}, type {kind}");
                    assert_eq!(decode_cut(order, &bytes[16..]), Ok(ALL), "{order:?}, type {kind}");
                }
            }
        }
        let message = |message_type, unknown: &[u16]| {
            let attributes = unknown.iter().flat_map(|&kind| order.attribute(kind, &[0xff; 3]));
            order.message(message_type, &attributes.collect::<Vec<_>>())
        };
        let config = message(CONFIG, &[0, 6, 7, 0x3fff]);
        let nothing = ConfigRequest { queue: 0x1234, ..ConfigRequest::default() };
        assert_eq!(order.decode(&config), Ok(Message::Config(nothing)));
        // Without a verdict in it, it is none.
        for message_type in [VERDICT, VERDICT_BATCH] {
            let verdict = message(message_type, &[0, 1, 4, 9, 11, 22, 0x3fff]);
            assert_eq!(
                order.decode(&verdict),
                Ok(Message::Other(message_type, &verdict[16..])),
                "{order:?}"
            );
        }
    }
}

#[test]
fn the_flag_bits_of_an_attribute_are_not_its_type() {
    for order in Order::BOTH {
        for flags in [0x4000, 0x8000, 0xc000] {
            let flagged: Vec<_> =
                all(order).into_iter().map(|(k, data)| (k | flags, data)).collect();
            let bytes = packet_message(order, &flagged);
            assert_eq!(packet(order.decode(&bytes)), ALL, "{order:?}");

            let payload = ALL.payload.expect("there is one");
            let end = spans(order, &bytes).last().expect("the payload").0 + 4 + payload.len();
            let cut = decode_cut(order, &bytes[16..end - 2]).expect("the id is there");
            assert_eq!(cut.payload, Some(&payload[..payload.len() - 2]), "{order:?}, cut");

            let vlan = [
                order.attribute(1 | flags, &[0x88, 0xa8]),
                order.attribute(2 | flags, &[0xe1, 0xe2]),
            ];
            let bytes = packet_message(order, &[(1, vec![0; 7]), (0x13 | flags, vlan.concat())]);
            assert_eq!(packet(order.decode(&bytes)).vlan, ALL.vlan, "{order:?}");

            let verdict = order.attribute(2 | flags, &[0, 0, 0, 1, 0, 0, 0, 9]);
            assert!(matches!(
                order.decode(&order.message(VERDICT, &verdict)),
                Ok(Message::Verdict(VerdictRequest { id: 9, verdict: Verdict::Accept, .. }))
            ));
            let config = order.attribute(3 | flags, &[0, 0, 4, 0]);
            assert!(matches!(
                order.decode(&order.message(CONFIG, &config)),
                Ok(Message::Config(ConfigRequest { max_length: Some(1024), .. }))
            ));
        }
    }
}

#[test]
fn up_to_three_bytes_at_the_end_are_padding() {
    for order in Order::BOTH {
        for len in 1..4 {
            let mut bytes = packet_message(order, &all(order));
            bytes.resize(bytes.len() + len, 0xff);
            set_len(order, &mut bytes);
            assert_eq!(packet(order.decode(&bytes)), ALL, "{order:?}, {len} bytes");
            assert_eq!(decode_cut(order, &bytes[16..]), Ok(ALL), "{order:?}, {len} bytes");
        }
        // Four are an attribute, and say that they are none.
        let mut bytes = packet_message(order, &all(order));
        let offset = bytes.len();
        bytes.resize(offset + 4, 0);
        set_len(order, &mut bytes);
        let problem = Problem::ClaimsTooLittle { claimed: 0, least: 4 };
        assert_eq!(order.decode(&bytes), Err(attribute_error(offset, problem)));
        assert_eq!(decode_cut(order, &bytes[16..]), Ok(ALL), "{order:?}");
    }
}

#[test]
fn the_last_of_several_attributes_of_a_type_counts() {
    for order in Order::BOTH {
        let earlier = all(order).into_iter().map(|(kind, data)| match kind {
            // Whole attributes of other values; in the case of VLAN they are nested.
            19 => (kind, [order.attribute(1, &[7, 7]), order.attribute(2, &[7, 7])].concat()),
            _ => (kind, vec![7; data.len()]),
        });
        let bytes = packet_message(order, &earlier.chain(all(order)).collect::<Vec<_>>());
        assert_eq!(packet(order.decode(&bytes)), ALL, "{order:?}");
        assert_eq!(decode_cut(order, &bytes[16..]), Ok(ALL), "{order:?}");

        let twice = |kind, data: &[u8]| {
            [order.attribute(kind, &vec![7; data.len()]), order.attribute(kind, data)].concat()
        };
        let verdict = [
            twice(2, &[0, 0, 0, 0, 0, 0, 0, 9]),
            twice(3, &[0, 0, 0, 1]),
            twice(10, &[1, 2, 3]),
            twice(21, &[0, 0, 0, 6]),
        ];
        let request = VerdictRequest {
            queue: 0x1234,
            id: 9,
            verdict: Verdict::Drop,
            mark: Some(1),
            priority: Some(6),
            replacement: Some(&[1, 2, 3]),
        };
        let bytes = order.message(VERDICT_BATCH, &verdict.concat());
        assert_eq!(order.decode(&bytes), Ok(Message::VerdictBatch(request)), "{order:?}");

        let number = [0, 0, 0, 1];
        let config = [
            twice(1, &[3, 0, 0, 10]),
            twice(2, &[0, 0, 0, 0, 1]),
            twice(3, &number),
            twice(4, &number),
            twice(5, &number),
        ];
        let request = ConfigRequest {
            queue: 0x1234,
            command: Some((Command::PF_BIND, 10)),
            params: Some((1, 0)),
            max_length: Some(1),
            flags: Some(QueueFlags::FAIL_OPEN),
            mask: Some(QueueFlags::FAIL_OPEN),
        };
        let bytes = order.message(CONFIG, &config.concat());
        assert_eq!(order.decode(&bytes), Ok(Message::Config(request)), "{order:?}");
    }
}
