//! `--write`: what left the queue alive.

use std::path::Path;

use ipq_sim::capture::{CapturedPacket, Timestamp};

use super::captures::FILES;
use crate::common::{Capture, Run, fragment6, packets_of, pcap, traffic, tshark, udp4, udp6};

/// The times and the bytes.
fn times_and_bytes(packets: &[CapturedPacket]) -> Vec<(Timestamp, &[u8])> {
    packets.iter().map(|packet| (packet.timestamp, packet.data.as_slice())).collect()
}

/// Checks that what is written of a capture is what is in it, or the first `count` packets of that.
#[track_caller]
fn writes(capture: &Path, args: &[&str], count: usize) {
    let there = Capture::of_bytes(&[]);
    let written = there.beside("written.pcap");
    let args = [args, &["--json", "--quiet", "--write", written.to_str().unwrap()]].concat();
    Run::passer(capture, &args).was_silent();
    let (before, after) = (packets_of(capture), packets_of(&written));
    let expected = &before[..count.min(before.len())];
    assert_eq!(times_and_bytes(&after), times_and_bytes(expected), "{}", capture.display());
}

#[test]
fn the_living_are_written_bit_for_bit_with_their_times() {
    for (name, _) in FILES {
        // No pcap file can have a time after 2106.
        if name != "time_2107.pcapng" {
            writes(&traffic(name), &[], usize::MAX);
            writes(&traffic(name), &["--verdict", "stop"], usize::MAX);
        }
    }
}

#[test]
fn times_are_written_to_the_nanosecond() {
    let file = Capture::of_packets(&[udp4(&[])]);
    let mut bytes = std::fs::read(&file.path).unwrap();
    // The fraction of the first record, in a file of nanoseconds.
    bytes[28..32].copy_from_slice(&123_456_789_u32.to_le_bytes());
    std::fs::write(&file.path, bytes).unwrap();
    assert_eq!(packets_of(&file.path)[0].timestamp.nanoseconds(), 123_456_789);
    writes(&file.path, &[], 1);
}

#[test]
fn the_dead_are_not_written() {
    writes(&traffic("ssh.pcap"), &["--verdict", "drop"], 0);
    writes(&traffic("ssh.pcap"), &["--verdict", "repeat", "--count", "3"], 0);
    writes(&traffic("ssh.pcap"), &["--verdict", "queue", "--count", "3"], 0);
}

#[test]
fn no_more_than_the_count_is_written() {
    writes(&traffic("ssh.pcap"), &["--count", "5"], 5);
    writes(&traffic("ssh.pcap"), &["--count", "1", "--verdict", "stop"], 1);
}

#[test]
fn packets_are_written_whole_though_less_of_them_was_wanted() {
    writes(&traffic("ssh.pcap"), &["--copy", "meta"], usize::MAX);
    writes(&traffic("ssh.pcap"), &["--range", "1"], usize::MAX);
    writes(&traffic("bigtcp-ipv6.pcap"), &["--copy", "meta"], usize::MAX);
}

#[test]
fn packets_of_the_other_family_are_not_written() {
    let file = Capture::of_packets(&[udp4(&[]), udp6(&[]), udp4(&[1]), fragment6(0, true, &[1])]);
    for (family, expected) in [("ipv4", [0, 2]), ("ipv6", [1, 3])] {
        let written = file.beside(family);
        let args = ["--family", family, "--write", written.to_str().unwrap()];
        file.passer(&args).ended(0);
        let (before, after) = (packets_of(&file.path), packets_of(&written));
        let expected = expected.map(|index| before[index].clone());
        assert_eq!(times_and_bytes(&after), times_and_bytes(&expected), "{family}");
    }
}

#[test]
fn tshark_reads_what_was_written() {
    let test = "tshark_reads_what_was_written";
    let there = Capture::of_bytes(&[]);
    for name in ["ssh.pcap", "dhcpv6-ia-na.pcap", "nflog.pcap", "mptcp-v1.pcap"] {
        let written = there.beside(name);
        Run::passer(&traffic(name), &["--write", written.to_str().unwrap()]).ended(0);
        let fields = [
            "frame.time_epoch",
            "ip.src",
            "ip.id",
            "ip.checksum",
            "ipv6.src",
            "tcp.seq_raw",
            "tcp.checksum",
            "udp.checksum",
            "udp.length",
        ];
        let Some(before) = tshark(test, &traffic(name), &fields) else { return };
        assert!(before.len() > 3, "{name}");
        assert_eq!(tshark(test, &written, &fields), Some(before), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let file = traffic("ssh.pcap");
    for path in ["/nonexistent/folder/alive.pcap", "/", "/proc/version/alive.pcap"] {
        let run = Run::passer(&file, &["--write", path]).ended(1);
        assert_eq!(run.stdout, "");
        run.says(&[&format!("ipq-cli: writing {path}: ")]);
    }
}

#[test]
fn a_full_disk_is_told_and_the_run_summed_up() {
    // Small enough to fail when the file is finished, and large enough to fail before.
    for (name, place) in [("dns-badcookie.pcap", "No space"), ("afs.pcap", "packet ")] {
        let args = ["--json", "--write", "/dev/full"];
        let run = Run::passer(&traffic(name), &args).ended(1);
        let run =
            run.says(&[&format!("ipq-cli: writing /dev/full: {place}"), "No space left on device"]);
        let summary = run.summary();
        assert_eq!(summary["packets"].as_u64(), Some(run.events("packet").len() as u64));
    }
}

#[test]
fn a_time_that_no_pcap_file_can_have_is_told_and_the_run_summed_up() {
    let written = Capture::of_bytes(&[]);
    let args = ["--json", "--write", written.path.to_str().unwrap()];
    Run::passer(&traffic("time_2107.pcapng"), &args)
        .ended(1)
        .says(&["packet 1: time 4323283200.000000000 is out of the range of a pcap file"])
        .sums_up("packets 1, accepted 1");
}

#[test]
fn the_capture_itself_is_not_overwritten() {
    let packet = udp4(&[]);
    let file = Capture::of_bytes(&pcap(&[((1, 0), &packet), ((2, 0), &packet)]));
    let before = std::fs::read(&file.path).unwrap();
    let link = file.beside("link.pcap");
    std::os::unix::fs::symlink(&file.path, &link).unwrap();
    for path in [&file.path, &link] {
        let run = file.passer(&["--write", path.to_str().unwrap()]).ended(2);
        run.says(&["--write", "the capture that is read"]);
        assert_eq!(std::fs::read(&file.path).unwrap(), before);
    }
    file.passer(&["--write", file.beside("other.pcap").to_str().unwrap()]).ended(0);
    file.passer(&["--write", "/dev/null"]).ended(0);
}
