//! A bridge that goes over to another queue: [`Bridge::move_to`].

use std::io::IoSlice;

use ipq_proto::abi::AbiVisitor;
use ipq_proto::nfqueue::{CONFIG, Command, CommandMsg, ParamsMsg};
use ipq_proto::{Abi, CopyMode};
use ipq_sys::{Claim, ClaimError, Deadline, Received, Transport, claim};

use crate::{Bridge, carried};

impl<T: Transport> Bridge<T> {
    /// The number of the queue below.
    pub const fn number(&self) -> u16 {
        self.station.number
    }

    /// Claims the queue `number` instead of the one below, and has it be as that was: the same socket, peer, mode and
    /// maximum length.
    ///
    /// Packets that wait in the old queue are dropped, and what the kernel said of it and nobody received is gone.
    ///
    /// # Errors
    ///
    /// As [`claim`], if the queue cannot be had: then the bridge stays where it is. And if the socket fails.
    pub fn move_to(&mut self, number: u16) -> Result<(), ClaimError> {
        let (families, max_length) = (&[self.station.family], Some(self.max_length));
        let wanted = Claim { first: number, last: number, families, max_length, flags: &[] };
        claim(&mut self.below, &wanted)?;
        let (old, mode) = (self.number(), self.station.mode_below());
        self.outbox.clear();
        let model = self.below.data_model();
        model.with(Leave { old, new: number, mode, out: &mut self.outbox });
        self.below.send(&[IoSlice::new(&self.outbox)])?;
        self.outbox.clear();
        self.station.number = number;
        self.station.undecided = 0;
        // Ids count from 1 in each queue: one of the old queue must not be taken for one of the new one.
        loop {
            let received = self.below.receive(&mut self.inbox, Deadline::Immediate)?;
            if matches!(received, Received::TimedOut | Received::Ended) {
                return Ok(());
            }
        }
    }
}

/// Appends the requests to set a mode for the new queue and to give back the old one.
struct Leave<'o> {
    old: u16,
    new: u16,
    mode: CopyMode,
    out: &'o mut Vec<u8>,
}

impl AbiVisitor for Leave<'_> {
    type Output = ();

    fn visit<A: Abi>(self) {
        let Self { old, new, mode, out } = self;
        carried::append_plain(out, CONFIG, ParamsMsg::<A::Order>::new(new, mode));
        carried::append_plain(out, CONFIG, CommandMsg::<A::Order>::new(old, Command::UNBIND, 0));
    }
}
