//! Verdicts on their way to the kernel.

use std::io::IoSlice;

use ipq_proto::netlink::{Flags, MessageType};
use ipq_proto::nfqueue as nfq;
use ipq_proto::{Verdict, ip_queue as ipq};

use super::{Front, Lane, number_of};
use crate::nfqueue::Decision;
use crate::{Error, PacketId, QueueName, ip_queue, nfqueue};

/// How many bytes of verdicts go into one datagram.
const LONGEST_DATAGRAM: usize = 32 << 10;

/// How many datagrams are handed to the transport at once.
const DATAGRAMS_AT_ONCE: usize = 32;

impl Lane {
    /// Decides on a packet.
    pub(crate) fn send_verdict(
        &mut self,
        id: PacketId,
        verdict: Verdict,
        mark: Option<u32>,
        replacement: &[u8],
    ) -> Result<(), Error> {
        self.outbox.clear();
        match id.queue() {
            QueueName::Nfqueue(queue) => {
                let number = number_of(id)?;
                let decision = Decision { queue, id: number, verdict, mark, replacement };
                self.append_verdict(nfq::VERDICT, &decision)?;
                // Only now: a packet whose verdict cannot even be written still waits for one.
                self.settle(queue, number);
            }
            QueueName::IpQueue(_) if mark.is_some() => {
                return Err(Error::NoSuchOption("a mark in a verdict"));
            }
            QueueName::IpQueue(_) => self.append_ip_queue(id, verdict, replacement.len())?,
        }
        let head = IoSlice::new(&self.outbox);
        let sent = match replacement {
            [] => self.transport.send(&[head]),
            replacement => self.transport.send(&[head, IoSlice::new(replacement)]),
        };
        self.may_batch &= sent.is_ok();
        Ok(sent?)
    }

    /// Decides on packets of this lane, in as few system calls and messages as their verdicts allow.
    pub(crate) fn send_verdicts(&mut self, decisions: &[(PacketId, Verdict)]) -> Result<(), Error> {
        match &self.front {
            Front::IpQueue(_) => self.send_each(decisions),
            Front::Nfqueue(_) => self.send_batches(decisions),
        }
    }

    /// `ip_queue` reads one message of a datagram, so each verdict is one of its own.
    fn send_each(&mut self, decisions: &[(PacketId, Verdict)]) -> Result<(), Error> {
        for some in decisions.chunks(DATAGRAMS_AT_ONCE) {
            self.outbox.clear();
            for &(id, verdict) in some {
                self.append_ip_queue(id, verdict, 0)?;
            }
            let message_len = self.outbox.len() / some.len();
            let mut datagrams = [IoSlice::new(&[]); DATAGRAMS_AT_ONCE];
            for (slot, message) in datagrams.iter_mut().zip(self.outbox.chunks(message_len)) {
                *slot = IoSlice::new(message);
            }
            let mut rest = &datagrams[..some.len()];
            while !rest.is_empty() {
                let sent = self.transport.send_many(rest)?;
                rest = &rest[sent..];
            }
        }
        Ok(())
    }

    /// `nfnetlink_queue` reads all messages of a datagram, and one message can decide on all packets up to one:
    /// where these are the oldest of their queue, one after the other, and have the same verdict.
    fn send_batches(&mut self, decisions: &[(PacketId, Verdict)]) -> Result<(), Error> {
        self.outbox.clear();
        let mut rest = decisions;
        while let [(first, verdict), ..] = *rest {
            let QueueName::Nfqueue(queue) = first.queue() else {
                return Err(Error::WrongQueue(first));
            };
            let run = self.settle_run(queue, rest)?;
            let (last, _) = rest[run - 1];
            let message_type = if run > 1 { nfq::VERDICT_BATCH } else { nfq::VERDICT };
            let id = number_of(last)?;
            let decision = Decision { queue, id, verdict, mark: None, replacement: &[] };
            self.append_verdict(message_type, &decision)?;
            nfqueue::pad(&mut self.outbox);
            rest = &rest[run..];
            if rest.is_empty() || self.outbox.len() > LONGEST_DATAGRAM {
                let sent = self.transport.send(&[IoSlice::new(&self.outbox)]);
                self.may_batch &= sent.is_ok();
                sent?;
                self.outbox.clear();
            }
        }
        Ok(())
    }

    /// Takes the first decision off what waits in its queue, and as many after it as may go into one batch verdict
    /// with it; returns how many that are.
    fn settle_run(
        &mut self,
        queue: u16,
        decisions: &[(PacketId, Verdict)],
    ) -> Result<usize, Error> {
        let Front::Nfqueue(nfqueue) = &mut self.front else { return Ok(1) };
        let (first, verdict) = decisions[0];
        let Some(outstanding) = nfqueue.outstanding(queue) else { return Ok(1) };
        let mut run = 0;
        if self.may_batch {
            for &(id, other) in decisions {
                let is_next = id.queue() == first.queue()
                    && other == verdict
                    && outstanding.oldest().map(u64::from) == Some(id.number());
                if !is_next {
                    break;
                }
                outstanding.settle(number_of(id)?);
                run += 1;
            }
        }
        if run == 0 {
            outstanding.settle(number_of(first)?);
        }
        Ok(run.max(1))
    }

    /// Takes a packet off what waits in its queue.
    fn settle(&mut self, queue: u16, number: u32) {
        if let Front::Nfqueue(nfqueue) = &mut self.front
            && let Some(outstanding) = nfqueue.outstanding(queue)
        {
            outstanding.settle(number);
        }
    }

    fn append_ip_queue(
        &mut self,
        id: PacketId,
        verdict: Verdict,
        replacement_len: usize,
    ) -> Result<(), Error> {
        let header = self.header(ipq::VERDICT, Flags::REQUEST);
        let (model, decision) = (self.transport.data_model(), (id.number(), verdict));
        ip_queue::encode_verdict(model, header, decision, replacement_len, &mut self.outbox)
            .map_err(Error::Number)
    }

    fn append_verdict(
        &mut self,
        message_type: MessageType,
        decision: &Decision<'_>,
    ) -> Result<(), Error> {
        let header = self.header(message_type, Flags::REQUEST);
        let model = self.transport.data_model();
        nfqueue::encode_verdict(model, header, decision, &mut self.outbox).map_err(Error::Number)
    }
}
