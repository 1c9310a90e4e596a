//! One socket of a session: [`Lane`].

mod interpret;
mod verdicts;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use ipq_proto::ip_queue as ipq;
use ipq_proto::netlink::{Flags, HEADER_LEN, Header, MessageType, padding};
use ipq_proto::nfqueue::{self as nfq, Command};
use ipq_proto::{CopyMode, DataModel, EncodeError, Errno, Family, Lp64};
use ipq_sys::{Batch, Clock, Deadline, KernelStatus, Received, Transport, ask};

use crate::nfqueue::{Config, Nfqueue};
use crate::{Error, Event, PacketId, QueueName, ip_queue, nfqueue};

/// The longest packet that any Linux makes, in bytes: eight times what an IP header can say (BIG TCP).
const LONGEST_PACKET: u32 = 8 * 0xffff;

/// Room for all attributes of `nfnetlink_queue` but the payload, those of connection tracking among them.
const ATTRIBUTES_LEN: usize = 2048;

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
    /// Messages that may have announced packets whose ids are missing therefore.
    unread: u32,
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
            unread: 0,
        }
    }

    pub(crate) fn transport(&mut self) -> &mut (dyn Transport + 'static) {
        &mut *self.transport
    }

    pub(crate) fn data_model(&self) -> DataModel {
        self.transport.data_model()
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.transport.descriptor()
    }

    /// When something comes that the descriptor knows nothing of.
    pub(crate) fn due(&self) -> Option<Clock> {
        let backlog = (!self.backlog.is_empty()).then(|| self.now());
        backlog.or_else(|| self.transport.due())
    }

    /// When a simulated kernel next has something to do.
    #[cfg(feature = "tokio")]
    pub(crate) fn upcoming(&self) -> Option<Clock> {
        self.due().into_iter().chain(self.transport.upcoming()).min()
    }

    /// The packets that were read and not decided on, as far as that is known.
    pub(crate) fn undecided(&self) -> impl Iterator<Item = PacketId> {
        let nfqueue = match &self.front {
            Front::Nfqueue(nfqueue) => Some(nfqueue),
            Front::IpQueue(_) => None,
        };
        nfqueue.into_iter().flat_map(Nfqueue::undecided)
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
        match self.front {
            Front::IpQueue(_) => {
                message_len(mode, size_of::<ipq::PacketMsg<Lp64>>(), LONGEST_PACKET)
            }
            Front::Nfqueue(_) => nfqueue_message_len(mode),
        }
    }

    /// Whether a queue is one of this lane's.
    pub(crate) fn serves(&self, queue: QueueName) -> bool {
        match (&self.front, queue) {
            (Front::IpQueue(own), QueueName::IpQueue(family)) => *own == family,
            (Front::Nfqueue(nfqueue), QueueName::Nfqueue(number)) => nfqueue.has(number),
            _ => false,
        }
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

    /// Gives its queues back. One that is another's by now is no concern of ours.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        let Front::Nfqueue(nfqueue) = &self.front else { return Ok(()) };
        let mut scratch = vec![0; self.message_len(self.mode)];
        for number in nfqueue.numbers() {
            let command = Config::Command(Command::UNBIND, 0);
            let _answer = self.configure(number, command, &mut scratch)?;
        }
        Ok(())
    }

    /// Sends the request in the outbox and waits for its answer. What else comes goes to the backlog.
    fn transact(
        &mut self,
        header: Header,
        queue: QueueName,
        scratch: &mut [u8],
    ) -> Result<Result<(), Errno>, Error> {
        let Self { transport, outbox, backlog, .. } = self;
        let mut keep = |received, bytes: &[u8]| {
            backlog.push_back(Stashed { received, bytes: bytes.into() });
        };
        let answer = ask(&mut **transport, outbox, header.sequence, scratch, &mut keep)?;
        answer.ok_or(Error::NoAnswer { queue })
    }

    fn header(&mut self, message_type: MessageType, flags: Flags) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        Header::new(message_type, flags, self.sequence, self.transport.port_id())
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

    /// A packet was read and waits for its verdict; returns how many were lost before it, as far as that shows.
    #[inline]
    pub(crate) fn announce(&mut self, id: PacketId) -> u32 {
        let Front::Nfqueue(nfqueue) = &mut self.front else { return 0 };
        if let (QueueName::Nfqueue(queue), Ok(number)) = (id.queue(), u32::try_from(id.number()))
            && let Some(outstanding) = nfqueue.outstanding(queue)
        {
            let missing = outstanding.announce(number);
            // Those came, but their ids could not be read.
            let unread = missing.min(self.unread);
            self.unread -= unread;
            return missing - unread;
        }
        0
    }

    /// Whether a packet has been read, as far as that shows: `ip_queue` uses its ids again, so any may have been.
    pub(crate) fn has_read(&self, id: PacketId) -> bool {
        match (&self.front, id.queue()) {
            (Front::Nfqueue(nfqueue), QueueName::Nfqueue(queue)) => {
                nfqueue.has_read(queue, id.number())
            }
            _ => true,
        }
    }

    /// What the kernel says of its queues.
    pub(crate) fn kernel_status(&self) -> KernelStatus {
        self.transport.kernel_status()
    }

    /// A packet may wait that is not known, since its id could not be read from this message: from now on, no verdict
    /// may cover more than the packet it names.
    pub(crate) fn lose_track(&mut self, message: &[u8]) {
        self.may_batch = false;
        let is_other = nfqueue::message_type(self.transport.data_model(), message)
            .is_some_and(|message_type| message_type != nfq::PACKET);
        self.unread = self.unread.saturating_add(u32::from(!is_other));
    }
}

/// The longest message of `nfnetlink_queue` about a packet, in bytes.
pub(crate) fn nfqueue_message_len(mode: CopyMode) -> usize {
    message_len(mode, ATTRIBUTES_LEN, nfq::MAX_PAYLOAD)
}

/// The longest message whose body is `head` and as much of a packet, at most `longest`, as the mode asks for.
fn message_len(mode: CopyMode, head: usize, longest: u32) -> usize {
    let payload = match mode {
        CopyMode::Packet { range: 0 } => longest,
        CopyMode::Packet { range } => range.min(CopyMode::MAX_RANGE),
        CopyMode::None | CopyMode::Metadata => 0,
    };
    let len = HEADER_LEN + head + payload as usize;
    len + padding(len).len()
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
