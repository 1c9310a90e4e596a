//! What is sent: [`Load`].

use core::fmt;

use clap::ValueEnum;

/// Traffic to be queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Load {
    /// Small packets.
    #[value(name = "udp-64")]
    Udp64,
    /// Packets as on an Ethernet.
    #[value(name = "udp-1400")]
    Udp1400,
    /// Jumbo packets.
    #[value(name = "udp-9000")]
    Udp9000,
    /// One connection, its packets cut to size before they are queued.
    #[value(name = "tcp")]
    Tcp,
    /// One connection, its packets queued as large as the stack makes them.
    #[value(name = "tcp-gso")]
    TcpGso,
}

impl Load {
    /// The command line of the generator.
    pub(crate) fn args(self) -> Vec<String> {
        match self {
            Self::Udp64 => vec!["udp".into(), "64".into()],
            Self::Udp1400 => vec!["udp".into(), "1400".into()],
            Self::Udp9000 => vec!["udp".into(), "9000".into()],
            Self::Tcp | Self::TcpGso => vec!["tcp".into()],
        }
    }

    /// The MTU of the loopback: that of an Ethernet for a stream, or else room for any packet.
    pub(crate) fn mtu(self) -> u32 {
        if self.is_tcp() { 1500 } else { 65536 }
    }

    /// Whether it is a stream: then it is how much arrives that counts.
    pub(crate) fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::TcpGso)
    }

    /// Whether the receiver takes packets as large as the stack makes them.
    pub(crate) fn is_gso(self) -> bool {
        self == Self::TcpGso
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp64 => "UDP, 64 bytes",
            Self::Udp1400 => "UDP, 1400 bytes",
            Self::Udp9000 => "UDP, 9000 bytes",
            Self::Tcp => "TCP, MTU 1500, without GSO",
            Self::TcpGso => "TCP, MTU 1500, with GSO",
        })
    }
}
