//! Files of every kind, from a path or the standard input.

use ipq_proto::DataModel;

use super::messages::{RECORDED, decode, hex, ip_queue_messages, nfqueue_messages};
use crate::common::{Capture, Run, ipq_cli, traffic};

/// A pcap file of netlink: each datagram with its netlink protocol.
fn nlmon(datagrams: &[(u16, &[u8])]) -> Vec<u8> {
    let header = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, 253];
    let mut file: Vec<u8> = header.into_iter().flat_map(u32::to_be_bytes).collect();
    for (protocol, bytes) in datagrams {
        let len = u32::try_from(bytes.len() + 16).unwrap();
        file.extend([1, 0, len, len].into_iter().flat_map(u32::to_be_bytes));
        // Outgoing, netlink, and ten bytes of an address that there is none of.
        file.extend([0, 4, 0x03, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend(protocol.to_be_bytes());
        file.extend(*bytes);
    }
    file
}

#[test]
fn a_capture_of_netlink_says_whose_messages_they_are() {
    let [_, packet, ..] = ip_queue_messages(DataModel::Lp64Little);
    let [bind, queued] = nfqueue_messages(false);
    let file = nlmon(&[(3, &packet), (12, &bind), (13, &packet), (12, &queued)]);
    let run = decode(&file, &["--json"]).was_silent();
    let protocols: Vec<_> =
        run.events("message").iter().map(|one| one["protocol"].to_string()).collect();
    assert_eq!(protocols.join(" "), r#""ip_queue" "nfqueue" "ip_queue" "nfqueue""#);
    assert_eq!(run.events("message")[3]["place"], "packet 4");
    run.sums_up("datagrams 4, messages 4, errors 0");

    let file = Capture::of_bytes(&file);
    let run = Run::of(ipq_cli().arg("decode").arg(&file.path)).ended(0);
    assert!(
        run.stdout.starts_with("datagram 1 (packet 1): 145 bytes, ip_queue LP64 little-endian")
    );
}

#[test]
fn a_capture_of_something_else_is_refused() {
    let run = Run::of(ipq_cli().arg("decode").arg(traffic("ssh.pcap"))).ended(1);
    run.says(&["ssh.pcap: its packets are Ethernet (1), not netlink (253)", "nlmon"]);
}

#[test]
fn a_record_that_is_cut_is_told_and_the_rest_read() {
    let [_, packet, ..] = ip_queue_messages(DataModel::Lp64Little);
    let mut file = nlmon(&[(3, &packet), (3, &packet)]);
    file.truncate(file.len() - 1);
    let run = decode(&file, &[]).ended(1);
    assert!(run.stdout.contains("datagram 1 (packet 1)"));
    run.says(&["reading -: packet 2 at offset", "the file was cut short", "messages: 1"]);
}

#[test]
fn hex_and_bytes_are_told_apart() {
    let [_, packet, ..] = ip_queue_messages(DataModel::Lp64Little);
    for input in [hex(&packet).into_bytes(), packet.clone()] {
        decode(&input, &["--json"]).was_silent().sums_up("datagrams 1, messages 1, errors 0");
    }
    let two = format!("{RECORDED}\n\n# again\n{RECORDED}\n");
    let run = decode(two.as_bytes(), &["--json"]).was_silent();
    assert_eq!(run.events("message")[1]["place"], "line 13");
    run.sums_up("datagrams 2, messages 2, errors 0");
}

#[test]
fn what_cannot_be_read_is_told_in_one_line() {
    let [_, packet, ..] = ip_queue_messages(DataModel::Lp64Little);
    decode(b"", &[]).ended(1).says(&["ipq-cli: reading -: there is not a single byte"]);
    decode(b"94 00 0g", &["--format", "hex"])
        .ended(1)
        .says(&["line 1, column 7: \"0g\" is no hexadecimal byte"]);
    decode(&packet, &["--format", "hex"]).ended(1).says(&["is no text", "--format raw"]);
    decode(&packet, &["--format", "pcap"]).ended(1).says(&["it starts with 91 00 00 00"]);
    let run = Run::of(ipq_cli().args(["decode", "/nonexistent"])).ended(1);
    run.says(&["ipq-cli: reading /nonexistent: No such file"]);
}
