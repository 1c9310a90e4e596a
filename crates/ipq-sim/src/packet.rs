//! A packet on its way through the simulated kernel.

use core::ops::{Deref, DerefMut};

use ipq_proto::{EtherType, Family, HardwareAddress, HardwareType, Hook};

use crate::capture::Timestamp;
use crate::device::DeviceIndex;
use crate::extras::Rare;
use crate::headers::Headers;

/// A packet inside the kernel. It is moved, never copied, so that it can end only once.
///
/// What is moved is one word: all the rest stays where it is, in memory of packets that have ended
/// ([`Memory`](crate::memory::Memory)).
#[derive(Debug)]
pub(crate) struct Packet(Box<Parts>);

/// What a packet is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Counts the packets that entered this kernel, from 1.
    pub(crate) number: u64,
    pub(crate) family: Family,
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
    /// The packet from its IP header on.
    data: Vec<u8>,
    /// What its headers say, once somebody has looked.
    headers: Option<Headers>,
    /// Whether the IP header has been found right.
    is_sound: bool,
}

/// The memory of a packet that has ended.
#[derive(Debug)]
pub(crate) struct Spent(Box<Parts>);

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
    /// A packet that has just entered, in the memory of another one if there is any.
    pub(crate) fn new(memory: Option<Spent>, number: u64, family: Family, data: Vec<u8>) -> Self {
        let parts = Parts {
            number,
            family,
            mark: 0,
            priority: 0,
            timestamp: None,
            input: None,
            output: None,
            link: Link::default(),
            hw_protocol: EtherType::NONE,
            checksums: Checksums::Unverified,
            owner: None,
            rare: None,
            data,
            headers: None,
            is_sound: false,
        };
        Self(match memory {
            Some(Spent(mut memory)) => {
                *memory = parts;
                memory
            }
            None => Box::new(parts),
        })
    }

    /// The end of the packet: what is left is its memory, and its bytes.
    pub(crate) fn end(mut self) -> (Spent, Vec<u8>) {
        let data = core::mem::take(&mut self.data);
        self.rare = None;
        (Spent(self.0), data)
    }
}

impl Deref for Packet {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Packet {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

/// The bytes, and what is known of them until they change.
impl Parts {
    /// The packet from its IP header on.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The same, to be changed.
    pub(crate) fn data_mut(&mut self) -> &mut Vec<u8> {
        self.headers = None;
        self.is_sound = false;
        &mut self.data
    }

    /// What its headers say.
    pub(crate) fn headers(&mut self) -> &Headers {
        self.headers.get_or_insert_with(|| Headers::of(&self.data))
    }

    /// Whether the IP header was found right, and the bytes are as they were then.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_sound
    }

    /// The IP header is right.
    pub(crate) fn set_sound(&mut self) {
        self.is_sound = true;
    }
}

impl Parts {
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
    pub(crate) function: u8,
}

impl Position {
    /// Before the first function of `hook`.
    pub(crate) const fn at(hook: Hook) -> Self {
        Self { hook, function: 0 }
    }

    /// Behind all functions of the hook.
    pub(crate) const fn past_all(self) -> Self {
        Self { function: u8::MAX, ..self }
    }

    /// Behind the function that it was before.
    pub(crate) const fn next_function(self) -> Self {
        Self { function: self.function + 1, ..self }
    }
}
