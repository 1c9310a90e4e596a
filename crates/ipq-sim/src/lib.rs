//! A simulated kernel with `ip_queue` and `ip6_queue`: no root, no module, no network; deterministic.
//!
//! A [`Kernel`] has devices, the five netfilter hooks, tables of rules and both queue modules. Packets enter it
//! from a [capture](Kernel::replay) or from code ([`receive`](Kernel::receive), [`send`](Kernel::send)), pass the
//! hooks, and are queued where a rule says so. A program reads them from a [`Socket`], which is a
//! [`Transport`](ipq_sys::Transport) and carries exactly the bytes that a real kernel's socket carries, and sends
//! verdicts back. What becomes of each packet is recorded as its [`Fate`].
//!
//! The kernel runs while somebody waits for it, in simulated time: a blocking read ends when a message comes, or
//! when nothing can happen any more.

#![forbid(unsafe_code)]

mod action;
mod agenda;
mod builder;
pub mod capture;
mod device;
mod extras;
mod family_text;
mod fate;
pub mod fault;
mod fragment;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod hops;
mod host;
mod invariant;
mod ip_queue;
mod kernel;
mod machine;
mod memory;
mod netlink;
mod network;
mod nfqueue;
mod packet;
mod queueing;
mod receiver;
mod record;
mod replay;
mod reply;
mod route;
mod rule;
mod scenario;
mod seeds;
mod served;
mod simulation;
mod socket;
mod trace;

pub use action::Action;
pub use builder::Builder;
pub use device::Device;
pub use extras::Extras;
pub use fate::{Fate, Outcome, Reason, Totals};
pub use host::{Host, Ping, TcpListener, TcpStream, Transfer, UdpSocket};
pub use kernel::Kernel;
pub use record::{Datagram, write_conversation, write_traffic};
pub use replay::{Malformed, Replay, ReplayStatus};
pub use rule::{Match, Protocol, Table, Target};
pub use scenario::{
    Application, ApplicationName, ApplicationNumbers, Finding, Scenario, ScenarioError,
};
pub use seeds::{Seeds, SeedsError, assert_repeatable, for_each_seed};
pub use served::{Served, ServedReport};
pub use simulation::{Simulation, SimulationError};
pub use socket::{Socket, SocketOptions};
pub use trace::{QueueId, TraceEntry, TraceEvent};

pub use ipq_sys::{IpQueueStatus, NfqueueStatus};
