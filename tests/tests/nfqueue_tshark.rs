//! The `nfnetlink_queue` messages against Wireshark: what we encode is read by tshark's dissector for
//! netlink-netfilter as what we meant, in either byte order.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use ipq_proto::netlink::{Body, ErrorMsg, Flags, Framed, Header, MessageType};
use ipq_proto::nfqueue::{
    self, CONFIG, CommandMsg, FlagsMsg, MarkAttribute, MaxLengthMsg, Packet, ParamsMsg, QueueFlags,
    SkbInfo, Timestamp, VERDICT, VERDICT_BATCH, VerdictMsg, Vlan, payload_attribute_header,
};
use ipq_proto::{CopyMode, EtherType, HardwareAddress, Hook, Verdict};
use zerocopy::byteorder::{U16, U32};
use zerocopy::{BigEndian, ByteOrder, IntoBytes, LittleEndian};

const LINKTYPE_NETLINK: u32 = 253;
const ARPHRD_NETLINK: u16 = 824;

/// A datagram, and what tshark is to say of it.
struct Frame {
    datagram: Vec<u8>,
    fields: Vec<(&'static str, Meant)>,
}

/// The values of one field, as many as there are in the datagram.
#[derive(Debug)]
enum Meant {
    Numbers(Vec<i64>),
    Text(String),
}

fn numbers<const N: usize>(values: [i64; N]) -> Meant {
    Meant::Numbers(values.to_vec())
}

fn text(value: &str) -> Meant {
    Meant::Text(value.to_owned())
}

/// Bytes as tshark prints them.
fn data(bytes: &[u8]) -> Meant {
    let digits = |byte: &u8| {
        [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
    };
    Meant::Text(bytes.iter().flat_map(digits).collect())
}

impl Meant {
    /// Whether `found` says this; tshark prints some numbers in decimal and some in hexadecimal.
    fn is(&self, found: &str) -> bool {
        match self {
            Self::Text(text) => found == text,
            Self::Numbers(values) => {
                let parsed =
                    found.split_terminator(',').map(|word| match word.strip_prefix("0x") {
                        Some(digits) => i64::from_str_radix(digits, 16).ok(),
                        None => word.parse().ok(),
                    });
                parsed.collect::<Option<Vec<_>>>().as_ref() == Some(values)
            }
        }
    }
}

/// The datagrams as a capture. Each has the 16 bytes before it that say that it is of `NETLINK_NETFILTER`.
fn pcap(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x0004_0000, LINKTYPE_NETLINK] {
        bytes.extend(u32::to_le_bytes(word));
    }
    for frame in frames {
        let len = u32::try_from(16 + frame.datagram.len()).expect("a short datagram");
        for word in [0, 0, len, len] {
            bytes.extend(u32::to_le_bytes(word));
        }
        let family = u16::try_from(nfqueue::NETLINK_NETFILTER).expect("a small number");
        bytes.extend([4_u16, ARPHRD_NETLINK, 0, 0, 0, 0, 0, family].map(u16::to_be_bytes).concat());
        bytes.extend(&frame.datagram);
    }
    bytes
}

/// What tshark prints of the fields of each frame, one line a frame; `None` if there is no tshark.
fn tshark(frames: &[Frame], fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", "-", "-T", "fields", "-E", "separator=/t", "-E", "aggregator=,"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    // Nobody's settings.
    command.env("HOME", env!("CARGO_TARGET_TMPDIR")).env_remove("XDG_CONFIG_HOME").env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => panic!("tshark: {error}"),
    };
    child.stdin.take().expect("it is piped").write_all(&pcap(frames)).expect("tshark reads it");
    let output = child.wait_with_output().expect("tshark ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark failed: {stderr}");
    let text = String::from_utf8(output.stdout).expect("tshark prints UTF-8");
    let lines: Vec<Vec<_>> =
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    assert_eq!(lines.len(), frames.len(), "a line for each frame: {stderr}");
    Some(lines)
}

/// What is wrong with a message, and which dissectors looked at it.
const ALWAYS: [&str; 3] = ["_ws.malformed", "_ws.expert", "frame.protocols"];

/// Lets tshark read the frames and compares.
fn check(test: &str, frames: &[Frame]) {
    let mut fields = ALWAYS.to_vec();
    fields.extend(frames.iter().flat_map(|frame| frame.fields.iter().map(|(field, _)| *field)));
    fields.sort_unstable();
    fields.dedup();
    let Some(lines) = tshark(frames, &fields) else {
        eprintln!("skipped: {test}: tshark is not installed");
        return;
    };
    for (number, (frame, line)) in frames.iter().zip(&lines).enumerate() {
        let found = |wanted| {
            let column =
                fields.iter().position(|field| *field == wanted).expect("it was asked for");
            line.get(column).map_or("", String::as_str)
        };
        let all: Vec<_> = fields.iter().zip(line).filter(|(_, value)| !value.is_empty()).collect();
        assert_eq!(found("_ws.malformed"), "", "{test}: frame {number}: {all:?}");
        assert_eq!(found("_ws.expert"), "", "{test}: frame {number}: {all:?}");
        for (field, meant) in &frame.fields {
            let found = found(field);
            assert!(
                meant.is(found),
                "{test}: frame {number}: {field} is {found:?}, not {meant:?}: {all:?}"
            );
        }
    }
}

/// `body`, and what follows it, as a message with the sequence 7 and the port id 29.
fn framed<B: Body>(message_type: MessageType, flags: Flags, body: B, after: &[u8]) -> Vec<u8> {
    let header = Header::new(message_type, flags, 7, 29);
    let head = Framed::new(header, body, after.len()).expect("a short message");
    [head.as_bytes(), after].concat()
}

/// What every message to or from the queue 0x1234 says, before its attributes.
fn of_queue(len: i64, message: i64, flags: i64) -> Vec<(&'static str, Meant)> {
    vec![
        ("netlink.family", numbers([12])),
        ("netlink.hdr_len", numbers([len])),
        ("netlink.hdr_type", numbers([0x0300 | message])),
        ("netlink.hdr_flags", numbers([flags])),
        ("netlink.hdr_seq", numbers([7])),
        ("netlink.hdr_pid", numbers([29])),
        ("netlink-netfilter.subsys", numbers([3])),
        ("netlink-netfilter.queue_type", numbers([message])),
        ("netlink-netfilter.family", numbers([0])),
        ("netlink-netfilter.version", numbers([0])),
        ("netlink-netfilter.res_id", numbers([0x1234])),
    ]
}

const QUEUE: u16 = 0x1234;

/// A number that tshark reads in the order of the headers, although the kernel has it in network order.
fn misread<O: ByteOrder>(value: u32) -> i64 {
    U32::<O>::from_bytes(value.to_be_bytes()).get().into()
}

fn config<O: ByteOrder + 'static>() -> Vec<Frame> {
    let acknowledged = Flags::REQUEST.union(Flags::ACK);
    let mut frames = Vec::new();
    let mut add = |datagram: Vec<u8>, more: Vec<(&'static str, Meant)>| {
        let len = i64::try_from(datagram.len()).expect("a short message");
        let mut fields = of_queue(len, 2, 5);
        fields.extend(more);
        frames.push(Frame { datagram, fields });
    };
    for (command, family, number) in [
        (nfqueue::Command::BIND, 0, 1),
        (nfqueue::Command::UNBIND, 0, 2),
        (nfqueue::Command::PF_BIND, 2, 3),
        (nfqueue::Command::PF_UNBIND, 10, 4),
    ] {
        let body = CommandMsg::<O>::new(QUEUE, command, family);
        add(
            framed(CONFIG, acknowledged, body, &[]),
            vec![
                ("netlink-netfilter.queue.config_attr", numbers([1])),
                ("netlink.attr_len", numbers([8])),
                ("netlink-netfilter.queue.config.command.command", numbers([number])),
                ("netlink-netfilter.queue.config.command.pf", numbers([family.into()])),
            ],
        );
    }
    for (mode, number, range) in [
        (CopyMode::None, 0, 0),
        (CopyMode::Metadata, 1, 0),
        (CopyMode::Packet { range: 0 }, 2, 0),
        (CopyMode::Packet { range: 0x0001_0203 }, 2, 0x0001_0203),
    ] {
        add(
            framed(CONFIG, acknowledged, ParamsMsg::<O>::new(QUEUE, mode), &[]),
            vec![
                ("netlink-netfilter.queue.config_attr", numbers([2])),
                ("netlink.attr_len", numbers([9])),
                ("netlink-netfilter.queue.config.params.copy_mode", numbers([number])),
                ("netlink-netfilter.queue.config.params.copy_range", numbers([range])),
            ],
        );
    }
    add(
        framed(CONFIG, acknowledged, MaxLengthMsg::<O>::new(QUEUE, 1024), &[]),
        vec![
            ("netlink-netfilter.queue.config_attr", numbers([3])),
            ("netlink-netfilter.queue.config.queue_maxlen", numbers([misread::<O>(1024)])),
        ],
    );
    let (flags, mask) = (QueueFlags::FAIL_OPEN.union(QueueFlags::GSO), QueueFlags(0x1f));
    add(
        framed(CONFIG, acknowledged, FlagsMsg::<O>::new(QUEUE, flags, mask), &[]),
        vec![
            ("netlink-netfilter.queue.config_attr", numbers([5, 4])),
            ("netlink-netfilter.queue.config.flags", numbers([misread::<O>(5)])),
            ("netlink-netfilter.queue.config.mask", numbers([misread::<O>(0x1f)])),
        ],
    );
    frames
}

#[test]
fn tshark_reads_configuration() {
    let mut frames = config::<LittleEndian>();
    frames.extend(config::<BigEndian>());
    check("tshark_reads_configuration", &frames);
}

/// An IPv4 packet from 192.0.2.1 to 192.0.2.2: UDP from port 1000 to port 2000, with these data.
fn udp4(data: &[u8]) -> Vec<u8> {
    let len = |head: usize| u16::try_from(head + data.len()).expect("a short packet").to_be_bytes();
    let mut packet = vec![0x45, 0];
    packet.extend(len(28));
    packet.extend([0, 1, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend([0x03, 0xe8, 0x07, 0xd0]);
    packet.extend(len(8));
    packet.extend([0, 0]);
    packet.extend(data);
    packet
}

/// An IPv6 packet from `2001:db8::1` to `2001:db8::2` with nothing in it.
fn empty6() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
    for last in [1, 2] {
        packet.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet
}

fn verdict_message<O: ByteOrder + 'static>(
    message_type: MessageType,
    verdict: Verdict,
    mark: Option<u32>,
    replacement: Option<&[u8]>,
) -> Vec<u8> {
    let mut after = Vec::new();
    if let Some(mark) = mark {
        after.extend(MarkAttribute::<O>::new(mark).as_bytes());
    }
    if let Some(replacement) = replacement {
        after.extend(payload_attribute_header::<O>(replacement.len()).expect("it is short"));
        after.extend(replacement);
    }
    let body = VerdictMsg::<O>::new(QUEUE, 0x0102_0304, verdict);
    framed(message_type, Flags::REQUEST, body, &after)
}

fn verdicts<O: ByteOrder + 'static>() -> Vec<Frame> {
    let mut frames = Vec::new();
    for verdict in [Verdict::Drop, Verdict::Accept, Verdict::Queue, Verdict::Repeat, Verdict::Stop]
    {
        let single = verdict_message::<O>(VERDICT, verdict, None, None);
        let batch = verdict_message::<O>(VERDICT_BATCH, verdict, None, None);
        let mut fields = of_queue(32, 1, 1);
        fields.extend([
            ("netlink.attr_len", numbers([12])),
            ("netlink-netfilter.queue.attr", numbers([2])),
            ("netlink-netfilter.queue.verdict.verdict", numbers([verdict.0.into()])),
            ("netlink-netfilter.queue.verdict.id", numbers([0x0102_0304])),
        ]);
        // tshark knows a batch, and does not look into it; but it is the same but for the type.
        assert_eq!((&single[..4], &single[6..]), (&batch[..4], &batch[6..]));
        frames.push(Frame { datagram: single, fields });
        frames.push(Frame { datagram: batch, fields: of_queue(32, 3, 1) });
    }
    // Every length of a replacement, so that the message ends with and without padding left out.
    for len in 0..5 {
        let replacement = udp4(&[0x2a; 4][..len]);
        let mark = Some(0x1112_1314);
        let datagram = verdict_message::<O>(VERDICT, Verdict::Accept, mark, Some(&replacement));
        let more = i64::try_from(len).expect("a few bytes");
        let mut fields = of_queue(32 + 8 + 4 + 28 + more, 1, 1);
        fields.extend([
            ("netlink.attr_len", numbers([12, 8, 4 + 28 + more])),
            ("netlink-netfilter.queue.attr", numbers([2, 3, 10])),
            ("netlink-netfilter.queue.verdict.verdict", numbers([1])),
            ("netlink-netfilter.queue.nfmark", numbers([0x1112_1314])),
            // A verdict does not say what protocol its payload is of.
            ("data.data", data(&replacement)),
        ]);
        frames.push(Frame { datagram, fields });
    }
    let replacement = empty6();
    let datagram = verdict_message::<O>(VERDICT, Verdict::Repeat, None, Some(&replacement));
    let mut fields = of_queue(32 + 4 + 40, 1, 1);
    fields.extend([
        ("netlink.attr_len", numbers([12, 44])),
        ("netlink-netfilter.queue.attr", numbers([2, 10])),
        ("netlink-netfilter.queue.nfmark", numbers([])),
        ("data.data", data(&replacement)),
    ]);
    frames.push(Frame { datagram, fields });
    frames
}

#[test]
fn tshark_reads_verdicts() {
    let mut frames = verdicts::<LittleEndian>();
    frames.extend(verdicts::<BigEndian>());
    check("tshark_reads_verdicts", &frames);
}

/// A packet with every attribute, and what tshark says of it.
fn packet<O: ByteOrder + 'static>() -> Frame {
    let payload = udp4(b"hello");
    // One attribute of nfnetlink_conntrack.h: the id of the connection.
    let (len, kind) = (U16::<O>::new(8), U16::<O>::new(12));
    let conntrack = [len.as_bytes(), kind.as_bytes(), &[0x11, 0x22, 0x33, 0x44]].concat();
    let packet = Packet {
        family: 2,
        queue: QUEUE,
        id: 0x0102_0304,
        hw_protocol: EtherType::IPV4,
        hook: Hook::Forward,
        mark: Some(0x1112_1314),
        timestamp: Some(Timestamp { seconds: 1_795_429_884, microseconds: 481_597 }),
        input_device: Some(0x2122_2324),
        output_device: Some(0x3132_3334),
        physical_input_device: Some(0x4142_4344),
        physical_output_device: Some(0x5152_5354),
        hw_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 0xbb]),
        packet_len: Some(1400),
        skb_info: Some(SkbInfo::CHECKSUM_NOT_READY),
        uid: Some(1000),
        gid: Some(100),
        security_context: Some(b"system_u:object_r:x\0"),
        conntrack: Some(&conntrack),
        conntrack_info: Some(2),
        vlan: Some(Vlan { protocol: EtherType(0x8100), tci: 0x6064 }),
        link_header: Some(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xbb, 8, 0]),
        priority: Some(6),
        payload: Some(&payload),
    };
    let mut buffer = [0xa5; 512];
    let len = packet.encode::<O>(&mut buffer).expect("it fits");
    let datagram = buffer[..len].to_vec();
    let fields = vec![
        ("netlink.hdr_len", numbers([i64::try_from(len).expect("a short message")])),
        ("netlink.hdr_type", numbers([0x0300])),
        ("netlink.hdr_flags", numbers([0])),
        ("netlink-netfilter.subsys", numbers([3])),
        ("netlink-netfilter.queue_type", numbers([0])),
        ("netlink-netfilter.family", numbers([2])),
        ("netlink-netfilter.res_id", numbers([0x1234])),
        (
            "netlink.attr_len",
            numbers([11, 8, 8, 8, 8, 8, 8, 16, 20, 18, 20, 8, 8, 24, 12, 8, 8, 8, 37]),
        ),
        (
            "netlink-netfilter.queue.attr",
            numbers([1, 5, 7, 6, 8, 3, 21, 9, 19, 20, 4, 16, 17, 18, 11, 12, 13, 14, 10]),
        ),
        ("netlink-netfilter.queue.packet.id", numbers([0x0102_0304])),
        ("netlink-netfilter.queue.packet.protocol", numbers([0x0800])),
        ("netlink-netfilter.queue.packet.hook", numbers([2])),
        ("netlink-netfilter.queue.nfmark", numbers([0x1112_1314])),
        ("netlink-netfilter.queue.ifindex_indev", numbers([0x2122_2324])),
        ("netlink-netfilter.queue.ifindex_outdev", numbers([0x3132_3334])),
        ("netlink-netfilter.queue.ifindex_physindev", numbers([0x4142_4344])),
        ("netlink-netfilter.queue.ifindex_physoutdev", numbers([0x5152_5354])),
        ("netlink-netfilter.queue.hwaddr.len", numbers([6])),
        ("netlink-netfilter.queue.hwaddr.addr", text("02:00:00:00:00:bb")),
        ("netlink-netfilter.queue.caplen", numbers([1400])),
        ("netlink-netfilter.queue.uid", numbers([1000])),
        ("netlink-netfilter.queue.gid", numbers([100])),
        ("netlink-netfilter.queue.ct_info", numbers([2])),
        // tshark takes the microseconds for nanoseconds.
        ("netlink-netfilter.queue.timestamp", text("Nov 23, 2026 10:31:24.000481597 UTC")),
        ("ip.src", text("192.0.2.1")),
        ("ip.dst", text("192.0.2.2")),
        ("udp.srcport", numbers([1000])),
        ("udp.dstport", numbers([2000])),
        ("data.data", data(b"hello")),
    ];
    Frame { datagram, fields }
}

/// Packets of which little is known.
fn bare_packets<O: ByteOrder + 'static>() -> [Frame; 2] {
    let payload = empty6();
    let packet = Packet {
        family: 10,
        queue: QUEUE,
        id: u32::MAX,
        hw_protocol: EtherType::IPV6,
        hook: Hook::PreRouting,
        ..Packet::default()
    };
    let of_six = |packet: Packet<'_>, len, attributes, sources| {
        let mut buffer = [0xa5; 128];
        let datagram_len = packet.encode::<O>(&mut buffer).expect("it fits");
        let fields = vec![
            ("netlink.hdr_len", numbers([len])),
            ("netlink-netfilter.family", numbers([10])),
            ("netlink-netfilter.res_id", numbers([0x1234])),
            ("netlink-netfilter.queue.attr", Meant::Numbers(attributes)),
            ("netlink-netfilter.queue.packet.id", numbers([0xffff_ffff])),
            ("netlink-netfilter.queue.packet.protocol", numbers([0x86dd])),
            ("netlink-netfilter.queue.packet.hook", numbers([0])),
            ("ipv6.src", text(sources)),
        ];
        Frame { datagram: buffer[..datagram_len].to_vec(), fields }
    };
    let whole = Packet { payload: Some(&payload), ..packet };
    [of_six(packet, 32, vec![1], ""), of_six(whole, 76, vec![1, 10], "2001:db8::1")]
}

#[test]
fn tshark_reads_packets() {
    let mut frames = vec![packet::<LittleEndian>(), packet::<BigEndian>()];
    frames.extend(bare_packets::<LittleEndian>());
    frames.extend(bare_packets::<BigEndian>());
    check("tshark_reads_packets", &frames);
}

fn replies<O: ByteOrder + 'static>() -> Vec<Frame> {
    let request = Header {
        len: 28,
        ..Header::new(CONFIG, Flags::REQUEST.union(Flags::ACK), 0x0102_0304, 0x0506_0708)
    };
    // What the kernel repeats of the request.
    let command = CommandMsg::<O>::new(QUEUE, nfqueue::Command::BIND, 0);
    let cases = [(0, &[][..]), (-2, command.as_bytes()), (-16, command.as_bytes())];
    cases
        .map(|(code, rest)| {
            let body = ErrorMsg::<O>::new(code, request);
            let datagram = framed(MessageType::ERROR, Flags::NONE, body, rest);
            let len = i64::try_from(datagram.len()).expect("a short message");
            let fields = vec![
                ("netlink.family", numbers([12])),
                ("netlink.error", numbers([code.into()])),
                ("netlink.hdr_len", numbers([len, 28])),
                ("netlink.hdr_type", numbers([2, 0x0302])),
                ("netlink.hdr_flags", numbers([0, 5])),
                ("netlink.hdr_seq", numbers([7, 0x0102_0304])),
                ("netlink.hdr_pid", numbers([29, 0x0506_0708])),
            ];
            Frame { datagram, fields }
        })
        .into()
}

#[test]
fn tshark_reads_acknowledgements_and_errors() {
    let mut frames = replies::<LittleEndian>();
    frames.extend(replies::<BigEndian>());
    check("tshark_reads_acknowledgements_and_errors", &frames);
}

/// What a session sends at once: configuration, or verdicts. tshark wants each message to be padded and to say so.
fn datagrams<O: ByteOrder + 'static>() -> [Frame; 2] {
    let config = [
        framed(CONFIG, Flags(5), CommandMsg::<O>::new(QUEUE, nfqueue::Command::BIND, 0), &[]),
        framed(CONFIG, Flags(5), ParamsMsg::<O>::new(QUEUE, CopyMode::Metadata), &[]),
        framed(CONFIG, Flags(5), MaxLengthMsg::<O>::new(QUEUE, 0), &[]),
    ];
    let replacement = udp4(&[0; 4]);
    let verdicts = [
        verdict_message::<O>(VERDICT, Verdict::Accept, Some(1), None),
        verdict_message::<O>(VERDICT, Verdict::Accept, None, Some(&replacement)),
        verdict_message::<O>(VERDICT, Verdict::Drop, None, None),
    ];
    let of_config = vec![
        ("netlink.hdr_len", numbers([28, 32, 28])),
        ("netlink.hdr_type", numbers([0x0302; 3])),
        ("netlink-netfilter.res_id", numbers([0x1234; 3])),
        ("netlink-netfilter.queue.config_attr", numbers([1, 2, 3])),
    ];
    let of_verdicts = vec![
        ("netlink.hdr_len", numbers([40, 68, 32])),
        ("netlink.hdr_type", numbers([0x0301; 3])),
        ("netlink-netfilter.queue.attr", numbers([2, 3, 2, 10, 2])),
        ("netlink-netfilter.queue.verdict.verdict", numbers([1, 1, 0])),
        ("netlink-netfilter.queue.verdict.id", numbers([0x0102_0304; 3])),
        ("netlink-netfilter.queue.nfmark", numbers([1])),
        ("data.data", data(&replacement)),
    ];
    [
        Frame { datagram: config.concat(), fields: of_config },
        Frame { datagram: verdicts.concat(), fields: of_verdicts },
    ]
}

#[test]
fn tshark_reads_datagrams_of_several_messages() {
    let mut frames = Vec::from(datagrams::<LittleEndian>());
    frames.extend(datagrams::<BigEndian>());
    check("tshark_reads_datagrams_of_several_messages", &frames);
}

/// Were it not so, the other tests would prove nothing. Of attributes that are too long tshark says no more than
/// their lengths, and those are compared.
#[test]
fn tshark_notices_what_is_wrong() {
    let mut long = verdict_message::<LittleEndian>(VERDICT, Verdict::Accept, None, None);
    long[20] += 8;
    let mut cut = bare_packets::<LittleEndian>()[1].datagram.clone();
    cut.truncate(20 + 12 + 4 + 5);
    (cut[0], cut[32]) = (20 + 12 + 4 + 5, 4 + 5);
    let frames = [long, cut].map(|datagram| Frame { datagram, fields: Vec::new() });
    let Some(lines) = tshark(&frames, &["netlink.attr_len", "_ws.malformed"]) else {
        eprintln!("skipped: tshark_notices_what_is_wrong: tshark is not installed");
        return;
    };
    assert_eq!(lines[0][0], "20", "{lines:?}");
    assert_eq!(lines[1][0], "11,9", "{lines:?}");
    assert_ne!(lines[1][1], "", "a payload that is no packet: {lines:?}");
}
