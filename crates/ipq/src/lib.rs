//! Userspace packet queuing: one session over every kernel that has a packet queue, and over a simulated one.
//!
//! A rule of the firewall (`-j QUEUE`) hands packets to a program; the program looks at each and sends back a
//! [`Verdict`]: let it pass, drop it, or put another one in its place. [`Queue`] is that program's side. It
//! replaces libipq(3), and works the same on `ip_queue`, on `nfnetlink_queue`, and on the simulated kernel of
//! `ipq-sim`, which needs neither root nor a module.
//!
//! ```no_run
//! use ipq::{CopyMode, Family, Queue, Verdict};
//!
//! let mut queue = Queue::open("auto".parse()?, Family::Ipv4)?;
//! queue.set_mode(CopyMode::Packet { range: 2048 })?;
//! queue.run(|packet| if packet.payload().len() > 1000 { Verdict::Drop } else { Verdict::Accept })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! To test an application, give it the socket of a simulated kernel; nothing else changes. See [`Queue`].
//!
//! - [`Queue`] reads and decides, packet by packet or in batches; [`Queue::run`] is the shortest and fastest program.
//! - [`SharedQueue`] hands out packets that are settled exactly once, by any thread, or by default; [`QueuedPacket`]s can
//!   be [rewritten](QueuedPacket::rewrite) so that they arrive.
//! - [`Workers`] is for several queues and cores, `AsyncQueue` for tokio (feature `tokio`).
//! - [`Stopper`] ends reads, [`Snapshot`] shows what was lost.
//!
//! The [guide] leads through all of it, and from libipq to this, call by call.

#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod async_queue;
mod error;
mod event;
mod families;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod ip_queue;
mod lane;
mod nfqueue;
mod open;
mod options;
mod outstanding;
mod packet;
pub mod prometheus;
mod queue;
mod queued_packet;
mod rewrite;
mod shared;
mod snapshot;
mod statistics;
mod stop;
mod sync;
mod transport_name;
mod turns;
mod workers;

#[cfg(feature = "tokio")]
pub use async_queue::AsyncQueue;
pub use error::{Error, Fault};
pub use event::{Event, Refusal};
pub use families::Families;
pub use options::Options;
pub use packet::{Packet, PacketId, QueueName};
pub use queue::Queue;
pub use queued_packet::{QueuedPacket, Unsettled};
pub use rewrite::{Rewrite, RewriteError, repair};
pub use shared::{DefaultVerdict, SharedQueue};
pub use snapshot::Snapshot;
pub use statistics::Statistics;
pub use stop::Stopper;
pub use transport_name::{ParseTransportError, TransportName};
pub use workers::Workers;

pub use ipq_proto::ip_queue::Timestamp;
pub use ipq_proto::nfqueue::{SkbInfo, Vlan};
pub use ipq_proto::{
    CopyMode, DeviceName, Errno, EtherType, Family, HardwareAddress, HardwareType, Hook, Verdict,
};
pub use ipq_sys::{
    Batch, IpQueueStatus, KernelStatus, NetlinkSocket, NfqueueStatus, Owner, Process, Transport,
};

#[doc = include_str!("../guide.md")]
pub mod guide {}

/// The examples of the README, so that they are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The examples of the simulator's cookbook, likewise.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/simulator.md")]
struct Cookbook;
