//! Replays the recordings against the simulated kernel and prints what came of it; exit status 1 if anything differs.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use ipq_tests::conformance;
use ipq_tests::recording::RecordingError;

fn main() -> Result<ExitCode, RecordingError> {
    let report = conformance::run()?;
    println!("{report}");
    Ok(if report.differences().next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
