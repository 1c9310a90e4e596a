//! Datagrams of any bytes at all, and of several messages: what the iterator says, and that it ends.

use ipq_proto::ip_queue::{Message, ModeRequest, Packet, datagram};
use ipq_proto::netlink::{self, ALIGNMENT, Flags, HEADER_LEN, Header, MessageType, padding};
use ipq_proto::{Abi, DataModel, DecodeError, Problem, abi::AbiVisitor, ip_queue};
use proptest::collection::vec;
use proptest::prelude::*;
use zerocopy::LittleEndian;

mod common;
use common::encode;

/// A message of `len` bytes, without padding.
fn message(len: u8) -> Vec<u8> {
    let body = vec![len; usize::from(len) - HEADER_LEN];
    let header = Header::new(MessageType::NOOP, Flags::NONE, 7, 29);
    encode(DataModel::Lp64Little, header, &Message::Other(MessageType::NOOP, &body), &[])
        .expect("it fits")
}

/// What the iterator yields: for a message where it starts and how long its body is, or the error.
fn read(bytes: &[u8]) -> Vec<Result<(usize, usize), (usize, Problem)>> {
    let mut messages = netlink::messages::<LittleEndian>(bytes);
    let read = messages.by_ref().take(bytes.len() + 1).map(|each| match each {
        Ok(message) => Ok((message.offset, message.body.len())),
        Err(DecodeError { offset, problem, .. }) => Err((offset, problem)),
    });
    let read = read.collect();
    assert!(messages.next().is_none(), "it went on after its end");
    read
}

#[test]
fn empty_datagram_has_no_message() {
    assert_eq!(read(&[]), []);
}

#[test]
fn last_message_may_lack_its_padding() {
    for len in 16..=24 {
        assert_eq!(read(&message(len)), [Ok((0, usize::from(len) - 16))]);
        let two = [message(20), message(len)].concat();
        assert_eq!(read(&two), [Ok((0, 4)), Ok((20, usize::from(len) - 16))]);
    }
}

#[test]
fn padding_is_skipped_whole_or_cut_and_whatever_is_in_it() {
    for len in 17..20 {
        let missing = 20 - usize::from(len);
        for there in 0..=missing {
            let mut bytes = message(len);
            bytes.extend(vec![0xff; there]);
            assert_eq!(read(&bytes), [Ok((0, usize::from(len) - 16))]);
        }
        let bytes = [message(len), vec![0xff; missing], message(16)].concat();
        assert_eq!(read(&bytes), [Ok((0, usize::from(len) - 16)), Ok((20, 0))]);
        assert_eq!(padding(len.into()), &[0; ALIGNMENT][..missing]);
    }
}

#[test]
fn bytes_after_the_last_message_are_an_error() {
    for have in 1..16 {
        let bytes = [message(20), vec![0; have]].concat();
        let error = (20, Problem::TooShort { need: 16, have });
        assert_eq!(read(&bytes), [Ok((0, 4)), Err(error)]);
    }
    let bytes = [message(20), vec![0; 16]].concat();
    let error = (20, Problem::ClaimsTooLittle { claimed: 0, least: 16 });
    assert_eq!(read(&bytes), [Ok((0, 4)), Err(error)], "a length of 0 goes on for ever elsewhere");
}

#[test]
fn length_that_reaches_into_the_next_message_is_taken_at_its_word() {
    // A length that lies within the datagram cannot be told from a true one: the rest is read as it lies.
    let mut bytes = [message(16), message(16)].concat();
    bytes[0] = 20;
    let error = (20, Problem::TooShort { need: 16, have: 12 });
    assert_eq!(read(&bytes), [Ok((0, 4)), Err(error)]);
}

#[test]
fn datagram_reads_the_first_message_only() {
    let header = Header::new(ip_queue::MODE, Flags::REQUEST, 7, 29);
    let mode = Message::Mode(ModeRequest { value: 1, range: 0 });
    for model in DataModel::ALL {
        let mut bytes = encode(model, header, &mode, &[]).expect("it fits");
        bytes.extend([0xff; 5]);
        assert_eq!(datagram(model, &bytes).map(|(_, first)| first), Ok(mode));
    }
}

#[test]
fn cut_message_is_what_is_there_of_it() {
    struct Cut<'a>(&'a [u8]);
    impl AbiVisitor for Cut<'_> {
        type Output = ();

        fn visit<A: Abi>(self) {
            let Self(bytes) = self;
            let fixed = 16 + size_of::<ip_queue::PacketMsg<A>>();
            for len in 0..=bytes.len() {
                let Ok(cut) = netlink::Message::decode_cut::<A::Order>(&bytes[..len]) else {
                    assert!(len < 16);
                    continue;
                };
                assert_eq!(cut.body, &bytes[16..len]);
                match Packet::decode_cut::<A>(cut.body) {
                    Ok(packet) => assert_eq!(packet.payload, &bytes[fixed..len.min(fixed + 3)]),
                    Err(error) => {
                        let problem = Problem::TooShort { need: fixed - 16, have: len - 16 };
                        assert_eq!(error.problem, problem);
                        assert!(len < fixed);
                    }
                }
            }
        }
    }
    let header = Header::new(ip_queue::PACKET, Flags::NONE, 0, 0);
    for model in DataModel::ALL {
        // A head of nothing but zeroes, from whatever layout, is a packet; its padding is no payload.
        let zeroes = [0; 96];
        let (packet, _) = zeroes.split_at(6 * model.word_len() + 48);
        let mut bytes =
            encode(model, header, &Message::Other(ip_queue::PACKET, packet), b"abc\xff")
                .expect("it fits");
        let data_len = 16 + 5 * model.word_len() + 48;
        let low = if model.is_big_endian() { model.word_len() - 1 } else { 0 };
        bytes[data_len + low] = 3;
        model.with(Cut(&bytes));
    }
}

/// Decodes and prints everything there is in `bytes`, in one layout, and returns how many messages that was.
struct Digest<'a>(&'a [u8]);

impl AbiVisitor for Digest<'_> {
    type Output = usize;

    fn visit<A: Abi>(self) -> usize {
        let Self(bytes) = self;
        let mut end = 0;
        let mut count = 0;
        for message in netlink::messages::<A::Order>(bytes) {
            count += 1;
            assert!(count <= bytes.len() / HEADER_LEN + 1, "more messages than headers fit");
            match message {
                Ok(message) => {
                    assert!(message.offset >= end && message.offset % ALIGNMENT == 0);
                    end = message.offset + HEADER_LEN + message.body.len();
                    assert_eq!(message.body, &bytes[message.offset + HEADER_LEN..end]);
                    one_line(&message.header.to_string());
                    one_line(&format!("{message:?}"));
                    print_decoded(&Message::decode::<A>(&message), bytes.len());
                }
                Err(error) => {
                    assert!(error.offset <= bytes.len());
                    one_line(&error.to_string());
                }
            }
        }
        if let Ok(cut) = netlink::Message::decode_cut::<A::Order>(bytes) {
            let packet = Packet::decode_cut::<A>(cut.body).map(Message::Packet);
            print_decoded(&packet, bytes.len());
        }
        count
    }
}

fn print_decoded(decoded: &Result<Message<'_>, DecodeError>, whole: usize) {
    one_line(&format!("{decoded:?}"));
    match decoded {
        Ok(message) => {
            one_line(&message.to_string());
            let borrowed = match message {
                Message::Packet(packet) => packet.payload.len(),
                Message::Verdict(verdict) => verdict.data.len(),
                Message::Reply(reply) => reply.rest.len(),
                Message::Other(_, body) => body.len(),
                _ => 0,
            };
            assert!(borrowed <= whole);
        }
        Err(error) => {
            assert!(error.offset <= whole);
            one_line(&error.to_string());
        }
    }
}

fn one_line(text: &str) {
    assert!(!text.is_empty());
    assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{text:?}");
}

/// Bytes that begin like a message of the protocol, so that the decoders get to see them.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let types = [1_u16, 2, 3, 0x11, 0x12, 0x13, 0x14, 0x1100, 0x1200, 0x1300, 0x200];
    let lies = prop::sample::select(vec![0_i64, 0, 0, 0, 1, 4, 100, -1, -4, -100]);
    let part = (prop::sample::select(types.to_vec()), vec(any::<u8>(), 0..160), lies).prop_map(
        |(message_type, body, lie)| {
            let len = i64::try_from(HEADER_LEN + body.len()).expect("a short message") + lie;
            let len = u32::try_from(len).unwrap_or(0);
            // The types whose low byte comes second are meant for the big-endian layouts.
            let order = if message_type < 0x100 { u32::to_le_bytes } else { u32::to_be_bytes };
            [&order(len)[..], &message_type.to_le_bytes(), &[0; 10], &body].concat()
        },
    );
    vec(part, 0..4).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_and_printed_without_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        for model in DataModel::ALL {
            model.with(Digest(&bytes));
            print_decoded(&datagram(model, &bytes).map(|(_, message)| message), bytes.len());
        }
    }

    #[test]
    fn plausible_bytes_are_decoded_and_printed_without_a_panic(bytes in plausible()) {
        for model in DataModel::ALL {
            model.with(Digest(&bytes));
            print_decoded(&datagram(model, &bytes).map(|(_, message)| message), bytes.len());
        }
    }

    #[test]
    fn small_lengths_do_not_make_the_iterator_stand_still(bytes in vec(0..20_u8, 0..2000)) {
        for model in DataModel::ALL {
            let count = model.with(Digest(&bytes));
            prop_assert!(count <= bytes.len() / HEADER_LEN + 1);
        }
    }
}
