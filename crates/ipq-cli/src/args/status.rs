//! The arguments of `ipq-cli status`.

use core::time::Duration;

/// Show the kernel's packet queues: who has them, what waits in them, what was lost.
///
/// Both kinds, `ip_queue` and `nfnetlink_queue`, of this network namespace, as /proc tells. Nothing is changed. Exit
/// status 1 if the kernel does not let it be read.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct StatusArgs {
    /// Show it again and again, each second or after this time, for example 500ms; Ctrl-C ends it.
    #[arg(
        long, value_name = "INTERVAL", value_parser = humantime::parse_duration,
        num_args = 0..=1, default_missing_value = "1s", require_equals = true,
    )]
    pub watch: Option<Duration>,

    /// With --watch, how often.
    #[arg(
        short = 'c', long, value_name = "N", requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    pub count: Option<u64>,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,

    /// Print the text format of Prometheus, for the text file collector of its node exporter.
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    pub prometheus: bool,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli status
  ipq-cli status --watch=500ms
  ipq-cli status --json | jq '.nfqueues[].queue_length'
  ipq-cli status --prometheus > /var/lib/node_exporter/ipq.prom";
