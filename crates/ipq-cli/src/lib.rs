//! The command line of userspace packet queuing, as a library, so that its definitions can be documented and
//! tested: [`Args`] is what the program understands, [`main`] is the program.

#![forbid(unsafe_code)]

mod args;
mod dissect;
mod failure;
mod json;
mod output;
mod passer;
mod sim;
mod source;
mod stop;
mod text;

pub use args::{Args, Command, CopyArg, PasserArgs, SimCommand, SimRunArgs, VerdictArg};

use std::process::ExitCode;

use clap::Parser;

/// Runs the program with the arguments of this process: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let Args { command } = Args::parse();
    match command {
        Command::Passer(args) => passer::main(&args),
        Command::Sim(command) => sim::main(&command),
    }
}
