//! What is encoded is decoded to the same, in all four layouts; what does not fit a layout is an error.

use ipq_proto::ip_queue::{
    Message, ModeMsg, ModeRequest, Packet, PacketMsg, Timestamp, VerdictMsg, VerdictRequest,
    datagram,
};
use ipq_proto::netlink::{Flags, Framed, Header, MessageType, Reply};
use ipq_proto::{
    CopyMode, DataModel, DeviceName, EncodeError, EtherType, HardwareAddress, HardwareType, Hook,
    Ilp32, Lp64, Native, Verdict, ip_queue,
};
use proptest::collection::vec;
use proptest::prelude::*;
use zerocopy::IntoBytes;

mod common;
use common::encode;

fn models() -> impl Strategy<Value = DataModel> {
    prop::sample::select(DataModel::ALL.to_vec())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

/// Any header, but for its type; the encoder computes the length.
fn headers(message_type: MessageType) -> impl Strategy<Value = Header> {
    any::<(u16, u32, u32)>().prop_map(move |(flags, sequence, port_id)| {
        Header::new(message_type, Flags(flags), sequence, port_id)
    })
}

/// `value` as far as a word of `model` holds it.
fn word(model: DataModel, value: u64) -> u64 {
    if model.word_len() == 8 { value } else { value & 0xffff_ffff }
}

/// `value` as far as a signed word of `model` holds it.
fn signed(model: DataModel, value: i64) -> i64 {
    if model.word_len() == 8 { value } else { value.clamp(i32::MIN.into(), i32::MAX.into()) }
}

/// Encodes and decodes, with other bytes behind the message as well.
fn goes_round(model: DataModel, header: Header, message: &Message<'_>, behind: &[u8]) {
    let mut bytes = encode(model, header, message, &[]).expect("everything fits");
    let len = u32::try_from(bytes.len()).expect("a short message");
    let expected = (Header { len, ..header }, *message);
    assert_eq!(datagram(model, &bytes), Ok(expected), "{model}");
    bytes.extend(behind);
    assert_eq!(datagram(model, &bytes), Ok(expected), "{model}, with bytes behind it");
}

proptest! {
    #[test]
    fn mode_goes_round(
        model in models(), header in headers(ip_queue::MODE), value: u8, range: u64,
        behind in bytes(),
    ) {
        let mode = ModeRequest { value, range: word(model, range) };
        goes_round(model, header, &Message::Mode(mode), &behind);
    }

    #[test]
    fn verdict_goes_round(
        model in models(), header in headers(ip_queue::VERDICT), id: u64, value: u32,
        claimed in proptest::option::of(any::<u64>()), data in bytes(), behind in bytes(),
    ) {
        let there = u64::try_from(data.len()).expect("a short replacement");
        let data_len = word(model, claimed.unwrap_or(there));
        let id = word(model, id);
        let verdict = VerdictRequest { id, verdict: Verdict(value), data_len, data: &data };
        let replaces = data_len == there && there > 0;
        prop_assert_eq!(verdict.replacement(), replaces.then_some(&*data));
        goes_round(model, header, &Message::Verdict(verdict), &behind);
    }

    #[test]
    fn packet_goes_round(
        model in models(), header in headers(ip_queue::PACKET),
        (id, mark, hook) in any::<(u64, u64, u32)>(),
        (seconds, microseconds) in any::<(i64, i64)>(),
        (input, output) in any::<([u8; 16], [u8; 16])>(),
        (hw_protocol, hw_type, hw_addrlen, hw_addr) in any::<(u16, u16, u8, [u8; 8])>(),
        payload in bytes(), behind in bytes(),
    ) {
        let packet = Packet {
            id: word(model, id),
            mark: word(model, mark),
            timestamp: Timestamp {
                seconds: signed(model, seconds),
                microseconds: signed(model, microseconds),
            },
            hook: Hook(hook),
            input_device: DeviceName::from_wire(input),
            output_device: DeviceName::from_wire(output),
            hw_protocol: EtherType(hw_protocol),
            hw_type: HardwareType(hw_type),
            hw_address: HardwareAddress::from_wire(hw_addrlen, hw_addr),
            payload: &payload,
        };
        goes_round(model, header, &Message::Packet(packet), &behind);
    }

    #[test]
    fn reply_goes_round(
        model in models(), header in headers(MessageType::ERROR), code: i32,
        (number, len) in any::<(u16, u32)>(), request in headers(MessageType(0)), rest in bytes(),
        behind in bytes(),
    ) {
        let request = Header { len, message_type: MessageType(number), ..request };
        goes_round(model, header, &Message::Reply(Reply { code, request, rest: &rest }), &behind);
    }

    #[test]
    fn any_other_message_goes_round(
        model in models(), number in 0x14_u16.., header in headers(MessageType(0)),
        body in bytes(), behind in bytes(),
    ) {
        let message_type = MessageType(number);
        let header = Header { message_type, ..header };
        goes_round(model, header, &Message::Other(message_type, &body), &behind);
    }

    #[test]
    fn refuses_what_does_not_fit_32_bits(value in 0x1_0000_0000_u64..) {
        let error = |field| EncodeError { field, value: value.into(), bits: 32 };
        let verdict = Verdict::Accept;
        prop_assert_eq!(VerdictMsg::<Ilp32>::new(value, verdict, 0), Err(error("packet id")));
        prop_assert_eq!(VerdictMsg::<Ilp32>::new(0, verdict, value), Err(error("data length")));
        prop_assert_eq!(ModeMsg::<Ilp32>::from_raw(2, value), Err(error("copy range")));
        let id = Packet { id: value, ..PACKET };
        prop_assert_eq!(PacketMsg::<Ilp32>::new(&id), Err(error("packet id")));
        let mark = Packet { mark: value, ..PACKET };
        prop_assert_eq!(PacketMsg::<Ilp32>::new(&mark), Err(error("mark")));

        prop_assert!(VerdictMsg::<Lp64>::new(value, verdict, value).is_ok());
        prop_assert!(ModeMsg::<Lp64>::from_raw(2, value).is_ok());
        let both = Packet { mark: value, ..id };
        prop_assert!(PacketMsg::<Lp64>::new(&both).is_ok());
    }

    #[test]
    fn refuses_times_that_do_not_fit_32_bits(
        value in prop_oneof![i64::MIN..i64::from(i32::MIN), i64::from(i32::MAX) + 1..],
    ) {
        let error = |field| EncodeError { field, value: value.into(), bits: 32 };
        let seconds = Timestamp { seconds: value, microseconds: 0 };
        let microseconds = Timestamp { seconds: 0, microseconds: value };
        for (timestamp, field) in [(seconds, "seconds"), (microseconds, "microseconds")] {
            let packet = Packet { timestamp, ..PACKET };
            prop_assert_eq!(PacketMsg::<Ilp32>::new(&packet), Err(error(field)));
            prop_assert!(PacketMsg::<Lp64>::new(&packet).is_ok());
        }
    }

    #[test]
    fn every_copy_mode_fits_every_layout(model in models(), range: u32) {
        let header = Header::new(ip_queue::MODE, Flags::REQUEST, 1, 2);
        for mode in [CopyMode::None, CopyMode::Metadata, CopyMode::Packet { range }] {
            let raw = ModeRequest { value: mode.value(), range: mode.range().into() };
            let bytes = encode(model, header, &Message::Mode(raw), &[]).expect("it fits");
            let native = Framed::new(header, ModeMsg::<Native>::new(mode), 0).expect("it fits");
            prop_assert!(model != DataModel::NATIVE || native.as_bytes() == bytes);
            let taken = CopyMode::Packet { range: range.min(CopyMode::MAX_RANGE) };
            let taken = if raw.value == 2 { taken } else { mode };
            prop_assert_eq!(raw.copy_mode(), Some(taken));
        }
    }
}

const PACKET: Packet<'_> = Packet {
    id: 0,
    mark: 0,
    timestamp: Timestamp::NONE,
    hook: Hook::LocalOut,
    input_device: DeviceName::NONE,
    output_device: DeviceName::NONE,
    hw_protocol: EtherType::NONE,
    hw_type: HardwareType::NONE,
    hw_address: HardwareAddress::NONE,
    payload: &[],
};

#[test]
fn refuses_a_message_longer_than_its_length_can_say() {
    let header = Header::new(ip_queue::MODE, Flags::REQUEST, 1, 2);
    let body = ModeMsg::<Ilp32>::new(CopyMode::Metadata);
    let longest = usize::try_from(u32::MAX).expect("a host of 32 bits or more") - 28;
    assert!(Framed::new(header, body, longest).is_ok());
    let error = |value| EncodeError { field: "message length", value, bits: 32 };
    assert_eq!(Framed::new(header, body, longest + 1), Err(error(0x1_0000_0000)));
    assert!(Framed::new(header, body, usize::MAX).is_err());
}

#[test]
fn never_sends_a_byte_that_it_did_not_set() {
    // The holes that C leaves in the structures are zero here, in a buffer that was not.
    let request = Header::new(ip_queue::MODE, Flags::REQUEST, u32::MAX, u32::MAX);
    let mode = Message::Mode(ModeRequest { value: 0xff, range: u64::MAX });
    let verdict = Message::Verdict(VerdictRequest {
        id: u64::MAX,
        verdict: Verdict(u32::MAX),
        data_len: u64::MAX,
        data: &[],
    });
    let packet =
        Message::Packet(Packet { hw_address: HardwareAddress::from_wire(8, [0xff; 8]), ..PACKET });
    let check = |message, hole: core::ops::Range<usize>| {
        let bytes = encode(DataModel::Lp64Little, request, message, &[]).expect("it fits");
        assert!(bytes[hole.clone()].iter().all(|&byte| byte == 0), "{message}");
        assert_eq!(bytes[hole.start - 1], 0xff, "{message}");
    };
    check(&mode, 17..24);
    check(&verdict, 20..24);
    check(&packet, 97..104);
    let mode = Message::Mode(ModeRequest { value: 0xff, range: 0 });
    check(&mode, 17..40);
}
