//! The command line of userspace packet queuing, as a library, so that its definitions can be documented and
//! tested: [`Args`] is what the program understands, [`main`] is the program.

#![forbid(unsafe_code)]

mod application;
mod args;
mod compare;
mod decode;
mod dissect;
mod doctor;
mod engine;
mod failure;
mod filter;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod generate;
mod hexdump;
mod install;
mod json;
mod metadata;
mod output;
mod passer;
mod recording;
mod run;
mod show;
mod sim;
mod source;
mod status;
mod stop;
mod text;
mod top;
mod verdict_log;

pub use args::{
    ApplicationArg, Args, Command, CompareArgs, CompletionsArgs, CopyArg, DecodeArgs, DoctorArgs,
    DropArgs, DumpArgs, FormatArg, HookArg, ManArgs, OrderArg, PasserArgs, ProtocolArg, QueueArgs,
    RecordArgs, ReplayArgs, RuleArgs, RunArgs, SimCommand, SimRunArgs, SimServeArgs, Speed,
    StartArg, StatusArgs, TopArgs, TrafficArg, VerdictArg, WordArg,
};

pub use filter::{Filter, FilterError};

use core::fmt;
use std::io::{self, LineWriter, Write};
use std::process::ExitCode;

use clap::Parser;

use failure::Failure;

/// Runs the program with the arguments of this process: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let Args { command } = Args::parse();
    match command {
        Command::Passer(args) => passer::passer(&args),
        Command::Dump(args) => passer::dump(&args),
        Command::Drop(args) => passer::drop(&args),
        Command::Record(args) => passer::record(&args),
        Command::Replay(args) => passer::replay(&args),
        Command::Compare(args) => ended(compare::run(&args)),
        Command::Status(args) => status::main(&args),
        Command::Completions(args) => ended(generate::completions(&args)),
        Command::Man(args) => ended(generate::man(&args)),
        Command::Decode(args) => ended(decode::run(&args)),
        Command::Doctor(args) => ended(doctor::run(&args)),
        Command::Top(args) => top::main(&args),
        Command::Run(args) => run::main(&args),
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

/// The exit status of a command whose arguments are wrong together, though each is right.
fn wrong_usage(command: &str, problem: &str) -> ExitCode {
    const USAGE: u8 = 2;
    complain(&format_args!("{problem}\n\nFor more information, try 'ipq-cli {command} --help'."));
    ExitCode::from(USAGE)
}

/// Writes a message to stderr. If nobody reads that, there is nobody to tell.
fn complain(message: &dyn fmt::Display) {
    let _ = writeln!(stderr(), "ipq-cli: {message}");
}

/// Standard error, to which a line is written in one piece, since other programs may write there too.
fn stderr() -> LineWriter<io::Stderr> {
    LineWriter::new(io::stderr())
}
