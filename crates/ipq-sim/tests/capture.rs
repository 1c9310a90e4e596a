//! `ipq_sim::capture`, from outside: real traffic, formats by hand, damage, round trips.

#[path = "capture/build.rs"]
mod build;
#[path = "capture/damage.rs"]
mod damage;
#[path = "capture/formats.rs"]
mod formats;
#[path = "capture/round_trip.rs"]
mod round_trip;
#[path = "capture/traffic.rs"]
mod traffic;
#[path = "capture/tshark.rs"]
mod tshark;

use ipq_sim::capture::{CaptureError, Entry, Reader};

/// All entries of a capture, and the error it ends with.
fn read(file: &[u8]) -> (Vec<Entry>, Option<CaptureError>) {
    let reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut entries = Vec::new();
    let mut error = None;
    for item in reader {
        assert!(error.is_none(), "something came after an error: {item:?}");
        match item {
            Ok(entry) => entries.push(entry),
            Err(failure) => error = Some(failure),
        }
    }
    (entries, error)
}

/// All entries of a capture that is whole.
#[track_caller]
fn read_all(file: &[u8]) -> Vec<Entry> {
    let (entries, error) = read(file);
    assert!(error.is_none(), "{}", error.map(|error| error.to_string()).unwrap_or_default());
    entries
}

/// What an entry is, in a few words.
fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Packet(packet) => {
            let cut = packet.cut.map(|len| format!(" of {len}")).unwrap_or_default();
            let len = packet.data.len();
            format!("{} {} {} {len}{cut}", packet.number, packet.timestamp, packet.family)
        }
        Entry::NotIp { number } => format!("{number} no IP"),
        Entry::Malformed { number, reason } => format!("{number} {reason}"),
        _ => "unknown".to_owned(),
    }
}

#[track_caller]
fn check(file: &[u8], expected: &[&str]) {
    let entries: Vec<_> = read_all(file).iter().map(describe).collect();
    assert_eq!(entries, expected);
}

/// Checks that the capture ends with an error that says `expected`.
#[track_caller]
fn check_error(file: &[u8], expected: &str) {
    let (_, error) = read(file);
    assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(expected));
}
