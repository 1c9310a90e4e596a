//! A queue whose packets are handed out, and a kernel that says anything.

use core::time::Duration;

use arbitrary::Arbitrary;
use ipq_proto::Verdict;
use ipq_sys::fuzzing::{Bytes, Said, in_words, structure};

use super::kernel::{Announced, Kernel};
use super::session::Choice;
use crate::{DefaultVerdict, QueuedPacket, SharedQueue, Unsettled};

/// A conversation.
#[derive(Arbitrary, Debug)]
struct Input {
    protocol: u8,
    model: u8,
    is_honest: bool,
    accepts: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Announce(Announced),
    Say(Said),
    /// The next attempt to send fails, or does not.
    Send(Option<u8>),
    Next,
    TryNext,
    Settle(u8, Choice),
    Mark(u8, Choice, u32),
    Replace(u8, Choice, Bytes),
    Rewrite(u8, Bytes),
    LetGo(u8),
    Decide(Choice),
    Close,
}

/// Plays the conversation that `data` says.
///
/// # Panics
///
/// If a packet of an honest kernel gets a verdict that nobody gave it, if one is left without when the queue is closed, or
/// if the count of packets that are held is wrong.
pub fn shared_session(data: &[u8]) {
    let Some(input) = structure::<Input>(data) else { return };
    let Some(mut play) = Play::open(&input) else { return };
    for step in &input.steps {
        play.step(step);
    }
    play.end();
}

/// The conversation in words.
pub fn shared_session_in_words(data: &[u8]) -> Option<Vec<String>> {
    let Input { protocol, model, is_honest, accepts, steps } = structure(data)?;
    let kernel = Kernel::new(protocol, model, is_honest).in_words();
    Some(in_words(format!("{kernel}, accepts: {accepts}"), &steps))
}

struct Play {
    kernel: Kernel,
    queue: SharedQueue,
    default: Verdict,
    /// Whether a packet may have been lost on the way to the session, or a verdict on the way to the kernel.
    has_losses: bool,
    held: Vec<QueuedPacket>,
    given: Vec<Verdict>,
}

impl Play {
    fn open(input: &Input) -> Option<Self> {
        let kernel = Kernel::new(input.protocol, input.model, input.is_honest);
        let queue = kernel.open().ok()?;
        let default = if input.accepts { DefaultVerdict::Accept } else { DefaultVerdict::Drop };
        Some(Self {
            kernel,
            queue: SharedQueue::new(queue, default).ok()?,
            default: default.into(),
            has_losses: false,
            held: Vec::new(),
            given: Vec::new(),
        })
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Announce(packet) => {
                self.has_losses |= packet.is_cut();
                self.kernel.announce(packet);
            }
            Step::Say(said) => {
                // What is not ready, though something waits behind it, ends the last look at what is there.
                self.has_losses |= matches!(said, Said::TimedOut);
                self.kernel.say(said);
            }
            Step::Send(errno) => {
                self.has_losses |= errno.is_some();
                self.kernel.take_next(*errno);
            }
            Step::Next => {
                let next = self.queue.next(Some(Duration::from_millis(5)));
                self.held.extend(next.ok().flatten());
            }
            Step::TryNext => self.held.extend(self.queue.try_next().ok().flatten()),
            Step::Settle(which, choice) => {
                self.with_packet(*which, *choice, QueuedPacket::settle);
            }
            Step::Mark(which, choice, mark) => {
                let settle = |packet: QueuedPacket, verdict| packet.settle_marked(verdict, *mark);
                self.with_packet(*which, *choice, settle);
            }
            Step::Replace(which, choice, bytes) => {
                let settle = |packet: QueuedPacket, verdict| packet.replace(verdict, bytes);
                self.with_packet(*which, *choice, settle);
            }
            Step::Rewrite(which, bytes) => {
                let settle = |packet: QueuedPacket, _| {
                    packet.rewrite(|rewrite| rewrite.payload_mut().clone_from(&bytes.0))
                };
                self.with_packet(*which, Choice::Accept, settle);
            }
            Step::LetGo(which) => {
                let which = usize::from(*which);
                if which < self.held.len() {
                    drop(self.held.swap_remove(which));
                }
            }
            Step::Decide(choice) => {
                self.given.push((*choice).into());
                // Its errors are those of the socket, which the next call meets again.
                let _ = self.queue.decide(|_| (*choice).into());
            }
            Step::Close => {
                let _ = self.queue.close();
            }
        }
        let is_closed = self.queue.with_queue(|_| ()).is_err();
        // A kernel that announces an id again takes the packet from whoever had it before.
        assert!(is_closed || !self.kernel.is_honest || self.queue.held() == self.held.len());
    }

    /// Has a held packet settled; one that cannot be is held on.
    fn with_packet(
        &mut self,
        which: u8,
        choice: Choice,
        settle: impl FnOnce(QueuedPacket, Verdict) -> Result<(), Unsettled>,
    ) {
        let which = usize::from(which);
        if which >= self.held.len() {
            return;
        }
        let verdict = choice.into();
        let packet = self.held.swap_remove(which);
        core::hint::black_box(format!("{:?} {packet:?}", packet.packet()));
        self.given.push(verdict);
        if let Err(unsettled) = settle(packet, verdict) {
            core::hint::black_box(unsettled.to_string());
            self.held.push(unsettled.into_packet());
        }
    }

    fn end(mut self) {
        let is_closed = self.queue.with_queue(|_| ()).is_err();
        let closed = self.queue.close();
        self.kernel.hear();
        if !self.kernel.is_honest {
            return;
        }
        self.given.extend([self.default, Verdict::Drop]);
        for (id, verdict) in &self.kernel.fates {
            assert!(self.given.contains(verdict), "nobody gave {id} the verdict {verdict}");
        }
        // Later packets find no session.
        if closed.is_ok() && !is_closed && !self.has_losses {
            assert_eq!(self.kernel.count_waiting(), 0, "packets are left without a verdict");
        }
    }
}
