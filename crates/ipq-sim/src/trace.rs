//! What happened in a kernel, event by event: [`TraceEvent`], and the [`Trace`] that keeps them.

use core::fmt;

use ipq_proto::{DeviceName, Family, Hook, Verdict};
use ipq_sys::{Clock, Protocol};
use serde::{Serialize, Serializer};

use crate::fate::{Fate, Reason};

/// Something that happened, and when.
///
/// It prints as a line, and serialises as an object, for example as JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct TraceEntry {
    /// The simulated time since the kernel started; serialised in seconds.
    #[serde(serialize_with = "seconds")]
    pub time: Clock,
    /// What happened.
    #[serde(flatten)]
    pub event: TraceEvent,
}

/// Something that happened in a simulated kernel. Packets are named by their [number](crate::Outcome::number).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TraceEvent {
    /// A packet came in by a device or, without one, was made on this host.
    Entered {
        /// Which packet.
        packet: u64,
        /// Its family.
        #[serde(serialize_with = "text")]
        family: Family,
        /// Its length in bytes.
        len: usize,
        /// The device it came in by.
        #[serde(serialize_with = "text")]
        device: DeviceName,
    },
    /// A packet came to a hook.
    Hook {
        /// Which packet.
        packet: u64,
        /// Which hook.
        #[serde(serialize_with = "text")]
        hook: Hook,
    },
    /// A packet waits for a verdict, and its message was sent.
    Queued {
        /// Which packet.
        packet: u64,
        /// Where it waits.
        #[serde(serialize_with = "text")]
        queue: QueueId,
        /// How the program knows it.
        id: u64,
        /// Where it was queued.
        #[serde(serialize_with = "text")]
        hook: Hook,
    },
    /// A packet was to be queued and was not, and goes on all the same: a bypass, or a queue that fails open.
    Passed {
        /// Which packet.
        packet: u64,
        /// Why it was not queued.
        #[serde(serialize_with = "text")]
        reason: Reason,
    },
    /// A program decided on a packet.
    Verdict {
        /// Which packet.
        packet: u64,
        /// What it decided.
        #[serde(serialize_with = "text")]
        verdict: Verdict,
        /// The length of the packet that takes its place, in bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        replacement_len: Option<usize>,
    },
    /// A packet ended.
    Ended {
        /// Which packet.
        packet: u64,
        /// How.
        #[serde(serialize_with = "text")]
        fate: Fate,
    },
    /// A program opened a socket.
    Opened {
        /// The netlink protocol.
        #[serde(serialize_with = "text")]
        protocol: Protocol,
        /// Its port id.
        port_id: u32,
    },
    /// The last descriptor of a socket was closed.
    Closed {
        /// The netlink protocol.
        #[serde(serialize_with = "text")]
        protocol: Protocol,
        /// Its port id.
        port_id: u32,
    },
    /// A program sent a datagram.
    Request {
        /// The netlink protocol.
        #[serde(serialize_with = "text")]
        protocol: Protocol,
        /// The port id of its socket.
        port_id: u32,
        /// The length of the datagram in bytes.
        len: usize,
    },
    /// A datagram was sent to a program.
    Message {
        /// The netlink protocol.
        #[serde(serialize_with = "text")]
        protocol: Protocol,
        /// The port id of its socket.
        port_id: u32,
        /// The length of the datagram in bytes.
        len: usize,
        /// Whether the receive buffer had room for it; otherwise it is lost.
        fits: bool,
    },
    /// A device went up or down.
    Device {
        /// Which one.
        #[serde(serialize_with = "text")]
        device: DeviceName,
        /// Which way.
        is_up: bool,
    },
    /// A module was loaded.
    Loaded {
        /// The protocol it serves.
        #[serde(serialize_with = "text")]
        protocol: Protocol,
    },
    /// A module was unloaded.
    Unloaded {
        /// The protocol it served.
        #[serde(serialize_with = "text")]
        protocol: Protocol,
    },
}

impl TraceEvent {
    /// The packet that it is about, if it is about one.
    pub const fn packet(&self) -> Option<u64> {
        match self {
            Self::Entered { packet, .. }
            | Self::Hook { packet, .. }
            | Self::Queued { packet, .. }
            | Self::Passed { packet, .. }
            | Self::Verdict { packet, .. }
            | Self::Ended { packet, .. } => Some(*packet),
            _ => None,
        }
    }
}

/// Which queue a packet waits in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum QueueId {
    /// That of `ip_queue` or, for IPv6, of `ip6_queue`.
    IpQueue(Family),
    /// One of `nfnetlink_queue`, by its number.
    Nfqueue(u16),
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IpQueue(Family::Ipv4) => f.write_str("ip_queue"),
            Self::IpQueue(Family::Ipv6) => f.write_str("ip6_queue"),
            Self::Nfqueue(number) => write!(f, "nfqueue:{number}"),
        }
    }
}

impl fmt::Display for TraceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:12.6} {}", self.time.as_secs_f64(), self.event)
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entered { packet, family, len, device } if device.is_empty() => {
                write!(f, "packet {packet}: made here, {family}, {len} bytes")
            }
            Self::Entered { packet, family, len, device } => {
                write!(f, "packet {packet}: in by {device}, {family}, {len} bytes")
            }
            Self::Hook { packet, hook } => write!(f, "packet {packet}: at {hook}"),
            Self::Queued { packet, queue, id, hook } => {
                write!(f, "packet {packet}: waits in {queue} at {hook}, id {id:#x}")
            }
            Self::Passed { packet, reason } => {
                write!(f, "packet {packet}: not queued, passes: {reason}")
            }
            Self::Verdict { packet, verdict, replacement_len: None } => {
                write!(f, "packet {packet}: verdict {verdict}")
            }
            Self::Verdict { packet, verdict, replacement_len: Some(len) } => {
                write!(f, "packet {packet}: verdict {verdict}, replaced by {len} bytes")
            }
            Self::Ended { packet, fate } => write!(f, "packet {packet}: {fate}"),
            Self::Opened { protocol, port_id } => write!(f, "port {port_id}: opens {protocol}"),
            Self::Closed { protocol, port_id } => write!(f, "port {port_id}: closes {protocol}"),
            Self::Request { port_id, len, .. } => write!(f, "port {port_id}: sends {len} bytes"),
            Self::Message { port_id, len, fits: true, .. } => {
                write!(f, "port {port_id}: is sent {len} bytes")
            }
            Self::Message { port_id, len, fits: false, .. } => {
                write!(f, "port {port_id}: has no room for {len} bytes, which are lost")
            }
            Self::Device { device, is_up: true } => write!(f, "device {device}: up"),
            Self::Device { device, is_up: false } => write!(f, "device {device}: down"),
            Self::Loaded { protocol } => write!(f, "module of {protocol}: loaded"),
            Self::Unloaded { protocol } => write!(f, "module of {protocol}: unloaded"),
        }
    }
}

fn seconds<S: Serializer>(time: &Clock, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// How many events a kernel remembers that keeps no trace: what a violated invariant is reported with.
const REMEMBERED: usize = 64;

/// The events of a kernel: all since they were last taken or, where nobody asked for them, the last few.
#[derive(Debug)]
pub(crate) enum Trace {
    /// All of them.
    All(Vec<TraceEntry>),
    /// The last ones. When there are as many as are remembered, the next one takes the place of the oldest, which is at
    /// `next`.
    Last {
        /// No more than are remembered.
        entries: Vec<TraceEntry>,
        /// Where the next one goes.
        next: usize,
    },
}

impl Default for Trace {
    fn default() -> Self {
        Self::Last { entries: Vec::with_capacity(REMEMBERED), next: 0 }
    }
}

impl Trace {
    /// Keeps all events from now on.
    pub(crate) fn keep_all(&mut self) {
        *self = Self::All(self.iter().copied().collect());
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: TraceEntry) {
        match self {
            Self::All(entries) => entries.push(entry),
            Self::Last { entries, next } => {
                match entries.get_mut(*next) {
                    Some(oldest) => *oldest = entry,
                    None => entries.push(entry),
                }
                *next = (*next + 1) % REMEMBERED;
            }
        }
    }

    /// Takes the events, if all are kept.
    pub(crate) fn take(&mut self) -> Vec<TraceEntry> {
        match self {
            Self::All(entries) => core::mem::take(entries),
            Self::Last { .. } => Vec::new(),
        }
    }

    /// The events in the order in which they happened.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &TraceEntry> {
        let (newer, older) = match self {
            Self::All(entries) => (&entries[..], &[][..]),
            Self::Last { entries, next } => {
                entries.split_at_checked(*next).unwrap_or((entries, &[]))
            }
        };
        older.iter().chain(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(packet: u64) -> TraceEntry {
        TraceEntry { time: Clock::ZERO, event: TraceEvent::Hook { packet, hook: Hook::LocalIn } }
    }

    /// The packets of the events that are remembered.
    fn packets(trace: &Trace) -> Vec<u64> {
        trace.iter().filter_map(|entry| entry.event.packet()).collect()
    }

    #[test]
    fn remembers_the_last_events_in_order() {
        let mut trace = Trace::default();
        for count in 1..=3 * REMEMBERED as u64 {
            trace.push(entry(count));
            let first = count.saturating_sub(REMEMBERED as u64) + 1;
            assert_eq!(packets(&trace), (first..=count).collect::<Vec<_>>());
        }
        assert_eq!(trace.take(), [], "nobody asked for them");
    }

    #[test]
    fn keeps_all_events_where_somebody_asked_for_them() {
        let mut trace = Trace::default();
        trace.keep_all();
        let all: Vec<_> = (0..3 * REMEMBERED as u64).map(entry).collect();
        for entry in &all {
            trace.push(*entry);
        }
        assert!(trace.iter().eq(&all));
        assert_eq!((trace.take(), trace.take()), (all, Vec::new()));
    }
}
