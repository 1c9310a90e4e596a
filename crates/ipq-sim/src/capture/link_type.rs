//! What the packets of a capture begin with: [`LinkType`].

use core::fmt;

use pcap_parser::Linktype;

/// What a packet of a capture begins with, by its number in the registry of link types.
///
/// Those with a name can carry IP and are read, but for [`NETLINK`](Self::NETLINK).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: the address family in four bytes, in the byte order of some machine.
    #[doc(alias = "LINKTYPE_NULL")]
    pub const NULL: Self = Self(0);
    /// Ethernet, with any number of VLAN tags.
    #[doc(alias = "LINKTYPE_ETHERNET")]
    #[doc(alias = "DLT_EN10MB")]
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without address and control bytes.
    #[doc(alias = "LINKTYPE_PPP")]
    pub const PPP: Self = Self(9);
    /// IP without a link layer, under the number some systems use inside.
    #[doc(alias = "DLT_RAW")]
    pub const RAW_12: Self = Self(12);
    /// IP without a link layer, under the number OpenBSD uses inside.
    #[doc(alias = "DLT_RAW")]
    pub const RAW_14: Self = Self(14);
    /// PPP in frames like those of HDLC.
    #[doc(alias = "LINKTYPE_PPP_HDLC")]
    #[doc(alias = "DLT_PPP_SERIAL")]
    pub const PPP_HDLC: Self = Self(50);
    /// IP without a link layer: the first four bits tell the version.
    #[doc(alias = "LINKTYPE_RAW")]
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: the address family in four bytes, in network byte order.
    #[doc(alias = "LINKTYPE_LOOP")]
    pub const LOOP: Self = Self(108);
    /// Linux cooked: what a capture on all devices at once has for a link layer.
    #[doc(alias = "LINKTYPE_LINUX_SLL")]
    pub const LINUX_SLL: Self = Self(113);
    /// IPv4 without a link layer.
    #[doc(alias = "LINKTYPE_IPV4")]
    pub const IPV4: Self = Self(228);
    /// IPv6 without a link layer.
    #[doc(alias = "LINKTYPE_IPV6")]
    pub const IPV6: Self = Self(229);
    /// Messages of the Linux packet logger, with the packet in an attribute.
    #[doc(alias = "LINKTYPE_NFLOG")]
    pub const NFLOG: Self = Self(239);
    /// Netlink, behind a header like that of Linux cooked; it carries no IP.
    #[doc(alias = "LINKTYPE_NETLINK")]
    pub const NETLINK: Self = Self(253);
    /// Linux cooked, with the device.
    #[doc(alias = "LINKTYPE_LINUX_SLL2")]
    pub const LINUX_SLL2: Self = Self(276);

    /// The link type in a file header, which has other things in its upper half.
    pub(super) fn of_pcap(Linktype(number): Linktype) -> Self {
        let [low, high, ..] = number.to_le_bytes();
        Self(u16::from_le_bytes([low, high]))
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::NULL => "BSD loopback",
            Self::ETHERNET => "Ethernet",
            Self::PPP => "PPP",
            Self::PPP_HDLC => "PPP in HDLC",
            Self::RAW | Self::RAW_12 | Self::RAW_14 => "raw IP",
            Self::LOOP => "OpenBSD loopback",
            Self::LINUX_SLL => "Linux cooked",
            Self::IPV4 => "raw IPv4",
            Self::IPV6 => "raw IPv6",
            Self::NFLOG => "NFLOG",
            Self::NETLINK => "netlink",
            Self::LINUX_SLL2 => "Linux cooked v2",
            Self(number) => return write!(f, "link type {number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_half_says_other_things() {
        assert_eq!(LinkType::of_pcap(Linktype(1)), LinkType::ETHERNET);
        assert_eq!(LinkType::of_pcap(Linktype(0x4400_0114)), LinkType::LINUX_SLL2);
        assert_eq!(LinkType::of_pcap(Linktype(-65_535)), LinkType::ETHERNET);
    }
}
