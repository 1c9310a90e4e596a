//! The arguments of `ipq-cli decode`.

use std::path::PathBuf;

use clap::ValueEnum;

/// Say what messages of a packet queue mean, and where they are wrong.
///
/// Reads messages of `ip_queue` and `nfnetlink_queue`, from either side: a hex dump, a capture of netlink (link type
/// 253, as `tcpdump -i nlmon0` writes it) or the bytes themselves. What is not told is guessed from each datagram. Exit
/// status 1 if a message makes no sense: the byte that is wrong is pointed at.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct DecodeArgs {
    /// The file to read; - is the standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,

    /// What kind of file it is.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = FormatArg::Auto)]
    pub format: FormatArg,

    /// Which queue's messages they are.
    #[arg(long, value_enum, value_name = "P", default_value_t = ProtocolArg::Auto)]
    pub protocol: ProtocolArg,

    /// How many bits a word of the kernel has, which matters for `ip_queue`.
    #[arg(long, value_enum, value_name = "BITS", default_value_t = WordArg::Auto)]
    pub word: WordArg,

    /// In which order the kernel has the bytes of a number.
    #[arg(long, value_enum, value_name = "ORDER", default_value_t = OrderArg::Auto)]
    pub order: OrderArg,

    /// Print the bytes of each message too.
    #[arg(short = 'x', long)]
    pub hex: bool,

    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli decode messages.hex
  ipq-cli decode --json nlmon.pcap | jq -r .text
  echo '14 00 00 00 02 00 00 00' | ipq-cli decode
  ipq-cli decode --protocol ip_queue --word 32 --order big dump.bin";

/// The value of `--format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum FormatArg {
    /// The one it looks like.
    Auto,
    /// Hexadecimal digits: plain, or as xxd, hexdump -C, tcpdump -x or Wireshark print them. An empty line, or an offset
    /// of 0, begins the next datagram.
    Hex,
    /// A pcap or pcapng file with link type 253.
    Pcap,
    /// One datagram, as it is.
    Raw,
}

/// The value of `--protocol`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ProtocolArg {
    /// The one it looks like.
    Auto,
    /// `ip_queue` and `ip6_queue`.
    #[value(name = "ip_queue")]
    IpQueue,
    /// `nfnetlink_queue`.
    Nfqueue,
}

/// The value of `--word`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum WordArg {
    /// The one it looks like.
    Auto,
    /// A 32-bit kernel.
    #[value(name = "32")]
    Bits32,
    /// A 64-bit kernel.
    #[value(name = "64")]
    Bits64,
}

/// The value of `--order`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum OrderArg {
    /// The one it looks like.
    Auto,
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}
