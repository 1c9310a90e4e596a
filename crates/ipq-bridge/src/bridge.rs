//! The transport itself: [`Bridge`].

use core::fmt;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use ipq_proto::ip_queue::{self, Listener, Message, Timestamp};
use ipq_proto::nfqueue::QueueFlags;
use ipq_proto::{DataModel, Family, Verdict};
use ipq_sys::{
    Batch, Claim, ClaimError, Clock, Deadline, DeviceInfo, Error, IpQueueStatus, KernelStatus,
    NfqueueStatus, Protocol, Received, Stepped, Transport, claim, release,
};

use crate::Options;
use crate::cut::Cut;
use crate::station::{Heard, Said, Station, append_max_length, append_verdict};

/// The maximum length of a queue unless another is set.
#[doc(alias("IPQ_QMAX_DEFAULT", "NFQNL_QMAX_DEFAULT"))]
pub(crate) const DEFAULT_MAX_LENGTH: u32 = 1024;

/// Room for all attributes of a message but the payload, in bytes.
const ATTRIBUTES_LEN: usize = 2048;

/// Room for the longest message about a packet, in bytes.
const INBOX_LEN: usize = ATTRIBUTES_LEN + (1 << 16);

/// How many bytes of requests are sent in one datagram, not counting the last of them.
const PACKED_LEN: usize = 1 << 15;

/// A queue of `nfnetlink_queue` that is the `ip_queue` of one family.
///
/// It has one user, who is there when it is made and gone when it is dropped. The kernel then drops what is queued.
pub struct Bridge<T> {
    pub(crate) below: T,
    pub(crate) station: Station,
    pub(crate) max_length: u32,
    statistics: Statistics,
    /// What is received from below.
    pub(crate) inbox: Vec<u8>,
    /// The same, several at once; made when it is first asked for.
    inboxes: Option<Batch>,
    /// A request that was given in parts, put together.
    request: Vec<u8>,
    /// What is sent below.
    pub(crate) outbox: Vec<u8>,
}

/// The state before a request.
type Before = (Listener, i64);

/// What `/proc` has no line for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// Packets of the other family, or of none, that came to the queue and were dropped.
    pub unwanted: u64,
    /// Messages from below that made no sense. A packet that one of them announced waits until the queue is closed.
    pub malformed: u64,
}

impl<T: Transport> Bridge<T> {
    /// The `ip_queue` of `family` over `below`, a transport that speaks `nfnetlink_queue` and has the queue `number`.
    ///
    /// It has the maximum length 1024 as far as it knows: [`set_max_length`](Self::set_max_length) sets another.
    ///
    /// # Panics
    ///
    /// If `below` speaks another protocol.
    pub fn new(below: T, number: u16, family: Family) -> Self {
        let protocol = below.protocol();
        assert_eq!(protocol, Protocol::Netfilter, "a bridge stands on nfnetlink_queue");
        let station = Station::new(family, number, below.port_id());
        Self {
            below,
            station,
            max_length: DEFAULT_MAX_LENGTH,
            statistics: Statistics::default(),
            inbox: vec![0; INBOX_LEN],
            inboxes: None,
            request: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// The transport below.
    pub const fn below(&self) -> &T {
        &self.below
    }

    /// What `/proc/net/ip_queue` or `/proc/net/ip6_queue` would say.
    ///
    /// What only the kernel knows, it is asked for ([`Transport::kernel_status`]). Where it does not tell, the length is that
    /// of what was received and not yet decided, and the counters are 0.
    pub fn status(&self) -> IpQueueStatus {
        let Station { family, number, listener, undecided, .. } = self.station;
        let queues = self.below.kernel_status().nfqueues;
        let read = u64::try_from(undecided).unwrap_or(0);
        let below = queues.iter().find(|queue| queue.queue == number);
        let counted = |count: fn(&NfqueueStatus) -> u32| below.map_or(0, count);
        IpQueueStatus {
            family,
            peer_port_id: listener.peer.unwrap_or(0),
            copy_mode: listener.mode,
            queue_length: below.map_or(read, |status| status.queue_length),
            queue_max_length: self.max_length,
            queue_dropped: counted(|status| status.queue_dropped),
            netlink_dropped: counted(|status| status.user_dropped),
        }
    }

    /// What came that was not for `ip_queue`.
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// How many packets may wait: 0 for none, and what the sysctl reads as -1 for any number.
    ///
    /// # Errors
    ///
    /// If sending fails.
    #[doc(alias("ip_queue_maxlen", "ip6_queue_maxlen"))]
    pub fn set_max_length(&mut self, packets: u32) -> Result<(), Error> {
        self.outbox.clear();
        let model = self.below.data_model();
        append_max_length(model, self.station.number, packets, &mut self.outbox);
        self.below.send(&[IoSlice::new(&self.outbox)])?;
        self.max_length = packets;
        Ok(())
    }

    /// Sends a verdict, as [`send`](Transport::send) does, that also marks its packet, which no verdict of `ip_queue` can.
    /// Any other request is sent as it is.
    ///
    /// # Errors
    ///
    /// If sending fails.
    #[doc(alias("ipq_set_vwmark", "NFQA_MARK"))]
    pub fn send_marked(&mut self, parts: &[IoSlice<'_>], mark: u32) -> Result<(), Error> {
        self.send_request(parts, Some(mark))
    }

    fn send_request(&mut self, parts: &[IoSlice<'_>], mark: Option<u32>) -> Result<(), Error> {
        let before = self.before();
        let datagram = match parts {
            [one] => one,
            parts => {
                self.request.clear();
                for part in parts {
                    self.request.extend_from_slice(part);
                }
                &self.request[..]
            }
        };
        let model = self.below.data_model();
        self.outbox.clear();
        if let Some(heard) = self.station.hear(model, true, datagram, mark) {
            self.station.append(model, &heard, &mut self.outbox);
        }
        self.send_outbox(before)
    }

    /// Sends what a request that was heard means below.
    pub(crate) fn send_heard(&mut self, heard: &Heard<'_>, before: Before) -> Result<(), Error> {
        self.outbox.clear();
        self.station.append(self.below.data_model(), heard, &mut self.outbox);
        self.send_outbox(before)
    }

    /// Drops the packet that a message announces; says which, if it announces one.
    pub(crate) fn drop_announced(&mut self, message: &[u8]) -> Result<Option<u32>, Error> {
        let model = self.below.data_model();
        let Ok((_, Message::Packet(packet))) = ip_queue::datagram(model, message) else {
            return Ok(None);
        };
        let Ok(id) = u32::try_from(packet.id) else { return Ok(None) };
        self.outbox.clear();
        append_verdict(model, self.station.number, id, Verdict::Drop, &mut self.outbox);
        self.below.send(&[IoSlice::new(&self.outbox)])?;
        Ok(Some(id))
    }

    /// Has the queue claimed or claimed again, as `options` say.
    pub(crate) fn claim_queue(&mut self, options: Options) -> Result<(), ClaimError> {
        let family = self.station.family;
        self.claim_queue_for(&[family], options)
    }

    /// The same for packets of these families.
    pub(crate) fn claim_queue_for(
        &mut self,
        families: &[Family],
        options: Options,
    ) -> Result<(), ClaimError> {
        let number = self.station.number;
        let Options { max_length, fail_open, receive_buffer } = options;
        let flags = if fail_open { &[(QueueFlags::FAIL_OPEN, "fail-open")][..] } else { &[] };
        if let Some(bytes) = receive_buffer {
            self.below.set_receive_buffer(bytes)?;
        }
        let wanted = Claim { first: number, last: number, families, max_length, flags };
        claim(&mut self.below, &wanted)?;
        self.max_length = max_length.unwrap_or(DEFAULT_MAX_LENGTH);
        Ok(())
    }

    /// Gives the queue up: what waits in it is dropped, and nobody is the peer.
    pub(crate) fn release_queue(&mut self) -> Result<(), ClaimError> {
        release(&mut self.below, self.station.number)?;
        self.station.listener = Listener::default();
        self.station.undecided = 0;
        Ok(())
    }

    /// Sends what is in the outbox; if that fails, the queue is as it was.
    fn send_outbox(&mut self, before: Before) -> Result<(), Error> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let sent = self.below.send(&[IoSlice::new(&self.outbox)]);
        self.outbox.clear();
        if sent.is_err() {
            (self.station.listener, self.station.undecided) = before;
        }
        sent
    }

    /// The state that a request which cannot be sent must leave.
    pub(crate) fn before(&self) -> Before {
        (self.station.listener, self.station.undecided)
    }
}

/// The parts of a bridge that what was received passes on its way up.
struct WayUp<'s, T> {
    below: &'s mut T,
    station: &'s mut Station,
    statistics: &'s mut Statistics,
    outbox: &'s mut Vec<u8>,
}

impl<T: Transport> WayUp<'_, T> {
    /// What was received from below, for the program; `None` if it is nothing to the program.
    fn hand_up(
        &mut self,
        received: Received,
        bytes: &[u8],
        buffer: &mut [u8],
    ) -> Result<Option<Received>, Error> {
        let missing_len = match received {
            Received::Datagram { .. } => 0,
            Received::Truncated { len, datagram_len } => datagram_len.saturating_sub(len),
            other => return Ok(Some(other)),
        };
        let mut cut = Cut::new(buffer);
        match self.station.translate(&*self.below, bytes, missing_len, &mut cut) {
            Said::Datagram => return Ok(Some(cut.received())),
            Said::Nothing => (),
            Said::Malformed => self.statistics.malformed += 1,
            Said::Unwanted { id } => {
                self.statistics.unwanted += 1;
                self.outbox.clear();
                let (model, number) = (self.below.data_model(), self.station.number);
                append_verdict(model, number, id, Verdict::Drop, self.outbox);
                self.below.send(&[IoSlice::new(self.outbox)])?;
            }
        }
        Ok(None)
    }

    /// Whether it is time to stop looking for something that is for the program: whoever sends only what is passed over
    /// must not hold up a receiver for ever.
    fn is_late(&self, deadline: Deadline) -> bool {
        matches!(deadline, Deadline::At(time) if self.below.now() >= time)
    }
}

impl<T: Transport> Transport for Bridge<T> {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        self.send_request(parts, None)
    }

    /// Several requests go down in one datagram: the kernel reads all messages of it.
    fn send_many(&mut self, datagrams: &[IoSlice<'_>]) -> Result<usize, Error> {
        let model = self.below.data_model();
        let (mut before, mut sent) = (self.before(), 0);
        self.outbox.clear();
        for (heard, datagram) in datagrams.iter().enumerate() {
            if let Some(heard) = self.station.hear(model, true, datagram, None) {
                self.station.append(model, &heard, &mut self.outbox);
            }
            if self.outbox.len() < PACKED_LEN && heard + 1 < datagrams.len() {
                continue;
            }
            match self.send_outbox(before) {
                Ok(()) => (before, sent) = (self.before(), heard + 1),
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        let Self { below, station, statistics, outbox, inbox, .. } = self;
        let mut way = WayUp { below, station, statistics, outbox };
        let needed = buffer.len().saturating_add(ATTRIBUTES_LEN);
        if inbox.len() < needed {
            inbox.resize(needed, 0);
        }
        loop {
            let received = way.below.receive(inbox, deadline)?;
            let bytes = inbox.get(..received.len_in_buffer()).unwrap_or(inbox);
            if let Some(received) = way.hand_up(received, bytes, buffer)? {
                return Ok(received);
            }
            if way.is_late(deadline) {
                return Ok(Received::TimedOut);
            }
        }
    }

    fn receive_many(&mut self, batch: &mut Batch, deadline: Deadline) -> Result<(), Error> {
        batch.clear();
        let Self { below, station, statistics, outbox, inboxes, .. } = self;
        let mut way = WayUp { below, station, statistics, outbox };
        let inboxes = fitting(inboxes, batch);
        while batch.is_empty() {
            way.below.receive_many(inboxes, deadline)?;
            for (received, bytes) in inboxes.iter() {
                let Some(slot) = batch.vacant() else { break };
                if let Some(received) = way.hand_up(received, bytes, slot)? {
                    batch.push(received);
                }
            }
            if batch.is_empty() && way.is_late(deadline) {
                batch.push(Received::TimedOut);
            }
        }
        Ok(())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.below.descriptor()
    }

    fn step(&mut self, deadline: Deadline) -> Result<Stepped, Error> {
        self.below.step(deadline)
    }

    fn due(&self) -> Option<Clock> {
        self.below.due()
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        self.below.device(index)
    }

    /// Its own queue, as it would be in `/proc`, and those of the kernel below.
    fn kernel_status(&self) -> KernelStatus {
        let below = self.below.kernel_status();
        KernelStatus { ip_queues: vec![self.status()], ..below }
    }

    fn set_receive_buffer(&mut self, bytes: usize) -> Result<(), Error> {
        self.below.set_receive_buffer(bytes)
    }

    fn report_overruns(&mut self, report: bool) -> Result<(), Error> {
        self.below.report_overruns(report)
    }

    fn protocol(&self) -> Protocol {
        Protocol::ip_queue(self.station.family)
    }

    fn port_id(&self) -> u32 {
        self.station.port_id
    }

    fn data_model(&self) -> DataModel {
        self.below.data_model()
    }

    fn now(&self) -> Clock {
        self.below.now()
    }

    fn wall_clock(&self) -> Timestamp {
        self.below.wall_clock()
    }
}

/// Room to receive from below what is to fit into `batch`.
fn fitting<'i>(inboxes: &'i mut Option<Batch>, batch: &Batch) -> &'i mut Batch {
    let slot_len = batch.slot_len().saturating_add(ATTRIBUTES_LEN);
    let shape = (batch.slots(), slot_len);
    let fits = inboxes.as_ref().is_some_and(|own| (own.slots(), own.slot_len()) == shape);
    if !fits {
        *inboxes = None;
    }
    inboxes.get_or_insert_with(|| Batch::new(batch.slots(), slot_len))
}

impl<T: fmt::Debug> fmt::Debug for Bridge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("below", &self.below)
            .field("queue", &self.station.number)
            .field("family", &self.station.family)
            .finish_non_exhaustive()
    }
}
