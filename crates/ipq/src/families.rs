//! Which packets a session is for: [`Families`].

use core::fmt;
use core::str::FromStr;

use ipq_proto::Family;

/// One family or both.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Families {
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
    /// Both.
    #[default]
    Both,
}

impl Families {
    /// Whether `family` is one of them.
    pub const fn contains(self, family: Family) -> bool {
        matches!(
            (self, family),
            (Self::Both, _) | (Self::Ipv4, Family::Ipv4) | (Self::Ipv6, Family::Ipv6)
        )
    }

    /// The families, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |&family| self.contains(family))
    }
}

impl From<Family> for Families {
    fn from(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::Ipv4,
            Family::Ipv6 => Self::Ipv6,
        }
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Both => "both",
        })
    }
}

/// The names are `ipv4`, `ipv6` and `both`.
impl FromStr for Families {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        match name {
            "ipv4" => Ok(Self::Ipv4),
            "ipv6" => Ok(Self::Ipv6),
            "both" => Ok(Self::Both),
            _ => Err("a family is ipv4, ipv6 or both"),
        }
    }
}
