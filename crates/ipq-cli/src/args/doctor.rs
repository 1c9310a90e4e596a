//! The arguments of `ipq-cli doctor`.

use clap::ValueEnum;

/// Say what is missing to make a queue work here, and how to get it.
///
/// Looks at the kernel and its modules, at capabilities and namespaces, at the rules of the firewall, at who has which
/// queue and at the limits of receive buffers, and prints the commands that queue packets. It changes nothing: no rule,
/// no setting, and it loads no module of a queue. Exit status 0 if all that is essential is there, 1 if not.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorArgs {
    /// The queue that is to work.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub queue: u16,

    /// Which packets to queue, in the commands that are printed: those at this hook.
    #[arg(long, value_enum, value_name = "HOOK", default_value_t = HookArg::Output)]
    pub hook: HookArg,

    /// Which packets to queue, in the commands that are printed: those of this protocol.
    #[arg(long, value_enum, value_name = "P", default_value_t = TrafficArg::Icmp)]
    pub protocol: TrafficArg,

    /// How many bytes of each packet the program will ask for, up to 65535; 0 for all of it.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub range: u32,

    /// How many packets are to wait for a verdict.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub queue_maxlen: u32,

    /// Expect no rule yet: say only whether one could be made.
    #[arg(long)]
    pub no_rule: bool,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli doctor
  ipq-cli doctor --queue 3 --hook input --protocol tcp
  ipq-cli doctor --json | jq -r 'select(.level == \"missing\") | .message'
  ipq-cli doctor --no-rule && ./my-test-that-makes-its-own-rule";

/// The value of `--hook`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum HookArg {
    /// Packets that come in, before routing.
    Prerouting,
    /// Packets to this host.
    Input,
    /// Packets that pass through.
    Forward,
    /// Packets from this host.
    Output,
    /// Packets that leave, after routing.
    Postrouting,
}

/// The value of `--protocol`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum TrafficArg {
    /// Every one.
    All,
    /// ICMP, and ICMP for IPv6.
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}
