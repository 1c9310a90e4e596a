//! What a session should have counted, by what it was seen to do: [`Tally`].

use ipq_proto::{Errno, Verdict};

use crate::{Error, Event, Packet, PacketId, Queue, Statistics};

/// Counts of events and of verdicts, and the packets that were read.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Statistics,
    /// In the order in which they were read.
    pub(super) read: Vec<PacketId>,
}

impl Tally {
    /// Something that was read, or why nothing was.
    pub(super) fn event(&mut self, event: &Result<Event<'_>, Error>) {
        let counts = &mut self.counts;
        match event {
            Ok(Event::Packet(packet)) => self.packet(packet),
            Ok(Event::Truncated { packet: Some(packet), .. }) => {
                counts.truncated += 1;
                self.packet(packet);
            }
            Ok(Event::Truncated { packet: None, .. }) => {
                counts.truncated += 1;
                counts.packets += 1;
            }
            Ok(Event::Refused(refusal)) => {
                counts.refused += 1;
                if refusal.errno == Errno::ENOENT && refusal.packet.is_some() {
                    counts.late_verdicts += 1;
                }
            }
            Ok(Event::Overrun) => counts.overruns += 1,
            Ok(Event::Foreign { .. }) => counts.foreign += 1,
            Err(Error::Message(_)) => counts.malformed += 1,
            Ok(Event::Interrupted | Event::Other(_)) | Err(_) => (),
        }
    }

    /// A packet that was read: all that is said of it can be asked.
    pub(super) fn packet(&mut self, packet: &Packet<'_>) {
        self.counts.packets += 1;
        self.counts.bytes += packet.payload().len() as u64;
        self.read.push(packet.id());
        core::hint::black_box(format!("{packet:?}"));
    }

    /// A verdict that was taken.
    pub(super) fn verdict(&mut self, verdict: Verdict) {
        self.counts.count_verdict(verdict);
    }

    /// The session did several things by itself, which its counters alone tell.
    pub(super) fn adopt(&mut self, counts: Statistics) {
        self.counts = counts;
    }

    /// Compares the counts of a session with those made here.
    pub(super) fn check(&self, queue: &Queue) {
        let (counts, ours) = (queue.statistics(), &self.counts);
        let read = |s: &Statistics| {
            (s.packets, s.bytes, s.truncated, s.refused, s.overruns, s.foreign, s.malformed)
        };
        assert_eq!(read(&counts), read(ours));
        let verdicts = |s: &Statistics| (s.accepted, s.dropped, s.other_verdicts);
        assert_eq!(verdicts(&counts), verdicts(ours));
        // Which of the two it is depends on whether the packet was ever read.
        let refused = counts.late_verdicts + counts.unknown_verdicts;
        assert!(refused >= ours.late_verdicts, "{counts:?}");
        let snapshot = queue.snapshot();
        assert_eq!(snapshot.statistics, counts);
        core::hint::black_box((snapshot.to_string(), snapshot.to_prometheus(&[("a", "b")])));
    }
}
