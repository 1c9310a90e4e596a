//! What a run writes for Wireshark.

use std::collections::BTreeMap;

use super::examples::example;
use super::{run, written};
use crate::common::{packets_of, tshark};

#[test]
fn the_traffic_can_be_read_again_with_what_became_of_it() {
    let folder = written("");
    let file = folder.folder.path().join("t.pcapng");
    run(&example("port-filter"), &["--traffic", file.to_str().unwrap()]).was_silent();
    assert_eq!(packets_of(&file).len(), 15);

    let test = "seeing::the_traffic_can_be_read_again_with_what_became_of_it";
    let fields = ["frame.interface_name", "udp.dstport", "frame.comment"];
    let Some(packets) = tshark(test, &file, &fields) else { return };
    let mut by_fate: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for packet in &packets {
        let [device, port, comment @ ..] = packet.as_slice() else { panic!("{packet:?}") };
        let comment = comment.join(",");
        assert!(comment.starts_with("packet "), "{comment}");
        assert!(comment.contains("; waits in ip_queue at FORWARD, id 0x"), "{comment}");
        let (before, fate) = comment.rsplit_once("; ").unwrap();
        let verdict = before.rsplit_once("; verdict ").unwrap().1;
        assert_eq!(verdict, if *port == "53" { "drop" } else { "accept" });
        let port = if port.starts_with("49") { "back" } else { port };
        let kind = [device, port, fate].map(str::to_owned);
        *by_fate.entry(kind.into()).or_default() += 1;
    }
    let expected = [
        (["eth0", "123", "delivered"], 5),
        (["eth0", "53", "dropped: by a verdict"], 5),
        (["eth1", "back", "delivered"], 5),
    ];
    let expected = expected.map(|(kind, count)| (kind.map(str::to_owned).into(), count));
    assert_eq!(by_fate, BTreeMap::from(expected));
}

#[test]
fn the_conversation_is_a_capture_of_netlink() {
    let folder = written("");
    let file = folder.folder.path().join("n.pcap");
    run(&example("lossy-transfer"), &["--netlink", file.to_str().unwrap()]).was_silent();
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes[20..24], 253_u32.to_le_bytes());

    let test = "seeing::the_conversation_is_a_capture_of_netlink";
    let fields = [
        "netlink.hdr_len",
        "netlink-netfilter.queue.packet.id",
        "netlink-netfilter.queue.packet.hook",
    ];
    let Some(packets) = tshark(test, &file, &fields) else { return };
    let announced = packets.iter().filter(|packet| !packet[1].is_empty());
    let announced: Vec<_> = announced.collect();
    assert!(announced.len() > 7000, "{} of {}", announced.len(), packets.len());
    for (packet, id) in announced.iter().zip(1..) {
        let number: u32 = packet[1].parse().unwrap();
        assert_eq!(number, id, "ids count from 1");
        assert_eq!(packet[2], "2", "at FORWARD");
    }
}

#[test]
fn files_that_cannot_be_written_are_told() {
    let scenario = written("");
    let nowhere = scenario.folder.path().join("no/such/folder");
    for option in ["--netlink", "--traffic"] {
        let run = run(&scenario.path, &[option, nowhere.to_str().unwrap()]).ended(1);
        run.says(&["ipq-cli: creating ", "no/such/folder: No such file"]);
    }
}
