//! Messages as bytes, in any dialect, and a run of the program on bytes.

use std::io::Write;
use std::process::Stdio;

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self, ModeMsg, PacketMsg, Timestamp, VerdictMsg};
use ipq_proto::netlink::{ErrorMsg, Flags, Framed, Header, MessageType};
use ipq_proto::nfqueue::{self, CommandMsg};
use ipq_proto::{
    Abi, CopyMode, DataModel, DeviceName, EtherType, HardwareAddress, HardwareType, Hook, Verdict,
};
use zerocopy::{BigEndian, IntoBytes, LittleEndian};

use crate::common::{Run, ipq_cli, udp4};

/// A mode request, a packet, a verdict and an error, as a kernel of this model and a program on it send them.
pub(super) fn ip_queue_messages(model: DataModel) -> [Vec<u8>; 4] {
    model.with(IpQueue)
}

struct IpQueue;

impl AbiVisitor for IpQueue {
    type Output = [Vec<u8>; 4];

    fn visit<A: Abi>(self) -> Self::Output {
        let request = |message_type| Header::new(message_type, Flags::REQUEST, 7, 4711);
        let mode = ModeMsg::<A>::new(CopyMode::Packet { range: 2048 });
        let verdict = VerdictMsg::<A>::new(0x1e10_52a0, Verdict::Drop, 0).unwrap();
        let payload = udp4(b"hello");
        let packet = ip_queue::Packet {
            id: 0x1e10_52a0,
            mark: 3,
            timestamp: Timestamp::NONE,
            hook: Hook::LocalOut,
            input_device: DeviceName::NONE,
            output_device: DeviceName::new("lo").unwrap(),
            hw_protocol: EtherType::NONE,
            hw_type: HardwareType::NONE,
            hw_address: HardwareAddress::NONE,
            payload: &payload,
        };
        let body = PacketMsg::<A>::new(&packet).unwrap();
        let header = Header::new(ip_queue::PACKET, Flags::NONE, 0, 0);
        let mut message = Framed::new(header, body, payload.len()).unwrap().as_bytes().to_vec();
        message.extend(&payload);
        let error = ErrorMsg::<A::Order>::new(-2, request(ip_queue::VERDICT));
        let reply = Header::new(MessageType::ERROR, Flags::NONE, 7, 4711);
        [
            Framed::new(request(ip_queue::MODE), mode, 0).unwrap().as_bytes().to_vec(),
            message,
            Framed::new(request(ip_queue::VERDICT), verdict, 0).unwrap().as_bytes().to_vec(),
            Framed::new(reply, error, 0).unwrap().as_bytes().to_vec(),
        ]
    }
}

/// A bind request and a packet of `nfnetlink_queue`.
pub(super) fn nfqueue_messages(is_big_endian: bool) -> [Vec<u8>; 2] {
    let header = Header::new(nfqueue::CONFIG, Flags::REQUEST, 1, 4711);
    let payload = udp4(b"hello");
    let packet = nfqueue::Packet {
        family: 2,
        queue: 3,
        id: 9,
        hook: Hook::LocalIn,
        hw_protocol: EtherType::IPV4,
        payload: Some(&payload),
        ..nfqueue::Packet::default()
    };
    let mut buffer = [0; 200];
    let (bind, len) = if is_big_endian {
        let bind = CommandMsg::<BigEndian>::new(3, nfqueue::Command::BIND, 0);
        let bind = Framed::new(header, bind, 0).unwrap().as_bytes().to_vec();
        (bind, packet.encode::<BigEndian>(&mut buffer).unwrap())
    } else {
        let bind = CommandMsg::<LittleEndian>::new(3, nfqueue::Command::BIND, 0);
        let bind = Framed::new(header, bind, 0).unwrap().as_bytes().to_vec();
        (bind, packet.encode::<LittleEndian>(&mut buffer).unwrap())
    };
    [bind, buffer[..len].to_vec()]
}

/// A packet with all that the kernel can tell of it, and a verdict with a mark and a replacement.
pub(super) fn full_nfqueue_messages() -> [Vec<u8>; 2] {
    let payload = udp4(b"hello");
    let packet = nfqueue::Packet {
        family: 2,
        queue: 3,
        id: 9,
        hook: Hook::PreRouting,
        hw_protocol: EtherType::IPV4,
        mark: Some(7),
        timestamp: Some(nfqueue::Timestamp { seconds: 1_795_429_884, microseconds: 42 }),
        input_device: Some(2),
        output_device: Some(1),
        hw_address: Some(HardwareAddress::from_wire(6, [2, 0, 0, 0, 0, 9, 0, 0])),
        packet_len: Some(9000),
        uid: Some(1000),
        gid: Some(100),
        payload: Some(&payload),
        ..nfqueue::Packet::default()
    };
    let mut buffer = [0; 400];
    let len = packet.encode::<LittleEndian>(&mut buffer).unwrap();
    let header = Header::new(nfqueue::VERDICT, Flags::REQUEST, 1, 4711);
    let mark = nfqueue::MarkAttribute::<LittleEndian>::new(7);
    let replacement = nfqueue::payload_attribute_header::<LittleEndian>(4).unwrap();
    let rest = [mark.as_bytes(), &replacement, b"done"].concat();
    let verdict = nfqueue::VerdictMsg::<LittleEndian>::new(3, 9, Verdict::Accept);
    let framed = Framed::new(header, verdict, rest.len()).unwrap();
    [buffer[..len].to_vec(), [framed.as_bytes(), &rest].concat()]
}

/// A recorded packet message of Linux 3.4 on `x86_64`.
pub(super) const RECORDED: &str = "\
    94 00 00 00 13 00 00 00 00 00 00 00 00 00 00 00
    a0 52 10 1e 00 88 ff ff 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 6c 6f 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 21 00 00 00 00 00 00 00
    45 00 00 21 00 00 40 00 40 11 3c ca 7f 00 00 01
    7f 00 00 01 d5 c7 27 0f 00 0d c1 28 68 65 6c 6c
    6f 00 00 00";

/// Bytes as plain hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Runs `decode` on what is written to its standard input.
#[track_caller]
pub(super) fn decode(input: &[u8], args: &[&str]) -> Run {
    let mut child = ipq_cli()
        .arg("decode")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end before it has read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let run = Run::from(child.wait_with_output().unwrap());
    writer.join().unwrap();
    run
}
