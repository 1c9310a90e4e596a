//! The arguments of `ipq-cli sim`.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with a simulated kernel.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum SimCommand {
    /// Run a scenario file with its built-in program, and say which expectations hold.
    Run(SimRunArgs),
}

/// Run a scenario file with its built-in program, and say which expectations hold.
///
/// Exit status 1 if one does not. The same file and seed do the same, always.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = SIM_RUN_AFTER_HELP)]
pub struct SimRunArgs {
    /// The scenario, in TOML: docs/scenarios.md describes it.
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,

    /// The seed of all that looks random, decimal or 0x…; if it is not given, the file's.
    #[arg(long, value_name = "N", value_parser = parse_seed)]
    pub seed: Option<u64>,

    /// Run it so often, each time with the next seed.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: u64,

    /// Run it twice with each seed, and compare everything that happened.
    #[arg(long)]
    pub check: bool,

    /// Print everything that happens, an event a line.
    #[arg(long)]
    pub trace: bool,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

const SIM_RUN_AFTER_HELP: &str = "\
Examples:
  ipq-cli sim run tests/scenarios/lossy-transfer.toml
  ipq-cli sim run tests/scenarios/lossy-transfer.toml --repeat 100 --check
  ipq-cli sim run tests/scenarios/filter.toml --trace";

/// A number, decimal or in hexadecimal.
fn parse_seed(text: &str) -> Result<u64, core::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
}
