//! `ipq-cli sim serve`: a simulated kernel for programs in other processes.

use std::io::{self, Write};
use std::os::fd::AsFd;

use ipq_sim::{Kernel, Scenario, Served, ServedReport, Simulation};
use ipq_sys::unix::{Listener, Server, ServerOptions, ServerStatistics};
use serde_json::{Map, Value, json};

use crate::args::{SimServeArgs, StartArg};
use crate::failure::Failure;
use crate::stop::Stop;

use super::report::packets;

/// Serves until it is done; says whether all that was expected came to be.
pub(super) fn run(args: &SimServeArgs) -> Result<bool, Failure> {
    let mut kernel = Served::new(simulation(args)?);
    if let Some(queues) = &args.queue {
        kernel = kernel.with_queues(queues.clone());
    }
    // Before anybody can connect, so that a signal that comes after the line below finds it ready.
    let (_stop, stop) = Stop::on_signals().map_err(Failure::Signals)?;
    let listener = Listener::bind(&args.listen).map_err(Failure::Listening)?;
    let mut out = io::stdout().lock();
    if args.json {
        let path = args.listen.to_string_lossy();
        writeln!(out, "{}", json!({ "event": "listening", "path": path }))?;
    } else {
        writeln!(out, "listening on {}", args.listen.display())?;
    }
    out.flush()?;
    let options = ServerOptions {
        speed: args.speed,
        starts_now: args.start == StartArg::Now,
        keeps_on: args.keep,
        ..ServerOptions::default()
    };
    let server = Server::new(kernel, listener, options);
    let (kernel, statistics) = server.run(Some(stop.as_fd())).map_err(Failure::Waiting)?;
    let report = kernel.finish();
    if args.json {
        print_json(&mut out, &report, &statistics)?;
    } else {
        print_text(&mut out, &mut crate::stderr(), &report, &statistics)?;
    }
    let is_good = report.is_good();
    match report.failure {
        Some(error) => Err(error.into()),
        None => Ok(is_good),
    }
}

/// What the file says that is to be served.
fn simulation(args: &SimServeArgs) -> Result<Simulation, Failure> {
    if let Some(path) = &args.scenario {
        let scenario = Scenario::open(path)?;
        let seed = args.seed.unwrap_or_else(|| scenario.seed());
        return Ok(scenario.start(seed, Kernel::builder())?);
    }
    // The arguments have one or the other.
    let path = args.traffic.as_deref().unwrap_or_else(|| "".as_ref());
    Ok(Simulation::of_capture(path)?)
}

/// Findings are data; what became of the packets is a message, as it is with other commands.
fn print_text(
    out: &mut impl Write,
    messages: &mut impl Write,
    report: &ServedReport,
    statistics: &ServerStatistics,
) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    for finding in &report.unknown {
        writeln!(out, "unknown: {}: the program is not one of ours", finding.that)?;
    }
    let packets = report.totals.entered;
    let time = report.time.as_secs_f64();
    writeln!(messages, "{packets} packets in {time:.6} s, {} sockets", statistics.sockets)?;
    for (fate, count) in &report.fates {
        writeln!(messages, "{count:>8} {fate}")?;
    }
    let left = report.totals.queued + report.totals.incomplete;
    if left > 0 {
        writeln!(messages, "{left:>8} have not ended")?;
    }
    let ServerStatistics { refused, broken, .. } = statistics;
    if refused + broken > 0 {
        writeln!(messages, "{refused} connections refused, {broken} ended for what they said")?;
    }
    Ok(())
}

fn print_json(
    out: &mut impl Write,
    report: &ServedReport,
    statistics: &ServerStatistics,
) -> io::Result<()> {
    for (findings, is_known) in [(&report.findings, true), (&report.unknown, false)] {
        for finding in findings {
            let (found, holds) = (finding.found, finding.holds);
            let object = json!({
                "event": "expectation",
                "that": finding.that,
                "expected": finding.expected,
                "found": is_known.then_some(found),
                "holds": is_known.then_some(holds),
            });
            writeln!(out, "{object}")?;
        }
    }
    let fates = report.fates.iter().map(|(fate, count)| (fate.clone(), (*count).into()));
    let fates: Map<String, Value> = fates.collect();
    let summary = json!({
        "event": "summary",
        "seconds": report.time.as_secs_f64(),
        "packets": packets(&report.totals),
        "fates": fates,
        "expectations": report.findings.len(),
        "hold": report.findings.iter().filter(|finding| finding.holds).count(),
        "clients": {
            "connections": statistics.connections,
            "sockets": statistics.sockets,
            "requests": statistics.requests,
            "refused": statistics.refused,
            "broken": statistics.broken,
        },
    });
    writeln!(out, "{summary}")
}
