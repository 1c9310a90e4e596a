//! The arguments of `ipq-cli status`.

use core::time::Duration;
use std::path::PathBuf;

use ipq::TransportName;

use super::queue::is_simulated;
use super::transport::transport;

/// Show the kernel's packet queues: who has them, what waits in them, what was lost.
///
/// Both kinds, `ip_queue` and `nfnetlink_queue`, of this network namespace, as /proc tells; or those of a served kernel.
/// Nothing is changed. Exit status 1 if the kernel does not let it be read.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct StatusArgs {
    /// Whose queues: with unix:PATH those of the kernel that is served there, else this machine's. The default
    /// is what the environment variable `IPQ_TRANSPORT` says.
    #[arg(long, value_name = "T")]
    pub transport: Option<TransportName>,

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

    /// Print the text format of Prometheus.
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,

    /// With --prometheus, replace this file, each time as a whole: for the text file collector of the node exporter.
    #[arg(long, value_name = "FILE.prom", requires = "prometheus")]
    pub write: Option<PathBuf>,
}

impl StatusArgs {
    /// Whose queues are asked for.
    pub(crate) fn transport(&self) -> Result<TransportName, String> {
        let transport = transport(self.transport.as_ref())?;
        if is_simulated(&transport) {
            return Err("the queues of sim:FILE are there only while a command has it: serve it with 'ipq-cli sim \
                        serve --listen PATH', and ask unix:PATH"
                .to_owned());
        }
        Ok(transport)
    }
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli status
  ipq-cli status --watch=500ms
  ipq-cli status --transport unix:/tmp/kernel
  ipq-cli status --json | jq '.nfqueues[].queue_length'
  ipq-cli status --prometheus --watch=15s --write /var/lib/node_exporter/ipq.prom";
