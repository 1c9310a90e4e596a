//! The arguments of the commands that give verdicts by rule: [`RuleArgs`].

use std::path::PathBuf;

use clap::ValueEnum;
use ipq::{TransportName, Verdict};

use super::queue::is_simulated;
use super::refuse_overwriting;
use crate::filter::Filter;

/// What becomes of packets, and what is told of them.
#[derive(Clone, Debug, clap::Args)]
pub struct RuleArgs {
    /// What becomes of each packet.
    #[arg(long, value_enum, default_value_t = VerdictArg::Accept)]
    pub verdict: VerdictArg,

    /// Give the verdict only to packets that match this pcap filter expression, and accept all others.
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

impl RuleArgs {
    /// What is wrong with the arguments together, though each is right.
    pub(crate) fn check(&self, transport: &TransportName) -> Result<(), String> {
        if self.verdict.comes_back() && is_simulated(transport) && self.count.is_none() {
            return Err("--verdict repeat and queue bring every packet back for ever, because the rule of sim:FILE \
                        queues it again: say with --count when to stop"
                .to_owned());
        }
        refuse_overwriting(transport, "--log", self.log.as_deref())?;
        refuse_overwriting(transport, "--write", self.write.as_deref())
    }
}
