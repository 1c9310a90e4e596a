//! Captures that are missing, no captures, or damaged: what is said, and that what was done is summed up.

use std::path::Path;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::common::{Capture, Run, ipq_cli, packets_of, traffic, udp4};

/// What is said of a file that is no capture.
#[track_caller]
fn refused(file: &Path) -> String {
    let run = Run::passer(file, &["--json"]).ended(1);
    assert_eq!(run.stdout, "");
    let stderr = run.stderr.strip_suffix('\n').expect("it is one line");
    assert!(!stderr.contains('\n'), "{stderr}");
    stderr.replace(&file.display().to_string(), "F")
}

#[test]
fn names_what_is_no_capture() {
    assert_snapshot!(refused(Path::new("/nonexistent.pcap")), @"ipq-cli: reading F: No such file or directory (os error 2)");
    assert_snapshot!(refused(&traffic("")), @"ipq-cli: reading F: offset 0: Is a directory (os error 21)");
    assert_snapshot!(refused(&traffic("README.md")), @"ipq-cli: reading F: offset 0: it starts with 23 20 43 61, which is no pcap or pcapng file");
    assert_snapshot!(refused(&Capture::of_bytes(&[]).path), @"ipq-cli: reading F: offset 0: the file is empty: not even the header of a capture is there");
    assert_snapshot!(refused(&Capture::of_bytes(&[0xd4, 0xc3]).path), @"ipq-cli: reading F: offset 0: 2 of 4 bytes are there: the file was cut short");
    let half_a_header = &std::fs::read(traffic("ssh.pcap")).unwrap()[..12];
    assert_snapshot!(refused(&Capture::of_bytes(half_a_header).path), @"ipq-cli: reading F: offset 0: 12 of 24 bytes are there: the file was cut short");
}

#[test]
fn a_file_that_is_no_capture_is_not_written_to() {
    let file = Capture::of_bytes(b"no capture");
    let written = file.beside("written.pcap");
    file.passer(&["--write", written.to_str().unwrap()]).ended(1);
    assert!(!written.exists());
}

/// A pcap file cut at a byte: where its records start, and the cut.
#[track_caller]
fn check_cut(file: &[u8], starts: &[usize], len: usize) {
    let capture = Capture::of_bytes(&file[..len]);
    let run = capture.passer(&["--json"]);
    let whole = starts.iter().filter(|start| **start <= len).count();
    if whole == 0 {
        let run = run.ended(1);
        assert_eq!(run.stdout, "", "{len}");
        run.says(&[&format!("ipq-cli: reading {}: ", capture.path.display())]);
        return;
    }
    let packets = whole - 1;
    let summary = format!("packets {packets}, accepted {packets}, skipped 0, malformed 0");
    if starts.contains(&len) {
        run.was_silent().sums_up(&summary);
        return;
    }
    let number = packets + 1;
    let path = capture.path.display();
    let offset = starts[packets];
    let found = len - offset;
    run.ended(1).sums_up(&summary).says(&[
        &format!("ipq-cli: reading {path}: packet {number} at offset {offset}: {found} of "),
        " bytes are there: the file was cut short\n",
    ]);
}

#[test]
fn a_file_cut_short_is_read_as_far_as_it_goes() {
    let path = traffic("LINKTYPE_IPV4.pcap");
    let file = std::fs::read(path).unwrap();
    for len in 0..=file.len() {
        check_cut(&file, &[24, file.len()], len);
    }
    let path = traffic("ssh.pcap");
    let file = std::fs::read(&path).unwrap();
    let lens = packets_of(&path).into_iter().map(|packet| 16 + 14 + packet.data.len());
    let mut starts = vec![24];
    for len in lens.take(6) {
        starts.push(starts.last().unwrap() + len);
    }
    for start in starts.clone() {
        for len in [start - 1, start, start + 1, start + 15, start + 16, start + 17] {
            check_cut(&file, &starts, len);
        }
    }
}

#[test]
fn a_pcapng_file_cut_short_is_read_as_far_as_it_goes() {
    let path = traffic("dhcp-option-108.pcapng");
    let file = std::fs::read(&path).unwrap();
    let mut n_clean = 0;
    for len in (0..=file.len()).step_by(13) {
        let capture = Capture::of_bytes(&file[..len]);
        let run = capture.passer(&["--json"]);
        if run.stderr.is_empty() {
            n_clean += 1;
            let run = run.was_silent();
            let packets = run.events("packet").len();
            run.sums_up(&format!("packets {packets}, accepted {packets}, errors 0"));
            continue;
        }
        let run = run.ended(1).says(&[&format!("reading {}: ", capture.path.display())]);
        if !run.stdout.is_empty() {
            let packets = run.events("packet").len();
            run.says(&[&format!("packet {} at offset ", packets + 1)])
                .sums_up(&format!("packets {packets}, accepted {packets}"));
        }
    }
    assert!(n_clean < 5, "{n_clean}");
}

#[test]
fn text_has_summary_and_reason_of_a_file_cut_short() {
    let file = std::fs::read(traffic("ssh.pcap")).unwrap();
    let capture = Capture::of_bytes(&file[..file.len() - 1]);
    let run = capture.passer(&["--quiet"]).ended(1);
    assert_snapshot!(run.seen(&capture.path), @"
    ---
    53 packets, 11140 bytes in 0.565 s: 53 accepted, 0 dropped
    ipq-cli: reading F: packet 54 at offset 12754: 93 of 94 bytes are there: the file was cut short
    ");
}

#[test]
fn a_length_that_lies_is_named() {
    let capture = Capture::of_packets(&[udp4(&[]), udp4(&[])]);
    let mut file = std::fs::read(&capture.path).unwrap();
    let second = 24 + 16 + udp4(&[]).len();
    file[second + 8..second + 12].fill(0xee);
    let capture = Capture::of_bytes(&file);
    let run = capture.passer(&["--quiet"]).ended(1);
    assert_snapshot!(run.seen(&capture.path), @"
    ---
    1 packet, 28 bytes in 0.000 s: 1 accepted, 0 dropped
    ipq-cli: reading F: packet 2 at offset 68: record claims 4008636142 bytes, more than 16777216: the file is damaged
    ");
}

#[test]
fn a_capture_may_come_through_a_pipe() {
    let mut command = ipq_cli();
    command.args(["passer", "--transport", "sim:/dev/stdin", "--json", "--quiet"]);
    command.stdin(Stdio::from(std::fs::File::open(traffic("ssh.pcap")).unwrap()));
    Run::of(&mut command).was_silent().sums_up("packets 54, accepted 54");
}
