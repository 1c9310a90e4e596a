//! What really happened between a kernel and a program, and whether a session has counted that: [`Truth`].

use std::collections::{BTreeMap, BTreeSet};

use ipq::{Snapshot, Statistics, Verdict};
use ipq_proto::DataModel;
use ipq_sim::fault::{Direction, Fault, Faults, Traffic};
use ipq_sim::{Fate, Kernel, Reason, TraceEvent};
use ipq_sys::Protocol;

use super::Case;
use super::ways::Given;

/// What had been counted before anything went wrong.
#[derive(Debug)]
pub(super) struct Before {
    /// Of each socket, messages to the program and to the kernel.
    messages: Vec<[u64; 2]>,
}

impl Before {
    pub(super) fn new(faults: &[Faults]) -> Self {
        let counts = faults.iter().map(Faults::counts);
        let messages =
            counts.map(|counts| [counts.to_program.messages, counts.to_kernel.messages]).collect();
        Self { messages }
    }
}

/// What a session was handed, and what became of what it sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    packets: u64,
    truncated: u64,
    refused: u64,
    /// Refusals of verdicts for packets that are not there.
    not_found: u64,
    /// Copies of messages that were damaged on their way to the program.
    damaged: u64,
    overruns: u64,
    foreign: u64,
    /// Ids that were handed over, in that order.
    ids: Vec<u32>,
    /// Messages that the kernel had no room for.
    unsent: u64,
    /// Requests since the faults began, and copies of them.
    requests: u64,
    copies: u64,
    refused_requests: u64,
    lost_requests: u64,
    reached: u64,
    /// What the kernel did with them.
    carried_out: u64,
    answered_errors: u64,
    kernel_dropped: u64,
    /// Packets among those that the kernel had no room to announce.
    kernel_lost: u64,
    /// The last verdict that each packet got.
    pub(super) verdicts: BTreeMap<u64, Verdict>,
    /// Whether the session read to the end.
    pub(super) ended: bool,
    is: Shape,
}

/// What of a case decides which equations hold.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
struct Shape {
    is_nfqueue: bool,
    sends_one_by_one: bool,
    /// Messages to the program come in order, each once, and their ids can be read.
    has_order: bool,
    /// Requests reach the kernel as they were written.
    reaches_whole: bool,
    /// An answer that came is known to be read: nothing was cut.
    reads_answers: bool,
}

/// Bytes of a netlink header, and of an answer without what it repeats of the request.
const HEADER_LEN: usize = 16;
const ANSWER_LEN: usize = 36;

/// A message of the kernel.
#[derive(Clone, Copy)]
enum Kind {
    Packet(u32),
    Acknowledgement,
    Error(i32),
}

fn kind(model: DataModel, bytes: &[u8]) -> Kind {
    let u16_at = |at: usize| {
        let bytes = bytes[at..at + 2].try_into().unwrap();
        if model.is_big_endian() { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    };
    let i32_at = |at: usize| {
        let bytes = bytes[at..at + 4].try_into().unwrap();
        if model.is_big_endian() { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) }
    };
    match u16_at(4) {
        2 if i32_at(16) == 0 => Kind::Acknowledgement,
        2 => Kind::Error(-i32_at(16)),
        // The header of a packet is the first attribute that nfnetlink_queue writes.
        0x300 => Kind::Packet(u32::from_be_bytes(bytes[24..28].try_into().unwrap())),
        _ => Kind::Packet(0),
    }
}

impl Truth {
    pub(super) fn of(
        case: &Case,
        kernel: &Kernel,
        protocols: &[Protocol],
        faults: &[Faults],
        before: &Before,
        given: Given,
    ) -> Self {
        let mut truth = Self { is: Shape::of(case), ended: given.ended, ..Self::default() };
        let conversation = kernel.take_conversation();
        for ((protocol, faults), before) in protocols.iter().zip(faults).zip(&before.messages) {
            let said = conversation.iter().filter(|datagram| datagram.protocol == *protocol);
            let (requests, messages): (Vec<_>, Vec<_>) =
                said.partition(|datagram| datagram.is_request);
            let messages: Vec<_> = messages.iter().map(|datagram| &datagram.bytes[..]).collect();
            let log = faults.take_log();
            truth.read(case.model, &messages, faults.counts().to_program.messages, before[0], &log);
            let Traffic { messages: sent, duplicated, passed, lost, refused, kept, .. } =
                faults.counts().to_kernel;
            truth.requests += sent - before[1];
            truth.copies += duplicated;
            // The one that a socket died of is lost, and its sender is told.
            let is_end = |fault| matches!(fault, Fault::Die { .. });
            let deaths =
                log.iter().filter(|it| it.direction == Direction::ToKernel && is_end(it.fault));
            let deaths = deaths.count() as u64;
            truth.refused_requests += refused + deaths;
            truth.lost_requests += lost + kept - deaths;
            truth.reached += passed - before[1];
            assert_eq!(passed, requests.len() as u64, "what reached the kernel");
            let errors =
                messages.iter().filter(|bytes| matches!(kind(case.model, bytes), Kind::Error(_)));
            truth.answered_errors += errors.count() as u64;
        }
        for entry in kernel.take_trace() {
            match entry.event {
                TraceEvent::Verdict { packet, verdict, .. } => {
                    truth.carried_out += 1;
                    truth.verdicts.insert(packet, verdict);
                }
                TraceEvent::Message { fits: false, .. } => truth.unsent += 1,
                _ => (),
            }
        }
        let status = kernel.status();
        let ip_queues = status.ip_queues.iter().map(|it| (it.queue_dropped, it.netlink_dropped));
        let nfqueues = status.nfqueues.iter().map(|it| (it.queue_dropped, it.user_dropped));
        for (by_queue, by_buffer) in ip_queues.chain(nfqueues) {
            truth.kernel_lost += u64::from(by_buffer);
            truth.kernel_dropped += u64::from(by_queue) + u64::from(by_buffer);
        }
        truth
    }

    /// What the faults made of the messages to the program that have been received.
    fn read(
        &mut self,
        model: DataModel,
        messages: &[&[u8]],
        received: u64,
        before: u64,
        log: &[ipq_sim::fault::Record],
    ) {
        let mut met: BTreeMap<u64, Vec<Fault>> = BTreeMap::new();
        for record in log.iter().filter(|record| record.direction == Direction::ToProgram) {
            met.entry(record.number).or_default().push(record.fault);
        }
        for (number, bytes) in (1..=received).zip(messages) {
            if number <= before {
                continue;
            }
            let faults = met.remove(&number).unwrap_or_default();
            self.hand_over(kind(model, bytes), bytes.len(), &faults);
        }
    }

    fn hand_over(&mut self, kind: Kind, len: usize, faults: &[Fault]) {
        let (mut copies, mut is_lost, mut is_damaged) = (1, false, false);
        let mut cut_to = len;
        for fault in faults {
            match *fault {
                Fault::Lose | Fault::Die { .. } => is_lost = true,
                Fault::Overrun => {
                    is_lost = true;
                    self.overruns += 1;
                }
                Fault::Duplicate => copies += 1,
                Fault::Corrupt { .. } | Fault::Shorten { .. } => is_damaged = true,
                Fault::Truncate { len } => cut_to = cut_to.min(len),
                Fault::Foreign { .. } => self.foreign += 1,
                Fault::SpuriousError { errno } => {
                    self.refused += 1;
                    self.not_found += u64::from(errno == ipq::Errno::ENOENT);
                }
                _ => (),
            }
        }
        let is_cut = cut_to < len;
        match kind {
            _ if is_lost => (),
            _ if is_damaged => self.damaged += copies,
            // What not even says what it is counts as a packet.
            _ if cut_to < HEADER_LEN => {
                self.packets += copies;
                self.truncated += copies;
            }
            Kind::Packet(id) => {
                self.packets += copies;
                self.truncated += if is_cut { copies } else { 0 };
                self.ids.push(id);
            }
            Kind::Error(code) if cut_to >= ANSWER_LEN => {
                self.refused += copies;
                self.not_found += if code == ipq::Errno::ENOENT.0 { copies } else { 0 };
            }
            Kind::Acknowledgement | Kind::Error(_) => (),
        }
    }

    /// That the session has counted this.
    pub(super) fn check(&self, session: &Snapshot, given: Given) {
        let counted = &session.statistics;
        self.check_reading(counted, given);
        self.check_deciding(counted, given);
        assert_eq!(session.packets_lost(), self.kernel_dropped.max(counted.lost), "{self:?}");
    }

    fn check_reading(&self, counted: &Statistics, given: Given) {
        let Self { packets, truncated, refused, damaged, .. } = *self;
        let context = || format!("{counted:?}\n{given:?}\n{self:?}");
        for (what, counted, exact) in [
            ("packets", counted.packets, packets),
            ("truncated", counted.truncated, truncated),
            ("refused", counted.refused, refused),
            ("malformed", counted.malformed, 0),
        ] {
            // A session whose socket has died may not have asked for all.
            let least = if given.ended { exact } else { 0 };
            assert!((least..=exact + damaged).contains(&counted), "{what}: {}", context());
        }
        if !given.ended {
            return;
        }
        let anything = [counted.packets - packets, counted.refused - refused, counted.malformed];
        let anything = anything.iter().sum::<u64>() + counted.unclaimed;
        assert!(anything <= damaged, "damaged: {}", context());
        assert_eq!(counted.foreign, self.foreign, "foreign: {}", context());
        let by_kernel = counted.overruns.checked_sub(self.overruns);
        assert!(by_kernel.is_some_and(|by_kernel| by_kernel <= self.unsent), "{}", context());
        assert_eq!(by_kernel == Some(0), self.unsent == 0, "overruns: {}", context());
        if self.is.is_nfqueue && self.is.has_order {
            let gaps = self.ids.windows(2).map(|pair| u64::from(pair[1] - pair[0] - 1));
            assert_eq!(counted.lost, gaps.sum::<u64>(), "lost: {}", context());
        }
    }

    /// Answers that the kernel had no room for: whatever else it had none for was a packet, which it counts.
    fn unsent_answers(&self) -> u64 {
        self.unsent - self.kernel_lost
    }

    fn check_deciding(&self, counted: &Statistics, given: Given) {
        let context = || format!("{counted:?}\n{given:?}\n{self:?}");
        let sent = counted.accepted + counted.dropped + counted.other_verdicts;
        let own = sent - counted.defaulted;
        let all_given = given.accepted + given.dropped;
        assert!(own <= all_given, "given: {}", context());
        assert_eq!(
            self.requests + self.copies,
            self.reached + self.lost_requests + self.refused_requests,
            "{}",
            context()
        );
        // Verdicts for packets that are known to be gone are counted and not sent.
        let mut known_gone = 0;
        if self.is.sends_one_by_one {
            known_gone = all_given - own;
            let unclaimed = counted.unclaimed;
            assert_eq!(sent + unclaimed, self.requests - self.refused_requests, "{}", context());
        } else if !given.is_unsure {
            assert_eq!(own, all_given, "given: {}", context());
        }
        if self.is.sends_one_by_one && self.is.reaches_whole {
            let errors = self.answered_errors + self.unsent_answers();
            assert_eq!(self.reached, self.carried_out + errors, "{}", context());
        }
        let late = counted.late_verdicts + counted.unknown_verdicts;
        assert!(late >= known_gone, "late: {}", context());
        if given.ended && self.is.reads_answers && self.damaged == 0 {
            assert_eq!(late, self.not_found + known_gone, "late: {}", context());
        }
    }
}

impl Shape {
    fn of(case: &Case) -> Self {
        let faults = case.plan.faults();
        let has = |is_meant: fn(Fault) -> bool, direction| {
            faults.iter().any(|it| it.direction() == direction && is_meant(it.fault()))
        };
        let is_damage = |fault| matches!(fault, Fault::Corrupt { .. } | Fault::Shorten { .. });
        let is_cut = |fault| matches!(fault, Fault::Truncate { .. });
        let breaks_order = |fault| {
            matches!(
                fault,
                Fault::Delay { .. }
                    | Fault::Hold { .. }
                    | Fault::Reorder
                    | Fault::Duplicate
                    | Fault::Truncate { len: ..=40 }
                    | Fault::Corrupt { .. }
                    | Fault::Shorten { .. }
            )
        };
        let to_program = Direction::ToProgram;
        Self {
            is_nfqueue: case.is_nfqueue,
            sends_one_by_one: case.way.sends_one_by_one(),
            has_order: !has(breaks_order, to_program),
            reaches_whole: !has(is_damage, Direction::ToKernel),
            reads_answers: !has(is_cut, to_program),
        }
    }
}

/// That each packet ended once, and by the last verdict it got: `truth` has those up to now.
pub(super) fn check_fates(case: &Case, kernel: &Kernel, truth: Truth) {
    let Truth { mut verdicts, ended, .. } = truth;
    let entered = case.packets * case.families.iter().count() as u64;
    let totals = kernel.totals();
    assert_eq!((totals.entered, totals.queued), (entered, 0));
    assert_eq!(totals.delivered + totals.dropped, entered);
    for entry in kernel.take_trace() {
        if let TraceEvent::Verdict { packet, verdict, .. } = entry.event {
            verdicts.insert(packet, verdict);
        }
    }
    let outcomes = kernel.take_outcomes();
    let numbers: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.number).collect();
    assert_eq!((outcomes.len() as u64, numbers.len() as u64), (entered, entered));
    if !Shape::of(case).reaches_whole {
        return;
    }
    for outcome in outcomes {
        let is_right = match verdicts.get(&outcome.number) {
            Some(&Verdict::Accept) => outcome.fate == Fate::Delivered,
            Some(&Verdict::Drop) => outcome.fate == Fate::Dropped(Reason::Verdict),
            Some(_) => false,
            None => match outcome.fate {
                Fate::Dropped(Reason::PeerClosed | Reason::ReceiveBufferFull) => true,
                // It came when the session was over.
                Fate::Dropped(Reason::NoPeer) => !ended,
                _ => false,
            },
        };
        assert!(is_right, "{:?} and {outcome:?}", verdicts.get(&outcome.number));
    }
}
