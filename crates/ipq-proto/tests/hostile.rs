//! Input that lies: every decoder answers with an error or with the value as it is, and never panics, looks past
//! the end, or goes on for ever.

use ipq_proto::ip_queue::{Message, ModeRequest, Packet, Timestamp, VerdictRequest, datagram};
use ipq_proto::netlink::{Flags, Header, MessageType, Reply};
use ipq_proto::{
    CopyMode, DataModel, DecodeError, DeviceName, Errno, EtherType, HardwareAddress, HardwareType,
    Hook, Problem, Verdict, ip_queue,
};

mod common;
use common::encode;

/// A datagram, and what the layout says about it.
struct Sample {
    model: DataModel,
    bytes: Vec<u8>,
    /// Length of the fixed part, after the netlink header.
    fixed: usize,
}

const PAYLOAD: &[u8] = b"a payload of 24 bytes ok";

const PACKET: Packet<'_> = Packet {
    id: 0xcf2e_3d40,
    mark: 7,
    timestamp: Timestamp { seconds: 1_795_429_884, microseconds: 481_597 },
    hook: Hook::Forward,
    input_device: DeviceName::NONE,
    output_device: DeviceName::NONE,
    hw_protocol: EtherType::IPV4,
    hw_type: HardwareType::ETHERNET,
    hw_address: HardwareAddress::NONE,
    payload: PAYLOAD,
};

/// Every kind of message in every layout, with and without what follows the fixed part.
fn samples() -> Vec<Sample> {
    let request = Header::new(ip_queue::VERDICT, Flags::REQUEST, 7, 29);
    let verdict = |data_len, data| VerdictRequest {
        id: 0xcf2e_3d40,
        verdict: Verdict::Accept,
        data_len,
        data,
    };
    let messages = [
        Message::Reply(Reply { code: 0, request, rest: &[] }),
        Message::Reply(Reply { code: -22, request, rest: PAYLOAD }),
        Message::Mode(ModeRequest { value: 2, range: 2048 }),
        Message::Verdict(verdict(0, &[])),
        Message::Verdict(verdict(24, PAYLOAD)),
        Message::Packet(Packet { payload: &[], ..PACKET }),
        Message::Packet(PACKET),
        Message::Other(MessageType(0x14), PAYLOAD),
    ];
    let mut samples = Vec::new();
    for model in DataModel::ALL {
        let word = model.word_len();
        for message in messages {
            let (message_type, fixed) = match message {
                Message::Reply(_) => (MessageType::ERROR, 20),
                Message::Mode(_) => (ip_queue::MODE, 3 * word),
                Message::Verdict(_) => (ip_queue::VERDICT, 3 * word),
                Message::Packet(_) => (ip_queue::PACKET, 6 * word + 48),
                _ => (MessageType(0x14), 0),
            };
            let header = Header::new(message_type, Flags::NONE, 7, 29);
            let bytes = encode(model, header, &message, &[]).expect("it fits");
            samples.push(Sample { model, bytes, fixed });
        }
    }
    samples
}

impl Sample {
    /// A packet message of the given layout.
    fn packet(model: DataModel) -> Self {
        let is_packet = |sample: &Self| sample.bytes.len() == 16 + sample.fixed + PAYLOAD.len();
        let sample = samples()
            .into_iter()
            .find(|sample| sample.model == model && sample.fixed > 48 && is_packet(sample));
        sample.expect("there is one")
    }

    /// Writes a number of `len` bytes, in the order of the layout.
    fn put(&mut self, offset: usize, len: usize, value: u64) {
        let field = &mut self.bytes[offset..offset + len];
        if self.model.is_big_endian() {
            field.copy_from_slice(&value.to_be_bytes()[8 - len..]);
        } else {
            field.copy_from_slice(&value.to_le_bytes()[..len]);
        }
    }

    fn decode(&self) -> Result<Message<'_>, DecodeError> {
        datagram(self.model, &self.bytes).map(|(_, message)| message)
    }

    /// Where the data length of a packet message is.
    fn data_len_at(&self) -> usize {
        16 + 5 * self.model.word_len() + 48
    }

    fn decoded_packet(&self) -> Packet<'_> {
        match self.decode() {
            Ok(Message::Packet(packet)) => packet,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn refuses_every_truncated_datagram() {
    for sample in samples() {
        let whole = sample.bytes.len();
        for have in 0..whole {
            let claimed = u64::try_from(whole).expect("a short message");
            let problem = match have {
                0..16 => Problem::TooShort { need: 16, have },
                _ => Problem::ClaimsTooMuch { claimed, have },
            };
            let error = DecodeError { what: "netlink header", offset: 0, problem };
            assert_eq!(datagram(sample.model, &sample.bytes[..have]), Err(error));
        }
        assert!(sample.decode().is_ok());
    }
}

#[test]
fn refuses_every_body_shorter_than_its_fixed_part() {
    for mut sample in samples() {
        let is_packet = sample.fixed > 48;
        let whole = sample.bytes.len();
        for len in (16..=whole).rev() {
            sample.bytes.truncate(len);
            sample.put(0, 4, u64::try_from(len).expect("a short message"));
            let (need, have) = (sample.fixed, len - 16);
            match sample.decode() {
                Ok(_) => assert!(have >= need && (!is_packet || len == whole)),
                Err(DecodeError { offset: 16, problem, .. }) => {
                    assert!(have < need);
                    assert_eq!(problem, Problem::TooShort { need, have });
                }
                Err(DecodeError { offset, problem, .. }) => {
                    let claimed = 24;
                    assert!(is_packet && have >= need && len < whole);
                    assert_eq!(offset, sample.data_len_at());
                    assert_eq!(problem, Problem::ClaimsTooMuch { claimed, have: have - need });
                }
            }
        }
    }
}

#[test]
fn reads_the_same_at_every_alignment() {
    for sample in samples() {
        let aligned = sample.decode().expect("it is well-formed");
        for offset in 0..8 {
            let mut buffer = vec![0xa5; offset];
            buffer.extend(&sample.bytes);
            let decoded = datagram(sample.model, &buffer[offset..]);
            assert_eq!(decoded.map(|(_, message)| message), Ok(aligned), "at {offset}");
        }
    }
}

#[test]
fn refuses_a_length_that_lies() {
    for mut sample in samples() {
        let have = sample.bytes.len();
        let true_len = u64::try_from(have).expect("a short message");
        for claimed in 0..16 {
            sample.put(0, 4, claimed);
            let problem = Problem::ClaimsTooLittle { claimed, least: 16 };
            assert_eq!(sample.decode().map_err(|error| error.problem), Err(problem));
        }
        for claimed in [true_len + 1, true_len + 4, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            sample.put(0, 4, claimed);
            let problem = Problem::ClaimsTooMuch { claimed, have };
            assert_eq!(sample.decode().map_err(|error| error.problem), Err(problem));
        }
    }
}

#[test]
fn refuses_a_data_length_beyond_the_message() {
    for model in DataModel::ALL {
        let mut sample = Sample::packet(model);
        let (at, word) = (sample.data_len_at(), model.word_len());
        let longest = if word == 8 { u64::MAX } else { 0xffff_ffff };
        let sums_to_nothing = longest - 16 - u64::try_from(sample.fixed).expect("small") + 1;
        for claimed in [25, 28, 0x7fff_ffff, longest / 2 + 1, longest - 7, longest, sums_to_nothing]
        {
            sample.put(at, word, claimed);
            let what = "data length of the packet message";
            let problem = Problem::ClaimsTooMuch { claimed, have: 24 };
            assert_eq!(sample.decode(), Err(DecodeError { what, offset: at, problem }), "{model}");
        }
        for len in 0..=24 {
            sample.put(at, word, u64::try_from(len).expect("small"));
            assert_eq!(sample.decoded_packet().payload, &PAYLOAD[..len], "{model}");
        }
    }
}

#[test]
fn refuses_a_data_length_beyond_the_message_but_within_the_datagram() {
    for model in DataModel::ALL {
        let mut sample = Sample::packet(model);
        sample.bytes.extend(PAYLOAD);
        sample.put(sample.data_len_at(), model.word_len(), 25);
        let problem = Problem::ClaimsTooMuch { claimed: 25, have: 24 };
        assert_eq!(sample.decode().map_err(|error| error.problem), Err(problem), "{model}");
    }
}

#[test]
fn replaces_nothing_when_a_verdict_lies_about_its_data() {
    for (data_len, data) in [(1, &[][..]), (0, PAYLOAD), (23, PAYLOAD), (25, PAYLOAD), (0, &[])] {
        let verdict = VerdictRequest { id: 1, verdict: Verdict::Accept, data_len, data };
        assert_eq!(verdict.replacement(), None, "{verdict}");
    }
    let all = VerdictRequest { id: 1, verdict: Verdict::Accept, data_len: u64::MAX, data: PAYLOAD };
    for model in DataModel::ALL.into_iter().filter(|model| model.word_len() == 8) {
        let header = Header::new(ip_queue::VERDICT, Flags::REQUEST, 7, 29);
        let bytes = encode(model, header, &Message::Verdict(all), &[]).expect("it fits");
        let (_, message) = datagram(model, &bytes).expect("only the data are wrong");
        assert_eq!(message, Message::Verdict(all));
        assert_eq!(all.replacement(), None);
    }
}

#[test]
fn makes_of_a_range_what_a_kernel_does() {
    let mode = |value, range| ModeRequest { value, range }.copy_mode();
    for (range, kept) in [(0, 0), (0xffff, 0xffff), (0x12345, 0xffff), (0xffff_ffff_0000_0010, 16)]
    {
        assert_eq!(mode(2, range), Some(CopyMode::Packet { range: kept }));
        assert_eq!(mode(1, range), Some(CopyMode::Metadata));
        assert_eq!(mode(0, range), Some(CopyMode::None));
        assert_eq!(mode(3, range), None);
        assert_eq!(mode(255, range), None);
    }
}

#[test]
fn takes_a_device_name_without_a_nul_or_without_text() {
    for model in DataModel::ALL {
        let mut sample = Sample::packet(model);
        let at = 16 + 4 * model.word_len() + 4;
        sample.bytes[at..at + 16].fill(b'x');
        sample.bytes[at + 16..at + 32].copy_from_slice(b"\xff\n\0after the NUL");
        let packet = sample.decoded_packet();
        assert_eq!(packet.input_device.as_bytes(), [b'x'; 16]);
        assert_eq!(packet.input_device.to_str(), Some("xxxxxxxxxxxxxxxx"));
        assert_eq!(packet.output_device.as_bytes(), b"\xff\n");
        assert_eq!(packet.output_device.to_str(), None);
        assert_eq!(packet.output_device.to_string(), r"\xff\n");
        assert_eq!(&packet.output_device.field(), b"\xff\n\0after the NUL");
        assert!(!packet.output_device.is_empty());
    }
    assert_eq!(DeviceName::new("123456789012345").map(|name| name.as_bytes().len()), Some(15));
    assert_eq!(DeviceName::new("1234567890123456"), None);
    assert_eq!(DeviceName::new("a\0b"), None);
}

#[test]
fn takes_a_hardware_address_of_any_length_and_gives_no_more_than_eight_bytes() {
    for model in DataModel::ALL {
        let mut sample = Sample::packet(model);
        let at = 16 + 4 * model.word_len() + 40;
        sample.bytes[at + 1..at + 9].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        for claimed in 0..=255 {
            sample.bytes[at] = claimed;
            let address = sample.decoded_packet().hw_address;
            assert_eq!(address.claimed_len(), claimed);
            assert_eq!(address.as_bytes().len(), usize::from(claimed).min(8));
            assert_eq!(address.field(), [1, 2, 3, 4, 5, 6, 7, 8]);
        }
    }
    assert_eq!(HardwareAddress::new(&[0; 9]), None);
    assert_eq!(HardwareAddress::new(&[0; 256]), None);
}

#[test]
fn takes_numbers_that_nobody_knows() {
    for model in DataModel::ALL {
        let mut packet = Sample::packet(model);
        packet.put(16 + 4 * model.word_len(), 4, 0xffff_fffe);
        assert_eq!(packet.decoded_packet().hook, Hook(0xffff_fffe));
        assert_eq!(packet.decoded_packet().hook.name(), None);
        for message_type in [0, 1, 3, 0x10, 0x14, 0xffff] {
            packet.put(4, 2, message_type);
            let message = packet.decode().expect("a message of another type");
            assert!(matches!(message, Message::Other(number, body)
                if u64::from(number.0) == message_type && body.len() == packet.bytes.len() - 16));
        }
    }
    for number in [2, 6, 77, 0x10003, u32::MAX] {
        assert!(!Verdict(number).is_allowed());
    }
    let request = Header::new(ip_queue::MODE, Flags::REQUEST, 7, 29);
    let errno = |code| Reply { code, request, rest: &[] }.errno();
    assert_eq!(errno(0), None);
    assert_eq!(errno(-4711), Some(Errno(4711)));
    assert_eq!(errno(4711), Some(Errno(4711)));
    assert_eq!(errno(i32::MIN), Some(Errno(i32::MAX)));
}
