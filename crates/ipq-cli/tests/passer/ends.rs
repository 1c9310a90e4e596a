//! Ends that come from outside: readers that have seen enough, full disks, signals.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

use crate::common::{Run, passer, traffic};

/// Arguments of a run that has no end of its own.
const ENDLESS: [&str; 4] = ["--verdict", "repeat", "--count", "18446744073709551615"];

/// Starts it and waits for its first line.
#[track_caller]
fn start(command: &mut Command) -> (Child, BufReader<ChildStdout>, String) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("it prints UTF-8");
    assert!(line.ends_with('\n'), "{line:?}");
    (child, stdout, line)
}

/// Sends a signal as soon as the first line has come, and gives all the program did.
#[track_caller]
fn interrupt(command: &mut Command, signal: Signal) -> Run {
    let (child, mut stdout, mut text) = start(command);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    stdout.read_to_string(&mut text).expect("it prints UTF-8");
    let mut output = child.wait_with_output().expect("it ends");
    output.stdout = text.into_bytes();
    Run::from(output)
}

#[test]
fn a_signal_ends_a_run_with_a_summary() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let run = interrupt(&mut passer(&traffic("ssh.pcap"), &ENDLESS), signal).ended(0);
        let packets = run.stdout.lines().count();
        assert!(run.stdout.ends_with(" -> repeat\n"));
        let bytes = packets * 64;
        let expected = format!(
            "{packets} packets, {bytes} bytes in 0.000 s: 0 accepted, 0 dropped, {packets} given another verdict\n"
        );
        assert_eq!(run.stderr, expected);
    }
}

#[test]
fn a_signal_ends_json_with_a_summary() {
    let mut command = passer(&traffic("ssh.pcap"), &ENDLESS);
    let run = interrupt(command.arg("--json"), Signal::SIGINT).was_silent();
    let packets = run.events("packet").len();
    run.sums_up(&format!("packets {packets}, other {packets}, accepted 0, dropped 0"));
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_run_quietly() {
    for args in [&[][..], &["--json"]] {
        let mut command = passer(&traffic("ssh.pcap"), &ENDLESS);
        let (child, stdout, _) = start(command.args(args));
        drop(stdout);
        Run::from(child.wait_with_output().expect("it ends")).was_silent();
    }
}

#[test]
fn a_reader_that_never_was_ends_a_run_quietly() {
    for args in [&["--json"][..], &[], &["--json", "--quiet"]] {
        for name in ["ssh.pcap", "LINKTYPE_IPV4.pcap", "empty.pcapng"] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let output = passer(&traffic(name), args).stdout(writer).output().unwrap();
            let run = Run::from(output).ended(0);
            assert!(!run.stderr.contains("error"), "{run:?}");
        }
    }
}

#[test]
fn messages_that_nobody_reads_do_not_matter() {
    for (capture, status) in [("ssh.pcap", 0), ("LINKTYPE_IPV4_invalid.pcap", 0), ("none", 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = passer::<&str>(&traffic(capture), &[])
            .stdout(Stdio::null())
            .stderr(writer)
            .status()
            .unwrap();
        assert_eq!(ended.code(), Some(status), "{capture}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let args = ["--copy", "meta", "--range", "1"];
    let ended = passer(&traffic("ssh.pcap"), &args).stderr(writer).status().unwrap();
    assert_eq!(ended.code(), Some(2));
}

#[test]
fn a_message_is_written_in_one_piece() {
    for (capture, args) in [
        ("ssh.pcap", &["--quiet"][..]),
        ("none", &[]),
        ("ssh.pcap", &["--copy", "meta", "--range", "1"]),
    ] {
        // A pipe that keeps apart what was written apart.
        let (reader, writer) = pipe2(OFlag::O_DIRECT).unwrap();
        passer(&traffic(capture), args).stdout(Stdio::null()).stderr(writer).status().unwrap();
        let mut reader = File::from(reader);
        let mut piece = [0; 4096];
        let mut pieces = 0;
        loop {
            let len = reader.read(&mut piece).unwrap();
            if len == 0 {
                break;
            }
            pieces += 1;
            let text = str::from_utf8(&piece[..len]).unwrap();
            assert!(text.ends_with('\n'), "{text:?}");
        }
        assert!(pieces > 0);
    }
}

#[test]
fn output_that_cannot_be_written_is_told() {
    for args in [&[][..], &["--json"]] {
        for name in ["afs.pcap", "LINKTYPE_IPV4.pcap"] {
            let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            let output = passer(&traffic(name), args).stdout(full).output().unwrap();
            let expected = "ipq-cli: writing the output: No space left on device";
            Run::from(output).ended(1).says(&[expected]);
        }
    }
}
