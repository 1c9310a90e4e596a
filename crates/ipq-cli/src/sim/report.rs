//! What a run of a scenario prints.

use std::io::Write;

use ipq_sim::{Finding, TraceEntry};
use serde_json::json;

use crate::failure::Failure;

/// Prints what became of each expectation; says whether all hold.
pub(super) fn findings(
    out: &mut impl Write,
    seed: u64,
    findings: &[Finding],
    is_json: bool,
) -> Result<bool, Failure> {
    let holds = findings.iter().filter(|finding| finding.holds).count();
    for finding in findings {
        if is_json {
            let Finding { that, expected, found, holds } = finding;
            let object = json!({
                "event": "expectation", "seed": seed, "that": that, "expected": expected, "found": found, "holds": holds
            });
            writeln!(out, "{object}")?;
        } else {
            writeln!(out, "{finding}")?;
        }
    }
    let all = findings.len();
    if is_json {
        writeln!(
            out,
            "{}",
            json!({ "event": "run", "seed": seed, "expectations": all, "hold": holds })
        )?;
    } else {
        writeln!(out, "seed {seed:#x}: {holds} of {all} expectations hold")?;
    }
    Ok(holds == all)
}

/// Prints everything that happened, an event a line.
pub(super) fn trace(
    out: &mut impl Write,
    trace: &[TraceEntry],
    is_json: bool,
) -> Result<(), Failure> {
    for entry in trace {
        if is_json {
            let line = serde_json::to_string(entry).map_err(std::io::Error::from)?;
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{entry}")?;
        }
    }
    Ok(())
}

/// Compares the traces of two runs with the same seed.
pub(super) fn compare(
    seed: u64,
    first: &[TraceEntry],
    second: &[TraceEntry],
) -> Result<(), Failure> {
    let differs = |at: &usize| first.get(*at) != second.get(*at);
    match (0..first.len().max(second.len())).find(differs) {
        None => Ok(()),
        Some(line) => Err(Failure::NotRepeatable { seed, line: line + 1 }),
    }
}
