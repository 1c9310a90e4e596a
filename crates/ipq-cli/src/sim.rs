//! `ipq-cli sim run`: a scenario, with a built-in program at its queue.

mod application;
mod report;

use std::io::{self, Write};
use std::process::ExitCode;

use ipq::{CopyMode, Families, Family, Queue, Statistics};
use ipq_sim::fault::{Faults, Faulty};
use ipq_sim::{Finding, Running, Scenario, Socket, TraceEntry};

use crate::args::{SimCommand, SimRunArgs};
use crate::failure::Failure;
use application::Application;

/// What one run of a scenario came to.
struct Outcome {
    findings: Vec<Finding>,
    trace: Vec<TraceEntry>,
}

/// Runs the command.
pub(crate) fn main(command: &SimCommand) -> ExitCode {
    let SimCommand::Run(args) = command;
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::FAILURE
        }
        Err(failure) => {
            let _ = writeln!(io::stderr(), "ipq-cli: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenario as often as asked for; says whether all that was expected came to be.
fn run(args: &SimRunArgs) -> Result<bool, Failure> {
    let scenario = Scenario::open(&args.file)?;
    let first = args.seed.unwrap_or_else(|| scenario.seed());
    let mut all_hold = true;
    let mut out = io::stdout().lock();
    for repetition in 0..args.repeat {
        let seed = first.wrapping_add(repetition);
        let outcome = once(&scenario, seed)?;
        if args.check {
            report::compare(seed, &outcome.trace, &once(&scenario, seed)?.trace)?;
        }
        if args.trace {
            report::trace(&mut out, &outcome.trace, args.json)?;
        }
        all_hold &= report::findings(&mut out, seed, &outcome.findings, args.json)?;
    }
    out.flush()?;
    Ok(all_hold)
}

/// Runs the scenario once, to its end.
fn once(scenario: &Scenario, seed: u64) -> Result<Outcome, Failure> {
    let running = scenario.start(Some(seed))?;
    let (mut queue, faults) = open(scenario, &running, seed)?;
    queue.set_mode(CopyMode::Packet { range: 0 })?;
    let mut application = Application::new(scenario.application(), seed);
    application.serve(&mut queue)?;
    running.kernel().run();
    let statistics = queue.statistics();
    let findings = running.findings(|name| number(name, &statistics, &faults));
    Ok(Outcome { findings, trace: running.kernel().take_trace() })
}

/// The program's queue, whose conversation meets the faults of the scenario.
fn open(
    scenario: &Scenario,
    running: &Running<'_>,
    seed: u64,
) -> Result<(Queue, Vec<Faults>), Failure> {
    let plan = scenario.faults(seed);
    let mut faults = Vec::new();
    let mut wrap = |socket: Socket| {
        let socket = Faulty::new(socket, &plan);
        faults.push(socket.faults());
        socket
    };
    let kernel = running.kernel();
    let queue = match scenario.queues() {
        Some(numbers) => {
            Queue::with_nfqueue(wrap(kernel.nfqueue_socket()), numbers, Families::Both)?
        }
        None => Queue::with_sockets(Family::ALL.map(|family| wrap(kernel.socket(family))))?,
    };
    Ok((queue, faults))
}

/// A number of the program's, or how often a fault struck.
fn number(name: &str, statistics: &Statistics, faults: &[Faults]) -> Option<u64> {
    if let Some(fault) = name.strip_prefix("fault.") {
        let counts = faults.iter().map(Faults::counts);
        let tallies = counts.flat_map(|counts| counts.faults);
        let named = tallies.filter(|tally| tally.planned.fault().name() == fault);
        return named.map(|tally| tally.done).reduce(|sum, done| sum + done);
    }
    Some(match name.strip_prefix("application.")? {
        "packets" => statistics.packets,
        "bytes" => statistics.bytes,
        "accepted" => statistics.accepted,
        "dropped" => statistics.dropped,
        "truncated" => statistics.truncated,
        "refused" => statistics.refused,
        "overruns" => statistics.overruns,
        "lost" => statistics.lost,
        "foreign" => statistics.foreign,
        "malformed" => statistics.malformed,
        _ => return None,
    })
}
