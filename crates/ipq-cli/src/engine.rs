//! The loop of every command that reads a queue: [`run`].
//!
//! It opens the queue, reads packets in batches, has the command's [`Work`] decide on each, sends the verdicts, and
//! ends when there are no more, when the work has enough, or on a signal. What waits then is settled.

use core::time::Duration;
use std::path::Path;

use ipq::{
    Batch, CopyMode, Errno, Error, Event, Options, Packet, PacketId, Queue, Statistics,
    TransportName, Verdict,
};

use ipq_sim::Outcome;

use crate::args::{QueueArgs, is_simulated};
use crate::failure::Failure;
use crate::install::{Installed, RuleRequest};
use crate::output::{Summary, Trouble};
use crate::source::{News, Source};
use crate::stop::Stop;

/// What a command does with the packets of a queue.
pub(crate) trait Work {
    /// Decides on a packet.
    fn decide(&mut self, packet: &Packet<'_>) -> Verdict;

    /// What is to take the place of the packet that was decided on last. Asked after it was shown.
    fn take_replacement(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Shows what was decided. The verdict is sent even if this fails.
    fn show(
        &mut self,
        packet: &Packet<'_>,
        verdict: Verdict,
        source: &Source,
    ) -> Result<(), Failure>;

    /// Something went wrong and was survived.
    fn trouble(&mut self, trouble: &Trouble) -> Result<(), Failure>;

    /// What a simulated kernel tells beside its queue.
    fn news(&mut self, news: &News, path: Option<&Path>) -> Result<(), Failure>;

    /// A packet of a simulated kernel was delivered, which says that it left the queue alive.
    fn delivered(&mut self, _packet: &Outcome) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether the run is to end, though more could come.
    fn has_enough(&self, statistics: &Statistics) -> bool;

    /// Called after every batch and every wait in vain. What is to be seen while it runs is drawn here.
    fn pause(&mut self, _queue: &Queue, _source: &Source) -> Result<(), Failure> {
        Ok(())
    }

    /// No more packets are read: what is left to do.
    fn finish(&mut self) -> Result<(), Failure>;

    /// The end, also after a failure.
    fn summary(&mut self, summary: &Summary) -> Result<(), Failure>;
}

/// Which queue is read, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) transport: TransportName,
    pub(crate) options: Options,
    pub(crate) mode: CopyMode,
    /// How long to wait for a packet.
    pub(crate) timeout: Option<Duration>,
    /// Whether to go on after having waited for so long in vain.
    pub(crate) waits_again: bool,
    /// Whether it matters after which packet the run stops.
    pub(crate) stops_exactly: bool,
    /// Whether what waits in the queue is settled at any end, and not only after a signal.
    pub(crate) settles_rest: bool,
    /// A rule that is in force meanwhile.
    pub(crate) rule: Option<RuleRequest>,
}

impl Plan {
    /// To read whole packets until nothing comes.
    pub(crate) fn new(args: &QueueArgs) -> Result<Self, String> {
        Ok(Self {
            transport: args.transport()?,
            options: args.options(),
            mode: CopyMode::Packet { range: args.range },
            timeout: args.timeout,
            waits_again: false,
            stops_exactly: false,
            settles_rest: false,
            rule: args.rule()?,
        })
    }

    /// Whether each line is to be seen when it is written: who looks at a real queue wants to see each packet when it
    /// comes.
    pub(crate) const fn is_live(&self) -> bool {
        !is_simulated(&self.transport)
    }
}

/// How many packets are read at once from a real kernel.
const SLOTS: usize = 64;

/// How many packets wait in a queue at most, unless it is said.
const QUEUE_LENGTH: u32 = 1024;

/// Reads the queue of `plan` and does `work`. The summary is given at the end, also if something else than the output
/// has failed.
///
/// `start` makes the work once the queue is open and claimed, so that no file is emptied for nothing.
pub(crate) fn run<W: Work>(
    plan: Plan,
    start: impl FnOnce(&Source) -> Result<W, Failure>,
) -> Result<(), Failure> {
    let transport = plan.transport.clone();
    serve(plan, start).map_err(|failure| failure.on(&transport))
}

fn serve<W: Work>(
    plan: Plan,
    start: impl FnOnce(&Source) -> Result<W, Failure>,
) -> Result<(), Failure> {
    let (source, mut queue) = Source::open(plan.transport.clone(), plan.options)?;
    let (stop, descriptor) = Stop::on_signals().map_err(Failure::Signals)?;
    queue.interrupt_on(descriptor);
    queue.set_mode(plan.mode)?;
    let desk = Desk {
        work: start(&source)?,
        decisions: Vec::new(),
        replaced: Vec::new(),
        errors: 0,
        is_dry: false,
    };
    let families = plan.options.families;
    let install = |request| Installed::new(request, &queue, families);
    let rule = plan.rule.as_ref().map(install).transpose()?;
    Engine { plan, source, queue, stop, desk, rule, malformed: 0, unclaimed: 0 }.run()
}

/// One run of a command.
struct Engine<W> {
    plan: Plan,
    source: Source,
    queue: Queue,
    stop: Stop,
    desk: Desk<W>,
    rule: Option<Installed>,
    malformed: u64,
    unclaimed: u64,
}

/// Where packets are decided on.
struct Desk<W> {
    work: W,
    decisions: Vec<(PacketId, Verdict)>,
    /// Those that come with another packet.
    replaced: Vec<(PacketId, Verdict, Vec<u8>)>,
    errors: u64,
    /// Whether a signal has kept the last read from waiting: it found nothing to read.
    is_dry: bool,
}

impl<W: Work> Engine<W> {
    fn run(mut self) -> Result<(), Failure> {
        let started = self.queue.clock();
        let passed = self.pass().and_then(|()| self.desk.work.finish());
        if matches!(passed, Err(Failure::Output(_))) {
            return passed;
        }
        let time = self.queue.clock().saturating_sub(started);
        let summary = self.summary(time);
        self.desk.work.summary(&summary)?;
        passed?;
        match self.source.failure() {
            // A capture is read ahead: one that fails behind the last packet asked for has not failed.
            Some(error) if !self.has_enough() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn summary(&self, time: Duration) -> Summary {
        let statistics = self.queue.statistics();
        Summary {
            packets: statistics.packets,
            bytes: statistics.bytes,
            accepted: statistics.accepted,
            dropped: statistics.dropped,
            other: statistics.other_verdicts,
            errors: self.desk.errors,
            lost: self.source.lost(&self.queue),
            skipped: self.source.skipped(),
            malformed: self.malformed,
            unclaimed: self.unclaimed + statistics.unclaimed,
            time,
        }
    }

    fn pass(&mut self) -> Result<(), Failure> {
        let mut batch = Batch::new(self.slots(), self.queue.buffer_len());
        while !self.has_enough() && !self.stop.is_asked_for() {
            let events = self.pass_batch(&mut batch, self.plan.timeout)?;
            self.desk.work.pause(&self.queue, &self.source)?;
            if events == 0 && !(self.plan.waits_again && self.plan.is_live()) {
                break;
            }
        }
        let rule = self.rule.take();
        let settles_rest = self.plan.settles_rest || rule.is_some();
        // What is queued before it is out is settled below.
        if let Some(rule) = rule {
            rule.remove();
        }
        if matches!(self.source, Source::Real) {
            if settles_rest {
                self.settle_rest(&mut batch, |_| false)?;
            } else if self.stop.is_asked_for() {
                self.settle_rest(&mut batch, Self::has_enough)?;
            }
        }
        self.take_news()
    }

    /// Passes what still waits, which would be dropped when the queue is closed; but no more than can have waited when
    /// the signal came, for others may come for ever.
    fn settle_rest(
        &mut self,
        batch: &mut Batch,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Result<(), Failure> {
        let settled = |queue: &Queue| queue.statistics().packets + queue.statistics().unclaimed;
        let length = u64::from(self.plan.options.max_length.unwrap_or(QUEUE_LENGTH));
        let last = settled(&self.queue) + length * self.queue.queues().count() as u64;
        // What came together with the signal may not have been read before it.
        self.desk.is_dry = false;
        while !is_enough(self) && !self.desk.is_dry && settled(&self.queue) < last {
            if self.pass_batch(batch, Some(Duration::ZERO))? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// One at a time where it matters after which packet the run stops, or what it was that let a simulated kernel do
    /// something.
    const fn slots(&self) -> usize {
        match self.source {
            Source::Real if !self.plan.stops_exactly => SLOTS,
            _ => 1,
        }
    }

    /// Reads what is there and passes it; returns how many events that were.
    fn pass_batch(
        &mut self,
        batch: &mut Batch,
        timeout: Option<Duration>,
    ) -> Result<usize, Failure> {
        let Self { queue, desk, source, .. } = self;
        let mut shown = Ok(());
        let events = queue.read_batch(batch, timeout, |event| {
            let this = desk.take(event, source);
            shown = core::mem::replace(&mut shown, Ok(())).and(this);
        })?;
        // What was decided holds, even if it could not be shown.
        queue.verdicts(&desk.decisions)?;
        desk.decisions.clear();
        for (id, verdict, packet) in desk.replaced.drain(..) {
            queue.verdict_with(id, verdict, &packet)?;
        }
        shown?;
        self.take_news()?;
        Ok(events)
    }

    /// Deals with what the kernel has to tell beside the queue.
    fn take_news(&mut self) -> Result<(), Failure> {
        let mut shown = Ok(());
        let news = self.source.news(|packet| {
            if shown.is_ok() {
                shown = self.desk.work.delivered(packet);
            }
        });
        shown?;
        self.unclaimed += news.unclaimed;
        self.malformed += news.malformed.len() as u64;
        self.desk.work.news(&news, self.source.path().map(AsRef::as_ref))
    }

    /// Whether the work is done.
    fn has_enough(&self) -> bool {
        self.desk.work.has_enough(&self.queue.statistics())
    }
}

impl<W: Work> Desk<W> {
    /// Decides on what came, if it is a packet, and shows it.
    fn take(&mut self, event: Result<Event<'_>, Error>, source: &Source) -> Result<(), Failure> {
        match event {
            Ok(event) => {
                let reported = trouble(&event).map_or(Ok(()), |trouble| self.report(&trouble));
                match event {
                    Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. } => {
                        let verdict = self.work.decide(&packet);
                        let shown = self.work.show(&packet, verdict, source);
                        match self.work.take_replacement() {
                            Some(other) => self.replaced.push((packet.id(), verdict, other)),
                            None => self.decisions.push((packet.id(), verdict)),
                        }
                        reported.and(shown)
                    }
                    Event::Interrupted => {
                        self.is_dry = true;
                        reported
                    }
                    _ => reported,
                }
            }
            Err(error) => {
                let text = error.to_string();
                self.report(&Trouble { errno: None, packet: None, text })
            }
        }
    }

    fn report(&mut self, trouble: &Trouble) -> Result<(), Failure> {
        self.errors += 1;
        self.work.trouble(trouble)
    }
}

/// What is wrong, if an event says that something is.
fn trouble(event: &Event<'_>) -> Option<Trouble> {
    let (errno, packet, text) = match event {
        Event::Refused(refusal) => (Some(refusal.errno), refusal.packet, refusal.to_string()),
        Event::Overrun => {
            let text = "the receive buffer was full: packets were lost".to_owned();
            (Some(Errno::ENOBUFS), None, text)
        }
        Event::Truncated { packet, message_len } => {
            let text = format!("a message of {message_len} bytes was cut");
            (None, packet.map(|packet| packet.id()), text)
        }
        Event::Foreign { port_id } => {
            let text =
                format!("a message from port id {port_id}, not from the kernel, was ignored");
            (None, None, text)
        }
        _ => return None,
    };
    Some(Trouble { errno, packet, text })
}
