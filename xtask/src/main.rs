//! Project tasks: `cargo xtask <task>`, and `cargo xtask --help` for what there is.

#![forbid(unsafe_code)]

mod api;
mod bench;
mod ci;
mod coverage;
mod document;
mod features;
mod fuzz;
mod golden;
mod install;
mod install_c;
mod load;
mod minimal_versions;
mod packages;
mod place;
mod threads;
mod tidy;
mod tool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::tool::cargo;

/// Project tasks of ipq.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run everything that CI runs: format, tidy, golden, lints, all tests, docs, fuzz seeds, dependencies.
    Ci,
    /// Check the files of the project for what no compiler looks at.
    Tidy,
    /// Make the layouts in tests/golden again, as the C compiler has them.
    Golden {
        /// Only compare them with what the compiler makes.
        #[arg(long)]
        check: bool,
    },
    /// Write what the libraries offer to others to the files in api/.
    Api {
        /// Only compare it with these files.
        #[arg(long)]
        check: bool,
    },
    /// Run all tests and count which lines they run, and name the functions they never call (needs cargo-llvm-cov).
    Coverage(coverage::Args),
    /// Check the published crates with the oldest versions of their dependencies that they allow.
    MinimalVersions,
    /// Build the program and install it, with what `ipq-cli run` needs, manual pages and completions.
    Install(place::Args),
    /// Build libipq for C and install it, with headers and manual pages.
    InstallC(place::Args),
    /// Replay the recordings of a real kernel against the simulated one, and print where they differ.
    Conformance,
    /// Run the fuzz targets (needs cargo-fuzz and a nightly compiler).
    Fuzz(fuzz::Args),
    /// Count which lines the inputs of the fuzz targets reach, seeds and what the fuzzer has kept (needs cargo-llvm-cov).
    FuzzCoverage,
    /// Make the seeds of the fuzz targets again that come from recordings, captures and scenarios.
    FuzzSeeds,
    /// Run what threads share in every order in which they can go on, and then under load.
    Threads(threads::Args),
    /// Run the tests under load and failure in their long form, and print what they have measured.
    Load(load::Args),
    /// Measure ipq and its peers: codecs, the simulated kernel, the kernel's queue, the C library, latency, start-up.
    Bench(bench::Args),
    /// Measure ipq and its peers on the kernel's queue: the same as `bench --only kernel`.
    BenchKernel(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Ci => return ci::run(),
        Task::Tidy => tidy::run(),
        Task::Golden { check } => golden::run(check),
        Task::Api { check } => api::run(check).map_err(|problem| problem.to_string()),
        Task::Coverage(args) => coverage::run(&args),
        Task::MinimalVersions => minimal_versions::run(),
        Task::Install(args) => install::run(&args),
        Task::InstallC(args) => install_c::run(&args),
        Task::Conformance => {
            tool::run(cargo("run --quiet --package ipq-tests --bin ipq-conformance"))
        }
        Task::Fuzz(args) => fuzz::run(&args),
        Task::FuzzCoverage => fuzz::coverage::run(),
        Task::FuzzSeeds => tool::run(cargo("run --quiet --package ipq-tests --bin ipq-fuzz-seeds")),
        Task::Threads(args) => threads::run(&args),
        Task::Load(args) => load::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::BenchKernel(args) => bench::run(&args.only(bench::Part::Kernel)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
