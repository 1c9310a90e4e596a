//! The arguments of `ipq-cli sim serve`.

use core::ops::RangeInclusive;
use std::path::PathBuf;

use clap::ValueEnum;
use ipq::TransportName;
use ipq_sys::unix::Speed;

use super::parse_number;

/// Serve a simulated kernel to programs in other processes, on a Unix socket.
///
/// Programs reach it by the transport unix:PATH, in as many processes as you like. It prints a line when they can connect.
/// When its traffic has ended and the last program has gone, it says what became of the packets, and ends: with exit status
/// 1 if an expectation of the scenario does not hold. Only you, and root, may connect.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct SimServeArgs {
    /// Where to listen. What a dead server left there is replaced.
    #[arg(long, value_name = "PATH")]
    pub listen: PathBuf,

    /// A capture whose packets come in by eth0, each of which is queued before routing.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "scenario",
        conflicts_with = "scenario"
    )]
    pub traffic: Option<PathBuf>,

    /// A scenario: docs/scenarios.md describes it. Its application is yours.
    #[arg(long, value_name = "FILE.toml")]
    pub scenario: Option<PathBuf>,

    /// The seed of all that looks random in a scenario, decimal or 0x…; by default the file's.
    #[arg(long, value_name = "N", env = "IPQ_SIM_SEED", hide_env_values = true, value_parser = parse_number)]
    pub seed: Option<u64>,

    /// How fast simulated time passes: max, while no program works on a packet, or so many seconds in a second.
    #[arg(long, value_name = "N|max", default_value_t)]
    pub speed: Speed,

    /// When it begins to pass.
    #[arg(long, value_enum, default_value_t)]
    pub start: StartArg,

    /// The queue of programs that leave the choice to the server: ip_queue, nfqueue:N or nfqueue:A-B. By default the
    /// scenario's, or ip_queue.
    #[arg(long, value_name = "QUEUE", value_parser = parse_queue)]
    pub queue: Option<Queues>,

    /// Go on serving when the traffic has ended and the last program has gone, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,

    /// Print JSON, one object a line: docs/serving.md describes it.
    #[arg(long)]
    pub json: bool,
}

/// The value of `--start`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum StartArg {
    /// With the first program that wants packets.
    #[default]
    Program,
    /// At once: packets for a queue that no program has are dropped.
    Now,
}

/// The queues of `nfnetlink_queue`, or `ip_queue`.
pub(crate) type Queues = Option<RangeInclusive<u16>>;

const AFTER_HELP: &str = "\
Examples:
  ipq-cli sim serve --listen /tmp/kernel --traffic capture.pcap &
  ipq-cli passer --transport unix:/tmp/kernel
  ipq-cli sim serve --listen /tmp/kernel --scenario tests/scenarios/port-filter.toml --speed 1 --json";

fn parse_queue(text: &str) -> Result<Queues, &'static str> {
    match text.parse() {
        Ok(TransportName::IpQueue) => Ok(None),
        Ok(TransportName::Nfqueue { first, last }) => Ok(Some(first..=last)),
        _ => Err("a queue is ip_queue, nfqueue:N or nfqueue:A-B"),
    }
}
