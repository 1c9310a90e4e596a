//! What the program understands: [`Args`].

use core::time::Duration;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use ipq::{CopyMode, Families, Options, TransportName, Verdict};

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
    /// Run a simulated kernel.
    #[command(subcommand)]
    Sim(SimCommand),
}

/// What to do with a simulated kernel.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum SimCommand {
    /// Run a scenario file with its built-in program, and say which expectations hold.
    Run(SimRunArgs),
}

/// Run a scenario file with its built-in program, and say which expectations hold.
///
/// Exit status 1 if one does not. The same file and seed do the same, always.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = SIM_RUN_AFTER_HELP)]
pub struct SimRunArgs {
    /// The scenario, in TOML: docs/scenarios.md describes it.
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,

    /// The seed of all that looks random, decimal or 0x…; if it is not given, the file's.
    #[arg(long, value_name = "N", value_parser = parse_seed)]
    pub seed: Option<u64>,

    /// Run it so often, each time with the next seed.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: u64,

    /// Run it twice with each seed, and compare everything that happened.
    #[arg(long)]
    pub check: bool,

    /// Print everything that happens, an event a line.
    #[arg(long)]
    pub trace: bool,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

const SIM_RUN_AFTER_HELP: &str = "\
Examples:
  ipq-cli sim run tests/scenarios/lossy-transfer.toml
  ipq-cli sim run tests/scenarios/lossy-transfer.toml --repeat 100 --check
  ipq-cli sim run tests/scenarios/filter.toml --trace";

/// A number, decimal or in hexadecimal.
fn parse_seed(text: &str) -> Result<u64, core::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
}

/// Give every queued packet the same verdict, and show it.
///
/// With the transport sim:FILE it needs neither root nor a module: the packets of the capture come in on eth0 of a
/// simulated kernel, each is queued before routing, and the run ends with the file.
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
        if self.copy == CopyArg::Meta && self.range != 0 {
            return Some(
                "--range says how much of each packet is wanted, but --copy meta wants none",
            );
        }
        let of_nfqueue = self.queue_maxlen.is_some() || self.fail_open || self.gso;
        if is_simulated && (of_nfqueue || self.rcvbuf.is_some()) {
            return Some(
                "--queue-maxlen, --fail-open, --gso and --rcvbuf are for real kernels: sim:FILE has an ip_queue",
            );
        }
        if self.copy == CopyArg::Meta && self.write.is_some() && !is_simulated {
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
                 all: say with --count when to stop",
            );
        }
        None
    }

    /// The transport: the one given, else that of `$IPQ_TRANSPORT`, which a program that runs with the rights of
    /// another user does not trust, else `auto`.
    pub(crate) fn transport(&self) -> Result<TransportName, String> {
        const VARIABLE: &str = "IPQ_TRANSPORT";
        if let Some(name) = &self.transport {
            return Ok(name.clone());
        }
        let own_rights = nix::unistd::getuid() == nix::unistd::geteuid()
            && nix::unistd::getgid() == nix::unistd::getegid();
        match std::env::var_os(VARIABLE).filter(|value| own_rights && !value.is_empty()) {
            Some(value) => {
                let name = value.to_str().ok_or_else(|| format!("{VARIABLE} is no UTF-8"))?;
                name.parse().map_err(|error| format!("{VARIABLE}: {error}"))
            }
            None => Ok(TransportName::Auto),
        }
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
