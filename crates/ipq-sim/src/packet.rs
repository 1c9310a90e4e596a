//! A packet on its way through the simulated kernel.

use ipq_proto::{EtherType, Family, HardwareAddress, HardwareType, Hook};

use crate::capture::Timestamp;
use crate::device::DeviceIndex;
use crate::extras::Rare;

/// A packet inside the kernel. It is moved, never copied, so that it can end only once.
#[derive(Debug)]
pub(crate) struct Packet {
    /// Counts the packets that entered this kernel, from 1.
    pub(crate) number: u64,
    pub(crate) family: Family,
    /// The packet from its IP header on.
    pub(crate) data: Vec<u8>,
    pub(crate) mark: u32,
    /// In queueing disciplines.
    pub(crate) priority: u32,
    /// When it arrived; a packet made on this host has not arrived.
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) input: Option<DeviceIndex>,
    pub(crate) output: Option<DeviceIndex>,
    pub(crate) link: Link,
    pub(crate) hw_protocol: EtherType,
    pub(crate) checksums: Checksums,
    /// User and group of the socket that sent it, on this host.
    pub(crate) owner: Option<(u32, u32)>,
    /// What few packets have.
    pub(crate) rare: Option<Box<Rare>>,
}

/// The link-layer header that a packet came in with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    pub(crate) hw_type: HardwareType,
    pub(crate) address: HardwareAddress,
}

/// Whether lengths and checksums of a packet are known to be right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Checksums {
    /// Somebody has looked, and they are not looked at again.
    Verified,
    /// Whoever receives the packet looks.
    Unverified,
}

impl Packet {
    /// Whether the packet came in, or is to leave, by `device`.
    pub(crate) fn touches(&self, device: DeviceIndex) -> bool {
        self.input == Some(device) || self.output == Some(device)
    }
}

/// Where in the kernel a packet is: at a hook, before one of the hook's functions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Position {
    pub(crate) hook: Hook,
    /// Functions of the hook that the packet has passed.
    pub(crate) function: usize,
}

impl Position {
    /// Before the first function of `hook`.
    pub(crate) const fn at(hook: Hook) -> Self {
        Self { hook, function: 0 }
    }

    /// Behind all functions of the hook.
    pub(crate) const fn past_all(self) -> Self {
        Self { function: usize::MAX, ..self }
    }

    /// Behind the function that it was before.
    pub(crate) const fn next_function(self) -> Self {
        Self { function: self.function + 1, ..self }
    }
}
