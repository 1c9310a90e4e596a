//! What the program understands: [`Args`]. The arguments of each command are in a file of their own.

mod compare;
mod decode;
mod doctor;
mod dump;
mod generate;
mod passer;
mod queue;
mod replay;
mod rule;
mod run;
mod sim;
mod status;
mod top;
mod transport;

pub use compare::CompareArgs;
pub use decode::{DecodeArgs, FormatArg, OrderArg, ProtocolArg, WordArg};
pub use doctor::{DoctorArgs, HookArg, TrafficArg};
pub use dump::{DropArgs, DumpArgs, RecordArgs};
pub use generate::{CompletionsArgs, ManArgs};
pub use passer::{CopyArg, PasserArgs};
pub use queue::QueueArgs;
pub(crate) use queue::is_simulated;
pub use replay::ReplayArgs;
pub use rule::{RuleArgs, VerdictArg};
pub use run::RunArgs;
pub use sim::{ApplicationArg, SimCommand, SimRunArgs, SimServeArgs, StartArg};
pub use status::StatusArgs;
pub use top::{Speed, TopArgs};

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use clap::{Parser, Subcommand};
use ipq::TransportName;

/// Userspace packet queuing: look at, pass, drop and count queued packets.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage. Data go to stdout, messages to stderr.
#[derive(Clone, Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Give every queued packet the same verdict, and show it.
    Passer(PasserArgs),
    /// Look at queued packets without touching them: every one is accepted.
    Dump(DumpArgs),
    /// Drop queued packets that match a filter expression, and accept all others.
    Drop(DropArgs),
    /// Record a queue to a file: every packet with what the kernel said of it and its verdict.
    Record(RecordArgs),
    /// Put the packets of a capture through a rule offline, and report what would become of them.
    Replay(ReplayArgs),
    /// Compare two logs of verdicts, packet by packet.
    Compare(CompareArgs),
    /// Show the kernel's packet queues: who has them, what waits in them, what was lost.
    Status(StatusArgs),
    /// Say what messages of a packet queue mean, and where they are wrong.
    Decode(DecodeArgs),
    /// Say what is missing to make a queue work here, and how to get it.
    Doctor(DoctorArgs),
    /// Watch a queue live: rates, what waits, verdicts, losses and the busiest flows.
    Top(TopArgs),
    /// Run an unmodified program, and carry its queue sockets over a transport.
    Run(RunArgs),
    /// Run a simulated kernel.
    #[command(subcommand)]
    Sim(SimCommand),
    /// Print what a shell needs to complete commands and options.
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all commands.
    Man(ManArgs),
}

/// Refuses to write to the capture that is read.
pub(crate) fn refuse_overwriting(
    transport: &TransportName,
    option: &str,
    written: Option<&Path>,
) -> Result<(), String> {
    match (transport, written) {
        (TransportName::Sim(read), Some(written)) if is_same_file(read, written) => {
            Err(format!("{option} would overwrite the capture that is read"))
        }
        _ => Ok(()),
    }
}

/// Whether two paths lead to the same file on disk.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = path.metadata().ok().filter(Metadata::is_file)?;
        Some((metadata.dev(), metadata.ino()))
    };
    identity(one).is_some_and(|one| Some(one) == identity(other))
}
