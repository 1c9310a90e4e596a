//! Which protocol a packet is of: [`Family`] and [`EtherType`].

use core::fmt;

/// The address family of a packet, of a rule, or of an `ip_queue` instance.
///
/// `ip_queue` is one machine for IPv4 and another for IPv6; nfnetlink_queue carries both.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// IPv4, `NFPROTO_IPV4` (2).
    #[doc(alias = "NFPROTO_IPV4")]
    Ipv4,
    /// IPv6, `NFPROTO_IPV6` (10).
    #[doc(alias = "NFPROTO_IPV6")]
    Ipv6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The EtherType of the family's packets.
    pub const fn ether_type(self) -> EtherType {
        match self {
            Self::Ipv4 => EtherType::IPV4,
            Self::Ipv6 => EtherType::IPV6,
        }
    }

    /// The family that the version in the first four bits of `packet` names; `None` for any other version
    /// and for no bytes at all.
    pub fn of_packet(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Some(Self::Ipv4),
            6 => Some(Self::Ipv6),
            _ => None,
        }
    }

    /// The family of the packets at hooks of this number: 2 for IPv4, 10 for IPv6; `None` where they are of several, as at
    /// those of a bridge.
    #[doc(alias("NFPROTO_IPV4", "NFPROTO_IPV6"))]
    pub const fn of_hook(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::Ipv4),
            10 => Some(Self::Ipv6),
            _ => None,
        }
    }

    /// The length in bytes of the shortest IP header: 20 for IPv4, 40 for IPv6.
    pub const fn header_len(self) -> usize {
        match self {
            Self::Ipv4 => 20,
            Self::Ipv6 => 40,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

/// The protocol number of an Ethernet frame (`linux/if_ether.h`, `ETH_P_*`), in host order.
///
/// On the wire of both queues it is two bytes in network order.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EtherType(pub u16);

impl EtherType {
    /// None given: what ip_queue says of a packet made on this host, at `LOCAL_OUT`.
    pub const NONE: Self = Self(0);
    /// IPv4, `ETH_P_IP`.
    #[doc(alias = "ETH_P_IP")]
    pub const IPV4: Self = Self(0x0800);
    /// ARP, `ETH_P_ARP`.
    #[doc(alias = "ETH_P_ARP")]
    pub const ARP: Self = Self(0x0806);
    /// IPv6, `ETH_P_IPV6`.
    #[doc(alias = "ETH_P_IPV6")]
    pub const IPV6: Self = Self(0x86dd);

    /// The family whose packets have this number.
    pub const fn family(self) -> Option<Family> {
        match self {
            Self::IPV4 => Some(Family::Ipv4),
            Self::IPV6 => Some(Family::Ipv6),
            _ => None,
        }
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtherType({self})")
    }
}

/// `0x0800`: four hexadecimal digits.
impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}
