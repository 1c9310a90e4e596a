//! The test's hold on a faulty transport: [`Faults`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use core::fmt;

use ipq_proto::Errno;
use ipq_sys::{Clock, Deadline, Received};

use super::damage::Language;
use super::schedule::{End, Schedule, Struck, Treatment};
use super::track::{Kept, Track};
use super::{Direction, Fault, FaultPlan, PlannedFault, Traffic};

/// The test's hold on a [`Faulty`](super::Faulty): what was done, faults to add while it runs, and single messages to
/// hold and to release.
///
/// Clones are the same one. What it asks for happens at the transport's next call.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<State>>);

/// What a faulty transport and its handles share.
#[derive(Debug)]
pub(super) struct State {
    language: Language,
    schedule: Schedule,
    tracks: [Track; 2],
    /// What the program receives before any message.
    ahead: VecDeque<Received>,
    log: Vec<Record>,
    pub(super) dead: Option<Errno>,
    pub(super) reports_overruns: bool,
}

/// A fault that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record {
    /// When, by the transport's clock.
    pub time: Clock,
    /// Which way the message went.
    pub direction: Direction,
    /// Which message of this direction it was, from 1.
    pub number: u64,
    /// What happened to it.
    pub fault: Fault,
}

/// How often a planned fault has happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tally {
    /// The fault.
    pub planned: PlannedFault,
    /// How many messages it struck.
    pub done: u64,
}

/// What was done to a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// What became of the messages to the program.
    pub to_program: Traffic,
    /// What became of the messages to the kernel.
    pub to_kernel: Traffic,
    /// Each fault, in the order of the plan.
    pub faults: Vec<Tally>,
}

impl Faults {
    pub(super) fn new(language: Language, plan: &FaultPlan) -> Self {
        let mut schedule = Schedule::new(plan.seed(), language.protocol);
        plan.faults().iter().for_each(|&fault| schedule.add(fault));
        Self(Arc::new(Mutex::new(State {
            language,
            schedule,
            tracks: [Track::default(), Track::default()],
            ahead: VecDeque::new(),
            log: Vec::new(),
            dead: None,
            reports_overruns: true,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        let state = self.lock();
        let [to_program, to_kernel] = [Direction::ToProgram, Direction::ToKernel]
            .map(|direction| state.tracks[slot(direction)].traffic());
        Counts { to_program, to_kernel, faults: state.schedule.tallies().collect() }
    }

    /// Takes the faults that have happened since the last call, in that order. It says of every lost message which fault
    /// lost it.
    pub fn take_log(&self) -> Vec<Record> {
        core::mem::take(&mut self.lock().log)
    }

    /// Adds a fault behind those that there are.
    pub fn add(&self, fault: PlannedFault) {
        self.lock().schedule.add(fault);
    }

    /// Ends all faults that there are. Delayed and held messages stay so, and what has died is dead.
    pub fn end_all(&self) {
        self.lock().schedule.end();
    }

    /// Holds all messages from now on, until [`release_all`](Self::release_all). To the program, it is as if nothing
    /// came; to the kernel, sending succeeds and nothing happens.
    ///
    /// Held is what is left of a message when it has met its faults. It goes by hand then, and no delay counts.
    pub fn hold(&self, direction: Direction) {
        self.lock().track(direction).hold(u64::MAX);
    }

    /// Holds that many of the messages that come next, and copies of them.
    pub fn hold_next(&self, direction: Direction, messages: u64) {
        self.lock().track(direction).hold(messages);
    }

    /// The numbers of the messages that are held, in the order they came: the first message of its direction is 1.
    pub fn held(&self, direction: Direction) -> Vec<u64> {
        self.lock().track(direction).held().collect()
    }

    /// Lets the held message of this number go, behind those that are on their way; says whether there was one.
    pub fn release(&self, direction: Direction, number: u64) -> bool {
        self.lock().track(direction).release(number)
    }

    /// Lets all held messages go in the order they came, and holds no more.
    pub fn release_all(&self, direction: Direction) {
        self.lock().track(direction).release_all();
    }
}

impl State {
    pub(super) fn track(&mut self, direction: Direction) -> &mut Track {
        &mut self.tracks[slot(direction)]
    }

    /// Whether messages in this direction need no look.
    pub(super) fn is_idle(&mut self, direction: Direction) -> bool {
        !self.schedule.concerns(direction) && self.track(direction).is_clear()
    }

    /// Lets a message meet the faults: gives what is left of it and how it goes on. What the program receives before it
    /// is on its way.
    pub(super) fn treat<'m>(
        &mut self,
        direction: Direction,
        now: Clock,
        deadline: Option<Deadline>,
        (bytes, datagram_len): (&'m mut [u8], usize),
    ) -> (Struck<'m>, Treatment) {
        let track = self.track(direction);
        let (number, is_swapping, len) = (track.count(), track.has_swapped(), bytes.len());
        let mut message =
            Struck { direction, number, now, deadline, is_swapping, bytes, len, datagram_len };
        let mut treatment = self.schedule.treat(&mut message, self.language, &mut self.log);

        let reports_overruns = self.reports_overruns;
        let is_told = |received: &Received| reports_overruns || *received != Received::Overrun;
        self.ahead.extend(treatment.ahead.drain(..).filter(is_told));
        let track = self.track(direction);
        treatment.injected.drain(..).for_each(|bytes| track.inject(bytes));
        match treatment.end {
            End::GoesOn => (),
            End::Lost => track.traffic_mut().lost += 1,
            End::Refused(_) => track.traffic_mut().refused += 1,
            End::Dies(errno) => {
                track.traffic_mut().lost += 1;
                self.dead = Some(errno);
            }
        }
        (message, treatment)
    }

    /// Lets a message that was treated go on.
    pub(super) fn place(&mut self, message: &Struck<'_>, treatment: &Treatment) {
        let Struck { direction, number, now, len, datagram_len, .. } = *message;
        let kept = Kept { number, bytes: message.bytes[..len].into(), datagram_len };
        self.track(direction).place(kept, treatment, now);
    }

    /// Puts what the program receives now into `buffer`, if there is something.
    pub(super) fn hand_out(&mut self, now: Clock, buffer: &mut [u8]) -> Option<Received> {
        if let Some(received) = self.ahead.pop_front() {
            return Some(received);
        }
        let track = self.track(Direction::ToProgram);
        let received = track.take(now)?.hand_over(buffer);
        track.traffic_mut().passed += 1;
        Some(received)
    }

    /// Whether the program would receive something now.
    pub(super) fn is_readable(&mut self, now: Clock) -> bool {
        !self.ahead.is_empty() || self.track(Direction::ToProgram).is_ready(now)
    }

    /// When the first delayed message goes, in either direction.
    pub(super) fn due(&self) -> Option<Clock> {
        self.tracks.iter().filter_map(Track::due).min()
    }

    /// Lets the first delayed message go where time does not pass any more; says whether there was one.
    pub(super) fn pass_delayed(&mut self) -> bool {
        let first = self.tracks.iter_mut().filter(|track| track.due().is_some());
        first.min_by_key(|track| track.due()).is_some_and(Track::pass_delayed)
    }

    /// Lets those messages go that wait for a next one, which has not come; says whether there was one.
    pub(super) fn give_up_swapping(&mut self) -> bool {
        let [to_program, to_kernel] = &mut self.tracks;
        to_program.give_up_swapping() | to_kernel.give_up_swapping()
    }
}

/// Where the track of a direction is kept.
const fn slot(direction: Direction) -> usize {
    match direction {
        Direction::ToProgram => 0,
        Direction::ToKernel => 1,
    }
}

/// `1.5s to-program message 3: lose`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, direction, number, fault } = self;
        write!(f, "{} {direction} message {number}: {fault}", humantime::format_duration(*time))
    }
}

/// A line for each direction, and one for each fault.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Direction::ToProgram, self.to_program)?;
        write!(f, "\n{}: {}", Direction::ToKernel, self.to_kernel)?;
        self.faults
            .iter()
            .try_for_each(|tally| write!(f, "\n{} times {}", tally.done, tally.planned))
    }
}
