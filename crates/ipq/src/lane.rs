//! One socket of a session: [`Lane`].

use core::time::Duration;
use std::collections::VecDeque;
use std::io::IoSlice;

use ipq_proto::ip_queue::{self as ipq, Message as IpqMessage};
use ipq_proto::netlink::{Flags, HEADER_LEN, Header, MessageType, Reply, padding};
use ipq_proto::nfqueue::{self as nfq, Message as NfqMessage};
use ipq_proto::{CopyMode, DecodeError, EncodeError, Errno, Family, Lp64, Verdict};
use ipq_sys::{Batch, Clock, Deadline, Received, Transport};

use crate::nfqueue::{Config, Decision, Nfqueue};
use crate::{Error, Event, Packet, PacketId, QueueName, Refusal, ip_queue, nfqueue};

/// How long the kernel has to answer a request. It answers while the request is being sent, so this only guards
/// against something that is no kernel.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many bytes of verdicts go into one datagram.
const LONGEST_DATAGRAM: usize = 32 << 10;

/// The longest packet that any Linux makes, in bytes: eight times what an IP header can say (BIG TCP).
const LONGEST_PACKET: u32 = 8 * 0xffff;

/// Room for all attributes of `nfnetlink_queue` but the payload, those of connection tracking among them.
const ATTRIBUTES_LEN: usize = 2048;

/// How many datagrams are handed to the transport at once.
const DATAGRAMS_AT_ONCE: usize = 32;

/// A socket, and the queue or queues behind it.
#[derive(Debug)]
pub(crate) struct Lane {
    front: Front,
    /// The copy mode that the kernel last agreed to.
    pub(crate) mode: CopyMode,
    transport: Box<dyn Transport>,
    sequence: u32,
    /// What came while an answer was awaited, in order.
    backlog: VecDeque<Stashed>,
    /// The requests that are being put together.
    outbox: Vec<u8>,
    /// Whether it is known what waits for a verdict, so that batch verdicts are safe.
    may_batch: bool,
}

/// Which protocol a lane speaks.
#[derive(Debug)]
pub(crate) enum Front {
    IpQueue(Family),
    Nfqueue(Nfqueue),
}

/// What something received says.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once, never kept")]
pub(crate) enum Said<'b> {
    /// This, which is for the session's user.
    Event(Event<'b>),
    /// That a packet waits which is no session's business: of a family not asked for, or of none.
    Unwanted(PacketId),
}

/// Something received that nobody has asked for yet.
#[derive(Debug)]
struct Stashed {
    received: Received,
    bytes: Box<[u8]>,
}

impl Lane {
    pub(crate) fn new(front: Front, transport: Box<dyn Transport>) -> Self {
        let (backlog, outbox) = (VecDeque::new(), Vec::new());
        Self {
            front,
            mode: CopyMode::None,
            transport,
            sequence: 0,
            backlog,
            outbox,
            may_batch: true,
        }
    }

    pub(crate) fn transport(&mut self) -> &mut (dyn Transport + 'static) {
        &mut *self.transport
    }

    pub(crate) fn now(&self) -> Clock {
        self.transport.now()
    }

    /// The queues behind this lane.
    pub(crate) fn queues(&self) -> impl Iterator<Item = QueueName> + use<> {
        let (one, many) = match &self.front {
            Front::IpQueue(family) => (Some(QueueName::IpQueue(*family)), None),
            Front::Nfqueue(nfqueue) => (None, Some(nfqueue.numbers().map(QueueName::Nfqueue))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// The longest message about a packet, in bytes, in this mode.
    pub(crate) fn message_len(&self, mode: CopyMode) -> usize {
        let (head, longest) = match self.front {
            Front::IpQueue(_) => (size_of::<ipq::PacketMsg<Lp64>>(), LONGEST_PACKET),
            Front::Nfqueue(_) => (ATTRIBUTES_LEN, nfq::MAX_PAYLOAD),
        };
        let payload = match mode {
            CopyMode::Packet { range: 0 } => longest,
            CopyMode::Packet { range } => range.min(CopyMode::MAX_RANGE),
            CopyMode::None | CopyMode::Metadata => 0,
        };
        let len = HEADER_LEN + head + payload as usize;
        len + padding(len).len()
    }

    /// Whether a queue is one of this lane's.
    pub(crate) fn serves(&self, queue: QueueName) -> bool {
        self.queues().any(|own| own == queue)
    }

    /// Sets the copy mode and waits for the kernel's answer.
    pub(crate) fn set_mode(&mut self, mode: CopyMode, scratch: &mut [u8]) -> Result<(), Error> {
        for queue in self.queues() {
            let answer = match queue {
                QueueName::Nfqueue(number) => {
                    self.configure(number, Config::Mode(mode), scratch)?
                }
                QueueName::IpQueue(_) => {
                    let header = self.header(ipq::MODE, Flags::REQUEST.union(Flags::ACK));
                    let model = self.transport.data_model();
                    self.outbox.clear();
                    ip_queue::encode_mode(model, header, mode, &mut self.outbox)
                        .map_err(Error::Number)?;
                    self.transact(header, queue, scratch)?
                }
            };
            answer.map_err(|errno| Error::ModeRefused { mode, queue, errno })?;
        }
        self.mode = mode;
        Ok(())
    }

    /// Configures a queue of `nfnetlink_queue` and waits for the kernel's answer.
    pub(crate) fn configure(
        &mut self,
        queue: u16,
        config: Config,
        scratch: &mut [u8],
    ) -> Result<Result<(), Errno>, Error> {
        let header = self.header(nfq::CONFIG, Flags::REQUEST.union(Flags::ACK));
        let model = self.transport.data_model();
        self.outbox.clear();
        nfqueue::encode_config(model, header, queue, config, &mut self.outbox)
            .map_err(Error::Number)?;
        self.transact(header, QueueName::Nfqueue(queue), scratch)
    }

    /// Sends the request in the outbox and waits for its answer.
    ///
    /// A full receive buffer has no room for the answer. So once that is reported and the buffer is empty, the request
    /// is sent again.
    fn transact(
        &mut self,
        header: Header,
        queue: QueueName,
        scratch: &mut [u8],
    ) -> Result<Result<(), Errno>, Error> {
        let end = self.transport.now().saturating_add(ANSWER_TIMEOUT);
        loop {
            self.transport.send(&[IoSlice::new(&self.outbox)])?;
            if let Some(answer) = self.await_answer(header, end, scratch)? {
                return Ok(answer);
            }
            if self.transport.now() >= end {
                return Err(Error::NoAnswer { queue });
            }
        }
    }

    /// Waits until `end` for the answer to a request; `None` if it did not come, or may have been lost. What else comes
    /// goes to the backlog.
    fn await_answer(
        &mut self,
        header: Header,
        end: Clock,
        scratch: &mut [u8],
    ) -> Result<Option<Result<(), Errno>>, Error> {
        let mut deadline = Deadline::At(end);
        // The clock is asked as well, for a peer that never stops talking.
        while self.transport.now() < end {
            let received = self.transport.receive(scratch, deadline)?;
            let bytes = &scratch[..received.len_in_buffer()];
            if let Received::Datagram { .. } = received
                && let Some(reply) = self.reply(bytes)
                && reply.request.sequence == header.sequence
            {
                return Ok(Some(reply.errno().map_or(Ok(()), Err)));
            }
            match received {
                Received::TimedOut | Received::Ended if deadline == Deadline::Immediate => {
                    return Ok(None);
                }
                Received::TimedOut | Received::Ended => break,
                Received::Interrupted => continue,
                Received::Overrun => deadline = Deadline::Immediate,
                _ => (),
            }
            self.backlog.push_back(Stashed { received, bytes: bytes.into() });
        }
        Ok(None)
    }

    /// The answer to a request, if a datagram is one.
    fn reply<'b>(&self, datagram: &'b [u8]) -> Option<Reply<'b>> {
        // An NLMSG_ERROR reads the same in both protocols.
        match nfqueue::decode(self.transport.data_model(), datagram) {
            Ok((_, NfqMessage::Reply(reply))) => Some(reply),
            _ => None,
        }
    }

    fn header(&mut self, message_type: MessageType, flags: Flags) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        Header::new(message_type, flags, self.sequence, self.transport.port_id())
    }

    /// Decides over a packet.
    pub(crate) fn send_verdict(
        &mut self,
        id: PacketId,
        verdict: Verdict,
        mark: Option<u32>,
        replacement: &[u8],
    ) -> Result<(), Error> {
        self.outbox.clear();
        match (&mut self.front, id.queue()) {
            (Front::Nfqueue(nfqueue), QueueName::Nfqueue(queue)) => {
                let number = number_of(id)?;
                if let Some(outstanding) = nfqueue.outstanding(queue) {
                    outstanding.settle(number);
                }
                let decision = Decision { queue, id: number, verdict, mark, replacement };
                self.append_verdict(nfq::VERDICT, &decision)?;
            }
            _ if mark.is_some() => return Err(Error::NoSuchOption("a mark in a verdict")),
            _ => {
                let header = self.header(ipq::VERDICT, Flags::REQUEST);
                let (model, decision) = (self.transport.data_model(), (id.number(), verdict));
                ip_queue::encode_verdict(
                    model,
                    header,
                    decision,
                    replacement.len(),
                    &mut self.outbox,
                )
                .map_err(Error::Number)?;
            }
        }
        let head = IoSlice::new(&self.outbox);
        let sent = match replacement {
            [] => self.transport.send(&[head]),
            replacement => self.transport.send(&[head, IoSlice::new(replacement)]),
        };
        self.may_batch &= sent.is_ok();
        Ok(sent?)
    }

    /// Decides over packets of this lane, in as few system calls and messages as their verdicts allow.
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
                let header = self.header(ipq::VERDICT, Flags::REQUEST);
                let (model, decision) = (self.transport.data_model(), (id.number(), verdict));
                ip_queue::encode_verdict(model, header, decision, 0, &mut self.outbox)
                    .map_err(Error::Number)?;
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

    /// `nfnetlink_queue` reads all messages of a datagram, and one message can decide over all packets up to one:
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

    fn append_verdict(
        &mut self,
        message_type: MessageType,
        decision: &Decision<'_>,
    ) -> Result<(), Error> {
        let header = self.header(message_type, Flags::REQUEST);
        let model = self.transport.data_model();
        nfqueue::encode_verdict(model, header, decision, &mut self.outbox).map_err(Error::Number)
    }

    /// Receives what came while an answer was awaited, or else what comes before `deadline`.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<Received, Error> {
        match self.backlog.pop_front() {
            Some(stashed) => Ok(stashed.hand_over(buffer)),
            None => Ok(self.transport.receive(buffer, deadline)?),
        }
    }

    /// The same, as many as there are.
    pub(crate) fn receive_many(
        &mut self,
        batch: &mut Batch,
        deadline: Deadline,
    ) -> Result<(), Error> {
        if self.backlog.is_empty() {
            return Ok(self.transport.receive_many(batch, deadline)?);
        }
        batch.clear();
        while let Some(slot) = batch.vacant() {
            let Some(stashed) = self.backlog.pop_front() else { break };
            let received = stashed.hand_over(slot);
            batch.push(received);
        }
        Ok(())
    }

    /// Whether this lane can say that a packet is [unwanted](Said::Unwanted).
    pub(crate) const fn may_be_unwanted(&self) -> bool {
        matches!(self.front, Front::Nfqueue(_))
    }

    /// What was received says.
    pub(crate) fn interpret<'b>(
        &self,
        received: Received,
        buffer: &'b [u8],
    ) -> Result<Said<'b>, DecodeError> {
        // A transport that claims more than the buffer holds is not believed.
        let bytes = buffer.get(..received.len_in_buffer()).unwrap_or(buffer);
        Ok(Said::Event(match received {
            Received::Datagram { .. } => return self.interpret_datagram(bytes),
            Received::Truncated { datagram_len, .. } => {
                return Ok(self.interpret_cut(bytes, datagram_len));
            }
            Received::Overrun => Event::Overrun,
            Received::Foreign { port_id } => Event::Foreign { port_id },
            Received::Interrupted | Received::TimedOut | Received::Ended => Event::Interrupted,
        }))
    }

    fn interpret_datagram<'b>(&self, datagram: &'b [u8]) -> Result<Said<'b>, DecodeError> {
        let model = self.transport.data_model();
        let event = match &self.front {
            Front::IpQueue(family) => {
                let (header, message) = ipq::datagram(model, datagram)?;
                match message {
                    IpqMessage::Packet(packet) => {
                        Event::Packet(Packet::of_ip_queue(*family, &packet))
                    }
                    IpqMessage::Reply(reply) => self.interpret_reply(&reply),
                    _ => Event::Other(header.message_type),
                }
            }
            Front::Nfqueue(nfqueue) => {
                let (header, message) = nfqueue::decode(model, datagram)?;
                match message {
                    NfqMessage::Packet(packet) => {
                        return Ok(self.admit(nfqueue, packet, Event::Packet));
                    }
                    NfqMessage::Reply(reply) => self.interpret_reply(&reply),
                    _ => Event::Other(header.message_type),
                }
            }
        };
        Ok(Said::Event(event))
    }

    /// What the beginning of a datagram of `message_len` bytes says, of which the rest is lost.
    fn interpret_cut<'b>(&self, beginning: &'b [u8], message_len: usize) -> Said<'b> {
        let model = self.transport.data_model();
        let cut = |packet| Event::Truncated { packet, message_len };
        Said::Event(match &self.front {
            Front::IpQueue(family) => match ip_queue::decode_cut(model, beginning) {
                Ok(IpqMessage::Packet(packet)) => cut(Some(Packet::of_ip_queue(*family, &packet))),
                Ok(IpqMessage::Reply(reply)) => self.interpret_reply(&reply),
                _ => cut(None),
            },
            Front::Nfqueue(nfqueue) => match nfqueue::decode_cut(model, beginning) {
                Ok((_, NfqMessage::Packet(packet))) => {
                    return self.admit(nfqueue, packet, |packet| cut(Some(packet)));
                }
                Ok((_, NfqMessage::Reply(reply))) => self.interpret_reply(&reply),
                _ => cut(None),
            },
        })
    }

    /// A packet of `nfnetlink_queue`, if it is of a family that is asked for.
    fn admit<'b>(
        &self,
        nfqueue: &Nfqueue,
        message: nfq::Packet<'b>,
        event: impl FnOnce(Packet<'b>) -> Event<'b>,
    ) -> Said<'b> {
        let id = PacketId::in_nfqueue(message.queue, message.id);
        nfqueue.learn_devices(&message, &*self.transport);
        let wanted = |packet: &Packet<'_>| nfqueue.families.contains(packet.family());
        match nfqueue.describe(message).filter(wanted) {
            Some(packet) => Said::Event(event(packet)),
            None => Said::Unwanted(id),
        }
    }

    fn interpret_reply(&self, reply: &Reply<'_>) -> Event<'static> {
        let Some(errno) = reply.errno() else { return Event::Other(MessageType::ERROR) };
        let model = self.transport.data_model();
        let packet = match &self.front {
            Front::IpQueue(family) => ip_queue::subject(model, *family, reply),
            Front::Nfqueue(_) => nfqueue::subject(model, reply),
        };
        Event::Refused(Refusal { errno, packet })
    }

    /// A packet was read and waits for its verdict.
    pub(crate) fn announce(&mut self, id: PacketId) {
        if let (Front::Nfqueue(nfqueue), QueueName::Nfqueue(queue), Ok(number)) =
            (&mut self.front, id.queue(), number_of(id))
            && let Some(outstanding) = nfqueue.outstanding(queue)
        {
            outstanding.announce(number);
        }
    }
}

impl Stashed {
    /// Puts what was received into `buffer`, as if it were received now.
    fn hand_over(self, buffer: &mut [u8]) -> Received {
        let Self { received, bytes } = self;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        match received {
            Received::Datagram { len: datagram_len } if datagram_len > len => {
                Received::Truncated { len, datagram_len }
            }
            Received::Truncated { datagram_len, .. } => Received::Truncated { len, datagram_len },
            other => other,
        }
    }
}

/// The number of a packet in a queue of `nfnetlink_queue`.
fn number_of(id: PacketId) -> Result<u32, Error> {
    u32::try_from(id.number()).map_err(|_| {
        Error::Number(EncodeError { field: "packet id", value: id.number().into(), bits: 32 })
    })
}
