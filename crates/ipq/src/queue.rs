//! The session: [`Queue`].

mod deciding;
mod ending;

use core::ops::RangeInclusive;
use core::time::Duration;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipq_proto::netlink::HEADER_LEN;
use ipq_proto::{CopyMode, DataModel, Verdict};
use ipq_sim::Simulation;
use ipq_sys::{Batch, Deadline, Received, Transport, Waited, wait_any};

use crate::lane::{Front, Lane, Said};
use crate::{
    Error, Event, Options, PacketId, QueueName, Refusal, Snapshot, Statistics, Stopper,
    TransportName, open,
};

pub(crate) use deciding::Work;

/// A session with the kernel's packet queue: packets come out, verdicts go in.
///
/// The same on every kernel. Closed when dropped: the kernel then drops the packets that have no verdict yet.
///
/// ```
/// # use ipq::{CopyMode, Error, Event, Family, Hook, Queue, Verdict};
/// # use ipq_sim::{Kernel, Match, Target};
/// # let kernel = Kernel::builder().build();
/// # kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
/// # kernel.send(Family::Ipv4, &[0x45; 20]);
/// let mut queue = Queue::with(kernel.socket(Family::Ipv4))?;
/// queue.set_mode(CopyMode::Packet { range: 2048 })?;
/// let mut buffer = vec![0; queue.buffer_len()];
/// while let Some(event) = queue.read(&mut buffer, None)? {
///     if let Event::Packet(packet) = event {
///         queue.verdict(packet.id(), Verdict::Drop)?;
///     }
/// }
/// assert_eq!(queue.statistics().dropped, 1);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "ipq_handle")]
pub struct Queue {
    lanes: Vec<Lane>,
    /// The lane to look at first, so that a busy one does not starve the other.
    turn: usize,
    /// How long a queue is, for the size of receive buffers; `None` if they are not to be touched.
    buffered_length: Option<u32>,
    interrupt: Option<OwnedFd>,
    stopper: Option<Stopper>,
    /// How often something was there to read without waiting since it was last looked whether reading is to stop.
    busy: u32,
    /// Packets of the batch being read that nobody asked for.
    unwanted: Vec<PacketId>,
    statistics: Statistics,
}

impl Queue {
    /// Opens a queue by the transport's name, for one family, for both, or with [`Options`].
    ///
    /// With both families, `ip_queue` is two queues, and it is enough if the kernel has one of them;
    /// [`queues`](Self::queues) tells.
    ///
    /// # Errors
    ///
    /// If the kernel does not have the queue, another program has it, or the capability or an option is missing; or a
    /// capture or a scenario cannot be read.
    #[doc(alias = "ipq_create_handle")]
    pub fn open(name: TransportName, options: impl Into<Options>) -> Result<Self, Error> {
        open::queue(name, &options.into())
    }

    /// A session over a transport of your own that speaks `ip_queue`, say a simulated kernel's.
    ///
    /// # Errors
    ///
    /// If it speaks another protocol.
    pub fn with(transport: impl Transport + 'static) -> Result<Self, Error> {
        Self::with_sockets([transport])
    }

    /// A session over several transports of the same kernel that speak `ip_queue`, one for each family.
    ///
    /// # Errors
    ///
    /// If one of them speaks another protocol, or two the same.
    pub fn with_sockets<T: Transport + 'static>(
        transports: impl IntoIterator<Item = T>,
    ) -> Result<Self, Error> {
        let mut lanes: Vec<Lane> = Vec::new();
        for transport in transports {
            let Some(family) = transport.protocol().family() else {
                return Err(Error::WrongProtocol(transport.protocol()));
            };
            let queue = QueueName::IpQueue(family);
            if lanes.iter().any(|lane| lane.serves(queue)) {
                return Err(Error::TwoSockets(queue));
            }
            lanes.push(Lane::new(Front::IpQueue(family), Box::new(transport)));
        }
        Ok(Self::with_lanes(lanes, None))
    }

    /// A session over a transport of your own that speaks `nfnetlink_queue`: claims the queues with these numbers.
    ///
    /// # Errors
    ///
    /// If it speaks another protocol, and as [`open`](Self::open).
    pub fn with_nfqueue(
        transport: impl Transport + 'static,
        numbers: RangeInclusive<u16>,
        options: impl Into<Options>,
    ) -> Result<Self, Error> {
        open::nfqueue(Box::new(transport), numbers, &options.into(), None)
    }

    /// A session with the queue of a simulated kernel that a file describes, the one that a program is wanted for there.
    ///
    /// ```
    /// # use ipq::{CopyMode, Families, Queue, Verdict};
    /// use ipq_sim::{ApplicationNumbers, Kernel, Scenario};
    ///
    /// let scenario = Scenario::parse(r#"
    ///     application = { queue = "nfqueue:7" }
    ///     rule = [{ hook = "LOCAL_OUT", target = { nfqueue = 7 } }]
    ///     traffic = [{ name = "ping", kind = "ping", from = "here", to = "here", count = 3 }]
    ///     expect = [{ that = "ping.answered", equals = 0 }]
    /// "#)?;
    /// let mut simulation = scenario.start(0, Kernel::builder())?;
    /// let mut queue = Queue::with_simulation(&mut simulation, Families::Both)?;
    /// queue.set_mode(CopyMode::Packet { range: 0 })?;
    /// queue.run(|_| Verdict::Drop)?;
    /// let findings = simulation.findings(&ApplicationNumbers::default());
    /// assert!(findings.iter().all(|finding| finding.holds));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn with_simulation(
        simulation: &mut Simulation,
        options: impl Into<Options>,
    ) -> Result<Self, Error> {
        open::simulated(simulation, &options.into())
    }

    /// A session over a transport whose queues a more privileged process has claimed, and set to this copy mode: nothing is
    /// asked of the kernel. Which of the options are set there is not known here, so only the families of `options` count.
    /// With `ip_queue` there are no numbers, and `0..=0` will do.
    ///
    /// A range that is larger than that of `mode` leads to [`Event::Truncated`].
    pub fn with_configured(
        transport: impl Transport + 'static,
        numbers: RangeInclusive<u16>,
        mode: CopyMode,
        options: impl Into<Options>,
    ) -> Self {
        open::configured(Box::new(transport), numbers, mode, &options.into())
    }

    pub(crate) fn with_lanes(lanes: Vec<Lane>, buffered_length: Option<u32>) -> Self {
        Self {
            lanes,
            turn: 0,
            buffered_length,
            interrupt: None,
            stopper: None,
            busy: 0,
            unwanted: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// The queues of the kernel that it reads from.
    pub fn queues(&self) -> impl Iterator<Item = QueueName> {
        self.lanes.iter().flat_map(Lane::queues)
    }

    /// Says how much of each packet is wanted, and so makes this program the one that gets the packets.
    ///
    /// Waits for the kernel's answer. Packets that come meanwhile are kept for the next reads.
    ///
    /// # Errors
    ///
    /// [`Error::ModeRefused`], on `ip_queue` with `EPERM` without `CAP_NET_ADMIN` and with `EBUSY` if another program
    /// has the queue; and if the socket fails.
    #[doc(alias = "ipq_set_mode")]
    pub fn set_mode(&mut self, mode: CopyMode) -> Result<(), Error> {
        for lane in &mut self.lanes {
            let mut scratch = vec![0; lane.message_len(CopyMode::Packet { range: 0 })];
            if let Some(packets) = self.buffered_length {
                let bytes = receive_buffer_len(packets, lane.message_len(mode));
                lane.transport().set_receive_buffer(bytes)?;
            }
            lane.set_mode(mode, &mut scratch)?;
        }
        Ok(())
    }

    /// The length in bytes of a buffer for [`read`](Self::read) that any packet of the present mode fits into.
    pub fn buffer_len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.message_len(lane.mode)).max().unwrap_or(HEADER_LEN)
    }

    /// Ends waiting reads when `descriptor` becomes readable: the read end of a pipe, an eventfd, a signalfd, a pidfd.
    ///
    /// A read that would wait, or waits, then returns [`Event::Interrupted`], for as long as the descriptor stays
    /// readable. What has come before is still read first. A simulated kernel never waits, and does not look at it.
    pub fn interrupt_on(&mut self, descriptor: OwnedFd) {
        self.interrupt = Some(descriptor);
    }

    /// Reads the next event into `buffer`, waiting for it no longer than `timeout`; without one, for ever.
    ///
    /// `None` says that nothing came in time. Without a timeout only a simulated kernel ever says so: when nothing
    /// can happen in it any more.
    ///
    /// # Errors
    ///
    /// If the socket is of no more use, or the kernel sent what makes no sense; after the latter,
    /// [`Error::Message`], reading can go on.
    #[doc(alias("ipq_read", "ipq_message_type", "ipq_get_packet", "ipq_get_msgerr"))]
    pub fn read<'b>(
        &mut self,
        buffer: &'b mut [u8],
        timeout: Option<Duration>,
    ) -> Result<Option<Event<'b>>, Error> {
        let deadline = self.deadline(timeout);
        Ok(match self.receive(buffer, Some(deadline))? {
            Found::Something(received, lane) => self.take_in(lane, received, buffer)?.event(),
            Found::Interrupted => Some(Event::Interrupted),
            Found::Nothing => None,
        })
    }

    /// Reads the next event into `buffer` if it is there already: it neither waits nor lets a simulated kernel run, and a
    /// [stopper](Self::stopper) does not keep it from reading.
    ///
    /// For programs with a loop of their own, which wait for the [descriptors](Self::descriptors).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn try_read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<Event<'b>>, Error> {
        match self.receive(buffer, None)? {
            Found::Something(received, lane) => Ok(self.take_in(lane, received, buffer)?.event()),
            Found::Interrupted | Found::Nothing => Ok(None),
        }
    }

    /// The same, for a message that is to be kept: hands `keep` what the event says and the bytes it was read from, which
    /// are the beginning of `buffer`.
    pub(crate) fn try_read_message<T>(
        &mut self,
        buffer: &mut [u8],
        keep: impl FnOnce(Event<'_>, &[u8], DataModel) -> T,
    ) -> Result<Option<T>, Error> {
        let Found::Something(received, lane) = self.receive(buffer, None)? else { return Ok(None) };
        let model = self.lanes[lane].data_model();
        let message = buffer.get(..received.len_in_buffer()).unwrap_or(buffer);
        let event = self.take_in(lane, received, buffer)?.event();
        Ok(event.map(|event| keep(event, message, model)))
    }

    /// Receives until something has come that is for the session's user: waiting for it until `deadline`, or not at all.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        deadline: Option<Deadline>,
    ) -> Result<Found<Received>, Error> {
        loop {
            let mut take = |lane: &mut Lane, deadline| {
                let received = lane.receive(buffer, deadline)?;
                Ok(Some(received).filter(|received| is_something(*received)))
            };
            let found = match deadline {
                Some(deadline) => self.wait_for(deadline, &mut take)?,
                None => self.look(&mut take)?.unwrap_or(Found::Nothing),
            };
            let Found::Something(received, lane) = found else { return Ok(found) };
            if !self.lanes[lane].may_be_unwanted(received, buffer) {
                return Ok(found);
            }
            let Ok(Said::Unwanted(id)) = self.lanes[lane].interpret(received, buffer) else {
                return Ok(found);
            };
            self.statistics.lost += u64::from(self.lanes[lane].announce(id));
            self.drop_unwanted(&[id])?;
        }
    }

    /// Reads what is there into `batch`, waiting for the first of it no longer than `timeout`, and hands each event, or
    /// the [`Error::Message`] in its place, to `each`; returns how many there were, 0 if nothing came in time.
    ///
    /// # Errors
    ///
    /// If the socket is of no more use.
    pub fn read_batch(
        &mut self,
        batch: &mut Batch,
        timeout: Option<Duration>,
        mut each: impl FnMut(Result<Event<'_>, Error>),
    ) -> Result<usize, Error> {
        let deadline = self.deadline(timeout);
        let found = self.wait_for(deadline, |lane, deadline| {
            lane.receive_many(batch, deadline)?;
            let first = batch.outcomes().first();
            Ok(first.filter(|&&received| is_something(received)).map(|_| ()))
        })?;
        let lane = match found {
            Found::Something((), lane) => lane,
            Found::Interrupted => {
                each(Ok(Event::Interrupted));
                return Ok(1);
            }
            Found::Nothing => return Ok(0),
        };
        let mut events = 0;
        let mut unwanted = core::mem::take(&mut self.unwanted);
        for (received, bytes) in batch.iter() {
            let Self { lanes, statistics, .. } = self;
            let taken = lanes[lane].packet(received, bytes, |lane, packet| {
                statistics.lost += u64::from(lane.announce(packet.id()));
                statistics.count_packet(Some(&packet));
                each(Ok(Event::Packet(packet)));
            });
            if taken.is_some() {
                events += 1;
                continue;
            }
            match self.take_in(lane, received, bytes) {
                Ok(Said::Unwanted(id)) => unwanted.push(id),
                Ok(Said::Event(event)) => {
                    events += 1;
                    each(Ok(event));
                }
                Err(error) => {
                    events += 1;
                    each(Err(error));
                }
            }
        }
        let dropped = if unwanted.is_empty() { Ok(()) } else { self.drop_unwanted(&unwanted) };
        unwanted.clear();
        self.unwanted = unwanted;
        dropped?;
        // Where all of it was unwanted, something came all the same.
        Ok(events.max(1))
    }

    /// The end of a timeout that starts now.
    fn deadline(&self, timeout: Option<Duration>) -> Deadline {
        timeout.map_or(Deadline::Never, |timeout| Deadline::after(self.clock(), Some(timeout)))
    }

    /// Has `take` look at the lanes in turn until one has something, and waits for that until `deadline`. Where there is
    /// but one thing to wait for, `take` waits itself.
    fn wait_for<T>(
        &mut self,
        deadline: Deadline,
        mut take: impl FnMut(&mut Lane, Deadline) -> Result<Option<T>, Error>,
    ) -> Result<Found<T>, Error> {
        if let ([lane], None, None) = (self.lanes.as_mut_slice(), &self.interrupt, &self.stopper) {
            let something = take(lane, deadline)?;
            return Ok(something.map_or(Found::Nothing, |something| Found::Something(something, 0)));
        }
        loop {
            if self.is_to_stop() {
                return Ok(Found::Interrupted);
            }
            if let Some(found) = self.look(&mut take)? {
                return Ok(found);
            }
            self.busy = 0;
            let transports = self.lanes.iter_mut().map(Lane::transport);
            let stopper = self.stopper.as_ref();
            let interrupt = self.interrupt.as_ref().map(AsFd::as_fd);
            let interrupts = interrupt.into_iter().chain(stopper.map(Stopper::descriptor));
            match wait_any(transports, interrupts, deadline)? {
                Waited::Ready => (),
                Waited::Interrupted if stopper.is_some_and(Stopper::look) => {
                    return Ok(Found::Interrupted);
                }
                // What came in the same moment is read first.
                Waited::Interrupted => {
                    return Ok(self.look(&mut take)?.unwrap_or(Found::Interrupted));
                }
                Waited::TimedOut | Waited::Ended => return Ok(Found::Nothing),
            }
        }
    }

    /// Whether reading is to stop. What was written to the stopper's pipe is seen when there is nothing to read; under a
    /// flood there always is, so then it is looked for now and again.
    pub(crate) fn is_to_stop(&mut self) -> bool {
        let Some(stopper) = &self.stopper else { return false };
        self.busy = (self.busy + 1) % BUSY_READS;
        if self.busy == 0 { stopper.look() } else { stopper.is_stopped() }
    }

    /// Has `take` look at each lane once, without waiting.
    fn look<T>(
        &mut self,
        take: &mut impl FnMut(&mut Lane, Deadline) -> Result<Option<T>, Error>,
    ) -> Result<Option<Found<T>>, Error> {
        for _ in 0..self.lanes.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % self.lanes.len();
            if let Some(something) = take(&mut self.lanes[turn], Deadline::Immediate)? {
                return Ok(Some(Found::Something(something, turn)));
            }
        }
        Ok(None)
    }

    /// Counts what was received, and says what it is.
    fn take_in<'b>(
        &mut self,
        lane: usize,
        received: Received,
        buffer: &'b [u8],
    ) -> Result<Said<'b>, Error> {
        let lane = &mut self.lanes[lane];
        let said = lane.interpret(received, buffer).map_err(|error| {
            self.statistics.malformed += 1;
            Error::Message(error)
        });
        let announced = match &said {
            Ok(Said::Event(
                Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. },
            )) => Some(packet.id()),
            Ok(Said::Unwanted(id)) => Some(*id),
            // It may have announced a packet, which now waits unknown.
            Ok(Said::Event(Event::Truncated { packet: None, .. })) | Err(_) => {
                lane.lose_track(buffer.get(..received.len_in_buffer()).unwrap_or(buffer));
                None
            }
            Ok(Said::Event(_)) => None,
        };
        if let Some(id) = announced {
            self.statistics.lost += u64::from(lane.announce(id));
        }
        if let Ok(Said::Event(event)) = &said {
            self.statistics.count(event);
            if let Event::Refused(refusal @ Refusal { packet: Some(id), .. }) = event {
                self.statistics.count_refused_verdict(*refusal, lane.has_read(*id));
            }
        }
        said
    }

    /// Drops packets that nobody asked for, as the kernel does where no program waits.
    fn drop_unwanted(&mut self, ids: &[PacketId]) -> Result<(), Error> {
        for &id in ids {
            self.lane(id)?.send_verdict(id, Verdict::Drop, None, &[])?;
            self.statistics.unclaimed += 1;
        }
        Ok(())
    }

    /// The descriptors that become readable when there is something to read, for poll(2) and its kin; none on a simulated
    /// kernel in this process, which runs only while somebody waits.
    ///
    /// A transport that keeps messages back, as one with simulated faults does, says by [`due`](Self::due) until when to
    /// wait at most.
    #[doc(alias = "nfq_fd")]
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.lanes.iter().filter_map(Lane::descriptor)
    }

    /// When something comes that its descriptors know nothing of, by this session's [clock](Self::clock); `None` on any
    /// real kernel.
    pub fn due(&self) -> Option<Duration> {
        self.lanes.iter().filter_map(Lane::due).min()
    }

    /// When a simulated kernel next has something to do.
    #[cfg(feature = "tokio")]
    pub(crate) fn upcoming(&self) -> Option<Duration> {
        self.lanes.iter().filter_map(Lane::upcoming).min()
    }

    /// Lets a simulated kernel do one thing.
    pub(crate) fn step(&mut self, deadline: Deadline) -> Result<Waited, Error> {
        let transports = self.lanes.iter_mut().map(Lane::transport);
        Ok(wait_any(transports, None, deadline)?)
    }

    /// The clock that time-outs are measured by: monotonic, and simulated in a simulated kernel.
    pub fn clock(&self) -> Duration {
        self.lanes.first().map_or(Duration::ZERO, Lane::now)
    }

    /// What this session has seen and done so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The same, with what the kernel says of the session's queues: all that is known of loss.
    pub fn snapshot(&self) -> Snapshot {
        let kernel = self.lanes.first().map(Lane::kernel_status).unwrap_or_default();
        let is_ours = |queue| self.lanes.iter().any(|lane| lane.serves(queue));
        Snapshot::new(self.statistics, kernel, is_ours)
    }
}

impl<'b> Said<'b> {
    /// What is for the session's user.
    fn event(self) -> Option<Event<'b>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Unwanted(_) => None,
        }
    }
}

/// What became of waiting.
#[derive(Clone, Copy)]
enum Found<T> {
    /// This, on the lane of this number.
    Something(T, usize),
    Interrupted,
    Nothing,
}

/// Whether an outcome is more than that nothing came.
const fn is_something(received: Received) -> bool {
    !matches!(received, Received::TimedOut | Received::Ended)
}

/// How many reads may find something at once before it is looked whether they are to stop.
const BUSY_READS: u32 = 32;

/// The receive buffer that holds so many messages of this length, in bytes, within what is sensible to ask for.
pub(crate) const fn receive_buffer_len(packets: u32, message_len: usize) -> usize {
    // The kernel rounds each up.
    let bytes = (packets as usize).saturating_mul(message_len.next_power_of_two());
    if bytes < SMALLEST_BUFFER {
        SMALLEST_BUFFER
    } else if bytes > LARGEST_BUFFER {
        LARGEST_BUFFER
    } else {
        bytes
    }
}

/// The least and the most to ask for as a receive buffer, in bytes.
const SMALLEST_BUFFER: usize = 208 << 10;
const LARGEST_BUFFER: usize = 32 << 20;
