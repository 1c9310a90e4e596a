//! The arguments of `ipq-cli passer`.

use std::path::PathBuf;

use clap::ValueEnum;
use ipq::{CopyMode, TransportName, Verdict};

use super::queue::{QueueArgs, is_capture, is_simulated};
use super::refuse_overwriting;
use crate::filter::Filter;

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

    /// What becomes of each packet.
    #[arg(long, value_enum, default_value_t = VerdictArg::Accept)]
    pub verdict: VerdictArg,

    /// Give the verdict only to packets that this expression of the pcap language means, and accept all others.
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<Filter>,

    /// Stop after this many packets.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
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

/// The value of `--verdict`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum VerdictArg {
    /// Let it go on.
    Accept,
    /// Discard it.
    Drop,
    /// Call the same hook again, which may queue it again.
    Repeat,
    /// Queue it again.
    Queue,
    /// Let it go on, past the rest of the hook.
    Stop,
}

impl VerdictArg {
    /// Whether the packet comes back.
    pub(crate) const fn comes_back(self) -> bool {
        matches!(self, Self::Repeat | Self::Queue)
    }
}

impl From<VerdictArg> for Verdict {
    fn from(arg: VerdictArg) -> Self {
        match arg {
            VerdictArg::Accept => Self::Accept,
            VerdictArg::Drop => Self::Drop,
            VerdictArg::Repeat => Self::Repeat,
            VerdictArg::Queue => Self::Queue,
            VerdictArg::Stop => Self::Stop,
        }
    }
}

impl PasserArgs {
    /// The copy mode that is asked for.
    pub(crate) const fn copy_mode(&self) -> CopyMode {
        match self.copy {
            CopyArg::Meta => CopyMode::Metadata,
            CopyArg::Packet => CopyMode::Packet { range: self.queue.range },
        }
    }

    /// What is wrong with the arguments together, though each is right.
    pub(crate) fn check(&self, transport: &TransportName) -> Result<(), String> {
        let problem = if self.copy == CopyArg::Meta && self.queue.range != 0 {
            "--range says how much of each packet is wanted, but --copy meta wants none"
        } else if self.copy == CopyArg::Meta && self.write.is_some() && !is_capture(transport) {
            "--write needs the packets: use --copy packet"
        } else if self.copy == CopyArg::Meta && self.filter.is_some() {
            "--filter looks at the packets: use --copy packet"
        } else {
            check_verdict(self.verdict, self.count, transport)?;
            refuse_overwriting(transport, "--log", self.log.as_deref())?;
            return refuse_overwriting(transport, "--write", self.write.as_deref());
        };
        Err(problem.to_owned())
    }
}

/// Refuses a run without an end.
pub(crate) fn check_verdict(
    verdict: VerdictArg,
    count: Option<u64>,
    transport: &TransportName,
) -> Result<(), String> {
    if verdict.comes_back() && is_simulated(transport) && count.is_none() {
        return Err("--verdict repeat and queue bring every packet back for ever, because the rule of sim:FILE queues \
                    it again: say with --count when to stop"
            .to_owned());
    }
    Ok(())
}
