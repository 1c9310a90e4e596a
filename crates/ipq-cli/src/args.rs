//! What the program understands: [`Args`]. The arguments of each command are in a file of their own.

mod decode;
mod passer;
mod sim;
mod transport;

use clap::{Parser, Subcommand};

pub use decode::{DecodeArgs, FormatArg, OrderArg, ProtocolArg, WordArg};
pub use passer::{CopyArg, PasserArgs, VerdictArg};
pub use sim::{SimCommand, SimRunArgs};
pub(crate) use transport::transport;

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
    /// Say what messages of a packet queue mean, and where they are wrong.
    Decode(DecodeArgs),
    /// Run a simulated kernel.
    #[command(subcommand)]
    Sim(SimCommand),
}
