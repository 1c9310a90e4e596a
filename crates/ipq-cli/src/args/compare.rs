//! The arguments of `ipq-cli compare`.

use std::path::PathBuf;

/// Compare two logs of verdicts, packet by packet.
///
/// A packet is the same in both if its bytes are, the nth time as the nth time, whatever the kernel called it and
/// wherever in the log it is. Exit status 1 if there is a difference.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct CompareArgs {
    /// The one log, as --log writes it.
    #[arg(value_name = "A.jsonl")]
    pub one: PathBuf,

    /// The other.
    #[arg(value_name = "B.jsonl")]
    pub other: PathBuf,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli replay capture.pcap --verdict drop --filter 'port 53' --log before.jsonl
  ipq-cli replay capture.pcap --verdict drop --filter 'udp port 53' --log after.jsonl
  ipq-cli compare before.jsonl after.jsonl";
