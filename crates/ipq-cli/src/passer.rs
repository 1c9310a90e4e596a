//! `ipq-cli passer`: every packet gets the same verdict.

use core::fmt;
use core::time::Duration;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use ipq::{Batch, Errno, Error, Event, Packet, PacketId, Queue, TransportName, Verdict};
use ipq_sim::capture::{Precision, Timestamp, Writer};

use crate::args::{PasserArgs, transport};
use crate::failure::Failure;
use crate::json::Json;
use crate::output::{Output, Summary, Trouble};
use crate::source::{News, Source};
use crate::stop::Stop;
use crate::text::Text;

/// Runs the command.
pub(crate) fn main(args: &PasserArgs) -> ExitCode {
    const USAGE: u8 = 2;
    let wrong_usage = |problem: &str| {
        complain(&format_args!("{problem}\n\nFor more information, try 'ipq-cli passer --help'."));
        ExitCode::from(USAGE)
    };
    let transport = match transport(args.transport.as_ref()) {
        Ok(transport) => transport,
        Err(problem) => return wrong_usage(&problem),
    };
    if let Some(problem) = args.contradiction(&transport) {
        return wrong_usage(problem);
    }
    let out = io::stdout().lock();
    let out: Box<dyn Write> = match transport {
        TransportName::Sim(_) => Box::new(BufWriter::new(out)),
        // Line by line: who looks at a real queue wants to see each packet when it comes.
        _ => Box::new(out),
    };
    let mut output: Box<dyn Output> = if args.json {
        Box::new(Json(out))
    } else {
        Box::new(Text { out, messages: io::stderr().lock() })
    };
    let result = Source::open(transport, args.options())
        .map_err(Failure::from)
        .and_then(|(source, queue)| Passer::new(args, &mut *output, source, queue)?.run());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            drop(output);
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Writes a message to stderr. If nobody reads that, there is nobody to tell.
fn complain(message: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "ipq-cli: {message}");
}

/// How many packets are read at once from a real kernel.
const SLOTS: usize = 64;

/// How many packets wait in a queue at most, unless it is said.
const QUEUE_LENGTH: u32 = 1024;

/// One run of the command.
struct Passer<'a> {
    source: Source,
    queue: Queue,
    stop: Stop,
    desk: Desk<'a>,
}

/// Where packets are decided over, shown and counted.
struct Desk<'a> {
    args: &'a PasserArgs,
    output: &'a mut dyn Output,
    verdict: Verdict,
    /// Whether packets are written when they are decided over; those of a capture are when they leave the kernel.
    writes_decided: bool,
    alive: Option<Writer<BufWriter<File>>>,
    decisions: Vec<(PacketId, Verdict)>,
    errors: u64,
    malformed: u64,
    unclaimed: u64,
    /// Whether a signal has kept the last read from waiting: it found nothing to read.
    is_dry: bool,
}

impl<'a> Passer<'a> {
    fn new(
        args: &'a PasserArgs,
        output: &'a mut dyn Output,
        source: Source,
        mut queue: Queue,
    ) -> Result<Self, Failure> {
        let (stop, descriptor) = Stop::on_signals().map_err(Failure::Signals)?;
        queue.interrupt_on(descriptor);
        queue.set_mode(args.copy_mode())?;
        let writer = |path| Writer::create(path, Precision::Nanoseconds);
        let desk = Desk {
            args,
            output,
            verdict: args.verdict.into(),
            writes_decided: source.knows_only_verdicts(),
            alive: args.write.as_ref().map(writer).transpose()?,
            decisions: Vec::new(),
            errors: 0,
            malformed: 0,
            unclaimed: 0,
            is_dry: false,
        };
        Ok(Self { source, queue, stop, desk })
    }

    /// Passes packets until there are no more, or enough; then the summary is printed, also if something else than
    /// the output has failed.
    fn run(mut self) -> Result<(), Failure> {
        let started = self.queue.clock();
        let passed = self.pass().and_then(|()| self.desk.finish());
        if matches!(passed, Err(Failure::Output(_))) {
            return passed;
        }
        let time = self.queue.clock().saturating_sub(started);
        let statistics = self.queue.statistics();
        self.desk.output.summary(&Summary {
            packets: statistics.packets,
            bytes: statistics.bytes,
            accepted: statistics.accepted,
            dropped: statistics.dropped,
            other: statistics.other_verdicts,
            errors: self.desk.errors,
            lost: self.source.lost(&self.queue),
            skipped: self.source.skipped(),
            malformed: self.desk.malformed,
            unclaimed: self.desk.unclaimed + statistics.unclaimed,
            time,
        })?;
        passed?;
        match self.source.failure() {
            // A capture is read ahead: one that fails behind the last packet asked for has not failed.
            Some(error) if !self.has_enough() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn pass(&mut self) -> Result<(), Failure> {
        let mut batch = Batch::new(self.slots(), self.queue.buffer_len());
        while !self.has_enough() && !self.stop.is_asked_for() {
            if self.pass_batch(&mut batch, self.desk.args.timeout)? == 0 {
                break;
            }
        }
        if self.stop.is_asked_for() && matches!(self.source, Source::Real) {
            self.settle_rest(&mut batch)?;
        }
        self.desk.take_news(&self.source)
    }

    /// Passes what still waits, which would be dropped when the queue is closed; but no more than can have waited when
    /// the signal came, for others may come for ever.
    fn settle_rest(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        let settled = |queue: &Queue| queue.statistics().packets + queue.statistics().unclaimed;
        let length = u64::from(self.desk.args.queue_maxlen.unwrap_or(QUEUE_LENGTH));
        let last = settled(&self.queue) + length * self.queue.queues().count() as u64;
        // What came together with the signal may not have been read before it.
        self.desk.is_dry = false;
        while !self.has_enough() && !self.desk.is_dry && settled(&self.queue) < last {
            if self.pass_batch(batch, Some(Duration::ZERO))? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// One at a time where it matters after which packet the run stops, or what it was that let a simulated kernel do
    /// something.
    fn slots(&self) -> usize {
        match (&self.source, self.desk.args.count) {
            (Source::Real, None) => SLOTS,
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
        shown?;
        desk.take_news(source)?;
        Ok(events)
    }

    /// Whether as many packets were read as were asked for.
    fn has_enough(&self) -> bool {
        self.desk.args.count.is_some_and(|count| self.queue.statistics().packets >= count)
    }
}

impl Desk<'_> {
    /// Decides over what came, if it is a packet, and shows it.
    fn take(&mut self, event: Result<Event<'_>, Error>, source: &Source) -> Result<(), Failure> {
        match event {
            Ok(event) => {
                let reported = trouble(&event).map_or(Ok(()), |trouble| self.report(&trouble));
                match event {
                    Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. } => {
                        let settled = self.settle(&packet, source);
                        reported.and(settled)
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

    /// Gives a packet its verdict and shows it.
    fn settle(&mut self, packet: &Packet<'_>, source: &Source) -> Result<(), Failure> {
        self.decisions.push((packet.id(), self.verdict));
        if !self.args.quiet {
            self.output.packet(packet, self.verdict)?;
        }
        if let (true, Some(alive), Verdict::Accept | Verdict::Stop) =
            (self.writes_decided, &mut self.alive, self.verdict)
        {
            let time = capture_time(packet).unwrap_or_else(|| source.wall_clock());
            alive.write(time, packet.payload())?;
        }
        Ok(())
    }

    /// Deals with what the kernel has to tell beside the queue.
    fn take_news(&mut self, source: &Source) -> Result<(), Failure> {
        let News { malformed, delivered, unclaimed } = source.news();
        self.unclaimed += unclaimed;
        self.malformed += malformed.len() as u64;
        if let Some(path) = source.path() {
            for malformed in &malformed {
                self.output.malformed(path, malformed)?;
            }
        }
        if let Some(alive) = &mut self.alive {
            for packet in &delivered {
                alive.write(packet.timestamp.unwrap_or_default(), &packet.data)?;
            }
        }
        Ok(())
    }

    /// What is left to do when no more packets are read.
    fn finish(&mut self) -> Result<(), Failure> {
        if let Some(alive) = self.alive.take() {
            alive.finish()?;
        }
        Ok(())
    }

    fn report(&mut self, trouble: &Trouble) -> Result<(), Failure> {
        self.errors += 1;
        Ok(self.output.trouble(trouble)?)
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

/// When a packet arrived, for a capture file, if the kernel said it.
fn capture_time(packet: &Packet<'_>) -> Option<Timestamp> {
    let time = packet.timestamp()?;
    let microseconds = u32::try_from(time.microseconds).ok()?;
    Timestamp::new(time.seconds, microseconds.checked_mul(1000)?)
}
