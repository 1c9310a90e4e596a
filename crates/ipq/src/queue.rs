//! The session: [`Queue`].

use core::time::Duration;

use ipq_proto::ip_queue::PacketMsg;
use ipq_proto::netlink::{HEADER_LEN, padding};
use ipq_proto::{CopyMode, Family, Lp64, Verdict};
use ipq_sys::{
    Deadline, NetlinkSocket, Protocol, Received, SocketOptions, Transport, Waited, wait_any,
};

use crate::lane::Lane;
use crate::{Error, Event, Families, Packet, PacketId, Statistics, TransportName};

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
    statistics: Statistics,
}

impl Queue {
    /// Opens the queue of one family or of both by the transport's name.
    ///
    /// With [`Families::Both`] it is enough if the kernel has one of the two; [`families`](Self::families) tells.
    ///
    /// # Errors
    ///
    /// If the kernel does not have it or does not allow it, or a capture cannot be read.
    #[doc(alias = "ipq_create_handle")]
    pub fn open(name: TransportName, families: impl Into<Families>) -> Result<Self, Error> {
        let families = families.into();
        match &name {
            TransportName::Auto | TransportName::IpQueue => Self::open_ip_queue(families),
            TransportName::Sim(path) => {
                let (kernel, _) = ipq_sim::capture_kernel(path).map_err(Error::Capture)?;
                Self::with_sockets(families.iter().map(|family| kernel.socket(family)))
            }
            TransportName::Nfqueue { .. } | TransportName::Unix(_) => Err(Error::Unsupported(name)),
        }
    }

    fn open_ip_queue(families: Families) -> Result<Self, Error> {
        let mut sockets = Vec::new();
        let mut missing: Option<ipq_sys::Error> = None;
        for family in families.iter() {
            match NetlinkSocket::open(Protocol::ip_queue(family), SocketOptions::default()) {
                Ok(socket) => sockets.push(socket),
                Err(error) if error.is_unsupported() => {
                    missing.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match missing {
            Some(error) if sockets.is_empty() => Err(error.into()),
            _ => Self::with_sockets(sockets),
        }
    }

    /// A session over a transport of your own, say a simulated kernel's.
    ///
    /// # Errors
    ///
    /// If it speaks another protocol than `ip_queue`.
    pub fn with(transport: impl Transport + 'static) -> Result<Self, Error> {
        Self::with_sockets([transport])
    }

    /// A session over several transports of the same kernel, one for each family.
    ///
    /// # Errors
    ///
    /// If one of them speaks another protocol than `ip_queue`, or two the same.
    pub fn with_sockets<T: Transport + 'static>(
        transports: impl IntoIterator<Item = T>,
    ) -> Result<Self, Error> {
        let mut lanes: Vec<Lane> = Vec::new();
        for transport in transports {
            let Some(family) = transport.protocol().family() else {
                return Err(Error::Unsupported(TransportName::Nfqueue { first: 0, last: 0 }));
            };
            if lanes.iter().any(|lane| lane.family == family) {
                return Err(Error::FamilyTwice(family));
            }
            lanes.push(Lane::new(family, Box::new(transport)));
        }
        Ok(Self { lanes, turn: 0, statistics: Statistics::default() })
    }

    /// The families it has a queue for.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.lanes.iter().map(|lane| lane.family)
    }

    /// Says how much of each packet is wanted, and so makes this program the one that gets the packets.
    ///
    /// Waits for the kernel's answer. Packets that come meanwhile are kept for the next reads.
    ///
    /// # Errors
    ///
    /// [`Error::ModeRefused`] with `EPERM` without `CAP_NET_ADMIN`, with `EBUSY` if another program has the queue;
    /// and if the socket fails.
    #[doc(alias = "ipq_set_mode")]
    pub fn set_mode(&mut self, mode: CopyMode) -> Result<(), Error> {
        let mut scratch = vec![0; message_len(CopyMode::Packet { range: 0 })];
        self.lanes.iter_mut().try_for_each(|lane| lane.set_mode(mode, &mut scratch))
    }

    /// The length in bytes of a buffer for [`read`](Self::read) that any message of the present mode fits into.
    pub fn buffer_len(&self) -> usize {
        let len = self.lanes.iter().map(|lane| message_len(lane.mode)).max();
        len.unwrap_or_else(|| message_len(CopyMode::None))
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
        let Some((received, lane)) = self.receive(buffer, timeout)? else { return Ok(None) };
        let (lane, statistics) = (&self.lanes[lane], &mut self.statistics);
        let bytes = &buffer[..received.len_in_buffer()];
        let event = match received {
            Received::Datagram { .. } => lane.interpret(bytes).map_err(|error| {
                statistics.malformed += 1;
                Error::Message(error)
            })?,
            Received::Truncated { datagram_len, .. } => lane.interpret_cut(bytes, datagram_len),
            Received::Overrun => Event::Overrun,
            Received::Foreign { port_id } => Event::Foreign { port_id },
            Received::Interrupted => Event::Interrupted,
            Received::TimedOut | Received::Ended => return Ok(None),
        };
        statistics.count(&event);
        Ok(Some(event))
    }

    /// Receives from the lane that has something; `None` if there is no lane.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        timeout: Option<Duration>,
    ) -> Result<Option<(Received, usize)>, Error> {
        let deadline = Deadline::after(self.clock(), timeout);
        if let [lane] = self.lanes.as_mut_slice() {
            return Ok(Some((lane.receive(buffer, deadline)?, 0)));
        }
        loop {
            for _ in 0..self.lanes.len() {
                let turn = self.turn;
                self.turn = (turn + 1) % self.lanes.len();
                match self.lanes[turn].receive(buffer, Deadline::Immediate)? {
                    Received::TimedOut | Received::Ended => (),
                    received => return Ok(Some((received, turn))),
                }
            }
            let transports = self.lanes.iter_mut().map(Lane::transport);
            match wait_any(transports, deadline)? {
                Waited::Ready => (),
                Waited::Interrupted => return Ok(Some((Received::Interrupted, 0))),
                Waited::TimedOut | Waited::Ended => return Ok(None),
            }
        }
    }

    /// Decides over a packet. Verdicts may come in any order, and long after the packet was read.
    ///
    /// A refusal, for a packet that is not queued any more, comes back as [`Event::Refused`].
    ///
    /// # Errors
    ///
    /// If it cannot be sent. After an error that [is temporary](Error::is_temporary) it may be sent again.
    #[doc(alias = "ipq_set_verdict")]
    pub fn verdict(&mut self, id: PacketId, verdict: Verdict) -> Result<(), Error> {
        self.send_verdict(id, verdict, &[])
    }

    /// Decides over a packet and replaces it, from its IP header on.
    ///
    /// The kernel repairs neither lengths nor checksums, and whoever finds one wrong discards the packet
    /// silently. It ignores a replacement that is empty or shorter than an IP header, and drops the packet if one
    /// longer than 65,535 bytes makes it grow.
    ///
    /// # Errors
    ///
    /// As [`verdict`](Self::verdict).
    #[doc(alias = "ipq_set_verdict")]
    pub fn verdict_with(
        &mut self,
        id: PacketId,
        verdict: Verdict,
        replacement: &[u8],
    ) -> Result<(), Error> {
        self.send_verdict(id, verdict, replacement)
    }

    fn send_verdict(
        &mut self,
        id: PacketId,
        verdict: Verdict,
        replacement: &[u8],
    ) -> Result<(), Error> {
        let lane = self.lanes.iter_mut().find(|lane| lane.family == id.family());
        let lane = lane.ok_or_else(|| Error::WrongFamily(id.family()))?;
        lane.send_verdict(id.number(), verdict, replacement)?;
        self.statistics.count_verdict(verdict);
        Ok(())
    }

    /// Reads packets and gives each the verdict that `decide` returns, for as long as anything can come: for ever
    /// on a real kernel, to the end on a simulated one.
    ///
    /// What else comes is counted in the [statistics](Self::statistics) and survived. A packet that is longer
    /// than any buffer `ip_queue` ever filled is handed to `decide` as far as it did fit.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub fn run(&mut self, mut decide: impl FnMut(Packet<'_>) -> Verdict) -> Result<(), Error> {
        let mut buffer = vec![0; self.buffer_len()];
        loop {
            let packet = match self.read(&mut buffer, None) {
                Ok(Some(Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. })) => {
                    packet
                }
                Ok(Some(_)) | Err(Error::Message(_)) => continue,
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            };
            self.verdict(packet.id(), decide(packet))?;
        }
    }

    /// The clock that time-outs are measured by: monotonic, and simulated in a simulated kernel.
    pub fn clock(&self) -> Duration {
        self.lanes.first().map_or(Duration::ZERO, Lane::now)
    }

    /// What this session has seen and done so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }
}

/// The longest packet that any Linux makes, in bytes: eight times what an IP header can say (BIG TCP).
const LONGEST_PACKET: u32 = 8 * 0xffff;

/// The longest message about a packet, in bytes, of a kernel in this mode.
fn message_len(mode: CopyMode) -> usize {
    let payload = match mode {
        CopyMode::Packet { range: 0 } => LONGEST_PACKET,
        CopyMode::Packet { range } => range.min(CopyMode::MAX_RANGE),
        CopyMode::None | CopyMode::Metadata => 0,
    };
    let len = HEADER_LEN + size_of::<PacketMsg<Lp64>>() + payload as usize;
    len + padding(len).len()
}
