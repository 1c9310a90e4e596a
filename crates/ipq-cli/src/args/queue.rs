//! The arguments of every command that reads a queue: [`QueueArgs`].

use core::time::Duration;

use ipq::{Families, Options, TransportName};
use ipq_sim::Simulation;

use super::transport::transport;
use crate::install::RuleRequest;

/// Which queue to read, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct QueueArgs {
    /// Which kernel to talk to: auto, ip_queue, nfqueue:N, nfqueue:A-B, unix:PATH or sim:FILE. The default is what the
    /// environment variable `IPQ_TRANSPORT` says, else auto.
    #[arg(long, value_name = "T")]
    pub transport: Option<TransportName>,

    /// Which packets: ipv4, ipv6 or both.
    #[arg(long, value_name = "FAMILY", default_value_t)]
    pub family: Families,

    /// Copy at most this many bytes of each packet, up to 65535; 0 copies all of it.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub range: u32,

    /// Stop when no packet has come for this long, for example 500ms or 2m.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,

    /// How many packets may wait for a verdict (nfnetlink_queue).
    #[arg(long, value_name = "N")]
    pub queue_maxlen: Option<u32>,

    /// Let packets pass when the queue is full, instead of dropping them (nfnetlink_queue).
    #[arg(long)]
    pub fail_open: bool,

    /// Take GSO packets whole, larger than the MTU, instead of in segments (nfnetlink_queue).
    #[arg(long)]
    pub gso: bool,

    /// Size of the socket's receive buffer; by default it follows from the queue's length and the range.
    #[arg(long, value_name = "BYTES")]
    pub rcvbuf: Option<usize>,

    /// Put a rule into the firewall that queues these packets, for example 'OUTPUT -p icmp', and take it out at the end,
    /// also after a signal or a crash. While no program has the queue, they pass.
    #[arg(long, value_name = "RULE", allow_hyphen_values = true)]
    pub install: Option<String>,
}

impl QueueArgs {
    /// The transport that is asked for.
    pub(crate) fn transport(&self) -> Result<TransportName, String> {
        let transport = transport(self.transport.as_ref())?;
        let of_nfqueue = self.queue_maxlen.is_some() || self.fail_open || self.gso;
        if is_capture(&transport) && (of_nfqueue || self.rcvbuf.is_some()) {
            return Err(
                "--queue-maxlen, --fail-open, --gso and --rcvbuf are for real kernels and for scenarios: a capture's \
                 packets are in an ip_queue"
                    .to_owned(),
            );
        }
        if is_simulated(&transport) && self.install.is_some() {
            return Err("--install is for real kernels: a simulated one has no firewall".to_owned());
        }
        Ok(transport)
    }

    /// The rule that is to be put in.
    pub(crate) fn rule(&self) -> Result<Option<RuleRequest>, String> {
        self.install.as_deref().map(RuleRequest::parse).transpose()
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
}

/// Whether the kernel is one inside this process.
pub(crate) const fn is_simulated(transport: &TransportName) -> bool {
    matches!(transport, TransportName::Sim(_))
}

/// Whether the kernel is one inside this process that is fed with a capture.
pub(crate) fn is_capture(transport: &TransportName) -> bool {
    matches!(transport, TransportName::Sim(path) if !Simulation::is_scenario(path))
}
