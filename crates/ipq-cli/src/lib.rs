//! The command line of userspace packet queuing, as a library, so that its definitions can be documented and
//! tested: [`Args`] is what the program understands, [`main`] is the program.

#![forbid(unsafe_code)]

mod args;
mod decode;
mod dissect;
mod failure;
mod filter;
mod hexdump;
mod json;
mod output;
mod passer;
mod sim;
mod source;
mod stop;
mod text;

pub use args::{
    Args, Command, CopyArg, DecodeArgs, FormatArg, OrderArg, PasserArgs, ProtocolArg, SimCommand,
    SimRunArgs, VerdictArg, WordArg,
};

pub use filter::{Filter, FilterError};

use core::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use failure::Failure;

/// Runs the program with the arguments of this process: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let Args { command } = Args::parse();
    match command {
        Command::Passer(args) => passer::main(&args),
        Command::Decode(args) => ended(decode::run(&args)),
        Command::Sim(command) => sim::main(&command),
    }
}

/// The exit status of a command that has done what it could, and says whether all was well.
fn ended(result: Result<bool, Failure>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Writes a message to stderr. If nobody reads that, there is nobody to tell.
fn complain(message: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "ipq-cli: {message}");
}
