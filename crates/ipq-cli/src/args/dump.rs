//! The arguments of `ipq-cli dump`, `ipq-cli drop` and `ipq-cli record`.

use std::path::PathBuf;

use super::queue::QueueArgs;

/// Look at queued packets without touching them: every one is accepted.
///
/// As tcpdump does, and with its language, but only the packets that rules of the firewall queue. The expression says
/// which are shown. What waits in the queue when it ends is accepted too.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = DUMP_AFTER_HELP)]
pub struct DumpArgs {
    /// Which queue, and how.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// Stop after having shown this many packets.
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Print all that the kernel says of each packet, and more of its header.
    #[arg(short, long)]
    pub verbose: bool,

    /// Print the bytes of each packet too.
    #[arg(short = 'x', long)]
    pub hex: bool,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,

    /// Write the packets that are shown to this file, as pcapng, each with what the kernel said of it and its verdict as
    /// a comment.
    #[arg(short, long, value_name = "FILE.pcapng")]
    pub write: Option<PathBuf>,

    /// Which packets to show, as a pcap filter expression; without one, all.
    #[arg(value_name = "EXPR")]
    pub expression: Vec<String>,
}

const DUMP_AFTER_HELP: &str = "\
Examples:
  ipq-cli dump --transport sim:capture.pcap tcp port 22
  ipq-cli dump -v -x -c 3 --transport sim:capture.pcap
  ipq-cli dump --transport nfqueue:0 --install 'INPUT -p tcp --dport 22'
  ipq-cli dump --transport nfqueue:0 --write seen.pcapng 'icmp or icmp6'
  ipq-cli dump --json --transport nfqueue:0-3 | jq -r .summary";

/// Drop queued packets that match a filter expression, and accept all others.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = DROP_AFTER_HELP)]
pub struct DropArgs {
    /// Which queue, and how.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// Stop after having dropped this many packets.
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,

    /// Print no packets, only the summary.
    #[arg(long)]
    pub quiet: bool,

    /// Write each verdict to this file, for 'ipq-cli compare'.
    #[arg(long, value_name = "FILE.jsonl")]
    pub log: Option<PathBuf>,

    /// Which packets to drop, as a pcap filter expression.
    #[arg(value_name = "EXPR", required = true)]
    pub expression: Vec<String>,
}

const DROP_AFTER_HELP: &str = "\
Examples:
  ipq-cli drop --transport sim:capture.pcap udp port 53
  ipq-cli drop --transport nfqueue:0 'tcp[tcpflags] & tcp-rst != 0'
  ipq-cli drop --quiet --timeout 10s net 192.0.2.0/24";

/// Record a queue to a file: every packet with what the kernel said of it and its verdict.
///
/// Every packet is accepted, as dump does; Ctrl-C ends it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = RECORD_AFTER_HELP)]
pub struct RecordArgs {
    /// Which queue, and how.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// Stop after having recorded this many packets.
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,

    /// Write each verdict to this file, for 'ipq-cli compare'.
    #[arg(long, value_name = "FILE.jsonl")]
    pub log: Option<PathBuf>,

    /// The file to write, as pcapng.
    #[arg(value_name = "FILE.pcapng")]
    pub file: PathBuf,

    /// Which packets to record, as a pcap filter expression; without one, all.
    #[arg(value_name = "EXPR")]
    pub expression: Vec<String>,
}

const RECORD_AFTER_HELP: &str = "\
Examples:
  ipq-cli record --transport nfqueue:0 queue.pcapng
  ipq-cli record --transport nfqueue:0 --timeout 1m dns.pcapng port 53
  ipq-cli replay queue.pcapng --verdict drop --filter 'udp port 53'";
