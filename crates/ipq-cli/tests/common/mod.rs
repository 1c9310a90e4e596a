//! What the tests of the program share: running it, looking at what it said, captures.

mod namespace;
mod packets;
mod started;

pub(crate) use namespace::*;
pub(crate) use packets::*;
pub(crate) use started::*;

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ipq_sim::capture::{CapturedPacket, Entry, Precision, Reader, Timestamp, Writer};
use serde_json::Value;
use tempfile::TempDir;

/// A file of the folder of real traffic.
pub(crate) fn traffic(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/traffic")).join(name)
}

/// The program, in an environment that says nothing about transports.
pub(crate) fn ipq_cli() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipq-cli"));
    command.stdin(Stdio::null()).env_remove("IPQ_TRANSPORT");
    // Which change how help is printed.
    command.env_remove("COLUMNS").env_remove("CLICOLOR_FORCE");
    command
}

/// `ipq-cli passer` on a capture.
pub(crate) fn passer<A: AsRef<OsStr>>(capture: &Path, args: &[A]) -> Command {
    let mut command = ipq_cli();
    command.arg("passer").arg("--transport").arg(sim(capture)).args(args);
    command
}

/// The transport of a capture.
pub(crate) fn sim(capture: &Path) -> String {
    format!("sim:{}", capture.display())
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Run {
    status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("the program can be run"))
    }

    /// Runs it on a capture.
    #[track_caller]
    pub(crate) fn passer(capture: &Path, args: &[&str]) -> Self {
        Self::of(&mut passer(capture, args))
    }

    /// Checks that it ended with this exit status, and without a panic.
    #[track_caller]
    pub(crate) fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    /// Checks that it did what was asked and had nothing to say but its output.
    #[track_caller]
    pub(crate) fn was_silent(self) -> Self {
        let run = self.ended(0);
        assert_eq!(run.stderr, "", "{run:#?}");
        run
    }

    /// Checks that its messages say all of this.
    #[track_caller]
    pub(crate) fn says(self, fragments: &[&str]) -> Self {
        for fragment in fragments {
            assert!(self.stderr.contains(fragment), "no {fragment:?} in {:?}", self.stderr);
        }
        self
    }

    /// The objects on its standard output, one a line.
    #[track_caller]
    pub(crate) fn objects(&self) -> Vec<Value> {
        assert!(self.stdout.is_empty() || self.stdout.ends_with('\n'), "{self:#?}");
        let object = |line| serde_json::from_str(line).expect("each line is JSON");
        self.stdout.lines().map(object).collect()
    }

    /// The objects that are events of this kind.
    #[track_caller]
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["event"] == kind).collect()
    }

    /// The summary, which is the last object and the only one of its kind.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        assert_eq!(self.events("summary").len(), 1, "{self:#?}");
        let last = self.objects().pop().expect("there is a summary");
        assert_eq!(last["event"], "summary", "{self:#?}");
        last
    }

    /// Checks numbers of the summary, written `packets 4, lost 0`.
    #[track_caller]
    pub(crate) fn sums_up(self, expected: &str) -> Self {
        let summary = self.summary();
        for pair in expected.split(", ") {
            let (key, number) = pair.split_once(' ').expect("a key and a number");
            assert_eq!(summary[key].to_string(), number, "{key} in {summary}");
        }
        self
    }

    /// All that a person at a terminal sees, with `F` for the path of the capture.
    pub(crate) fn seen(&self, capture: &Path) -> String {
        let all = format!("{}---\n{}", self.stdout, self.stderr);
        all.replace(&capture.display().to_string(), "F")
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self {
            status: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A capture that exists as long as the test.
#[derive(Debug)]
pub(crate) struct Capture {
    folder: TempDir,
    pub(crate) path: PathBuf,
}

impl Capture {
    /// A file with these bytes.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let folder = TempDir::new().expect("there is a folder for temporary files");
        let path = folder.path().join("capture.pcap");
        std::fs::write(&path, bytes).expect("it can be written");
        Self { folder, path }
    }

    /// A file of raw IP packets, each with the milliseconds after 12:00:00 at which it was captured.
    pub(crate) fn of<P: AsRef<[u8]>>(packets: &[(u64, P)]) -> Self {
        let mut writer = Writer::new(Vec::new(), Precision::Nanoseconds).unwrap();
        for (milliseconds, packet) in packets {
            writer.write(noon(*milliseconds), packet.as_ref()).unwrap();
        }
        Self::of_bytes(&writer.finish().unwrap())
    }

    /// A file of raw IP packets, a second apart.
    pub(crate) fn of_packets<P: AsRef<[u8]>>(packets: &[P]) -> Self {
        let timed: Vec<_> = (0..).step_by(1000).zip(packets).collect();
        Self::of(&timed)
    }

    /// A path for another file beside it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `passer` on it.
    #[track_caller]
    pub(crate) fn passer(&self, args: &[&str]) -> Run {
        Run::passer(&self.path, args)
    }
}

/// A pcap file of raw IP, as bytes: each packet with the seconds and microseconds at which it was captured.
pub(crate) fn pcap(packets: &[((u32, u32), &[u8])]) -> Vec<u8> {
    let header = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, 101];
    let mut file: Vec<u8> = header.into_iter().flat_map(u32::to_be_bytes).collect();
    for ((seconds, microseconds), packet) in packets {
        let len = u32::try_from(packet.len()).unwrap();
        file.extend([*seconds, *microseconds, len, len].into_iter().flat_map(u32::to_be_bytes));
        file.extend(*packet);
    }
    file
}

/// So many milliseconds after noon of some day.
pub(crate) fn noon(milliseconds: u64) -> Timestamp {
    let noon = Timestamp::new(1_700_049_600, 0).unwrap();
    noon.saturating_add(core::time::Duration::from_millis(milliseconds))
}

/// The packets of a capture.
#[track_caller]
pub(crate) fn packets_of(path: &Path) -> Vec<CapturedPacket> {
    let entries = Reader::open(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let packet = |entry| match entry {
        Entry::Packet(packet) => Some(packet),
        _ => None,
    };
    entries.unwrap_or_else(|error| panic!("{error}")).into_iter().filter_map(packet).collect()
}

/// What tshark says of each frame of a file: these fields, the first of a kind, since packets quote others. `None`
/// if it is not installed, of which `test` then tells.
#[track_caller]
pub(crate) fn tshark(test: &str, file: &Path, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file);
    command.args(["-T", "fields", "-E", "separator=,", "-E", "occurrence=f"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skipped(test, "tshark is not installed");
            return None;
        }
        output => output.expect("tshark can be run"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("tshark prints UTF-8");
    Some(table.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect())
}

/// The keys of an object in order, each with the type of its value.
pub(crate) fn shape(object: &Value) -> String {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_u64() => "count",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let pairs = object.as_object().expect("each line is an object").iter();
    pairs.map(|(key, value)| format!("{key} {}", kind(value))).collect::<Vec<_>>().join(", ")
}

/// Says that a test was not run.
pub(crate) fn skipped(test: &str, reason: &str) {
    // Not `eprintln!`: the harness would swallow it. And in one piece: other tests write there too.
    let line = format!("skipped: {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr is there");
}
