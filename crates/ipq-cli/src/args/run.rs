//! The arguments of `ipq-cli run`.

use std::ffi::OsString;
use std::path::PathBuf;

use ipq::TransportName;

use super::transport::transport;

/// Run an unmodified program, and carry its queue sockets over a transport.
///
/// The program is one for ip_queue (netlink protocols 3 and 13, with or without libipq) or, with sim:FILE and unix:PATH,
/// for nfnetlink_queue (protocol 12, whatever library it uses). A library is loaded into it that carries what it does
/// with these sockets; all else of it is left alone. It must be dynamically linked, and must not run
/// with the rights of another user.
///
/// Exit status: the program's, or 128 and the number of the signal that ended it. If it cannot be run: 127 if there is no
/// such program, 126 if it cannot be carried, 125 for all else, 2 for wrong usage.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArgs {
    /// Which kernel the program is to see: auto, nfqueue:N, unix:PATH or sim:FILE, where the file is a capture, or a
    /// scenario if its name ends in .toml. The default is what the environment variable
    /// `IPQ_TRANSPORT` says, else auto.
    #[arg(long, value_name = "T")]
    pub transport: Option<TransportName>,

    /// Write the conversation to this file: a line for each call, or a capture for Wireshark (link type 253) if its name
    /// ends in .pcap.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// When nothing can come any more (sim:FILE), send the program SIGTERM; if that ends it, it has ended well. Without
    /// this, the program waits, as it would for a real kernel.
    #[arg(long)]
    pub stop_at_end: bool,

    /// Report on the expectations of the scenario when the program has ended, but for those about its application and its
    /// faults; and if the program has ended well although one does not hold, end with 1.
    #[arg(long)]
    pub check: bool,

    /// The program and its arguments.
    #[arg(
        value_name = "PROGRAM",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<OsString>,
}

impl RunArgs {
    /// The transport that is asked for.
    pub(crate) fn transport(&self) -> Result<TransportName, String> {
        transport(self.transport.as_ref())
    }
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli run --transport sim:capture.pcap -- ./my-filter -v
  ipq-cli run --transport sim:network.toml --stop-at-end --check -- python3 my_filter.py
  ipq-cli run --transport unix:/tmp/kernel --trace calls.txt -- ./my-filter
  iptables -A OUTPUT -p icmp -j NFQUEUE --queue-num 0 && ipq-cli run -- ./old-program";
