//! The arguments of `ipq-cli sim`.

mod serve;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use ipq_sim::{ApplicationName, Seeds};

pub use serve::{SimServeArgs, StartArg};

/// What to do with a simulated kernel.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum SimCommand {
    /// Run a scenario file with its built-in program, and say which expectations hold.
    Run(SimRunArgs),
    /// Serve a simulated kernel to programs in other processes, on a Unix socket.
    Serve(SimServeArgs),
}

/// Run a scenario file with its built-in program, and say which expectations hold.
///
/// Exit status 1 if one does not. The same file and seed do the same, always.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = SIM_RUN_AFTER_HELP)]
pub struct SimRunArgs {
    /// The scenario, in TOML: docs/scenarios.md describes it.
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,

    /// The seed of all that looks random, decimal or 0x…; by default the file's.
    #[arg(long, value_name = "N", env = "IPQ_SIM_SEED", hide_env_values = true, value_parser = parse_number)]
    pub seed: Option<u64>,

    /// Run it this many times, each time with the next seed.
    #[arg(
        long,
        value_name = "N",
        env = "IPQ_SIM_RUNS",
        hide_env_values = true,
        default_value_t = 1,
        value_parser = parse_runs
    )]
    pub repeat: u64,

    /// Another program than the scenario's.
    #[arg(long, value_enum, value_name = "NAME")]
    pub application: Option<ApplicationArg>,

    /// Run it twice with each seed, and compare everything that happened.
    #[arg(long)]
    pub check: bool,

    /// Print everything that happens, an event a line.
    #[arg(long)]
    pub trace: bool,

    /// Print the queues at the end, as the files in /proc read.
    #[arg(long)]
    pub status: bool,

    /// Print JSON, one object a line: docs/scenarios.md describes it.
    #[arg(long)]
    pub json: bool,

    /// Write the conversation between the program and its kernel to this file, as pcap of netlink messages.
    #[arg(long, value_name = "FILE.pcap")]
    pub netlink: Option<PathBuf>,

    /// Write the packets to this file, as pcapng; the comment of each says what became of it.
    #[arg(long, value_name = "FILE.pcapng")]
    pub traffic: Option<PathBuf>,
}

/// The value of `--application`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ApplicationArg {
    /// Accept every packet.
    Pass,
    /// Drop those that the scenario says.
    Drop,
    /// Change those that the scenario says, as it says.
    Mangle,
}

impl From<ApplicationArg> for ApplicationName {
    fn from(arg: ApplicationArg) -> Self {
        match arg {
            ApplicationArg::Pass => Self::Pass,
            ApplicationArg::Drop => Self::Drop,
            ApplicationArg::Mangle => Self::Mangle,
        }
    }
}

const SIM_RUN_AFTER_HELP: &str = "\
Examples:
  ipq-cli sim run tests/scenarios/lossy-transfer.toml
  ipq-cli sim run tests/scenarios/lossy-transfer.toml --repeat 100 --check
  ipq-cli sim run tests/scenarios/port-filter.toml --trace
  ipq-cli sim run tests/scenarios/port-filter.toml --traffic packets.pcapng && wireshark packets.pcapng";

impl SimRunArgs {
    /// What is wrong with the arguments together, though each is right.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        if self.repeat > 1 && (self.netlink.is_some() || self.traffic.is_some()) {
            return Some(
                "--netlink and --traffic write what one run did: use them without --repeat",
            );
        }
        let written = [&self.netlink, &self.traffic];
        if written.into_iter().flatten().any(|path| *path == self.file) {
            return Some("the scenario would be overwritten");
        }
        if self.netlink.is_some() && self.netlink == self.traffic {
            return Some("--netlink and --traffic need files of their own");
        }
        None
    }
}

/// A number, decimal or hexadecimal behind 0x.
fn parse_number(text: &str) -> Result<u64, &'static str> {
    Seeds::number(text).ok_or("a seed is a number of 64 bits, decimal or hexadecimal behind 0x")
}

/// A number of runs.
fn parse_runs(text: &str) -> Result<u64, &'static str> {
    let number = Seeds::number(text).filter(|number| *number > 0);
    number.ok_or("the number of runs is 1 or more, decimal or hexadecimal behind 0x")
}
