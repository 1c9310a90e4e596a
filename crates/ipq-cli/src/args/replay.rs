//! The arguments of `ipq-cli replay`.

use std::path::PathBuf;

use ipq::Families;

use super::rule::RuleArgs;

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

    /// Have the program of this scenario decide, which passes, drops or changes packets; how it opens its queue, when it
    /// starts and how long it thinks is not looked at.
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["verdict", "filter"])]
    pub application: Option<PathBuf>,

    /// The rule.
    #[command(flatten)]
    pub rule: RuleArgs,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli replay capture.pcap --verdict drop --filter 'udp port 53'
  ipq-cli replay capture.pcap --quiet --log verdicts.jsonl
  ipq-cli replay capture.pcap --application tests/scenarios/port-filter.toml
  ipq-cli replay recorded.pcapng --verdict drop --write alive.pcap";
