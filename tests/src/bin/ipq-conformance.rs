//! Replays the recordings and prints what came of it, for each stand-in of the recorded kernel; exit status 1 if anything
//! differs.

#![forbid(unsafe_code)]

use std::env;
use std::process::{Command, ExitCode};

use ipq_tests::conformance::{self, Arm};
use ipq_tests::recording::RecordingError;

/// The argument with which this program runs itself in a network of its own.
const INSIDE: &str = "--in-a-network-of-its-own";

fn main() -> Result<ExitCode, RecordingError> {
    if env::args().any(|argument| argument == INSIDE) {
        return Ok(exit_code(print(Arm::BridgeOnReal)?));
    }
    let simulated = print(Arm::Simulated)?;
    let bridged = print(Arm::BridgeOnSimulated)?;
    Ok(exit_code(simulated && bridged && print_real()))
}

/// Replays and prints; returns whether all is well.
fn print(arm: Arm) -> Result<bool, RecordingError> {
    println!("== {arm}");
    match conformance::run(arm)? {
        Ok(report) => {
            println!("{report}");
            Ok(report.differences().next().is_none())
        }
        Err(reason) => {
            println!("skipped: {reason}");
            Ok(true)
        }
    }
}

/// The same on the real kernel, by this program once more in a user and a network namespace.
fn print_real() -> bool {
    let own = env::current_exe().unwrap_or_else(|_| "ipq-conformance".into());
    for wrapper in [&["--user", "--map-root-user", "--net"][..], &["--net"]] {
        let may = Command::new("unshare").args(wrapper).arg("true").output();
        if !may.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let status = Command::new("unshare").args(wrapper).arg(&own).arg(INSIDE).status();
        return status.is_ok_and(|status| status.success());
    }
    println!("== {}\nskipped: no network of its own by unshare(1)", Arm::BridgeOnReal);
    true
}

fn exit_code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
