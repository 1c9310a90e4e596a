//! What a running kernel sent and was sent, against the codec: every recorded datagram is decoded to what was
//! printed beside it, and encoded again to the same bytes.

use std::collections::BTreeMap;

use ipq_proto::ip_queue::{self, Message, ModeRequest, VerdictRequest, datagram};
use ipq_proto::netlink::{self, Flags, Header, Reply};
use ipq_proto::{
    CopyMode, DataModel, DecodeError, DeviceName, Errno, EtherType, Hook, Lp64, Problem, Verdict,
};
use ipq_tests::recording::{self, Event, Meaning, Received, Recording, Sent};
use zerocopy::LittleEndian;

#[path = "../../crates/ipq-proto/tests/common/mod.rs"]
mod common;
use common::encode;

/// What was recorded: an `x86_64` kernel.
const MODEL: DataModel = DataModel::Lp64Little;

/// The bytes of a packet message before its payload, netlink header included.
const PACKET_HEAD: usize = 16 + 96;

/// Both files.
fn recordings() -> [Recording; 2] {
    [recording::packets().expect("the packets"), recording::probe().expect("the probe")]
}

/// Calls `check` with every event, and with where it is, for messages.
fn for_each(mut check: impl FnMut(&str, &Event)) {
    for recording in recordings() {
        for item in recording.items() {
            check(&format!("{}:{}", recording.file, item.line), &item.event);
        }
    }
}

/// Counts, by name, what was checked.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    fn is(&self, what: &str, expected: &[(&'static str, usize)]) {
        let total: usize = self.0.values().sum();
        println!("{what}: {total}, of them {:?}", self.0);
        assert_eq!(self.0, expected.iter().copied().collect());
    }
}

#[test]
fn decodes_every_received_datagram_to_the_printed_fields() {
    let mut tally = Tally::default();
    for_each(|at, event| {
        let Event::Receive(received) = event else { return };
        let bytes = match (received.is_whole(), received.bytes.is_empty()) {
            (true, _) => received.bytes.clone(),
            (false, true) => return tally.count("without bytes"),
            (false, false) => completed(at, received),
        };
        let (header, message) = datagram(MODEL, &bytes).unwrap_or_else(|e| panic!("{at}: {e}"));
        is_as_printed(at, received, header, &message);
        tally.count(match (message, received.is_whole()) {
            (Message::Packet(_), true) => "packets",
            (Message::Packet(_), false) => "packets with a cut payload",
            (Message::Reply(_), _) => "replies",
            (other, _) => panic!("{at}: {other}"),
        });
    });
    tally.is(
        "RECV",
        &[
            ("packets", 20),
            ("packets with a cut payload", 1),
            ("replies", 121),
            ("without bytes", 76),
        ],
    );
}

/// A datagram whose end was not recorded, with zeroes for it. Without them it is refused, but can be looked at.
fn completed(at: &str, received: &Received) -> Vec<u8> {
    let error = datagram(MODEL, &received.bytes).expect_err("it is cut");
    let (claimed, have) = (received.header.len.into(), received.bytes.len());
    assert_eq!(error.problem, Problem::ClaimsTooMuch { claimed, have }, "{at}");

    let message = netlink::Message::decode_cut::<LittleEndian>(&received.bytes).expect("a header");
    let packet = ip_queue::Packet::decode_cut::<Lp64<LittleEndian>>(message.body).expect("a head");
    is_as_printed(at, received, message.header, &Message::Packet(packet));
    assert_eq!(packet.payload, &received.bytes[PACKET_HEAD..], "{at}");

    let mut bytes = received.bytes.clone();
    bytes.resize(received.len, 0);
    let (_, message) = datagram(MODEL, &bytes).expect("it is complete");
    let Message::Packet(packet) = message else { panic!("{at}: {message}") };
    let data_len = received.packet.as_ref().map(|printed| printed.data_len);
    assert_eq!(u64::try_from(packet.payload.len()).ok(), data_len, "{at}");
    bytes
}

fn is_as_printed(at: &str, received: &Received, header: Header, message: &Message<'_>) {
    let printed = received.header;
    assert_eq!(header.len, printed.len, "{at}");
    assert_eq!(header.message_type.0, printed.message_type, "{at}");
    assert_eq!(header.flags.0, printed.flags, "{at}");
    assert_eq!(header.sequence, printed.seq, "{at}");
    assert_eq!(header.port_id, printed.pid, "{at}");
    match message {
        Message::Reply(reply) => {
            let (code, text) = received.error.as_ref().expect("an error was printed");
            assert_eq!(reply.code, *code, "{at}");
            assert_eq!(reply.errno().map_or(0, |errno| -errno.0), *code, "{at}");
            // The names in the codec are those that strerror(3) knows.
            let name = reply.errno().map_or(Some("success"), Errno::text);
            assert_eq!(name, Some(text.to_ascii_lowercase().as_str()), "{at}");
        }
        Message::Packet(packet) => {
            let printed = received.packet.as_ref().expect("a packet was printed");
            assert_eq!(packet.id, printed.id, "{at}");
            assert_eq!(packet.mark, printed.mark, "{at}");
            assert_eq!(packet.hook, Hook(printed.hook), "{at}");
            assert_eq!(packet.input_device.to_str(), Some(&*printed.indev), "{at}");
            assert_eq!(packet.output_device.to_str(), Some(&*printed.outdev), "{at}");
            let payload = &received.bytes[PACKET_HEAD..];
            let len = usize::try_from(printed.data_len).expect("a small payload");
            if received.is_whole() {
                assert_eq!(packet.payload, &payload[..len], "{at}");
            } else {
                assert!(packet.payload.starts_with(payload), "{at}");
            }
            let link = printed.link.expect("arrival was printed");
            assert_eq!(packet.timestamp.seconds, link.seconds, "{at}");
            assert_eq!(packet.timestamp.microseconds, link.microseconds, "{at}");
            assert_eq!(packet.hw_protocol.0, link.hw_protocol_as_read.swap_bytes(), "{at}");
            assert_eq!(packet.hw_type.0, link.hw_type, "{at}");
            assert_eq!(packet.hw_address.claimed_len(), link.hw_addrlen, "{at}");
            assert_eq!(packet.hw_address.field(), received.bytes[16 + 73..16 + 81], "{at}");
        }
        other => panic!("{at}: {other}"),
    }
}

#[test]
fn encodes_every_received_datagram_to_the_same_bytes() {
    let mut tally = Tally::default();
    for_each(|at, event| {
        let Event::Receive(received) = event else { return };
        if !received.is_whole() {
            return;
        }
        let bytes = &received.bytes;
        let (header, message) = datagram(MODEL, bytes).unwrap_or_else(|e| panic!("{at}: {e}"));
        // A kernel counts the padding of a packet in the length, and that of a reply not. Either is rubbish.
        let rubbish = match message {
            Message::Packet(packet) => {
                let unpadded = PACKET_HEAD + packet.payload.len();
                assert_eq!(bytes.len(), unpadded.next_multiple_of(4), "{at}");
                bytes.len() - unpadded
            }
            _ => bytes.len() - usize::try_from(header.len).expect("a small length"),
        };
        assert!(rubbish < 4, "{at}");
        let is_packet = matches!(message, Message::Packet(_));
        let counted = if is_packet { netlink::padding(bytes.len() - rubbish) } else { &[] };
        let encoded = encode(MODEL, header, &message, counted).expect("it fits");
        let meant = bytes.len() - rubbish;
        assert_eq!(encoded[..meant], bytes[..meant], "{at}");
        tally.count(match (is_packet, rubbish) {
            (true, 0) => "packets",
            (true, _) => "packets but for their padding",
            (false, 0) => "replies",
            (false, _) => "replies but for their padding",
        });
    });
    tally.is(
        "RECV, encoded again",
        &[
            ("packets", 13),
            ("packets but for their padding", 7),
            ("replies", 117),
            ("replies but for their padding", 4),
        ],
    );
}

#[test]
fn decodes_and_encodes_packets_that_were_printed_without_bytes() {
    let mut tally = Tally::default();
    for_each(|at, event| {
        let Event::Receive(received) = event else { return };
        let Some(printed) = received.packet.as_ref().filter(|_| received.bytes.is_empty()) else {
            return;
        };
        let payload = vec![0x41; usize::try_from(printed.data_len).expect("a small payload")];
        let packet = ip_queue::Packet {
            id: printed.id,
            mark: printed.mark,
            timestamp: ip_queue::Timestamp::NONE,
            hook: Hook(printed.hook),
            input_device: DeviceName::new(&printed.indev).expect("a short name"),
            output_device: DeviceName::new(&printed.outdev).expect("a short name"),
            hw_protocol: EtherType::NONE,
            hw_type: ipq_proto::HardwareType::NONE,
            hw_address: ipq_proto::HardwareAddress::NONE,
            payload: &payload,
        };
        let header = Header::new(ip_queue::PACKET, Flags::NONE, 0, 0);
        let padding = netlink::padding(PACKET_HEAD + payload.len());
        let bytes = encode(MODEL, header, &Message::Packet(packet), padding).expect("it fits");
        assert_eq!(bytes.len(), received.len, "{at}");
        let (header, message) = datagram(MODEL, &bytes).unwrap_or_else(|e| panic!("{at}: {e}"));
        assert_eq!(header.len, received.header.len, "{at}");
        assert_eq!(message, Message::Packet(packet), "{at}");
        tally.count("packets");
    });
    tally.is("RECV, by length", &[("packets", 76)]);
}

#[test]
fn finds_in_every_reply_the_request_that_it_answers() {
    let mut tally = Tally::default();
    let mut latest: Option<Sent> = None;
    for_each(|at, event| match event {
        Event::Send(sent) => latest = Some(sent.clone()),
        Event::Receive(received) if received.error.is_some() => {
            let sent = latest.as_ref().expect("something was sent");
            let (_, message) = datagram(MODEL, &received.bytes).expect("it is well-formed");
            let Message::Reply(reply) = message else { panic!("{at}: {message}") };
            tally.count(answers(at, sent, &reply));
        }
        _ => {}
    });
    tally.is(
        "replies, by what they repeat",
        &[
            ("the header", 42),
            ("the whole request", 76),
            ("the header of a request whose bytes were not recorded", 3),
        ],
    );
}

fn answers(at: &str, sent: &Sent, reply: &Reply<'_>) -> &'static str {
    if !sent.is_whole() {
        assert_eq!(usize::try_from(reply.request.len), Ok(sent.len), "{at}");
        assert_eq!(reply.request.message_type, ip_queue::VERDICT, "{at}");
        assert!(reply.rest.is_empty(), "{at}");
        return "the header of a request whose bytes were not recorded";
    }
    // Not by `netlink::Message::decode`: some of these requests are broken on purpose.
    let request = netlink::Message::decode_cut::<LittleEndian>(&sent.bytes).expect("a header");
    assert_eq!(reply.request, request.header, "{at}");
    if reply.code == 0 {
        assert!(reply.rest.is_empty(), "{at}");
        return "the header";
    }
    let claimed = usize::try_from(request.header.len).expect("a small length");
    assert_eq!(reply.rest, &sent.bytes[16..claimed], "{at}");
    "the whole request"
}

#[test]
fn encodes_every_well_formed_request_to_the_bytes_that_were_sent() {
    let mut tally = Tally::default();
    for_each(|at, event| {
        let Event::Send(sent) = event else { return };
        tally.count(if sent.is_whole() { is_produced(at, sent) } else { has_the_length(at, sent) });
    });
    tally.is(
        "SEND",
        &[
            ("encoded: printed modes", 71),
            ("encoded: printed verdicts", 65),
            ("encoded: printed verdicts with a replacement", 14),
            ("encoded: requests described in words", 9),
            ("encoded: several in one datagram", 2),
            ("encoded: by length, the bytes were not recorded", 3),
            ("malformed: no message", 2),
            ("malformed: less than a header", 2),
            ("malformed: a length under that of a header", 4),
            ("malformed: a length beyond the datagram", 4),
            ("malformed: bytes after the message", 2),
            ("malformed: a body shorter than the union of mode and verdict", 10),
            ("malformed: a type that no program sends to ip_queue", 33),
        ],
    );
}

/// Encodes the printed fields, or those decoded where none were printed. What cannot be encoded is so by a rule,
/// and the rule is returned.
fn is_produced(at: &str, sent: &Sent) -> &'static str {
    for model in DataModel::ALL {
        let _ = format!("{:?}", datagram(model, &sent.bytes));
    }
    let messages = netlink::messages::<LittleEndian>(&sent.bytes).take(sent.bytes.len() + 1);
    let messages = match messages.collect::<Result<Vec<_>, _>>() {
        Ok(messages) if messages.is_empty() => return "malformed: no message",
        Ok(messages) => messages,
        Err(error) => return why_refused(&error),
    };
    let mut bytes = Vec::new();
    for message in &messages {
        if !matches!(message.header.message_type, ip_queue::MODE | ip_queue::VERDICT) {
            return "malformed: a type that no program sends to ip_queue";
        }
        let Ok(decoded) = Message::decode::<Lp64<LittleEndian>>(message) else {
            return "malformed: a body shorter than the union of mode and verdict";
        };
        let (header, meant) = match sent.meaning {
            None => (message.header, decoded),
            Some(meaning) => printed(meaning, message),
        };
        assert_eq!((message.header.flags, decoded), (header.flags, meant), "{at}");
        is_also_a_copy_mode(at, header, &meant, message.body);
        bytes.extend(encode(MODEL, header, &meant, &[]).expect("it fits"));
    }
    assert_eq!(bytes, sent.bytes, "{at}");
    match (sent.meaning, messages.len()) {
        (Some(Meaning::Mode { .. }), 1) => "encoded: printed modes",
        (Some(Meaning::Verdict(verdict)), 1) if verdict.payload_len > 0 => {
            "encoded: printed verdicts with a replacement"
        }
        (Some(Meaning::Verdict(_)), 1) => "encoded: printed verdicts",
        (None, 1) => "encoded: requests described in words",
        _ => "encoded: several in one datagram",
    }
}

/// The request that was printed, with sequence number and port id as sent: they were not printed.
fn printed<'a>(meaning: Meaning, sent: &netlink::Message<'a>) -> (Header, Message<'a>) {
    let (message_type, flags, message) = match meaning {
        Meaning::Mode { value, range, flags } => {
            (ip_queue::MODE, flags, Message::Mode(ModeRequest { value, range }))
        }
        Meaning::Verdict(printed) => {
            let data = sent.body.get(24..).unwrap_or_default();
            assert_eq!(data.len(), printed.payload_len);
            let verdict = VerdictRequest {
                id: printed.id,
                verdict: Verdict(printed.value),
                data_len: printed.data_len,
                data,
            };
            (ip_queue::VERDICT, printed.flags, Message::Verdict(verdict))
        }
    };
    let Header { sequence, port_id, .. } = sent.header;
    (Header::new(message_type, Flags(flags), sequence, port_id), message)
}

/// A mode that a kernel takes as it is can be asked for with [`CopyMode`] as well.
fn is_also_a_copy_mode(at: &str, header: Header, message: &Message<'_>, body: &[u8]) {
    use ipq_proto::ip_queue::ModeMsg;
    use zerocopy::IntoBytes;

    let Message::Mode(request) = message else { return };
    let Some(mode) = request.copy_mode().filter(|mode| u64::from(mode.range()) == request.range)
    else {
        return;
    };
    assert_eq!(CopyMode::from_wire(mode.value(), mode.range().into()), Some(mode), "{at}");
    let framed = netlink::Framed::new(header, ModeMsg::<Lp64<LittleEndian>>::new(mode), 0);
    assert_eq!(&framed.expect("it fits").as_bytes()[16..], body, "{at}");
}

/// Why what was sent is no sequence of messages. The encoder cannot say it: it computes the length.
fn why_refused(error: &DecodeError) -> &'static str {
    match (error.problem, error.offset) {
        (Problem::TooShort { .. }, 0) => "malformed: less than a header",
        (Problem::TooShort { .. }, _) => "malformed: bytes after the message",
        (Problem::ClaimsTooLittle { .. }, _) => "malformed: a length under that of a header",
        (Problem::ClaimsTooMuch { .. }, _) => "malformed: a length beyond the datagram",
        (other, _) => panic!("an unknown problem: {other:?}"),
    }
}

#[test]
fn makes_of_every_accepted_mode_what_the_kernel_made_of_it() {
    let mut tally = Tally::default();
    let mut asked = None;
    for_each(|at, event| match event {
        Event::Send(sent) => {
            asked = match datagram(MODEL, &sent.bytes) {
                Ok((_, Message::Mode(request))) => request.copy_mode(),
                _ => None,
            };
        }
        Event::Recorder(recorder) => asked = CopyMode::from_wire(recorder.mode, recorder.range),
        Event::Counters { counters, after_exit: false } => {
            // Once the program has gone, the mode has as well.
            let Some(mode) = asked.take().filter(|_| counters.peer_pid != 0) else { return };
            assert_eq!(counters.copy_mode, mode.value(), "{at}");
            assert_eq!(counters.copy_range, mode.range(), "{at}");
            tally.count("modes");
        }
        Event::Receive(Received { error: None | Some((0, _)), .. })
        | Event::Transmit { .. }
        | Event::Silence { .. } => {}
        // A refusal, or something that may have changed the mode.
        _ => asked = None,
    });
    tally.is("counters after a mode", &[("modes", 30)]);
}

/// What was too long to print is at least as long as the encoder makes it.
fn has_the_length(at: &str, sent: &Sent) -> &'static str {
    let Some(Meaning::Verdict(printed)) = sent.meaning else { panic!("{at}: no verdict") };
    let data = vec![0x42; printed.payload_len];
    let verdict = Verdict(printed.value);
    let request =
        VerdictRequest { id: printed.id, verdict, data_len: printed.data_len, data: &data };
    assert_eq!(request.replacement(), Some(&*data), "{at}");
    let header = Header::new(ip_queue::VERDICT, Flags(printed.flags), 0, 0);
    let bytes = encode(MODEL, header, &Message::Verdict(request), &[]).expect("it fits");
    assert_eq!(bytes.len(), sent.len, "{at}");
    assert_eq!(datagram(MODEL, &bytes).expect("it is well-formed").1, Message::Verdict(request));
    "encoded: by length, the bytes were not recorded"
}
