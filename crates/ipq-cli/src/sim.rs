//! `ipq-cli sim run`: a scenario, with a built-in program at its queue. `ipq-cli sim serve` is in a file of its own.

mod report;
mod serve;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use ipq::{CopyMode, Error, Families, KernelStatus, Options, Queue, Statistics};
use ipq_sim::capture::CaptureError;
use ipq_sim::{
    Application as Described, ApplicationNumbers, Finding, Kernel, Replay, Scenario, Simulation,
    TraceEntry, write_conversation, write_traffic,
};

use crate::application::Application;
use crate::args::{SimCommand, SimRunArgs};
use crate::failure::Failure;
use crate::{ended, wrong_usage};
use report::Report;

/// What one run of a scenario came to.
struct Outcome {
    seed: u64,
    findings: Vec<Finding>,
    numbers: ApplicationNumbers,
    /// What the program ended with, where nothing was expected of that.
    failure: Option<Error>,
    simulation: Simulation,
    status: KernelStatus,
    trace: Vec<TraceEntry>,
}

/// Runs the command.
pub(crate) fn main(command: &SimCommand) -> ExitCode {
    let done = match command {
        SimCommand::Run(args) => {
            if let Some(problem) = args.contradiction() {
                return wrong_usage("sim run", problem);
            }
            run(args)
        }
        SimCommand::Serve(args) => serve::run(args),
    };
    match done {
        // Whoever read the output has seen enough, and does not know how it ended.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::FAILURE
        }
        done => ended(done),
    }
}

/// Runs the scenario as often as asked for; says whether all that was expected came to be, always.
fn run(args: &SimRunArgs) -> Result<bool, Failure> {
    let mut scenario = Scenario::open(&args.file)?;
    if let Some(name) = args.application {
        scenario = scenario.with_application(name.into())?;
    }
    let first = args.seed.unwrap_or_else(|| scenario.seed());
    let mut report = Report::new(BufWriter::new(io::stdout().lock()), args.json);
    for repetition in 0..args.repeat {
        let seed = first.wrapping_add(repetition);
        let outcome = once(args, &scenario, seed)?;
        if args.check {
            compare(seed, &outcome.trace, &once(args, &scenario, seed)?.trace)?;
        }
        if args.trace {
            report.trace(&outcome.trace)?;
        }
        if args.status {
            report.status(&outcome)?;
        }
        report.run(&outcome)?;
        write_captures(args, &outcome)?;
    }
    Ok(report.finish()?)
}

/// Runs the scenario once, to its end.
fn once(args: &SimRunArgs, scenario: &Scenario, seed: u64) -> Result<Outcome, Failure> {
    let mut builder = Kernel::builder();
    if args.trace || args.check || args.traffic.is_some() {
        builder = builder.trace();
    }
    if args.netlink.is_some() {
        builder = builder.record();
    }
    let mut simulation = scenario.start(seed, builder)?;
    let described = scenario.application();
    let kernel = simulation.kernel().clone();
    if !described.starts.is_zero() {
        kernel.advance(described.starts);
    }
    let mut application = Application::new(described, seed);
    let opened = open(&mut simulation, described);
    let (queue, served) = match opened {
        Ok(mut queue) => {
            let served = application.serve(&mut queue, &kernel);
            (Some(queue), served)
        }
        Err(error) => (None, Err(error)),
    };
    // What the kernel still knows of the queue is looked at before it goes, but of one that its program has left.
    let statistics = queue.as_ref().map(Queue::statistics).unwrap_or_default();
    let queue = queue.filter(|_| served.is_ok() && !application.has_enough());
    kernel.run();
    if let Some(error) = simulation.replays().iter().find_map(Replay::take_error) {
        return Err(error.into());
    }
    let numbers = numbers(&statistics, &application, served.as_ref().err());
    let findings = simulation.findings(&numbers);
    let status = kernel.status();
    drop(queue);
    let is_expected = ["application.failed", "application.errno"];
    let failure = served.err().filter(|_| !is_expected.into_iter().any(|it| scenario.expects(it)));
    let trace = kernel.take_trace();
    Ok(Outcome { seed, findings, numbers, failure, simulation, status, trace })
}

/// The program's queue.
pub(crate) fn open(simulation: &mut Simulation, described: &Described) -> Result<Queue, Error> {
    let options = Options {
        max_length: described.max_length,
        fail_open: described.fail_open,
        receive_buffer: described.receive_buffer,
        ignore_overruns: described.ignore_overruns,
        ..Families::Both.into()
    };
    let mut queue = Queue::with_simulation(simulation, options)?;
    queue.set_mode(match described.copy_range() {
        Some(range) => CopyMode::Packet { range },
        None => CopyMode::Metadata,
    })?;
    Ok(queue)
}

pub(crate) fn numbers(
    statistics: &Statistics,
    application: &Application,
    failure: Option<&Error>,
) -> ApplicationNumbers {
    ApplicationNumbers {
        packets: statistics.packets,
        bytes: statistics.bytes,
        accepted: statistics.accepted,
        dropped: statistics.dropped,
        mangled: application.mangled(),
        truncated: statistics.truncated,
        refused: statistics.refused,
        overruns: statistics.overruns,
        lost: statistics.lost,
        foreign: statistics.foreign,
        malformed: statistics.malformed,
        failure: failure.and_then(Error::errno),
        has_failed: failure.is_some(),
    }
}

/// Writes what a run did, where that is asked for.
fn write_captures(args: &SimRunArgs, outcome: &Outcome) -> Result<(), Failure> {
    let kernel = outcome.simulation.kernel();
    let start = kernel.start_time();
    if let Some(path) = &args.netlink {
        let conversation = kernel.take_conversation();
        write_file(path, |file| write_conversation(file, &conversation, start))?;
    }
    if let Some(path) = &args.traffic {
        let packets = kernel.take_outcomes();
        write_file(path, |file| write_traffic(file, &packets, &outcome.trace, start))?;
    }
    Ok(())
}

fn write_file(
    path: &Path,
    write: impl FnOnce(BufWriter<File>) -> Result<BufWriter<File>, CaptureError>,
) -> Result<(), Failure> {
    let file = File::create(path).map_err(|error| Failure::Creating(path.to_owned(), error))?;
    write(BufWriter::new(file))?;
    Ok(())
}

/// Compares the traces of two runs with the same seed.
fn compare(seed: u64, first: &[TraceEntry], second: &[TraceEntry]) -> Result<(), Failure> {
    let differs = |at: &usize| first.get(*at) != second.get(*at);
    match (0..first.len().max(second.len())).find(differs) {
        None => Ok(()),
        Some(line) => Err(Failure::NotRepeatable { seed, line: line + 1 }),
    }
}
