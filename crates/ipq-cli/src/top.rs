//! `ipq-cli top`: a queue to watch.
//!
//! The packets are read and decided on in one thread and the screen is drawn in another, so that no packet waits for a
//! terminal.

mod flows;
mod meter;
mod pace;
mod screen;
mod state;
#[cfg(test)]
mod tests;
mod viewer;

use core::time::Duration;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use ipq::{CopyMode, Packet, Queue, Statistics, Verdict};
use ipq_sim::capture::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::TopArgs;
use crate::engine::{self, Plan, Work};
use crate::failure::Failure;
use crate::filter::Filter;
use crate::output::{Summary, Trouble};
use crate::source::{News, Source};
use pace::Pace;
use state::{Shared, State, Title};
use viewer::Viewer;

/// Runs the command.
pub(crate) fn main(args: &TopArgs) -> ExitCode {
    let plan = Plan::new(&args.queue).and_then(|plan| {
        args.check(&plan.transport)?;
        Ok(plan)
    });
    let plan = match plan {
        Ok(plan) => plan,
        Err(problem) => return crate::wrong_usage("top", &problem),
    };
    if !viewer::has_terminal() {
        let problem =
            "the standard output is no terminal: 'ipq-cli passer' prints what can be piped";
        return crate::wrong_usage("top", problem);
    }
    crate::ended(run(args, plan).map(|()| true))
}

/// How long the queue is waited for at most, before it is looked whether the user wants the end.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often the kernel is asked for its counts.
const ASKED: Duration = Duration::from_millis(250);

fn run(args: &TopArgs, plan: Plan) -> Result<(), Failure> {
    let is_live = plan.is_live();
    let plan = Plan {
        timeout: if is_live { Some(PATIENCE) } else { plan.timeout },
        mode: args.copy.mode(&args.queue),
        waits_again: true,
        settles_rest: true,
        ..plan
    };
    let pace = if is_live { Pace::real() } else { Pace::simulated(args.speed) };
    let shared = Arc::new(Shared::new(State::new(title(args, &plan), pace)));
    let mut viewer = None;
    let passed = engine::run(plan, |_source| {
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&shared.is_signalled)).map_err(Failure::Signals)?;
        }
        Ok(Top::new(args, Arc::clone(&shared), pace, &mut viewer))
    });
    let Some(viewer) = viewer else { return passed };
    let watched = if passed.is_ok() && !shared.has_quit() {
        shared.with(State::end);
        viewer.until_quit()
    } else {
        viewer.close()
    };
    passed?;
    watched.map_err(Failure::Terminal)?;
    let summary = shared.with(State::take_summary);
    Ok(writeln!(crate::stderr(), "{}", summary.unwrap_or_default())?)
}

fn title(args: &TopArgs, plan: &Plan) -> Title {
    let copies = match plan.mode {
        CopyMode::None | CopyMode::Metadata => "metadata".to_owned(),
        CopyMode::Packet { range: 0 } => "whole packets".to_owned(),
        CopyMode::Packet { range } => format!("{range} bytes of each"),
    };
    let verdict = Verdict::from(args.verdict);
    let verdict = match &args.filter {
        Some(filter) => format!("{verdict} if {filter}"),
        None => verdict.to_string(),
    };
    Title { transport: plan.transport.to_string(), copies, verdict }
}

/// What is done with each packet.
#[derive(Debug)]
struct Top<'v> {
    /// Opened once all is said that is said before, such as which rule was put in.
    viewer: &'v mut Option<Viewer>,
    shared: Arc<Shared>,
    pace: Pace,
    verdict: Verdict,
    filter: Option<Filter>,
    /// For how long packets may be missing, on a real kernel.
    timeout: Option<Duration>,
    /// When the last packet came.
    heard: Instant,
    /// When the kernel was asked for its counts.
    asked: Option<Instant>,
    /// The time of the first packet, where time is simulated.
    first: Option<Timestamp>,
}

impl<'v> Top<'v> {
    fn new(
        args: &TopArgs,
        shared: Arc<Shared>,
        pace: Pace,
        viewer: &'v mut Option<Viewer>,
    ) -> Self {
        Self {
            viewer,
            shared,
            pace,
            verdict: args.verdict.into(),
            filter: args.filter.clone(),
            timeout: args.queue.timeout,
            heard: Instant::now(),
            asked: None,
            first: None,
        }
    }

    /// Opens the view, unless it is open.
    fn open_view(&mut self) -> Result<(), Failure> {
        if self.viewer.is_none() {
            let viewer = Viewer::open(Arc::clone(&self.shared)).map_err(Failure::Terminal)?;
            *self.viewer = Some(viewer);
        }
        Ok(())
    }

    /// The time since the start, which a simulated kernel waits for.
    fn time(&mut self, source: &Source) -> Duration {
        if let Source::Real = source {
            return self.pace.now(Duration::ZERO);
        }
        let clock = source.wall_clock();
        let first = *self.first.get_or_insert(clock);
        clock.since(first).unwrap_or_default()
    }

    /// Waits until it is `at`, or the user wants the end.
    fn wait(&self, at: Duration) {
        loop {
            let rest = self.pace.wait(at);
            if rest.is_zero() || self.shared.has_quit() {
                return;
            }
            thread::sleep(rest.min(PATIENCE));
        }
    }
}

impl Work for Top<'_> {
    fn decide(&mut self, packet: &Packet<'_>) -> Verdict {
        let is_meant = self.filter.as_ref().is_none_or(|filter| filter.matches_packet(packet));
        if is_meant { self.verdict } else { Verdict::Accept }
    }

    fn show(
        &mut self,
        packet: &Packet<'_>,
        verdict: Verdict,
        source: &Source,
    ) -> Result<(), Failure> {
        self.open_view()?;
        let at = self.time(source);
        if !matches!(source, Source::Real) {
            self.wait(at);
        }
        self.heard = Instant::now();
        let payload = packet.payload();
        let bytes = packet.packet_len().map_or(payload.len() as u64, u64::from);
        self.shared.with(|state| state.packet(at, payload, bytes, verdict));
        Ok(())
    }

    fn trouble(&mut self, trouble: &Trouble) -> Result<(), Failure> {
        self.shared.with(|state| state.trouble(&trouble.text));
        Ok(())
    }

    fn news(&mut self, news: &News, _path: Option<&Path>) -> Result<(), Failure> {
        for malformed in &news.malformed {
            self.shared.with(|state| state.trouble(&malformed.to_string()));
        }
        Ok(())
    }

    fn has_enough(&self, _statistics: &Statistics) -> bool {
        let is_silent = self.timeout.is_some_and(|timeout| self.heard.elapsed() > timeout);
        self.shared.has_quit() || is_silent
    }

    fn pause(&mut self, queue: &Queue, source: &Source) -> Result<(), Failure> {
        self.open_view()?;
        let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= ASKED);
        // What a simulated kernel has to say costs nothing, and its time does not pass with ours.
        if is_due || !matches!(source, Source::Real) {
            self.asked = Some(Instant::now());
            let (at, snapshot) = (self.time(source), queue.snapshot());
            self.shared.with(|state| state.snapshot(at, &snapshot));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn summary(&mut self, summary: &Summary) -> Result<(), Failure> {
        self.shared.with(|state| state.summary(summary.to_string()));
        Ok(())
    }
}
