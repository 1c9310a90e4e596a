//! The recorded conversations, replayed against what stands in for the recorded kernel, an [`Arm`]: [`run`], and the
//! [`Report`] of it.
//!
//! What a recorded program sent is sent here, what happened to the machine happens here, and then everything that the
//! recording has is compared: every byte of every message from the kernel, their order, the silence where nothing
//! came, every counter in `/proc`, and every datagram that the network delivered or did not. A difference is
//! collected, and the conversation goes on.
//!
//! # What is not compared
//!
//! These are rules. Each of them holds in every conversation and on every arm, and there is no list of exceptions.
//!
//! - *Packet ids* are addresses of kernel memory. One of the recording stands for one of the simulated kernel, in
//!   messages, requests and replies alike, and no two packets that wait may have the same.
//! - *Bytes behind a message's end*, up to a multiple of 4, are whatever was in the memory. A packet message ends
//!   with its payload, a reply with the length in its header.
//! - *Waiting times* are the recorded program's patience. Nothing comes later in a kernel that has nothing left to do.
//!
//! # What is given
//!
//! What the recording machine chose and the queue did not is taken from the recording, as input:
//!
//! - the port ids of programs, also one that the kernel chose for a second socket;
//! - how many messages a receive buffer has room for: its size is made from what a message costs on the arm;
//! - the wall clock, which stands at the recorded arrival time;
//! - the rules, which queue at the hooks that there are messages from;
//! - the packet that enters: the device and the mark, and the payload with its ports, IP id and checksums, are those of
//!   the first message about it. What was not copied or not printed of the payload is what the heading says: an address
//!   to go to, a repeated letter. From there on the packet is the simulated kernel's.

mod act;
mod arm;
mod bridged;
mod ids;
mod probe;
mod recorder;
mod simulated;
mod traffic;
mod wanted;
mod world;

use core::fmt;

pub use arm::Arm;

use crate::namespace::Skipped;
use crate::recording::{self, Conversation, Event, Item, Recording, RecordingError};

/// The words and byte order of the recorded kernel.
const MODEL: ipq_proto::DataModel = ipq_proto::DataModel::Lp64Little;

/// The same, as a type.
type Model = ipq_proto::Lp64<zerocopy::LittleEndian>;

/// Replays both recordings.
///
/// # Errors
///
/// If one of the files does not read as a recording.
///
/// The inner error says why the arm cannot be had here.
pub fn run(arm: Arm) -> Result<Result<Report, Skipped>, RecordingError> {
    Ok(replay_on(arm, &[recording::probe()?, recording::packets()?]))
}

/// Replays recordings against `ip_queue` of the simulated kernel.
pub fn replay(recordings: &[Recording]) -> Report {
    replay_on(Arm::Simulated, recordings).unwrap_or_default()
}

/// Replays recordings, each on a machine of its own.
///
/// # Errors
///
/// If the arm cannot be had here.
pub fn replay_on(arm: Arm, recordings: &[Recording]) -> Result<Report, Skipped> {
    let mut report = Report::default();
    for recording in recordings {
        let mut world = arm.world()?;
        for conversation in &recording.conversations {
            if let Some(reason) = arm.leaves_out(conversation) {
                report.left_out.push((name(conversation), reason));
                continue;
            }
            let mut log = Log::new(recording.file, conversation);
            match conversation.items.first() {
                Some(Item { event: Event::Recorder(recorder), .. }) => {
                    recorder::replay(conversation, recorder, arm, &mut log);
                }
                _ => probe::replay(conversation, &mut *world, &mut log),
            }
            report.conversations.push(log.report);
        }
    }
    Ok(report)
}

/// What a conversation is called in a report.
fn name(conversation: &Conversation) -> String {
    format!("{} {}", conversation.family, conversation.heading)
}

/// What came of a replay. It prints a line for each conversation, with the differences below it, and a total.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// The conversations, in the order of the recordings.
    pub conversations: Vec<ConversationReport>,
    /// Conversations that cannot be replayed there, and why.
    pub left_out: Vec<(String, &'static str)>,
}

/// What came of one conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConversationReport {
    /// Its family and heading.
    pub name: String,
    /// How many of its events were replayed or compared.
    pub exchanges: usize,
    /// Where the simulated kernel is another one.
    pub differences: Vec<Difference>,
}

/// Something that is not as it was recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The recording.
    pub file: &'static str,
    /// The line in it, from 1.
    pub line: usize,
    /// What the recording says.
    pub wanted: String,
    /// What the simulated kernel did.
    pub found: String,
}

impl Report {
    /// How many events were replayed or compared.
    pub fn exchanges(&self) -> usize {
        self.conversations.iter().map(|conversation| conversation.exchanges).sum()
    }

    /// All differences.
    pub fn differences(&self) -> impl Iterator<Item = &Difference> {
        self.conversations.iter().flat_map(|conversation| &conversation.differences)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for conversation in &self.conversations {
            writeln!(f, "{conversation}")?;
        }
        for (name, reason) in &self.left_out {
            writeln!(f, "{name}: left out: {reason}")?;
        }
        let conversations = self.conversations.len();
        let (exchanges, differences) = (self.exchanges(), self.differences().count());
        write!(f, "{conversations} conversations, {exchanges} exchanges, {differences} differences")
    }
}

impl fmt::Display for ConversationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, exchanges, differences } = self;
        write!(f, "{name}: {exchanges} exchanges, {} differences", differences.len())?;
        differences.iter().try_for_each(|difference| write!(f, "\n  {difference}"))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, wanted, found } = self;
        write!(f, "{file}:{line}: wanted {wanted}; found {found}")
    }
}

/// The report of a conversation while it is replayed.
struct Log {
    file: &'static str,
    /// The line of the event that is being replayed.
    line: usize,
    report: ConversationReport,
}

impl Log {
    fn new(file: &'static str, conversation: &Conversation) -> Self {
        let name = name(conversation);
        let report = ConversationReport { name, exchanges: 0, differences: Vec::new() };
        Self { file, line: 0, report }
    }

    /// Goes on to the next event.
    fn begin(&mut self, item: &Item) {
        self.line = item.line;
        self.report.exchanges += 1;
    }

    /// Notes a difference, unless both are the same.
    fn compare<T: PartialEq + fmt::Debug>(&mut self, wanted: &T, found: &T) {
        if wanted != found {
            self.differs(format!("{wanted:?}"), format!("{found:?}"));
        }
    }

    /// Notes a difference.
    fn differs(&mut self, wanted: impl Into<String>, found: impl Into<String>) {
        let (wanted, found) = (wanted.into(), found.into());
        let Self { file, line, .. } = *self;
        self.report.differences.push(Difference { file, line, wanted, found });
    }
}
