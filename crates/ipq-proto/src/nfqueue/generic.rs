//! What follows the netlink header in every message of netfilter.

use zerocopy::byteorder::{NetworkEndian, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::DecodeError;

/// Family, version and resource of a message of netfilter: four bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
#[doc(alias = "nfgenmsg")]
pub struct Generic {
    /// The address family: in a packet that of the packet's hook (`NFPROTO_*`), in a request 0.
    pub family: u8,
    /// The version, 0.
    pub version: u8,
    resource: U16<NetworkEndian>,
}

impl Generic {
    /// For a message about a queue.
    pub const fn new(family: u8, queue: u16) -> Self {
        Self { family, version: 0, resource: U16::new(queue) }
    }

    /// The number of the queue.
    pub fn queue(&self) -> u16 {
        self.resource.get()
    }

    /// The four bytes at the start of a message's body, and the attributes after them.
    ///
    /// # Errors
    ///
    /// If there are fewer than four bytes.
    #[inline]
    pub fn split(body: &[u8]) -> Result<(&Self, &[u8]), DecodeError> {
        Self::ref_from_prefix(body)
            .map_err(|_| DecodeError::too_short("netfilter message", size_of::<Self>(), body.len()))
    }
}

const _: () = assert!(size_of::<Generic>() == 4);
