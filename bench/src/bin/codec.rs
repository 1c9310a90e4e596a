//! `codec IMPLEMENTATION DIRECTION MESSAGE TIMES`, of those that are in Rust: see [`ipq_bench::codec`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use ipq_bench::codec::{Direction, Implementation, Message};

#[derive(Debug, Parser)]
struct Args {
    implementation: Implementation,
    direction: Direction,
    message: Message,
    times: u64,
}

fn main() -> ExitCode {
    let Args { implementation, direction, message, times } = Args::parse();
    let Some(measured) = implementation.run(direction, message, times) else {
        eprintln!("{implementation:?} has no such message");
        return ExitCode::FAILURE;
    };
    println!("{measured}");
    ExitCode::SUCCESS
}
