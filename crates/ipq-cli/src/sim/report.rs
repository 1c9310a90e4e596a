//! What runs of a scenario print: [`Report`].

use std::io::{self, Write};

use ipq::{KernelStatus, QueueName};
use ipq_sim::{Totals, TraceEntry};
use serde_json::{Map, Value, json};

use super::Outcome;

/// Prints what became of runs, as lines or as JSON, and remembers which of them went wrong.
pub(super) struct Report<W> {
    out: W,
    is_json: bool,
    runs: u64,
    /// The seeds of those in which something was not as expected.
    failed: Vec<u64>,
}

impl<W: Write> Report<W> {
    pub(super) fn new(out: W, is_json: bool) -> Self {
        Self { out, is_json, runs: 0, failed: Vec::new() }
    }

    /// Prints everything that happened, an event a line.
    pub(super) fn trace(&mut self, trace: &[TraceEntry]) -> io::Result<()> {
        for entry in trace {
            if self.is_json {
                serde_json::to_writer(&mut self.out, entry)?;
                self.out.write_all(b"\n")?;
            } else {
                writeln!(self.out, "{entry}")?;
            }
        }
        Ok(())
    }

    /// Prints the queues as they were at the end.
    pub(super) fn status(&mut self, outcome: &Outcome) -> io::Result<()> {
        let KernelStatus { ip_queues, nfqueues, .. } = &outcome.status;
        if self.is_json {
            let seed = format!("{:#x}", outcome.seed);
            return self.line(&json!({
                "event": "status",
                "seed": seed,
                "ip_queues": ip_queues,
                "nfqueues": nfqueues,
            }));
        }
        for ip_queue in ip_queues {
            write!(self.out, "{}:\n{ip_queue}", QueueName::IpQueue(ip_queue.family))?;
        }
        if !nfqueues.is_empty() {
            writeln!(self.out, "nfnetlink_queue:")?;
        }
        nfqueues.iter().try_for_each(|nfqueue| writeln!(self.out, "{nfqueue}"))
    }

    /// Prints what a run came to.
    pub(super) fn run(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.runs += 1;
        let holds = outcome.findings.iter().filter(|finding| finding.holds).count();
        if holds < outcome.findings.len() || outcome.failure.is_some() {
            self.failed.push(outcome.seed);
        }
        if self.is_json {
            self.run_as_json(outcome, holds)
        } else {
            self.run_as_text(outcome, holds)
        }
    }

    fn run_as_text(&mut self, outcome: &Outcome, holds: usize) -> io::Result<()> {
        for finding in &outcome.findings {
            writeln!(self.out, "{finding}")?;
        }
        if let Some(error) = &outcome.failure {
            writeln!(self.out, "FAILED: the application ended: {error}")?;
        }
        let all = outcome.findings.len();
        let packets = outcome.simulation.kernel().totals().entered;
        let time = outcome.simulation.kernel().now().as_secs_f64();
        let seed = outcome.seed;
        writeln!(
            self.out,
            "seed {seed:#x}: {holds} of {all} expectations hold; {packets} packets in {time:.6} s"
        )
    }

    fn run_as_json(&mut self, outcome: &Outcome, holds: usize) -> io::Result<()> {
        // A number of 64 bits is more than some readers of JSON take.
        let seed = format!("{:#x}", outcome.seed);
        for finding in &outcome.findings {
            self.line(&json!({
                "event": "expectation",
                "seed": seed,
                "that": finding.that,
                "expected": finding.expected,
                "found": finding.found,
                "holds": finding.holds,
            }))?;
        }
        let numbers = outcome.numbers.all().map(|(name, number)| (name.to_owned(), number.into()));
        let mut application: Map<String, Value> = numbers.collect();
        let failure = outcome.failure.as_ref().map(ToString::to_string);
        application.insert("failure".to_owned(), failure.into());
        let kernel = outcome.simulation.kernel();
        let totals = kernel.totals();
        self.line(&json!({
            "event": "run",
            "seed": seed,
            "expectations": outcome.findings.len(),
            "hold": holds,
            "seconds": kernel.now().as_secs_f64(),
            "packets": packets(&totals),
            "application": application,
        }))
    }

    /// Prints what all runs came to, if they were several; says whether all was as expected, always.
    pub(super) fn finish(mut self) -> io::Result<bool> {
        if self.runs > 1 {
            let seeds: Vec<_> = self.failed.iter().map(|seed| format!("{seed:#x}")).collect();
            let (runs, failed) = (self.runs, seeds.len());
            if self.is_json {
                self.line(&json!({ "event": "summary", "runs": runs, "failed": failed, "failed_seeds": seeds }))?;
            } else if failed == 0 {
                writeln!(self.out, "{runs} runs: all is as expected")?;
            } else {
                let seeds = seeds.join(", ");
                writeln!(self.out, "{runs} runs: {failed} FAILED, those with the seeds {seeds}")?;
            }
        }
        self.out.flush()?;
        Ok(self.failed.is_empty())
    }

    fn line(&mut self, object: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, object)?;
        self.out.write_all(b"\n")
    }
}

/// How many packets there were.
pub(super) fn packets(totals: &Totals) -> Value {
    json!({
        "entered": totals.entered,
        "delivered": totals.delivered,
        "dropped": totals.dropped,
        "fragmented": totals.fragmented,
        "reassembled": totals.reassembled,
        "incomplete": totals.incomplete,
        "queued": totals.queued,
    })
}
