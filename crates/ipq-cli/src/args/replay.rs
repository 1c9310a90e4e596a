//! The arguments of `ipq-cli replay`.

use std::path::PathBuf;

use ipq::Families;

use super::passer::VerdictArg;
use crate::filter::Filter;

/// Put the packets of a capture through a rule offline, and report what would become of them.
///
/// They come in on eth0 of a simulated kernel, are queued before routing and get their verdicts there, as they would
/// from passer on a real one: no root, no module, no network. A FILE.toml is a scenario, whose traffic is queued as its
/// rules say.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct ReplayArgs {
    /// The capture, pcap or pcapng, or a scenario.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Which packets: ipv4, ipv6 or both.
    #[arg(long, value_name = "FAMILY", default_value_t)]
    pub family: Families,

    /// What becomes of the packets that are meant.
    #[arg(long, value_enum, default_value_t = VerdictArg::Accept)]
    pub verdict: VerdictArg,

    /// Which packets are meant, in the language of pcap; all, if it is not given. All others are accepted.
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<Filter>,

    /// Stop after this many packets.
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,

    /// Print no packets, only the summary.
    #[arg(long)]
    pub quiet: bool,

    /// Write the packets that left the queue alive to this file, as pcap.
    #[arg(long, value_name = "FILE.pcap")]
    pub write: Option<PathBuf>,

    /// Write each verdict to this file, for 'ipq-cli compare'.
    #[arg(long, value_name = "FILE.jsonl")]
    pub log: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli replay capture.pcap --verdict drop --filter 'udp port 53'
  ipq-cli replay capture.pcap --quiet --log verdicts.jsonl
  ipq-cli replay recorded.pcapng --verdict drop --write alive.pcap";
