//! The link layer as a queue reports it: [`HardwareType`] and [`HardwareAddress`].

use core::fmt;

/// The type of a link layer (`linux/if_arp.h`, `ARPHRD_*`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HardwareType(pub u16);

impl HardwareType {
    /// What ip_queue says where there is no link-layer header: no input device, or a tun device.
    #[doc(alias = "ARPHRD_NETROM")]
    pub const NONE: Self = Self(0);
    /// Ethernet.
    #[doc(alias = "ARPHRD_ETHER")]
    pub const ETHERNET: Self = Self(1);
    /// The loopback device.
    #[doc(alias = "ARPHRD_LOOPBACK")]
    pub const LOOPBACK: Self = Self(772);
}

impl fmt::Display for HardwareType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ETHERNET => f.pad("ethernet"),
            Self::LOOPBACK => f.pad("loopback"),
            Self(number) => write!(f, "type {number}"),
        }
    }
}

/// The sender's link-layer address, as an ip_queue or nfnetlink_queue message carries it: room for eight
/// bytes, and a length.
///
/// The length is as claimed: a message that lies may claim up to 255. [`as_bytes`](Self::as_bytes) never gives
/// more than the eight that are there.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct HardwareAddress {
    claimed_len: u8,
    bytes: [u8; 8],
}

impl HardwareAddress {
    /// No address.
    pub const NONE: Self = Self { claimed_len: 0, bytes: [0; 8] };

    /// The address `bytes`; `None` if it is longer than the eight bytes a message has room for.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let claimed_len = u8::try_from(bytes.len()).ok()?;
        let mut address = Self { claimed_len, bytes: [0; 8] };
        address.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(address)
    }

    /// The two fields of a message, whatever they claim.
    pub const fn from_wire(claimed_len: u8, bytes: [u8; 8]) -> Self {
        Self { claimed_len, bytes }
    }

    /// The address: as many bytes as claimed, at most eight.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.claimed_len)).unwrap_or(&self.bytes)
    }

    /// All eight bytes of the field, those after the address included.
    pub const fn field(&self) -> [u8; 8] {
        self.bytes
    }

    /// The length as the message claims it, in bytes; above 8 it is a lie.
    pub const fn claimed_len(&self) -> u8 {
        self.claimed_len
    }

    /// Whether there is no address.
    pub const fn is_empty(&self) -> bool {
        self.claimed_len == 0
    }
}

impl fmt::Debug for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HardwareAddress({self})")
    }
}

/// `02:00:00:00:00:bb`: two hexadecimal digits a byte.
impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.as_bytes().iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
