//! What both queues say in the same numbers: [`Verdict`], [`Hook`], [`CopyMode`] and [`DeviceName`].

use core::fmt;

/// What to do with a queued packet (`linux/netfilter.h`, `NF_*`), as the 32 bits on the wire.
///
/// A newtype and not an enumeration, because a simulated kernel must be able to hear nonsense. The constants
/// are named like the variants they stand for.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Verdict(pub u32);

#[expect(non_upper_case_globals, reason = "constants that are used and matched like variants")]
impl Verdict {
    /// Discard the packet.
    #[doc(alias = "NF_DROP")]
    pub const Drop: Self = Self(0);
    /// Let it go on, with whatever comes after the queue.
    #[doc(alias = "NF_ACCEPT")]
    pub const Accept: Self = Self(1);
    /// Forget it: not allowed from user space; only kernels up to about 2.6.2x took it.
    #[doc(alias = "NF_STOLEN")]
    pub const Stolen: Self = Self(2);
    /// Queue it again, at the end and with a new id.
    #[doc(alias = "NF_QUEUE")]
    pub const Queue: Self = Self(3);
    /// Call the same hook again, from its first rule.
    #[doc(alias = "NF_REPEAT")]
    pub const Repeat: Self = Self(4);
    /// Let it go on, past the remaining functions of this hook.
    #[doc(alias = "NF_STOP")]
    pub const Stop: Self = Self(5);
}

impl Verdict {
    /// The name in lower case, for example `accept`; `None` for numbers without one.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Drop => "drop",
            Self::Accept => "accept",
            Self::Stolen => "stolen",
            Self::Queue => "queue",
            Self::Repeat => "repeat",
            Self::Stop => "stop",
            _ => return None,
        })
    }

    /// Queue it in the queue with this number of `nfnetlink_queue`; `ip_queue` refuses it.
    #[doc(alias = "NF_QUEUE_NR")]
    #[expect(clippy::as_conversions, reason = "widens, in a constant")]
    pub const fn to_queue(number: u16) -> Self {
        Self((number as u32) << 16 | Self::Queue.0)
    }

    /// Whether `ip_queue` takes it from user space: all but [`Stolen`](Self::Stolen) and the unnamed.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Drop | Self::Accept | Self::Queue | Self::Repeat | Self::Stop)
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verdict({self})")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "verdict {:#x}", self.0),
        }
    }
}

/// Where on its way through the kernel a packet was queued (`linux/netfilter.h`, `NF_INET_*`).
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Hook(pub u32);

#[expect(non_upper_case_globals, reason = "constants that are used and matched like variants")]
impl Hook {
    /// Just received, not yet routed.
    #[doc(alias = "NF_INET_PRE_ROUTING")]
    pub const PreRouting: Self = Self(0);
    /// Received, for this host.
    #[doc(alias = "NF_INET_LOCAL_IN")]
    pub const LocalIn: Self = Self(1);
    /// Received, for another host.
    #[doc(alias = "NF_INET_FORWARD")]
    pub const Forward: Self = Self(2);
    /// Made on this host.
    #[doc(alias = "NF_INET_LOCAL_OUT")]
    pub const LocalOut: Self = Self(3);
    /// About to leave.
    #[doc(alias = "NF_INET_POST_ROUTING")]
    pub const PostRouting: Self = Self(4);
}

impl Hook {
    /// The five hooks of IPv4 and IPv6, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::PreRouting, Self::LocalIn, Self::Forward, Self::LocalOut, Self::PostRouting];

    /// The name as netfilter writes it, for example `PRE_ROUTING`; `None` for numbers without one.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::PreRouting => "PRE_ROUTING",
            Self::LocalIn => "LOCAL_IN",
            Self::Forward => "FORWARD",
            Self::LocalOut => "LOCAL_OUT",
            Self::PostRouting => "POST_ROUTING",
            _ => return None,
        })
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook({self})")
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "hook {}", self.0),
        }
    }
}

/// How much of each packet a queue hands out.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum CopyMode {
    /// Nothing: packets are dropped. Where every queue starts.
    #[doc(alias = "IPQ_COPY_NONE")]
    #[default]
    None,
    /// The metadata, and no payload.
    #[doc(alias = "IPQ_COPY_META")]
    Metadata,
    /// Metadata and payload.
    #[doc(alias = "IPQ_COPY_PACKET")]
    Packet {
        /// Bytes of payload at most; 0 for all of it. The kernel cuts it to 65,535.
        range: u32,
    },
}

impl CopyMode {
    /// The largest range that `ip_queue` keeps, in bytes.
    pub const MAX_RANGE: u32 = 0xffff;

    /// The number on the wire: 0, 1 or 2.
    pub const fn value(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Metadata => 1,
            Self::Packet { .. } => 2,
        }
    }

    /// The range on the wire: 0 unless the mode is [`Packet`](Self::Packet).
    pub const fn range(self) -> u32 {
        match self {
            Self::None | Self::Metadata => 0,
            Self::Packet { range } => range,
        }
    }

    /// What a kernel makes of the two numbers of a request: the range is cut to 32 bits, then to 65,535
    /// (spec/ip_queue-kernel.md). `None` for a value above 2.
    pub fn from_wire(value: u8, range: u64) -> Option<Self> {
        Some(match value {
            0 => Self::None,
            1 => Self::Metadata,
            2 => {
                let range = u32::try_from(range & 0xffff_ffff).unwrap_or(u32::MAX);
                Self::Packet { range: range.min(Self::MAX_RANGE) }
            }
            _ => return None,
        })
    }
}

impl fmt::Display for CopyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Metadata => f.write_str("metadata"),
            Self::Packet { range: 0 } => f.write_str("packet"),
            Self::Packet { range } => write!(f, "packet up to {range} bytes"),
        }
    }
}

/// The name of a network device as it lies in a message: 16 bytes (`IFNAMSIZ`), up to the first NUL.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceName([u8; 16]);

impl DeviceName {
    /// No device: the empty name.
    pub const NONE: Self = Self([0; 16]);
    /// The bytes the field has, the NUL included.
    #[doc(alias = "IFNAMSIZ")]
    pub const LEN: usize = 16;

    /// `name` as a device name; `None` if it is longer than 15 bytes or has a NUL in it.
    pub fn new(name: &str) -> Option<Self> {
        let mut field = [0; Self::LEN];
        if name.len() >= Self::LEN || name.as_bytes().contains(&0) {
            return None;
        }
        field.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self(field))
    }

    /// The 16 bytes of a message, whatever is in them.
    pub const fn from_wire(field: [u8; 16]) -> Self {
        Self(field)
    }

    /// The 16 bytes of a message, those after the NUL included.
    pub const fn field(&self) -> [u8; 16] {
        self.0
    }

    /// The name: the bytes before the first NUL, or all 16 where there is none.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or(&self.0)
    }

    /// The name as text, if it is UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        core::str::from_utf8(self.as_bytes()).ok()
    }

    /// Whether there is no name, and so no device.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceName({self})")
    }
}

/// The name, with bytes that are not printable ASCII escaped as `\xff`.
impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}
