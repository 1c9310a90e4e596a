//! Every message and every error reads as one line, and this is the line.

use ipq_proto::ip_queue::{Message, ModeRequest, Packet, Timestamp, VerdictRequest};
use ipq_proto::netlink::{Flags, Header, MessageType, Reply};
use ipq_proto::{
    CopyMode, DataModel, DecodeError, DeviceName, EncodeError, Errno, EtherType, HardwareAddress,
    HardwareType, Hook, Problem, Verdict, ip_queue,
};

#[track_caller]
fn check(value: impl core::fmt::Display, line: &str) {
    assert_eq!(value.to_string(), line);
    assert!(!line.contains('\n'));
}

/// A packet of which nothing is known but the id.
const BARE: Packet<'_> = Packet {
    id: 0xffff_8800_1e10_52a0,
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
fn packet_leaves_out_what_is_absent() {
    check(BARE, "packet id 0xffff88001e1052a0 LOCAL_OUT protocol 0x0000 0 bytes");
}

#[test]
fn packet_says_all_that_is_there() {
    let packet = Packet {
        mark: 0xabcd,
        timestamp: Timestamp { seconds: 1_795_429_884, microseconds: 1597 },
        hook: Hook::Forward,
        input_device: DeviceName::new("tap0").expect("a short name"),
        output_device: DeviceName::new("dummy0").expect("a short name"),
        hw_protocol: EtherType::IPV4,
        hw_type: HardwareType::ETHERNET,
        hw_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 0xbb]).expect("six bytes"),
        payload: &[0; 33],
        ..BARE
    };
    let line = "packet id 0xffff88001e1052a0 FORWARD in tap0 out dummy0 mark 0xabcd \
                at 1795429884.001597 from 02:00:00:00:00:bb (ethernet) protocol 0x0800 33 bytes";
    check(packet, line);
    check(Message::Packet(packet), line);
    assert_eq!(format!("{packet:?}"), format!("Packet({line})"), "no payload in a log");
}

#[test]
fn packet_that_lies_is_still_one_line() {
    let packet = Packet {
        id: 0,
        timestamp: Timestamp { seconds: -1, microseconds: -7 },
        hook: Hook(9),
        input_device: DeviceName::from_wire(*b"\n\x1b[31m\xff no NUL 1"),
        hw_type: HardwareType(65535),
        hw_address: HardwareAddress::from_wire(255, [1, 2, 3, 4, 5, 6, 7, 8]),
        ..BARE
    };
    check(
        packet,
        r"packet id 0x0 hook 9 in \n\x1b[31m\xff no NUL 1 at -1.-00007 from 01:02:03:04:05:06:07:08 (type 65535) protocol 0x0000 0 bytes",
    );
}

#[test]
fn mode_names_the_modes_there_are() {
    let mode = |value, range| Message::Mode(ModeRequest { value, range });
    check(mode(0, 5), "mode none range 5");
    check(mode(1, 0), "mode metadata range 0");
    check(mode(2, u64::MAX), "mode packet range 18446744073709551615");
    check(mode(9, 0), "mode 9 range 0");
}

#[test]
fn verdict_says_what_becomes_of_the_replacement() {
    let line = |verdict, data_len, data: &[u8], line: &str| {
        check(Message::Verdict(VerdictRequest { id: 0x2a, verdict, data_len, data }), line);
    };
    line(Verdict::Drop, 0, &[], "verdict drop id 0x2a");
    line(Verdict::Accept, 3, &[1, 2, 3], "verdict accept id 0x2a replacement 3 bytes");
    let mismatch = "verdict repeat id 0x2a no replacement: claims 4 bytes, 3 follow";
    line(Verdict::Repeat, 4, &[1, 2, 3], mismatch);
    let unclaimed = "verdict stolen id 0x2a no replacement: claims 0 bytes, 3 follow";
    line(Verdict::Stolen, 0, &[1, 2, 3], unclaimed);
    line(Verdict(0x10003), 0, &[], "verdict 0x10003 id 0x2a");
}

#[test]
fn reply_names_the_error_and_the_request() {
    let request = Header::new(ip_queue::MODE, Flags::REQUEST, 7, 29);
    let reply = |code| Message::Reply(Reply { code, request, rest: &[1, 2] });
    check(reply(0), "acknowledgement of seq 7");
    check(reply(-16), "EBUSY (device or resource busy) for seq 7");
    check(reply(-4711), "error 4711 for seq 7");
    check(reply(i32::MIN), "error 2147483647 for seq 7");
}

#[test]
fn other_message_says_its_type() {
    let other = |number| Message::Other(MessageType(number), &[0; 5]);
    check(other(1), "message of type NLMSG_NOOP, 5 bytes");
    check(other(0x14), "message of type 0x14, 5 bytes");
    check(other(0xffff), "message of type 0xffff, 5 bytes");
}

#[test]
fn header_is_in_the_order_of_the_wire() {
    let header = Header::new(ip_queue::MODE, Flags(0x301), 7, 29);
    check(Header { len: 40, ..header }, "len 40 type 0x11 flags 0x301 seq 7 pid 29");
}

#[test]
fn errors_have_the_numbers_in_them() {
    let error = |problem| DecodeError { what: "netlink header", offset: 36, problem };
    check(
        error(Problem::TooShort { need: 16, have: 3 }),
        "netlink header at byte 36: needs 16 bytes, 3 are there",
    );
    check(
        error(Problem::ClaimsTooLittle { claimed: 12, least: 16 }),
        "netlink header at byte 36: claims a length of 12, less than the least, 16",
    );
    check(
        error(Problem::ClaimsTooMuch { claimed: 0xffff_ffff, have: 40 }),
        "netlink header at byte 36: claims a length of 4294967295, only 40 bytes are there",
    );
    check(
        EncodeError { field: "packet id", value: 0x1_0000_0000, bits: 32 },
        "packet id 4294967296 does not fit 32 bits",
    );
}

#[test]
fn parts_have_names() {
    check(DataModel::Lp64Little, "LP64 little-endian");
    check(DataModel::Ilp32Big, "ILP32 big-endian");
    check(Hook::PostRouting, "POST_ROUTING");
    check(Verdict::Queue, "queue");
    check(Verdict(77), "verdict 0x4d");
    check(Errno::ENOBUFS, "ENOBUFS (no buffer space available)");
    check(EtherType::IPV6, "0x86dd");
    check(HardwareType::LOOPBACK, "loopback");
    check(HardwareAddress::NONE, "");
    check(CopyMode::Packet { range: 64 }, "packet up to 64 bytes");
    check(CopyMode::Packet { range: 0 }, "packet");
}
