//! How a session decides: verdicts one by one and in batches, and the loop that reads and decides.

use core::time::Duration;

use ipq_proto::Verdict;
use ipq_sys::Batch;

use super::Queue;
use crate::lane::Lane;
use crate::queued_packet::Order;
use crate::{Error, Event, Packet, PacketId};

/// How many messages are read at once.
const SLOTS: usize = 64;

impl Queue {
    /// Decides on a packet. Verdicts may come in any order, and long after the packet was read.
    ///
    /// A refusal, for a packet that is not queued any more, comes back as [`Event::Refused`].
    ///
    /// # Errors
    ///
    /// If it cannot be sent. After an error that [is temporary](Error::is_temporary) it may be sent again.
    #[doc(alias = "ipq_set_verdict")]
    pub fn verdict(&mut self, id: PacketId, verdict: Verdict) -> Result<(), Error> {
        self.decide(id, verdict, None, &[])
    }

    /// Decides on a packet and replaces it, from its IP header on.
    ///
    /// The kernel repairs neither lengths nor checksums, and whoever finds one wrong discards the packet
    /// silently. A replacement that is empty is none; `ip_queue` ignores one shorter than an IP header, and drops the
    /// packet if one longer than 65,535 bytes makes it grow.
    ///
    /// # Errors
    ///
    /// As [`verdict`](Self::verdict); and if it is longer than 65,531 bytes on `nfnetlink_queue`.
    #[doc(alias = "ipq_set_verdict")]
    pub fn verdict_with(
        &mut self,
        id: PacketId,
        verdict: Verdict,
        replacement: &[u8],
    ) -> Result<(), Error> {
        self.decide(id, verdict, None, replacement)
    }

    /// Decides on a packet and gives it a netfilter mark.
    ///
    /// # Errors
    ///
    /// As [`verdict`](Self::verdict); and on `ip_queue`, whose verdicts carry no mark.
    #[doc(alias("ipq_set_vwmark", "nfq_set_verdict2"))]
    pub fn verdict_marked(
        &mut self,
        id: PacketId,
        verdict: Verdict,
        mark: u32,
    ) -> Result<(), Error> {
        self.decide(id, verdict, Some(mark), &[])
    }

    pub(crate) fn settle(&mut self, id: PacketId, order: &Order<'_>) -> Result<(), Error> {
        self.decide(id, order.verdict, order.mark, order.replacement)
    }

    /// A verdict came for a packet that is known to be gone.
    pub(crate) fn count_late_verdict(&mut self) {
        self.statistics.late_verdicts += 1;
    }

    fn decide(
        &mut self,
        id: PacketId,
        verdict: Verdict,
        mark: Option<u32>,
        replacement: &[u8],
    ) -> Result<(), Error> {
        self.lane(id)?.send_verdict(id, verdict, mark, replacement)?;
        self.statistics.count_verdict(verdict);
        Ok(())
    }

    /// Decides on several packets, in as few system calls as the kernel allows. The effect is that of as many
    /// [verdicts](Self::verdict) in this order, but that packets which are gone may be refused together, with the id of
    /// the last one.
    ///
    /// # Errors
    ///
    /// As [`verdict`](Self::verdict). How many were sent then is not known.
    pub fn verdicts(&mut self, decisions: &[(PacketId, Verdict)]) -> Result<(), Error> {
        let mut rest = decisions;
        while let [(id, _), ..] = *rest {
            let lane = self.lane(id)?;
            let same = rest.iter().take_while(|(id, _)| lane.serves(id.queue())).count();
            lane.send_verdicts(&rest[..same])?;
            rest = &rest[same..];
        }
        for &(_, verdict) in decisions {
            self.statistics.count_verdict(verdict);
        }
        Ok(())
    }

    pub(super) fn lane(&mut self, id: PacketId) -> Result<&mut Lane, Error> {
        let lane = self.lanes.iter_mut().find(|lane| lane.serves(id.queue()));
        self.statistics.unknown_verdicts += u64::from(lane.is_none());
        lane.ok_or(Error::WrongQueue(id))
    }

    /// Reads packets and gives each the verdict that `decide` returns, for as long as anything can come: on a real
    /// kernel until it is [stopped](Self::stopper) or [interrupted](Self::interrupt_on), on a simulated one to the end.
    ///
    /// What is there is read at once, and what was decided is sent before it waits for more. What else comes is counted
    /// in the [statistics](Self::statistics) and survived. A packet whose message is longer than any that the mode
    /// allows is handed to `decide` as far as it did fit.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub fn run(&mut self, mut decide: impl FnMut(Packet<'_>) -> Verdict) -> Result<(), Error> {
        let mut work = Work::new(self);
        loop {
            let events = self.work(&mut work, None, &mut decide)?;
            if events == 0 || (work.interrupted && (self.interrupt.is_some() || self.is_stopped()))
            {
                return Ok(());
            }
        }
    }

    /// Reads a batch, waiting for it no longer than `timeout`, and gives its packets the verdicts that `decide` returns;
    /// returns how many events there were.
    pub(crate) fn work(
        &mut self,
        work: &mut Work,
        timeout: Option<Duration>,
        mut decide: impl FnMut(Packet<'_>) -> Verdict,
    ) -> Result<usize, Error> {
        let Work { batch, decisions, interrupted } = work;
        *interrupted = false;
        let events = self.read_batch(batch, timeout, |event| match event {
            Ok(Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. }) => {
                decisions.push((packet.id(), decide(packet)));
            }
            Ok(Event::Interrupted) => *interrupted = true,
            Ok(_) | Err(_) => (),
        })?;
        let sent = self.verdicts(decisions);
        decisions.clear();
        sent.map(|()| events)
    }
}

/// What is needed to read packets and decide on them, batch after batch.
pub(crate) struct Work {
    batch: Batch,
    decisions: Vec<(PacketId, Verdict)>,
    /// Whether the last read was interrupted.
    interrupted: bool,
}

impl Work {
    pub(crate) fn new(queue: &Queue) -> Self {
        let batch = Batch::new(SLOTS, queue.buffer_len());
        Self { batch, decisions: Vec::with_capacity(SLOTS), interrupted: false }
    }
}
