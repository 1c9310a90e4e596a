//! The receivers under each load, in rounds.

use core::time::Duration;

use crate::Outcome;
use crate::cell::{Bench, Sample};
use crate::load::Load;
use crate::receiver::Receiver;
use crate::report::{Results, Row, Table};

/// What is compared, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each cell is measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How often each cell is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Count instructions too, with valgrind.
    #[arg(long)]
    instructions: bool,
    /// Measure under these loads only.
    #[arg(long = "load", value_enum)]
    loads: Vec<Load>,
    /// Measure these receivers only.
    #[arg(long = "receiver", value_enum)]
    receivers: Vec<Receiver>,
}

impl Args {
    /// How long each cell is measured.
    pub(crate) fn duration(&self) -> Outcome<Duration> {
        Duration::try_from_secs_f64(self.seconds).map_err(|error| error.to_string())
    }
}

/// Measures; gives the tables.
pub(crate) fn measure(args: &Args, bench: &Bench) -> Results {
    let mut receivers = chosen(&args.receivers);
    receivers.retain(|&receiver| works(bench, receiver));
    let mut results = Results::new(&chosen(&args.loads), &receivers, bench, args.rounds);
    for round in 0..args.rounds {
        for table in &mut results.tables {
            let load = table.load;
            // Each round begins with another, so that none is always the first after a change of load.
            let shift = round as usize % table.rows.len().max(1);
            table.rows.rotate_left(shift);
            for row in &mut table.rows {
                row.samples.push(take(bench, load, row, round));
            }
            table.rows.rotate_right(shift);
        }
    }
    if args.instructions {
        count_instructions(&mut results, bench);
    }
    results
}

/// Counts the instructions of each cell, where there is valgrind.
fn count_instructions(results: &mut Results, bench: &Bench) {
    for Table { load, rows } in &mut results.tables {
        for row in rows {
            match bench.instructions(row.receiver, *load) {
                Ok(instructions) => row.instructions = Some(instructions),
                Err(error) => eprintln!("skipped: instructions of {}: {error}", row.receiver),
            }
        }
    }
}

/// Those asked for, or all.
fn chosen<T: clap::ValueEnum + Clone>(asked: &[T]) -> Vec<T> {
    if asked.is_empty() { T::value_variants().to_vec() } else { asked.to_vec() }
}

/// Whether the receiver is there and gets as far as waiting for packets; says why not.
fn works(bench: &Bench, receiver: Receiver) -> bool {
    // One that was not built: whoever did not build it has said why.
    if !bench.program(receiver).exists() {
        return false;
    }
    let started = bench.start(receiver, false);
    if let Err(error) = &started {
        eprintln!("skipped: {receiver}: {error}");
    }
    started.is_ok()
}

/// Measures a cell once, and says how that went.
fn take(bench: &Bench, load: Load, row: &Row, round: u32) -> Option<Sample> {
    let sample = bench.measure(row.receiver, load);
    let how = match &sample {
        Ok(sample) => sample.to_string(),
        Err(error) => format!("failed: {error}"),
    };
    eprintln!("round {}: {load}, {}: {how}", round + 1, row.receiver);
    sample.ok()
}
