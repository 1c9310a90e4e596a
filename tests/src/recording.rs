//! The recordings of a running `ip_queue` in `tests/vectors`, as values.
//!
//! A [`Recording`] is a file: [`packets`] or [`probe`]. It is a list of [`Conversation`]s, one a `###` heading, and
//! each of them a list of [`Item`]s in the order in which they happened: what was sent and received, what the
//! network did, and the counters. Numbers are kept as they were printed, in plain integers and not in the types
//! of `ipq-proto`, so that the two can be compared.
//!
//! The parser is strict about the lines it knows by their first word (`SEND`, `RECV`, `TX`, `RX`, `PROC`, `REC`):
//! one that does not read as expected is a [`RecordingError`], with file and line. A line that it does not know is
//! an [`Event::Other`].
//!
//! ```
//! use ipq_tests::recording::{self, Event};
//!
//! let probe = recording::probe()?;
//! let sends = probe.items().filter(|item| matches!(item.event, Event::Send(_)));
//! assert_eq!(sends.count(), 221);
//! # Ok::<(), recording::RecordingError>(())
//! ```

mod event;
mod fields;
mod parse;

use core::fmt;

use ipq_proto::Family;

pub use event::{
    Counters, Event, Link, Meaning, Packet, PrintedHeader, Received, Recorder, Sent, Verdict,
};

/// Packet messages at every hook, over several devices, in both families.
///
/// # Errors
///
/// If the file does not read as a recording.
pub fn packets() -> Result<Recording, RecordingError> {
    let text = include_str!("../vectors/ip_queue-3.4-packets.txt");
    Recording::parse("tests/vectors/ip_queue-3.4-packets.txt", text)
}

/// A conversation for every rule of the kernel, IPv4 first, then IPv6.
///
/// # Errors
///
/// If the file does not read as a recording.
pub fn probe() -> Result<Recording, RecordingError> {
    let text = include_str!("../vectors/ip_queue-3.4-probe.txt");
    Recording::parse("tests/vectors/ip_queue-3.4-probe.txt", text)
}

/// A file of recorded conversations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recording {
    /// Where it lies, from the root of the workspace.
    pub file: &'static str,
    /// The conversations, in order.
    pub conversations: Vec<Conversation>,
}

/// What is under a `###` heading.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conversation {
    /// The `##` heading above it.
    pub section: String,
    /// The `###` heading.
    pub heading: String,
    /// Which of the two queues it is with.
    pub family: Family,
    /// What happened, in order.
    pub items: Vec<Item>,
}

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// What it is.
    pub event: Event,
}

/// A line that does not read as a recording does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordingError {
    /// The file.
    pub file: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.problem)
    }
}

impl core::error::Error for RecordingError {}

impl Recording {
    /// Reads `text`; `file` is only for errors.
    ///
    /// # Errors
    ///
    /// For the first line that cannot be read.
    pub fn parse(file: &'static str, text: &str) -> Result<Self, RecordingError> {
        let mut parser = Parser::default();
        for (index, line) in text.lines().enumerate() {
            parser.line(index + 1, line).map_err(|problem| RecordingError {
                file,
                line: index + 1,
                problem,
            })?;
        }
        Ok(Self { file, conversations: parser.conversations })
    }

    /// Everything in it, in order, without regard to conversations.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.conversations.iter().flat_map(|conversation| &conversation.items)
    }
}

/// The state between two lines.
#[derive(Default)]
struct Parser {
    section: String,
    conversations: Vec<Conversation>,
    /// Whether the last item is still taking lines: bytes, or the fields of a packet.
    open: bool,
    /// Counters that are printed one a line.
    counters: Vec<(String, u64)>,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let text = line.trim();
        if text.is_empty() {
            return Ok(());
        }
        if let Some(heading) = text.strip_prefix("### ") {
            let family = self.family();
            self.conversations.push(Conversation {
                section: self.section.clone(),
                heading: heading.to_owned(),
                family,
                items: Vec::new(),
            });
            self.open = false;
            return Ok(());
        }
        if let Some(section) = text.strip_prefix("## ") {
            section.clone_into(&mut self.section);
            return Ok(());
        }
        let Some(conversation) = self.conversations.last_mut() else {
            // The first line names the kernel.
            return Ok(());
        };
        if self.open
            && let Some(item) = conversation.items.last_mut()
            && item.event.continues(line)?
        {
            return Ok(());
        }
        if let Some((label, value)) = Counters::line(text) {
            self.counters.push((label.to_owned(), value));
            if Counters::is_last(label) {
                let counters = Counters::new(&core::mem::take(&mut self.counters))?;
                let event = Event::Counters { counters, after_exit: false };
                conversation.items.push(Item { line: number, event });
            }
            return Ok(());
        }
        let event = Event::parse(text)?;
        if let Event::Recorder(recorder) = &event {
            conversation.family = recorder.family;
        }
        self.open = matches!(event, Event::Send(_) | Event::Receive(_));
        conversation.items.push(Item { line: number, event });
        Ok(())
    }

    /// The family that the section names, else the one of the conversation before.
    fn family(&self) -> Family {
        let section = self.section.to_ascii_lowercase();
        match self.conversations.last() {
            _ if section.contains("v6") => Family::Ipv6,
            _ if section.contains("v4") => Family::Ipv4,
            Some(before) => before.family,
            None => Family::Ipv4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Recording::parse("some.txt", text).expect_err("it is broken").to_string()
    }

    #[test]
    fn names_file_and_line_of_what_it_cannot_read() {
        let head = "kernel\n## IPv4\n### a heading\n";
        let check = |line: &str, expected: &str| {
            assert_eq!(refusal(&format!("{head}{line}")), expected);
        };
        check("RECV some", r#"some.txt:4: "some" is no number: invalid digit found in string"#);
        check("SEND nothing", "some.txt:4: no length");
        check("SEND x, 1 bytes -> 1\n00 00", "some.txt:5: 2 bytes of a datagram of 1");
        check("TX tcp 'x' -> 1", "some.txt:4: an unknown kind of TX");
        check("RX: delivered 1 bytes 'x", "some.txt:4: no closing apostrophe");
        check("PROC: [Peer PID: 1]", "some.txt:4: 1 counters and not seven");
        check("REC v5 set_mode(1,0)", r#"some.txt:4: no family: "v5""#);
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        let recording = Recording::parse("some.txt", "kernel\n### a heading\n  4\n10 ip6_queue\n")
            .expect("it is well-formed");
        let events: Vec<_> = recording.items().map(|item| (item.line, &item.event)).collect();
        let other = |text: &str| Event::Other(text.to_owned());
        assert_eq!(events, [(3, &other("4")), (4, &other("10 ip6_queue"))]);
    }

    #[test]
    fn gives_every_conversation_its_family() {
        let families = |recording: Recording| {
            let both = recording.conversations.iter().map(|conversation| conversation.family);
            Family::ALL.map(|family| both.clone().filter(|&each| each == family).count())
        };
        assert_eq!(families(packets().expect("the packets")), [9, 4]);
        assert_eq!(families(probe().expect("the probe")), [27, 20]);
    }
}
