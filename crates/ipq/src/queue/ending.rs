//! How a session ends: it is stopped, and what is left is settled.

use std::thread;

use super::Queue;
use crate::lane::Lane;
use crate::{DefaultVerdict, Error, Event, PacketId, Stopper};

/// How many messages are read at most when a queue is emptied, so that a flood cannot keep it open.
const MOST_LEFT: usize = 1 << 16;

/// How often a verdict is sent again that the kernel has no memory for.
const ATTEMPTS: usize = 1000;

impl Queue {
    /// A handle that ends the reads of this queue, from any thread or from a signal. All handles are clones of one.
    ///
    /// Once stopped, each read returns [`Event::Interrupted`] at once, and [`run`](Self::run) returns; what has come in the
    /// meantime is left where it is, for [`settle_rest`](Self::settle_rest).
    ///
    /// # Errors
    ///
    /// If this process has no descriptor left.
    pub fn stopper(&mut self) -> Result<Stopper, Error> {
        let stopper = match self.stopper.take() {
            Some(stopper) => stopper,
            None => Stopper::new().map_err(Error::Descriptor)?,
        };
        Ok(self.stopper.insert(stopper).clone())
    }

    /// Whether a [stopper](Self::stopper) was used.
    pub fn is_stopped(&self) -> bool {
        self.stopper.as_ref().is_some_and(Stopper::is_stopped)
    }

    /// Gives all packets that are still queued a verdict, those that nobody has read yet included. For the end: dropped
    /// without it, a session leaves them to the kernel, which drops them.
    ///
    /// Packets that were read and not decided on are known on `nfnetlink_queue` only; on `ip_queue` a [`SharedQueue`]
    /// keeps track of them. Verdicts for packets that are gone are refused, which does no harm.
    ///
    /// [`SharedQueue`]: crate::SharedQueue
    ///
    /// # Errors
    ///
    /// If the socket fails, or the kernel has no memory for a verdict again and again.
    pub fn settle_rest(&mut self, verdict: DefaultVerdict) -> Result<(), Error> {
        let mut buffer = vec![0; self.buffer_len()];
        for _ in 0..MOST_LEFT {
            match self.try_read(&mut buffer) {
                Ok(Some(Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. })) => {
                    self.settle_by_default(packet.id(), verdict)?;
                }
                Ok(None) => break,
                Ok(Some(_)) | Err(Error::Message(_)) => (),
                Err(error) => return Err(error),
            }
        }
        let undecided: Vec<PacketId> = self.lanes.iter().flat_map(Lane::undecided).collect();
        undecided.into_iter().try_for_each(|id| self.settle_by_default(id, verdict))
    }

    /// Gives the queues of `nfnetlink_queue` back, so that they are free even while a duplicate of the descriptor is open.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        self.lanes.iter_mut().try_for_each(Lane::release)
    }

    /// Gives a packet that nobody decided on its verdict.
    pub(crate) fn settle_by_default(
        &mut self,
        id: PacketId,
        verdict: DefaultVerdict,
    ) -> Result<(), Error> {
        let mut attempts = 0..ATTEMPTS;
        loop {
            match self.verdict(id, verdict.into()) {
                Err(error) if error.is_temporary() && attempts.next().is_some() => {
                    thread::yield_now();
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    self.statistics.defaulted += 1;
                    return Ok(());
                }
            }
        }
    }
}
