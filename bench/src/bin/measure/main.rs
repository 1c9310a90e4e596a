//! Measures and prints what came of it as Markdown, one part at a time: the receivers under each load, codecs, the
//! simulated kernel, latency, start-up.
//!
//! Started by `cargo xtask bench` in a network namespace of its own; it refuses to run in the one that it is told is the
//! machine's. Where a kernel's queue is needed it sets up the loopback and one rule there, and everything goes over that
//! loopback.

#![forbid(unsafe_code)]

mod cell;
mod codec;
mod comparison;
mod latency;
mod load;
mod machine;
mod namespace;
mod program;
mod receiver;
mod repeat;
mod report;
mod simulator;
mod spread;
mod startup;
mod table;
mod valgrind;

use core::time::Duration;
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::cell::Bench;
use crate::namespace::Namespace;

/// What this comes to; the error is a fragment for a person.
type Outcome<T> = Result<T, String>;

/// Measure one part.
#[derive(Debug, Parser)]
struct Args {
    /// Where the programs in C are.
    #[arg(long)]
    c_programs: PathBuf,
    /// The program ipq-cli.
    #[arg(long)]
    cli: PathBuf,
    /// The namespace that must not be touched, as /proc/PID/ns/net gives it.
    #[arg(long)]
    outside: String,
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Receivers of queued packets under load.
    Kernel(comparison::Args),
    /// Reading and writing messages.
    Codec(Rounds),
    /// The simulated kernel.
    Simulator(Rounds),
    /// What a queue adds to the time that a packet takes.
    Latency(Rounds),
    /// From the start to the first packet, and memory.
    StartUp(Rounds),
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Rounds {
    /// How often each is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// Where the programs are that are measured.
#[derive(Debug)]
pub(crate) struct Places {
    /// Those of this workspace.
    pub(crate) rust: PathBuf,
    /// Those in C.
    pub(crate) c: PathBuf,
    /// ipq-cli.
    pub(crate) cli: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(tables) => {
            print!("{tables}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Outcome<String> {
    // Should whoever started this be killed.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let rust = program.parent().map(Path::to_owned).unwrap_or_default();
    let places = Places { rust, c: args.c_programs.clone(), cli: args.cli.clone() };
    let bench = |seconds| {
        let namespace = Namespace::enter(&args.outside)?;
        Bench::new(namespace, &places, seconds)
    };
    match &args.part {
        Part::Kernel(part) => Ok(comparison::measure(part, &bench(part.duration()?)?).to_string()),
        Part::Codec(Rounds { rounds }) => codec::measure(&places, *rounds),
        Part::Simulator(Rounds { rounds }) => simulator::measure(&places, *rounds),
        Part::Latency(Rounds { rounds }) => latency::measure(&bench(Duration::ZERO)?, *rounds),
        Part::StartUp(Rounds { rounds }) => {
            Ok(startup::measure(&bench(Duration::ZERO)?, &places, *rounds))
        }
    }
}
