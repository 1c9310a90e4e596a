//! What most commands do with packets: decide by rule, show, write and count them. [`Job`] says how.

use core::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use ipq::{Packet, Statistics, Verdict};
use ipq_sim::Outcome;
use ipq_sim::capture::{Precision, Timestamp, Writer};

use crate::application::{Application, Decision};
use crate::engine::{self, Plan, Work};
use crate::failure::Failure;
use crate::filter::Filter;
use crate::json::Json;
use crate::output::{Output, Summary, Trouble};
use crate::recording::Recording;
use crate::source::{News, Source};
use crate::text::Text;
use crate::verdict_log::VerdictLog;

/// What becomes of packets, and what is shown of them.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The verdict of packets that match; all others are accepted.
    pub(crate) verdict: Verdict,
    /// Which packets match; without a filter, all do.
    pub(crate) filter: Option<Filter>,
    /// What decides in their place, if anything does.
    pub(crate) application: Option<Application>,
    pub(crate) shows: Shows,
    /// Whether the count of packets is shown while it grows, on a terminal that shows no packets.
    pub(crate) shows_progress: bool,
    /// After how many packets to stop.
    pub(crate) count: Option<u64>,
    pub(crate) counts: Counts,
    /// Where packets go that left the queue alive.
    pub(crate) write: Option<PathBuf>,
    /// Where packets that match go, with all that is known of them.
    pub(crate) record: Option<PathBuf>,
    /// Where verdicts go.
    pub(crate) log: Option<PathBuf>,
}

/// Which packets are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shows {
    All,
    Matching,
    Nothing,
}

/// Which packets are counted to stop after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Counts {
    Read,
    Matching,
}

/// What lines for people tell of each packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Details {
    pub(crate) verbose: bool,
    pub(crate) hex: bool,
    pub(crate) verdicts: bool,
}

/// How things are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    is_json: bool,
    details: Details,
}

impl Format {
    pub(crate) const fn new(is_json: bool, details: Details) -> Self {
        Self { is_json, details }
    }

    /// Where to print: line by line, if what comes is to be seen at once.
    pub(crate) fn output(self, is_live: bool) -> Box<dyn Output> {
        let is_coloured =
            anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let out = io::stdout().lock();
        let out: Box<dyn Write> = if is_live || out.is_terminal() {
            Box::new(out)
        } else {
            Box::new(BufWriter::new(out))
        };
        if self.is_json {
            return Box::new(Json(out));
        }
        let details = self.details;
        Box::new(Text { out, messages: crate::stderr(), details, is_coloured })
    }
}

/// Runs the command of this name by its plan and its job, or says what is wrong with its arguments.
pub(crate) fn main(name: &str, parsed: Result<(Plan, Job), String>, format: Format) -> ExitCode {
    let (plan, job) = match parsed {
        Ok(parsed) => parsed,
        Err(problem) => return crate::wrong_usage(name, &problem),
    };
    let mut output = format.output(plan.is_live());
    let result = engine::run(plan, |source| Show::open(&mut *output, job, source));
    drop(output);
    crate::ended(result.map(|()| true))
}

/// The work of a [`Job`].
pub(crate) struct Show<'a> {
    output: &'a mut dyn Output,
    job: Job,
    /// Whether packets are written when they are decided on; those of a capture are when they leave the kernel.
    writes_decided: bool,
    alive: Option<Writer<BufWriter<File>>>,
    recording: Option<Recording>,
    log: Option<VerdictLog>,
    progress: ProgressBar,
    /// How many packets matched so far, and whether the last one did.
    matched: u64,
    is_match: bool,
    /// What the application makes of the packet.
    replacement: Option<Vec<u8>>,
}

impl<'a> Show<'a> {
    pub(crate) fn open(
        output: &'a mut dyn Output,
        job: Job,
        source: &Source,
    ) -> Result<Self, Failure> {
        let alive = job.write.as_ref().map(|path| Writer::create(path, Precision::Nanoseconds));
        Ok(Self {
            output,
            writes_decided: source.knows_only_verdicts(),
            alive: alive.transpose()?,
            recording: job.record.as_deref().map(Recording::create).transpose()?,
            log: job.log.as_deref().map(VerdictLog::create).transpose()?,
            progress: progress(&job),
            job,
            matched: 0,
            is_match: false,
            replacement: None,
        })
    }

    /// Whether as many packets matched as were asked for.
    fn has_met_enough(&self) -> bool {
        self.job.counts == Counts::Matching
            && self.job.count.is_some_and(|count| self.matched >= count)
    }
}

impl Work for Show<'_> {
    fn decide(&mut self, packet: &Packet<'_>) -> Verdict {
        if let Some(application) = &mut self.job.application {
            return match application.decide(packet) {
                Decision::Verdict(verdict) => verdict,
                Decision::Replace(other) => {
                    self.replacement = Some(other);
                    Verdict::Accept
                }
            };
        }
        let matches = |filter: &Filter| filter.matches_packet(packet);
        self.is_match = !self.has_met_enough() && self.job.filter.as_ref().is_none_or(matches);
        self.matched += u64::from(self.is_match);
        if self.is_match { self.job.verdict } else { Verdict::Accept }
    }

    fn take_replacement(&mut self) -> Option<Vec<u8>> {
        self.replacement.take()
    }

    fn show(
        &mut self,
        packet: &Packet<'_>,
        verdict: Verdict,
        source: &Source,
    ) -> Result<(), Failure> {
        let time = || capture_time(packet).unwrap_or_else(|| source.wall_clock());
        let is_shown = match self.job.shows {
            Shows::All => true,
            Shows::Matching => self.is_match,
            Shows::Nothing => false,
        };
        if is_shown {
            self.output.packet(packet, verdict, self.replacement.is_some())?;
        }
        self.progress.inc(1);
        if let Some(log) = &mut self.log {
            log.write(packet, verdict)?;
        }
        if let (true, Some(recording)) = (self.is_match, &mut self.recording) {
            recording.write(time(), packet, verdict)?;
        }
        if let (true, Some(alive), Verdict::Accept | Verdict::Stop) =
            (self.writes_decided, &mut self.alive, verdict)
        {
            let replacement = self.replacement.as_deref();
            alive.write(time(), replacement.unwrap_or_else(|| packet.payload()))?;
        }
        Ok(())
    }

    fn trouble(&mut self, trouble: &Trouble) -> Result<(), Failure> {
        Ok(self.output.trouble(trouble)?)
    }

    fn news(&mut self, news: &News, path: Option<&Path>) -> Result<(), Failure> {
        if let Some(path) = path {
            for malformed in &news.malformed {
                self.output.malformed(path, malformed)?;
            }
        }
        Ok(())
    }

    fn delivered(&mut self, packet: &Outcome) -> Result<(), Failure> {
        if let Some(alive) = &mut self.alive {
            alive.write(packet.timestamp.unwrap_or_default(), &packet.data)?;
        }
        Ok(())
    }

    fn has_enough(&self, statistics: &Statistics) -> bool {
        if self.job.application.as_ref().is_some_and(Application::has_enough) {
            return true;
        }
        match self.job.counts {
            Counts::Read => self.job.count.is_some_and(|count| statistics.packets >= count),
            Counts::Matching => self.has_met_enough(),
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.progress.finish_and_clear();
        if let Some(alive) = self.alive.take() {
            alive.finish()?;
        }
        if let Some(recording) = self.recording.take() {
            recording.finish()?;
        }
        self.log.take().map_or(Ok(()), VerdictLog::finish)
    }

    fn summary(&mut self, summary: &Summary) -> Result<(), Failure> {
        Ok(self.output.summary(summary)?)
    }
}

/// The count of packets, on a terminal that nothing else is printed to.
fn progress(job: &Job) -> ProgressBar {
    let is_free = job.shows == Shows::Nothing || !io::stdout().is_terminal();
    if !job.shows_progress || !is_free {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} packets, {rate}/s");
    // Where stderr is no terminal, it draws nothing.
    let bar = ProgressBar::new_spinner();
    match style {
        Ok(style) => bar.with_style(style.with_key("rate", write_rate)),
        Err(_) => bar,
    }
}

/// Packets in a second, whole ones.
fn write_rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    // It is but shown: there is nobody to tell.
    let _ = write!(out, "{:.0}", state.per_sec());
}

/// When a packet arrived, for a capture file, if the kernel said it.
fn capture_time(packet: &Packet<'_>) -> Option<Timestamp> {
    let time = packet.timestamp()?;
    let microseconds = u32::try_from(time.microseconds).ok()?;
    Timestamp::new(time.seconds, microseconds.checked_mul(1000)?)
}

#[cfg(test)]
mod allocation;
