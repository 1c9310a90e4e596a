//! What is printed.

use insta::assert_snapshot;
use ipq_proto::DataModel;

use super::messages::{
    RECORDED, decode, full_nfqueue_messages, hex, ip_queue_messages, nfqueue_messages,
};
use crate::common::shape;

/// The recorded message with some of its bytes replaced, or cut.
fn damaged(at: usize, bytes: &[u8], len: usize) -> String {
    let digits: String = RECORDED.split_whitespace().collect();
    let mut message: Vec<u8> = (0..digits.len() / 2)
        .map(|byte| u8::from_str_radix(&digits[2 * byte..2 * byte + 2], 16).unwrap())
        .collect();
    message[at..at + bytes.len()].copy_from_slice(bytes);
    message.truncate(len);
    hex(&message)
}

#[test]
fn a_message_is_a_line_below_its_datagram() {
    let run = decode(RECORDED.as_bytes(), &["-x"]).ended(0);
    assert_snapshot!(run.stdout, @"
    datagram 1 (line 1): 148 bytes, ip_queue LP64 little-endian
      byte 0: seq 0 pid 0 packet id 0xffff88001e1052a0 LOCAL_OUT out lo protocol 0x0000 33 bytes: IP 127.0.0.1.54727 > 127.0.0.1.9999: UDP, length 5
        0x0000:  9400 0000 1300 0000 0000 0000 0000 0000
        0x0010:  a052 101e 0088 ffff 0000 0000 0000 0000
        0x0020:  0000 0000 0000 0000 0000 0000 0000 0000
        0x0030:  0300 0000 0000 0000 0000 0000 0000 0000
        0x0040:  0000 0000 6c6f 0000 0000 0000 0000 0000
        0x0050:  0000 0000 0000 0000 0000 0000 0000 0000
        0x0060:  0000 0000 0000 0000 2100 0000 0000 0000
        0x0070:  4500 0021 0000 4000 4011 3cca 7f00 0001
        0x0080:  7f00 0001 d5c7 270f 000d c128 6865 6c6c
        0x0090:  6f00 0000
    ");
    assert_snapshot!(run.stderr, @"datagrams: 1, messages: 1, errors: 0");
    let [bind, packet] = nfqueue_messages(true);
    assert_snapshot!(decode(hex(&bind).as_bytes(), &[]).ended(0).stdout, @"
    datagram 1 (line 1): 28 bytes, nfqueue big-endian
      byte 0: seq 1 pid 4711 config queue 3 bind
    ");
    assert_snapshot!(decode(hex(&packet).as_bytes(), &[]).ended(0).stdout, @"
    datagram 1 (line 1): 69 bytes, nfqueue big-endian
      byte 0: seq 0 pid 0 packet id 9 queue 3 LOCAL_IN protocol 0x0800 33 bytes: IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 5
    ");
}

#[test]
fn the_byte_that_is_wrong_is_pointed_at() {
    let claims_too_much = damaged(104, &[0x34, 0x12], usize::MAX);
    assert_snapshot!(decode(claims_too_much.as_bytes(), &[]).ended(1).stdout, @"
    datagram 1 (line 1): 148 bytes, ip_queue LP64 little-endian
      byte 104: wrong: data length of the packet message at byte 104: claims a length of 4660, only 36 bytes are there
        0x0060:  0000 0000 0000 0000 3412 0000 0000 0000
                                     ^^^^^^^^^^^^^^^^^^^
    ");
    let cut = damaged(0, &[0x50], 80);
    assert_snapshot!(decode(cut.as_bytes(), &[]).ended(1).stdout, @"
    datagram 1 (line 1): 80 bytes, ip_queue LP64 little-endian
      byte 80: wrong: packet message at byte 16: needs 96 bytes, 64 are there
        0x0050:
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    let longer_than_there_is = damaged(0, &[0xff], usize::MAX);
    assert_snapshot!(decode(longer_than_there_is.as_bytes(), &[]).ended(1).stdout, @"
    datagram 1 (line 1): 148 bytes, ip_queue LP64 little-endian
      byte 0: wrong: netlink header at byte 0: claims a length of 255, only 148 bytes are there
        0x0000:  ff00 0000 1300 0000 0000 0000 0000 0000
                 ^^^^^^^^^
    ");
    let no_header = damaged(0, &[], 7);
    assert_snapshot!(decode(no_header.as_bytes(), &[]).ended(1).stdout, @"
    datagram 1 (line 1): 7 bytes, ip_queue LP64 little-endian
      byte 7: wrong: netlink header at byte 0: needs 16 bytes, 7 are there
        0x0000:  9400 0000 1300 00
                                  ^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_lying_attribute_is_pointed_at() {
    let [_, mut packet] = nfqueue_messages(false);
    packet[20] = 3;
    assert_snapshot!(decode(hex(&packet).as_bytes(), &[]).ended(1).stdout, @"
    datagram 1 (line 1): 69 bytes, nfqueue little-endian
      byte 20: wrong: netlink attribute at byte 20: claims a length of 3, less than the least, 4
        0x0010:  0200 0003 0300 0100 0000 0009 0800 0100
                           ^^^^
    ");
    packet[20] = 10;
    assert_snapshot!(decode(hex(&packet).as_bytes(), &[]).ended(1).stdout, @"
    datagram 1 (line 1): 69 bytes, nfqueue little-endian
      byte 30: wrong: packet header at byte 24: needs 7 bytes, 6 are there
        0x0010:  0200 0003 0a00 0100 0000 0009 0800 0100
                                                    ^^
    ");
}

#[test]
fn json_has_the_documented_keys_and_types() {
    let start =
        "event string, datagram count, place string, protocol string, word count, order string, ";
    let message = format!(
        "{start}offset count, len count, type count, flags count, seq count, pid count, kind string, text string, \
         fields object"
    );
    for one in ip_queue_messages(DataModel::NATIVE).iter().chain(&nfqueue_messages(false)) {
        let run = decode(one, &["--json", "--format", "raw"]).was_silent();
        assert_eq!(shape(&run.events("message")[0]), message);
        assert_eq!(
            shape(&run.summary()),
            "event string, datagrams count, messages count, errors count"
        );
    }
    let run = decode(damaged(104, &[0xff], usize::MAX).as_bytes(), &["--json"]).ended(1);
    let error = &run.events("error")[0];
    assert_eq!(
        shape(error),
        format!(
            "{start}offset count, len count, field string, expected string, found count, type count, message string"
        )
    );
    assert_eq!((error["offset"].as_u64(), error["found"].as_u64()), (Some(104), Some(255)));
    assert_eq!(error["expected"], "at most 36");
}

/// All that a packet of `nfnetlink_queue` can tell, and all that a verdict can say.
#[test]
fn json_has_what_messages_of_nfqueue_say() {
    let fields = |message: &[u8]| {
        let run = decode(message, &["--json", "--format", "raw"]).was_silent();
        run.events("message")[0]["fields"].to_string()
    };
    let [packet, verdict] = full_nfqueue_messages();
    assert_eq!(
        fields(&packet),
        r#"{"queue":3,"id":9,"family":2,"hook":"PRE_ROUTING","mark":7,"timestamp":"1795429884.000042","indev":2,"#
            .to_owned()
            + r#""outdev":1,"hw_protocol":"0x0800","hw_addr":"02:00:00:00:00:09","packet_len":9000,"uid":1000,"#
            + r#""gid":100,"data_len":33}"#
    );
    assert_eq!(
        fields(&verdict),
        r#"{"queue":3,"id":9,"verdict":"accept","mark":7,"replacement_len":4}"#
    );
}
