//! `--json`: the objects, their keys and their types.

use serde_json::Value;

use super::captures::FILES;
use crate::common::{Capture, Run, pcap, shape, traffic, tshark, udp4};

#[test]
fn packets_have_the_documented_keys_and_types() {
    let mut n_packets = 0;
    for (name, _) in FILES {
        let run = Run::passer(&traffic(name), &["--json"]).was_silent();
        for packet in run.events("packet") {
            assert_eq!(
                shape(&packet),
                "event string, id string, queue string, family string, hook string, indev string, outdev string, mark count, \
                 hw_protocol string, hw_type count, hw_addr string, timestamp number, data_len count, \
                 verdict string, summary string",
                "{name}"
            );
            check_packet(&packet);
            n_packets += 1;
        }
    }
    assert_eq!(n_packets, FILES.iter().map(|(_, [packets, ..])| packets).sum::<u64>());
}

#[track_caller]
fn check_packet(packet: &Value) {
    let text = |key: &str| packet[key].as_str().expect("a string");
    let id = text("id").strip_prefix("0x").expect("ids are hexadecimal");
    assert_eq!(u64::from_str_radix(id, 16).map(|id| format!("{id:x}")).as_deref(), Ok(id));
    let protocol = match text("family") {
        "ipv4" => "0x0800",
        "ipv6" => "0x86dd",
        family => panic!("{family}"),
    };
    assert_eq!(text("hw_protocol"), protocol);
    assert_eq!((text("hook"), text("indev"), text("outdev")), ("PRE_ROUTING", "eth0", ""));
    assert_eq!((text("verdict"), packet["mark"].as_u64()), ("accept", Some(0)));
    assert!(text("summary").starts_with("IP"), "{packet}");
}

#[test]
fn the_summary_and_malformed_frames_have_the_documented_keys_and_types() {
    for (name, _) in FILES {
        let run = Run::passer(&traffic(name), &["--json"]).was_silent();
        assert_eq!(
            shape(&run.summary()),
            "event string, packets count, bytes count, accepted count, dropped count, other count, errors count, \
             lost count, skipped count, malformed count, unclaimed count, seconds number",
            "{name}"
        );
        for malformed in run.events("malformed") {
            assert_eq!(shape(&malformed), "event string, file string, packet count, reason string");
            assert_eq!(malformed["file"], traffic(name).display().to_string());
            assert_eq!(malformed["packet"], 1);
            let reason = malformed["reason"].as_str().unwrap();
            assert!(reason.starts_with("link type says IPv"), "{reason}");
        }
    }
}

#[test]
fn every_verdict_is_counted_once() {
    for (verdict, key) in [
        ("accept", "accepted"),
        ("drop", "dropped"),
        ("stop", "other"),
        ("repeat", "other"),
        ("queue", "other"),
    ] {
        let args = ["--json", "--verdict", verdict, "--count", "9"];
        let run = Run::passer(&traffic("ssh.pcap"), &args).was_silent();
        let summary = run.summary();
        for counter in ["accepted", "dropped", "other"] {
            let expected = if counter == key { 9 } else { 0 };
            assert_eq!(summary[counter], expected, "{verdict} {summary}");
        }
        assert_eq!(summary["packets"], 9, "{verdict}");
        let packets = run.events("packet");
        assert_eq!(packets.len(), 9, "{verdict}");
        assert!(packets.iter().all(|packet| packet["verdict"] == verdict), "{verdict}");
    }
}

#[test]
fn quiet_leaves_the_summary_and_what_is_wrong() {
    let run = Run::passer(&traffic("ssh.pcap"), &["--json", "--quiet"]).was_silent();
    assert_eq!(run.objects().len(), 1);
    run.sums_up("packets 54, bytes 11204, accepted 54");

    let file = traffic("LINKTYPE_IPV4_invalid.pcap");
    let run = Run::passer(&file, &["--json", "--quiet"]).was_silent();
    assert_eq!(run.events("malformed").len(), 1);
    run.sums_up("packets 0, skipped 1, malformed 1");
}

#[test]
fn a_message_longer_than_any_buffer_is_an_error_that_is_survived() {
    // The length field of IPv4 is 0 in packets above 64 KiB.
    let mut giant = udp4(&[]);
    giant[2..4].fill(0);
    giant.resize(600_000, 0);
    let (before, after) = (udp4(&[1; 10]), udp4(&[2; 20]));
    let file = pcap(&[((1, 0), &before), ((1, 0), &giant), ((2, 0), &after)]);
    let run = Capture::of_bytes(&file).passer(&["--json"]).was_silent();
    let errors = run.events("error");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(shape(&errors[0]), "event string, id string, queue string, message string");
    insta::assert_snapshot!(errors[0]["message"].as_str().unwrap(), @"a message of 600112 bytes was cut");
    assert_eq!(errors[0]["id"], run.events("packet")[1]["id"]);
    assert_eq!(errors[0]["queue"], "ip_queue");
    run.sums_up("packets 3, accepted 3, errors 1, lost 0");
}

#[test]
fn a_packet_without_a_time_has_null() {
    let file = pcap(&[((0, 0), &udp4(&[]))]);
    let run = Capture::of_bytes(&file).passer(&["--json"]).was_silent();
    assert_eq!(run.events("packet")[0]["timestamp"], Value::Null);
}

#[test]
fn times_are_exact_to_the_microsecond() {
    let times = [(0, 1), (1, 0), (1_700_000_000, 999_999), (1_700_000_000, 15_625), (u32::MAX, 1)];
    let packet = udp4(&[]);
    let file = pcap(&times.map(|time| (time, packet.as_slice())));
    let run = Capture::of_bytes(&file).passer(&["--json"]).was_silent();
    let printed: Vec<_> =
        run.events("packet").iter().map(|packet| packet["timestamp"].to_string()).collect();
    let expected = ["1e-6", "1.0", "1700000000.999999", "1700000000.015625", "4294967295.000001"];
    assert_eq!(printed, expected);
}

#[test]
fn tshark_sees_the_same_times_and_senders() {
    const FIELDS: [&str; 6] =
        ["frame.time_epoch", "ip.version", "ipv6.version", "eth.src", "sll.src.eth", "sll.hatype"];
    for (name, _) in FILES {
        let test = "tshark_sees_the_same_times_and_senders";
        let Some(mut frames) = tshark(test, &traffic(name), &FIELDS) else { return };
        frames.retain(|frame| frame[1..3] != ["", ""]);
        let packets = Run::passer(&traffic(name), &["--json"]).was_silent().events("packet");
        if name.ends_with("_invalid.pcap") {
            assert_eq!(packets.len(), 0);
            continue;
        }
        assert_eq!(packets.len(), frames.len(), "{name}");
        for (packet, frame) in packets.iter().zip(&frames) {
            let [time, ipv4, _, ethernet, cooked, hw_type] = frame.as_slice() else {
                panic!("{frame:?}")
            };
            // It has nanoseconds.
            let microseconds = &time[..time.len() - 3];
            let timestamp = packet["timestamp"].as_f64().unwrap();
            assert_eq!(format!("{timestamp:.6}"), microseconds, "{name} {packet}");
            assert_eq!(packet["family"], if ipv4 == "4" { "ipv4" } else { "ipv6" }, "{name}");
            let sender = if ethernet.is_empty() { cooked } else { ethernet };
            assert_eq!(packet["hw_addr"], sender.as_str(), "{name}");
            let hw_type = match (ethernet.as_str(), hw_type.as_str()) {
                ("", "") => "0",
                ("", cooked) => cooked,
                _ => "1",
            };
            assert_eq!(packet["hw_type"].to_string(), hw_type, "{name} {packet}");
        }
    }
}
