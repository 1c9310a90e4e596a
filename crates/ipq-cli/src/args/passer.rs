//! The arguments of `ipq-cli passer`.

use clap::ValueEnum;
use ipq::{CopyMode, TransportName};

use super::queue::{QueueArgs, is_capture};
use super::rule::RuleArgs;

/// Give every queued packet the same verdict, and show it.
///
/// With the transport sim:FILE it needs neither root nor a module: the packets of the capture come in on eth0 of a
/// simulated kernel, each is queued before routing, and the run ends with the file. A FILE.toml is a scenario, whose
/// traffic is queued as its rules say.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct PasserArgs {
    /// Which queue, and how.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// How much of each packet is wanted: its metadata, or the packet too.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CopyArg::Packet)]
    pub copy: CopyArg,

    /// The rule.
    #[command(flatten)]
    pub rule: RuleArgs,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli passer --transport sim:capture.pcap
  ipq-cli passer --transport sim:capture.pcap --json | jq -r .summary
  ipq-cli passer --transport sim:capture.pcap --verdict drop --count 10
  ipq-cli passer --transport sim:capture.pcap --verdict drop --filter 'udp port 53'
  ipq-cli passer --transport sim:scenario.toml
  ipq-cli passer --transport nfqueue:0 --install 'OUTPUT -p icmp'";

/// The value of `--copy`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum CopyArg {
    /// The metadata, and no payload.
    Meta,
    /// Metadata and payload.
    Packet,
}

impl CopyArg {
    /// The copy mode that is asked for.
    pub(crate) const fn mode(self, queue: &QueueArgs) -> CopyMode {
        match self {
            Self::Meta => CopyMode::Metadata,
            Self::Packet => CopyMode::Packet { range: queue.range },
        }
    }

    /// Refuses what needs the packets, where they are not wanted.
    pub(crate) fn check(self, queue: &QueueArgs, has_filter: bool) -> Result<(), String> {
        let problem = match self {
            Self::Meta if queue.range != 0 => {
                "--range says how much of each packet is wanted, but --copy meta wants none"
            }
            Self::Meta if has_filter => "--filter looks at the packets: use --copy packet",
            Self::Meta | Self::Packet => return Ok(()),
        };
        Err(problem.to_owned())
    }
}

impl PasserArgs {
    /// What is wrong with the arguments together, though each is right.
    pub(crate) fn check(&self, transport: &TransportName) -> Result<(), String> {
        self.copy.check(&self.queue, self.rule.filter.is_some())?;
        if self.copy == CopyArg::Meta && self.rule.write.is_some() && !is_capture(transport) {
            return Err("--write needs the packets: use --copy packet".to_owned());
        }
        self.rule.check(transport)
    }
}
