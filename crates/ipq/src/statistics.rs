//! What a session has seen and done: [`Statistics`].

use ipq_proto::Verdict;

use crate::{Event, Packet};

/// Counts since a session was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// Packets read, truncated ones included.
    pub packets: u64,
    /// Bytes of payload read.
    pub bytes: u64,
    /// Packets whose message was longer than the buffer.
    pub truncated: u64,
    /// Verdicts sent: accept.
    pub accepted: u64,
    /// Verdicts sent: drop.
    pub dropped: u64,
    /// Verdicts sent: queue, repeat, stop and whatever else.
    pub other_verdicts: u64,
    /// Requests that the kernel refused.
    pub refused: u64,
    /// How often the receive buffer was full. Each time the kernel lost one packet or more.
    pub overruns: u64,
    /// Packets that the kernel dropped because the receive buffer was full, on `nfnetlink_queue`, where a missing id shows
    /// each of them once a later packet has come. A packet whose message could not be read is counted as truncated or
    /// malformed, and not here.
    pub lost: u64,
    /// Messages that came from a process and not from the kernel.
    pub foreign: u64,
    /// Packets of a family that was not asked for, dropped: on `nfnetlink_queue`, where a queue carries both.
    pub unclaimed: u64,
    /// Messages that made no sense.
    pub malformed: u64,
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

    fn count_packet(&mut self, packet: Option<&Packet<'_>>) {
        self.packets += 1;
        self.bytes += packet.map_or(0, |packet| packet.payload().len() as u64);
    }

    pub(crate) fn count_verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accept => self.accepted += 1,
            Verdict::Drop => self.dropped += 1,
            _ => self.other_verdicts += 1,
        }
    }
}
