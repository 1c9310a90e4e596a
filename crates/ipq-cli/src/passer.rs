//! `ipq-cli passer`: every packet gets the same verdict.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;

use ipq::{Errno, Error, Event, Packet, Queue, TransportName, Verdict};
use ipq_sim::capture::{CaptureError, Precision, Timestamp, Writer};

use crate::args::PasserArgs;
use crate::json::Json;
use crate::output::{Output, Summary, Trouble};
use crate::source::Source;
use crate::text::Text;

/// Runs the command.
pub(crate) fn main(args: &PasserArgs) -> ExitCode {
    const USAGE: u8 = 2;
    let wrong_usage = |problem: &str| {
        complain(&format_args!("{problem}\n\nFor more information, try 'ipq-cli passer --help'."));
        ExitCode::from(USAGE)
    };
    let transport = match args.transport() {
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
        .and_then(|(source, queue)| Passer::new(args, source, queue)?.run(&mut *output));
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

/// What ends a run before its time.
#[derive(Debug)]
enum Failure {
    Session(Error),
    Output(io::Error),
    Capture(CaptureError),
    Signals(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Output(error) => write!(f, "writing the output: {error}"),
            Self::Capture(error) => error.fmt(f),
            Self::Signals(error) => write!(f, "installing a signal handler: {error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        Self::Capture(error)
    }
}

/// One run of the command.
struct Passer<'a> {
    args: &'a PasserArgs,
    verdict: Verdict,
    source: Source,
    queue: Queue,
    alive: Option<Writer<BufWriter<File>>>,
    stop: Arc<AtomicBool>,
    malformed: u64,
    unclaimed: u64,
    errors: u64,
}

impl<'a> Passer<'a> {
    fn new(args: &'a PasserArgs, source: Source, mut queue: Queue) -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A second signal ends the program at once, should it not come to see the first one.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
                .map_err(Failure::Signals)?;
        }
        queue.set_mode(args.copy_mode())?;
        let writer = |path| Writer::create(path, Precision::Nanoseconds);
        Ok(Self {
            args,
            verdict: args.verdict.into(),
            source,
            queue,
            alive: args.write.as_ref().map(writer).transpose()?,
            stop,
            malformed: 0,
            unclaimed: 0,
            errors: 0,
        })
    }

    /// Passes packets until there are no more, or enough; then the summary is printed, also if something else than
    /// the output has failed.
    fn run(mut self, output: &mut dyn Output) -> Result<(), Failure> {
        let started = self.queue.clock();
        let passed = self.pass(output).and_then(|()| self.finish(output));
        if matches!(passed, Err(Failure::Output(_))) {
            return passed;
        }
        let time = self.queue.clock().saturating_sub(started);
        let statistics = self.queue.statistics();
        output.summary(&Summary {
            packets: statistics.packets,
            bytes: statistics.bytes,
            accepted: statistics.accepted,
            dropped: statistics.dropped,
            other: statistics.other_verdicts,
            errors: self.errors,
            lost: self.source.lost(&self.queue),
            skipped: self.source.skipped(),
            malformed: self.malformed,
            unclaimed: self.unclaimed + statistics.unclaimed,
            time,
        })?;
        passed?;
        match self.source.failure() {
            // A capture is read ahead: one that fails behind the last packet asked for has not failed.
            Some(error) if !self.has_enough() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn pass(&mut self, output: &mut dyn Output) -> Result<(), Failure> {
        let mut buffer = vec![0; self.queue.buffer_len()];
        while !self.is_over() {
            let packet = match self.queue.read(&mut buffer, self.args.timeout) {
                Ok(None) => break,
                Ok(Some(Event::Packet(packet))) => packet,
                Ok(Some(event)) => {
                    if let Some(trouble) = trouble(&event) {
                        self.report(output, &trouble)?;
                    }
                    match event {
                        Event::Truncated { packet: Some(packet), .. } => packet,
                        _ => continue,
                    }
                }
                Err(error @ Error::Message(_)) => {
                    let text = error.to_string();
                    self.report(output, &Trouble { errno: None, packet: None, text })?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.settle(output, &packet)?;
        }
        Ok(())
    }

    /// What is left to do when no more packets are read.
    fn finish(&mut self, output: &mut dyn Output) -> Result<(), Failure> {
        self.take_news(output)?;
        if let Some(alive) = self.alive.take() {
            alive.finish()?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.has_enough() || self.stop.load(Ordering::Relaxed)
    }

    /// Whether as many packets were read as were asked for.
    fn has_enough(&self) -> bool {
        self.args.count.is_some_and(|count| self.queue.statistics().packets >= count)
    }

    /// Gives a packet its verdict and shows it.
    fn settle(&mut self, output: &mut dyn Output, packet: &Packet<'_>) -> Result<(), Failure> {
        self.queue.verdict(packet.id(), self.verdict)?;
        if !self.args.quiet {
            output.packet(packet, self.verdict)?;
        }
        if let (Source::Real, Some(alive), Verdict::Accept | Verdict::Stop) =
            (&self.source, &mut self.alive, self.verdict)
        {
            alive.write(capture_time(packet), packet.payload())?;
        }
        self.take_news(output)
    }

    /// Deals with what the kernel has to tell beside the queue.
    fn take_news(&mut self, output: &mut dyn Output) -> Result<(), Failure> {
        let news = self.source.news();
        self.unclaimed += news.unclaimed;
        self.malformed += news.malformed.len() as u64;
        if let Some(path) = self.source.path() {
            for malformed in &news.malformed {
                output.malformed(path, malformed)?;
            }
        }
        if let Some(alive) = &mut self.alive {
            for packet in &news.delivered {
                alive.write(packet.timestamp.unwrap_or_default(), &packet.data)?;
            }
        }
        Ok(())
    }

    fn report(&mut self, output: &mut dyn Output, trouble: &Trouble) -> Result<(), Failure> {
        self.errors += 1;
        Ok(output.trouble(trouble)?)
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

/// When a packet arrived, for a capture file; the epoch if the kernel did not say.
fn capture_time(packet: &Packet<'_>) -> Timestamp {
    let time = packet.timestamp().and_then(|time| {
        let microseconds = u32::try_from(time.microseconds).ok()?;
        Timestamp::new(time.seconds, microseconds.checked_mul(1000)?)
    });
    time.unwrap_or_default()
}
