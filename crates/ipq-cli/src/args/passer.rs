//! The arguments of `ipq-cli passer`.

use core::time::Duration;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ipq::{CopyMode, Families, Options, TransportName, Verdict};
use ipq_sim::Simulation;

/// Give every queued packet the same verdict, and show it.
///
/// With the transport sim:FILE it needs neither root nor a module: the packets of the capture come in on eth0 of a
/// simulated kernel, each is queued before routing, and the run ends with the file. A FILE.toml is a scenario, whose
/// traffic is queued as its rules say.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct PasserArgs {
    /// Which kernel to talk to: auto, ip_queue, nfqueue:N, nfqueue:A-B, unix:PATH or sim:FILE. If it is not given,
    /// the environment variable `IPQ_TRANSPORT` says it; else it is auto.
    #[arg(long, value_name = "T")]
    pub transport: Option<TransportName>,

    /// Which packets: ipv4, ipv6 or both.
    #[arg(long, value_name = "FAMILY", default_value_t)]
    pub family: Families,

    /// How much of each packet is wanted: its metadata, or the packet too.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CopyArg::Packet)]
    pub copy: CopyArg,

    /// How many bytes of each packet at most, up to 65535; 0 for all of it.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub range: u32,

    /// What becomes of each packet.
    #[arg(long, value_enum, default_value_t = VerdictArg::Accept)]
    pub verdict: VerdictArg,

    /// Stop after this many packets.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Stop when no packet came for this long, for example 500ms or 2m.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,

    /// How many packets may wait for a verdict (nfnetlink_queue).
    #[arg(long, value_name = "N")]
    pub queue_maxlen: Option<u32>,

    /// Let packets pass when the queue is full, instead of dropping them (nfnetlink_queue).
    #[arg(long)]
    pub fail_open: bool,

    /// Take packets as large as the stack has them (nfnetlink_queue).
    #[arg(long)]
    pub gso: bool,

    /// Size of the receive buffer; if it is not given, it is made from the queue's length and the range.
    #[arg(long, value_name = "BYTES")]
    pub rcvbuf: Option<usize>,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,

    /// Print no packets, only the summary.
    #[arg(long)]
    pub quiet: bool,

    /// Write the packets that left the queue alive to this file, as pcap.
    #[arg(long, value_name = "FILE.pcap")]
    pub write: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli passer --transport sim:capture.pcap
  ipq-cli passer --transport sim:capture.pcap --json | jq -r .summary
  ipq-cli passer --transport sim:capture.pcap --verdict drop --count 10
  ipq-cli passer --transport sim:scenario.toml
  iptables -A OUTPUT -p icmp -j NFQUEUE --queue-num 0 && ipq-cli passer";

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
            CopyArg::Packet => CopyMode::Packet { range: self.range },
        }
    }

    /// The options of the queue.
    pub(crate) fn options(&self) -> Options {
        Options {
            max_length: self.queue_maxlen,
            fail_open: self.fail_open,
            gso: self.gso,
            receive_buffer: self.rcvbuf,
            ..self.family.into()
        }
    }

    /// What is wrong with the arguments together, though each is right.
    pub(crate) fn contradiction(&self, transport: &TransportName) -> Option<&'static str> {
        let is_simulated = matches!(transport, TransportName::Sim(_));
        let is_capture =
            matches!(transport, TransportName::Sim(path) if !Simulation::is_scenario(path));
        if self.copy == CopyArg::Meta && self.range != 0 {
            return Some(
                "--range says how much of each packet is wanted, but --copy meta wants none",
            );
        }
        let of_nfqueue = self.queue_maxlen.is_some() || self.fail_open || self.gso;
        if is_capture && (of_nfqueue || self.rcvbuf.is_some()) {
            return Some(
                "--queue-maxlen, --fail-open, --gso and --rcvbuf are for real kernels and for scenarios: a capture's \
                 packets are in an ip_queue",
            );
        }
        if self.copy == CopyArg::Meta && self.write.is_some() && !is_capture {
            return Some("--write needs the packets: use --copy packet");
        }
        if let (TransportName::Sim(capture), Some(written)) = (transport, &self.write)
            && is_same_file(capture, written)
        {
            return Some("--write would overwrite the capture that is read");
        }
        if self.verdict.comes_back() && is_simulated && self.count.is_none() {
            return Some(
                "--verdict repeat and queue bring every packet back for ever, because the rule of sim:FILE queues \
                 it again: say with --count when to stop",
            );
        }
        None
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
