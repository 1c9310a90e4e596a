//! A session and a kernel that says anything.

use core::time::Duration;

use arbitrary::Arbitrary;
use ipq_proto::{CopyMode, Verdict};
use ipq_sys::Batch;
use ipq_sys::fuzzing::{Bytes, Said, in_words, structure};

use super::kernel::{Announced, Kernel};
use super::tally::Tally;
use crate::{DefaultVerdict, PacketId, Queue, QueueName};

/// A conversation.
#[derive(Arbitrary, Debug)]
struct Input {
    protocol: u8,
    model: u8,
    is_honest: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Announce(Announced),
    Say(Said),
    /// The next attempt to send fails, or does not.
    Send(Option<u8>),
    Mode(u8, u16),
    Read(u16),
    TryRead(u16),
    ReadBatch(u8, u16),
    Verdict(u8, Choice),
    Replace(u8, Choice, Bytes),
    Mark(u8, Choice, u32),
    Verdicts(Vec<(u8, Choice)>),
    /// A verdict for a packet that was never seen.
    Guess(u16, u32, Choice),
    Run(Choice),
    SettleRest(bool),
    Stop,
}

/// A verdict.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Choice {
    Accept,
    Drop,
    Repeat,
    Other(u32),
}

impl From<Choice> for Verdict {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Accept => Self::Accept,
            Choice::Drop => Self::Drop,
            Choice::Repeat => Self::Repeat,
            Choice::Other(number) => Self(number),
        }
    }
}

/// Plays the conversation that `data` says.
///
/// # Panics
///
/// If the session's counters are not what happened, if it sends what no kernel reads, or, with a kernel that is one, if a
/// packet gets a verdict that nobody gave it, or does not get the one that was taken for it.
pub fn session(data: &[u8]) {
    let Some(input) = structure::<Input>(data) else { return };
    let Some(mut play) = Play::open(&input) else { return };
    for step in &input.steps {
        play.step(step);
        play.kernel.hear();
        play.tally.check(&play.queue);
    }
    if play.kernel.is_honest {
        play.check_fates();
    }
}

/// The conversation in words.
pub fn session_in_words(data: &[u8]) -> Option<Vec<String>> {
    let Input { protocol, model, is_honest, steps } = structure(data)?;
    Some(in_words(Kernel::new(protocol, model, is_honest).in_words(), &steps))
}

struct Play {
    kernel: Kernel,
    queue: Queue,
    tally: Tally,
    /// The verdicts that were asked for, whatever came of it.
    asked: Vec<(PacketId, Verdict)>,
}

impl Play {
    fn open(input: &Input) -> Option<Self> {
        let kernel = Kernel::new(input.protocol, input.model, input.is_honest);
        let queue = kernel.open().ok()?;
        let (tally, asked) = (Tally::default(), Vec::new());
        Some(Self { kernel, queue, tally, asked })
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Announce(packet) => self.kernel.announce(packet),
            Step::Say(said) => self.kernel.say(said),
            Step::Send(errno) => self.kernel.take_next(*errno),
            Step::Mode(mode, range) => self.set_mode(*mode, *range),
            Step::Read(len) => {
                let mut buffer = vec![0; usize::from(*len)];
                let event = self.queue.read(&mut buffer, Some(Duration::from_millis(5)));
                if let Some(event) = event.transpose() {
                    self.tally.event(&event);
                }
            }
            Step::TryRead(len) => {
                let mut buffer = vec![0; usize::from(*len)];
                if let Some(event) = self.queue.try_read(&mut buffer).transpose() {
                    self.tally.event(&event);
                }
            }
            Step::ReadBatch(slots, len) => {
                let mut batch = Batch::new(usize::from(*slots) % 16 + 1, usize::from(*len) + 1);
                let (tally, timeout) = (&mut self.tally, Some(Duration::from_millis(5)));
                // A socket that fails is known by what comes next.
                let _ = self.queue.read_batch(&mut batch, timeout, |event| tally.event(&event));
            }
            Step::Run(choice) => self.run((*choice).into()),
            Step::SettleRest(accepts) => self.settle_rest(*accepts),
            Step::Stop => self.queue.stopper().expect("a descriptor is left").stop(),
            verdict => self.decide(verdict),
        }
    }

    fn set_mode(&mut self, mode: u8, range: u16) {
        let mode = match mode % 3 {
            0 => CopyMode::None,
            1 => CopyMode::Metadata,
            _ => CopyMode::Packet { range: range.into() },
        };
        let _ = self.queue.set_mode(mode);
        assert!(self.queue.buffer_len() < 1 << 20);
    }

    /// The packet that was read as this one, if any was.
    fn packet(&self, which: u8) -> Option<PacketId> {
        let read = &self.tally.read;
        // The last ones are the ones that wait.
        read.iter().rev().nth(usize::from(which) % read.len().max(1)).copied()
    }

    fn decide(&mut self, step: &Step) {
        let (id, choice) = match *step {
            Step::Verdict(which, choice)
            | Step::Replace(which, choice, _)
            | Step::Mark(which, choice, _) => (self.packet(which), choice),
            Step::Guess(queue, number, choice) => {
                let name = self.queue.queues().nth(usize::from(queue) % 4);
                let id = match name {
                    Some(QueueName::IpQueue(family)) => {
                        PacketId::in_ip_queue(family, number.into())
                    }
                    _ => PacketId::in_nfqueue(queue, number),
                };
                (Some(id), choice)
            }
            Step::Verdicts(ref many) => return self.decide_many(many),
            _ => return,
        };
        let Some(id) = id else { return };
        let verdict = choice.into();
        self.asked.push((id, verdict));
        let taken = match step {
            Step::Replace(_, _, bytes) => self.queue.verdict_with(id, verdict, bytes),
            Step::Mark(_, _, mark) => self.queue.verdict_marked(id, verdict, *mark),
            _ => self.queue.verdict(id, verdict),
        };
        if taken.is_ok() {
            self.took(id, verdict);
        }
    }

    fn decide_many(&mut self, many: &[(u8, Choice)]) {
        let decisions: Vec<(PacketId, Verdict)> = many
            .iter()
            .filter_map(|&(which, choice)| Some((self.packet(which)?, choice.into())))
            .collect();
        self.asked.extend(&decisions);
        if self.queue.verdicts(&decisions).is_ok() {
            for (id, verdict) in decisions {
                self.took(id, verdict);
            }
        }
    }

    /// A verdict was sent, and so the kernel has it.
    fn took(&mut self, id: PacketId, verdict: Verdict) {
        self.tally.verdict(verdict);
        self.kernel.hear();
        assert!(!self.kernel.is_honest || !self.kernel.is_waiting(id), "{id} has no verdict");
    }

    /// Has the session itself read and decide, until there is nothing more or it is stopped.
    fn run(&mut self, verdict: Verdict) {
        let Self { queue, asked, tally, .. } = self;
        // Its errors are those of the socket, which the next call meets again.
        let _ = queue.run(|packet| {
            tally.read.push(packet.id());
            asked.push((packet.id(), verdict));
            verdict
        });
        tally.adopt(queue.statistics());
    }

    fn settle_rest(&mut self, accepts: bool) {
        let default = if accepts { DefaultVerdict::Accept } else { DefaultVerdict::Drop };
        let before = self.kernel.fates.len();
        let _ = self.queue.settle_rest(default);
        self.kernel.hear();
        let settled = self.kernel.fates[before..].iter();
        self.asked.extend(settled.filter(|(_, verdict)| *verdict == default.into()));
        self.tally.adopt(self.queue.statistics());
    }

    /// Each fate is one that was asked for; but what is of no family, the session drops by itself.
    fn check_fates(&self) {
        let mut unclaimed = self.queue.statistics().unclaimed;
        for fate in self.kernel.fates.iter().filter(|fate| !self.asked.contains(fate)) {
            assert!(unclaimed > 0 && fate.1 == Verdict::Drop, "nobody asked for {fate:?}");
            unclaimed -= 1;
        }
    }
}
