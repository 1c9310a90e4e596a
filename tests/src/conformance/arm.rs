//! What is replayed against: [`Arm`].

use core::fmt;

use super::bridged::Bridged;
use super::simulated::Simulated;
use super::world::World;
use crate::namespace::Skipped;
use crate::recording::{Conversation, Event};

/// A stand-in for the recorded kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arm {
    /// `ip_queue` of the simulated kernel.
    Simulated,
    /// The bridge over `nfnetlink_queue` of the simulated kernel.
    BridgeOnSimulated,
    /// The bridge over `nfnetlink_queue` of the kernel that this program runs on, whose network must be one of its own.
    BridgeOnReal,
}

impl Arm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Simulated, Self::BridgeOnSimulated, Self::BridgeOnReal];

    /// Whether `ip_queue` is carried over `nfnetlink_queue`.
    pub const fn is_bridge(self) -> bool {
        matches!(self, Self::BridgeOnSimulated | Self::BridgeOnReal)
    }

    /// Why a conversation cannot be replayed on this arm; `None` if it can.
    pub(super) fn leaves_out(self, conversation: &Conversation) -> Option<&'static str> {
        let has = |is_meant: fn(&Event) -> bool| {
            conversation.items.iter().any(|item| is_meant(&item.event))
        };
        let asks_netfilter = |event: &Event| matches!(event, Event::Send(sent) if sent.description.starts_with("nfnetlink_queue "));
        if self.is_bridge() && has(asks_netfilter) {
            return Some("it is about both modules in one kernel");
        }
        if self == Self::BridgeOnReal && has(|event| matches!(event, Event::Recorder(_))) {
            return Some("its packets are to enter as they were recorded, byte for byte");
        }
        None
    }

    /// The machine of the probe, on which all conversations of the file are held.
    pub(super) fn world(self) -> Result<Box<dyn World>, Skipped> {
        Ok(match self {
            Self::Simulated => Box::new(Simulated::new()),
            Self::BridgeOnSimulated => Box::new(Bridged::simulated()),
            Self::BridgeOnReal => Box::new(Bridged::real()?),
        })
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Simulated => "simulated ip_queue",
            Self::BridgeOnSimulated => "bridge over simulated nfnetlink_queue",
            Self::BridgeOnReal => "bridge over this kernel's nfnetlink_queue",
        })
    }
}
