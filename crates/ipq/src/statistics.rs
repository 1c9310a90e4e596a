//! What a session has seen and done: [`Statistics`].

use core::iter::Sum;
use core::ops::AddAssign;

use ipq_proto::{Errno, Verdict};
use serde::Serialize;

use crate::{Event, Packet, Refusal};

/// Defines the counters with all that has to know each of them, so that none can be forgotten.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Counts since a session was opened.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
        pub struct Statistics {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl Statistics {
            /// Every counter: its name, what it counts, and its value.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+).trim_ascii(), self.$name),)*].into_iter()
            }
        }

        impl AddAssign for Statistics {
            fn add_assign(&mut self, other: Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }
        }
    };
}

counters! {
    /// Packets read, truncated ones included.
    packets,
    /// Bytes of payload read.
    bytes,
    /// Packets whose message was longer than the buffer.
    truncated,
    /// Verdicts sent: accept.
    accepted,
    /// Verdicts sent: drop.
    dropped,
    /// Verdicts sent: queue, repeat, stop and whatever else.
    other_verdicts,
    /// Verdicts sent because nobody had given one: they are among the accepted or the dropped as well.
    defaulted,
    /// Requests that the kernel refused.
    refused,
    /// Verdicts that the kernel refused because it does not queue the packet any more.
    late_verdicts,
    /// Verdicts for packets that the session has not read.
    unknown_verdicts,
    /// How often the receive buffer was full. Each time the kernel lost one packet or more.
    overruns,
    /// Packets that the kernel dropped because the receive buffer was full, on nfnetlink_queue, where a missing id shows
    /// each of them once a later packet has come. A packet whose message could not be read is counted as truncated or
    /// malformed, and not here.
    lost,
    /// Messages that came from a process and not from the kernel.
    foreign,
    /// Packets of a family that was not asked for, dropped: on nfnetlink_queue, where a queue carries both.
    unclaimed,
    /// Messages that made no sense.
    malformed,
}

impl Statistics {
    pub(crate) fn count(&mut self, event: &Event<'_>) {
        match event {
            Event::Packet(packet) => self.count_packet(Some(packet)),
            Event::Truncated { packet, .. } => {
                self.truncated += 1;
                self.count_packet(packet.as_ref());
            }
            Event::Refused(_) => self.refused += 1,
            Event::Overrun => self.overruns += 1,
            Event::Foreign { .. } => self.foreign += 1,
            Event::Interrupted | Event::Other(_) => (),
        }
    }

    pub(crate) fn count_packet(&mut self, packet: Option<&Packet<'_>>) {
        self.packets += 1;
        self.bytes += packet.map_or(0, |packet| packet.payload().len() as u64);
    }

    /// A refused verdict was for a packet that is gone, or that never was read.
    pub(crate) fn count_refused_verdict(&mut self, refusal: Refusal, was_read: bool) {
        match (refusal.errno, was_read) {
            (Errno::ENOENT, true) => self.late_verdicts += 1,
            (Errno::ENOENT, false) => self.unknown_verdicts += 1,
            _ => (),
        }
    }

    pub(crate) fn count_verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accept => self.accepted += 1,
            Verdict::Drop => self.dropped += 1,
            _ => self.other_verdicts += 1,
        }
    }
}

/// The counts of several sessions together.
impl Sum for Statistics {
    fn sum<I: Iterator<Item = Self>>(sessions: I) -> Self {
        sessions.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}
