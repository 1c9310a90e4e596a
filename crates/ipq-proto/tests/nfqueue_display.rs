//! Every message of `nfnetlink_queue` and every error reads as one line, and this is the line.

use ipq_proto::netlink::{Flags, Header, MessageType, Reply};
use ipq_proto::nfqueue::{
    Command, ConfigRequest, Message, PACKET, Packet, QueueFlags, Timestamp, VERDICT,
    VerdictRequest, payload_attribute_header,
};
use ipq_proto::{EtherType, HardwareAddress, Hook, Verdict};
use zerocopy::NativeEndian;

#[track_caller]
fn check(value: impl core::fmt::Display, line: &str) {
    assert_eq!(value.to_string(), line);
    assert!(!line.contains('\n'));
}

const BARE: Packet<'_> = Packet {
    family: 2,
    queue: 0,
    id: 7,
    hw_protocol: EtherType::IPV4,
    hook: Hook::LocalOut,
    mark: None,
    timestamp: None,
    input_device: None,
    output_device: None,
    physical_input_device: None,
    physical_output_device: None,
    hw_address: None,
    packet_len: None,
    skb_info: None,
    uid: None,
    gid: None,
    security_context: None,
    conntrack: None,
    conntrack_info: None,
    vlan: None,
    link_header: None,
    priority: None,
    payload: None,
};

#[test]
fn packet_leaves_out_what_is_absent() {
    check(BARE, "packet id 7 queue 0 LOCAL_OUT protocol 0x0800 no payload");
    let empty = Packet { payload: Some(&[]), ..BARE };
    check(empty, "packet id 7 queue 0 LOCAL_OUT protocol 0x0800 0 bytes");
    let out = Packet { output_device: Some(1), payload: Some(&[0; 33]), ..BARE };
    check(out, "packet id 7 queue 0 LOCAL_OUT out #1 protocol 0x0800 33 bytes");
}

#[test]
fn packet_says_all_that_is_there() {
    let packet = Packet {
        queue: 65535,
        id: u32::MAX,
        hw_protocol: EtherType::IPV6,
        hook: Hook::Forward,
        mark: Some(0xabcd),
        timestamp: Some(Timestamp { seconds: 1_795_429_884, microseconds: 1597 }),
        input_device: Some(2),
        output_device: Some(3),
        hw_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 0xbb]),
        packet_len: Some(1400),
        payload: Some(b"secret"),
        ..BARE
    };
    let line = "packet id 4294967295 queue 65535 FORWARD in #2 out #3 mark 0xabcd \
                at 1795429884.001597 from 02:00:00:00:00:bb protocol 0x86dd 6 of 1400 bytes";
    check(packet, line);
    check(Message::Packet(packet), line);
    assert_eq!(format!("{packet:?}"), format!("Packet({line})"), "no payload in a log");
}

#[test]
fn packet_that_lies_is_still_one_line() {
    let packet = Packet {
        hook: Hook(255),
        timestamp: Some(Timestamp { seconds: u64::MAX, microseconds: u64::MAX }),
        hw_address: Some(HardwareAddress::from_wire(255, [1, 2, 3, 4, 5, 6, 7, 8])),
        packet_len: Some(0),
        ..BARE
    };
    check(
        packet,
        "packet id 7 queue 0 hook 255 at 18446744073709551615.18446744073709551615 \
         from 01:02:03:04:05:06:07:08 protocol 0x0800 no payload",
    );
}

#[test]
fn a_hardware_address_of_no_bytes_is_left_out() {
    let packet = Packet { hw_address: Some(HardwareAddress::NONE), ..BARE };
    check(packet, "packet id 7 queue 0 LOCAL_OUT protocol 0x0800 no payload");
}

#[test]
fn verdict_names_what_has_a_name() {
    let verdict = VerdictRequest {
        queue: 0,
        id: 7,
        verdict: Verdict::Accept,
        mark: Some(1),
        priority: Some(6),
        replacement: Some(&[0; 33]),
    };
    let line = "verdict accept queue 0 id 7 mark 0x1 priority 6 replacement 33 bytes";
    check(verdict, line);
    check(Message::Verdict(verdict), line);
    check(Message::VerdictBatch(verdict), &format!("batch {line}"));
    assert_eq!(format!("{verdict:?}"), format!("VerdictRequest({line})"));

    let bare = VerdictRequest { mark: None, priority: None, replacement: None, ..verdict };
    check(bare, "verdict accept queue 0 id 7");
    let elsewhere = VerdictRequest { verdict: Verdict(0x0005_0003), ..bare };
    check(elsewhere, "verdict 0x50003 queue 0 id 7");
    let empty = VerdictRequest { mark: Some(0), replacement: Some(&[]), ..bare };
    check(empty, "verdict accept queue 0 id 7 mark 0x0 replacement 0 bytes");
}

#[test]
fn config_leaves_out_what_is_absent() {
    let bare = ConfigRequest { queue: 3, ..ConfigRequest::default() };
    check(bare, "config queue 3");
    let command = |command, family| ConfigRequest { command: Some((command, family)), ..bare };
    check(command(Command::BIND, 2), "config queue 3 bind");
    check(command(Command::UNBIND, 0), "config queue 3 unbind");
    check(command(Command::PF_BIND, 10), "config queue 3 bind family 10");
    check(command(Command::PF_UNBIND, 2), "config queue 3 unbind family 2");
    check(command(Command(0), 0), "config queue 3 command 0");
    let all = ConfigRequest {
        queue: 3,
        command: Some((Command::BIND, 0)),
        params: Some((2, 65535)),
        max_length: Some(1024),
        flags: Some(QueueFlags::GSO),
        mask: Some(QueueFlags::GSO.union(QueueFlags::UID_GID)),
    };
    let line = "config queue 3 bind copy mode 2 range 65535 maxlen 1024 flags 0x4 mask 0xc";
    check(all, line);
    check(Message::Config(all), line);
}

#[test]
fn the_rest_is_one_line_too() {
    let request = Header { len: 32, ..Header::new(VERDICT, Flags::REQUEST, 7, 29) };
    let reply = |code| Message::Reply(Reply { code, request, rest: &[1, 2, 3] });
    check(reply(0), "acknowledgement of seq 7");
    check(reply(-2), "ENOENT (no such file or directory) for seq 7");
    check(Message::Other(MessageType(0x0304), &[1, 2]), "message of type 0x304, 2 bytes");
    check(Message::Other(VERDICT, &[]), "message of type 0x301, 0 bytes");
    check(PACKET, "0x300");
}

#[test]
fn what_cannot_be_encoded_is_said_in_one_line() {
    let packet = Packet { hook: Hook(256), ..BARE };
    let error = packet.encode::<NativeEndian>(&mut [0; 64]).expect_err("it does not fit");
    check(error, "hook 256 does not fit 8 bits");

    let long = vec![0; 65_532];
    let packet = Packet { payload: Some(&long), ..BARE };
    let error = packet.encode::<NativeEndian>(&mut [0; 64]).expect_err("it does not fit");
    check(error, "attribute length 65536 does not fit 16 bits");

    let error = BARE.encode::<NativeEndian>(&mut [0; 31]).expect_err("it does not fit");
    check(error, "buffer of length 31 is too short");

    let error = payload_attribute_header::<NativeEndian>(65_536).expect_err("it does not fit");
    check(error, "length of the replacement 65536 does not fit 16 bits");
}
