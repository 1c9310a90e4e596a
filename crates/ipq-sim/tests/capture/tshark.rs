//! The same captures, read by tshark: as many packets, at the same times, of the same family.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

use ipq_proto::Family;
use ipq_sim::capture::{Entry, Reader};

use super::build::{File, NANOSECONDS, TSOFFSET, TSRESOL, ipv4, ipv6};
use super::traffic;

/// What tshark says of each packet: number, time, IPv4's version field, IPv6's; `None` if it is not
/// installed.
fn tshark(file: &Path) -> Option<Vec<[String; 4]>> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file);
    // The first of a kind: packets quote others.
    command.args(["-T", "fields", "-E", "separator=,", "-E", "occurrence=f"]);
    command.args(["-e", "frame.number", "-e", "frame.time_epoch"]);
    command.args(["-e", "ip.version", "-e", "ipv6.version"]);
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        output => output.expect("tshark can be run"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("tshark prints UTF-8");
    let fields = |line: &str| {
        let fields: Vec<_> = line.split(',').map(str::to_owned).collect();
        fields.try_into().expect("four fields")
    };
    Some(text.lines().map(fields).collect())
}

/// Compares one file; `false` if tshark is not installed, of which `test` then tells.
fn agrees(test: &str, file: &Path) -> bool {
    let Some(expected) = tshark(file) else {
        // Not `eprintln!`: the harness would swallow it.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: {test}: tshark is not installed").expect("stderr is there");
        return false;
    };
    let entries = Reader::open(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(entries.len(), expected.len(), "{}", file.display());
    for (entry, [number, time, ipv4, ipv6]) in entries.iter().zip(&expected) {
        let context = format!("{} {number}", file.display());
        assert_eq!(entry.number().to_string(), *number, "{context}");
        match entry {
            Entry::Packet(packet) => {
                assert_eq!(packet.timestamp.to_string(), *time, "{context}");
                let (found, version) =
                    if packet.family == Family::Ipv4 { (ipv4, "4") } else { (ipv6, "6") };
                assert_eq!(found, version, "{context}");
            }
            Entry::NotIp { .. } => {
                assert_eq!((ipv4.as_str(), ipv6.as_str()), ("", ""), "{context}");
            }
            // tshark goes on where a kernel would not.
            _ => {}
        }
    }
    true
}

#[test]
fn tshark_agrees_on_real_traffic() {
    for (name, _) in traffic::FILES {
        if !agrees("tshark_agrees_on_real_traffic", &traffic::path(name)) {
            return;
        }
    }
}

#[test]
fn tshark_agrees_on_files_built_by_hand() {
    let offset: [u8; 8] = 1_000_000_000_i64.to_be_bytes();
    let pcapng = File::pcapng(true)
        .interface(101, 0, &[(TSRESOL, &[0x80 | 0x14]), (TSOFFSET, &offset)])
        .interface(228, 0, &[(TSRESOL, &[9])])
        .enhanced(0, (5 << 20) + (1 << 19), &ipv4(20), 20)
        .enhanced(1, 1_700_000_000_123_456_789, &ipv4(30), 30)
        .obsolete(0, 1 << 20, &ipv6(4), 44)
        .other_section()
        .interface(229, 0, &[])
        .enhanced(0, 1_700_000_000_123_456, &ipv6(8), 48);
    let pcap = File::pcap(true, NANOSECONDS, 276).record(
        (1_700_000_000, 123_456_789),
        &[&[8; 2], [0; 18].as_slice()].concat(),
        20,
    );
    for (name, file) in [("by_hand.pcapng", pcapng), ("by_hand.pcap", pcap)] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, file.bytes).unwrap();
        if !agrees("tshark_agrees_on_files_built_by_hand", &path) {
            return;
        }
    }
}
