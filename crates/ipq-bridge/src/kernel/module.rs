//! `ip_queue` of one family with several programs: [`Module`].

use std::os::fd::BorrowedFd;

use ipq_proto::ip_queue::{self, Listener, Message};
use ipq_proto::{CopyMode, Errno, Family};
use ipq_sys::unix::SocketId;
use ipq_sys::{ClaimError, Deadline, DeviceInfo, Error, IpQueueStatus, Received, Transport};

use super::LONGEST_MESSAGE;
use super::lower::Lower;
use super::sockets::{DEFAULT_RECEIVE_BUFFER, Socket, Sockets};
use crate::bridge::DEFAULT_MAX_LENGTH;
use crate::carried::Order;
use crate::station::{Heard, refusal};
use crate::{Bridge, Options, Statistics};

/// The module, whose queue is claimed.
#[derive(Debug)]
pub(super) struct Module<T> {
    bridge: Bridge<Lower<T>>,
    options: Options,
    /// What was counted before the queue was claimed the last time.
    queue_dropped: u32,
    netlink_dropped: u32,
    /// What a message is received into before its length is known.
    message: Vec<u8>,
}

impl<T: Transport> Module<T> {
    pub(super) fn claim(
        below: T,
        number: u16,
        family: Family,
        options: Options,
    ) -> Result<Self, ClaimError> {
        let below = Lower::alone(below, family)?;
        let bridge = Bridge::claim(below, number, family, options)?;
        Ok(Self::new(bridge, options))
    }

    /// Claims a queue that is to have the packets of both families.
    pub(super) fn claim_for_both(
        below: T,
        number: u16,
        family: Family,
        options: Options,
    ) -> Result<Self, ClaimError> {
        let mut bridge = Bridge::over(Lower::alone(below, family)?, number, family)?;
        // Which packets are too many is a question for each family.
        let unlimited = Options { max_length: Some(u32::MAX), fail_open: false, ..options };
        bridge.claim_queue_for(&Family::ALL, unlimited)?;
        bridge.below.share(number, options);
        Ok(Self::sharing(bridge, options))
    }

    /// The module of the other family, on the same queue.
    pub(super) fn beside(&self, family: Family) -> Result<Self, ClaimError> {
        let below = self.bridge.below.for_family(family)?;
        let bridge = Bridge::new(below, self.bridge.number(), family);
        Ok(Self::sharing(bridge, self.options))
    }

    fn sharing(mut bridge: Bridge<Lower<T>>, options: Options) -> Self {
        bridge.max_length = options.max_length.unwrap_or(DEFAULT_MAX_LENGTH);
        bridge.below.set_max_length(bridge.max_length);
        Self::new(bridge, options)
    }

    fn new(bridge: Bridge<Lower<T>>, options: Options) -> Self {
        let message = vec![0; LONGEST_MESSAGE];
        Self { bridge, options, queue_dropped: 0, netlink_dropped: 0, message }
    }

    fn family(&self) -> Family {
        self.bridge.station.family
    }

    fn peer(&self) -> Option<u32> {
        self.bridge.station.listener.peer
    }

    pub(super) fn statistics(&self) -> Statistics {
        let Statistics { unwanted, malformed } = self.bridge.statistics();
        Statistics { unwanted: unwanted + self.unwanted(self.family()), malformed }
    }

    /// How many packets of a family came to a queue that is shared while nobody wanted them.
    pub(super) fn unwanted(&self, family: Family) -> u64 {
        self.bridge.below.counts(family).map_or(0, |counts| counts.unwanted)
    }

    pub(super) fn device(&self, index: u32) -> Option<DeviceInfo> {
        self.bridge.device(index)
    }

    /// The descriptor of the queue, if this is the port id of the program that gets its packets.
    pub(super) fn descriptor_of(&self, port_id: u32) -> Option<BorrowedFd<'_>> {
        let is_peer = self.peer() == Some(port_id);
        self.bridge.descriptor().filter(|_| is_peer)
    }

    pub(super) fn status(&self) -> IpQueueStatus {
        let mut status = self.bridge.status();
        if let Some(counts) = self.bridge.below.counts(self.family()) {
            (status.queue_length, status.queue_dropped) = (counts.waiting, counts.dropped);
        }
        IpQueueStatus {
            queue_dropped: status.queue_dropped.wrapping_add(self.queue_dropped),
            netlink_dropped: status.netlink_dropped.wrapping_add(self.netlink_dropped),
            ..status
        }
    }

    pub(super) fn set_max_length(&mut self, packets: u32) -> Result<(), Errno> {
        self.options.max_length = Some(packets);
        if self.bridge.below.set_max_length(packets) {
            self.bridge.max_length = packets;
            return Ok(());
        }
        self.bridge.set_max_length(packets).map_err(|error| error.errno)
    }

    /// A program sends a request, which is answered.
    ///
    /// Those of the program that gets the packets are answered in their place among them, by the kernel. The others have no
    /// packets, and are answered at once.
    pub(super) fn hear(
        &mut self,
        sockets: &mut Sockets,
        from: SocketId,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        let &Socket { port_id, privileged, .. } = sockets.get(from).ok_or(Errno::EBADF)?;
        self.sort()?;
        let before = self.bridge.before();
        let model = self.bridge.data_model();
        let heard = self.bridge.station.hear(model, privileged, datagram, None);
        let Some(mut heard) = heard else { return Ok(()) };
        if let Order::Mode(mode) = &mut heard.order {
            // Wherever the peer is: who is not there is found out when a packet comes.
            let own = self.bridge.station.listener.mode;
            *mode = self.enter_mode(sockets, own);
        }
        let decided = self.decide(&mut heard);
        let is_peer = self.peer() == Some(port_id);
        if is_peer && heard.note.claims {
            self.set_options(sockets, from)?;
        }
        if heard.order == Order::Answer && !is_peer {
            let reply = refusal(model, &heard, port_id);
            if let Some(socket) = sockets.get_mut(from) {
                socket.deliver(reply);
            }
            return Ok(());
        }
        if !is_peer {
            // What is there is the peer's.
            self.pass_on(sockets);
        }
        if is_peer {
            self.bridge.station.port_id = port_id;
        }
        if let Err(error) = self.bridge.send_heard(&heard, before) {
            if let Some(id) = decided {
                self.bridge.below.undo(id);
            }
            return Err(error.errno);
        }
        if !is_peer {
            self.answer(sockets, from, port_id);
        }
        Ok(())
    }

    /// Takes what has come out of a queue that is shared.
    pub(super) fn sort(&mut self) -> Result<(), Errno> {
        self.bridge.below.sort().map_err(|error| error.errno)
    }

    /// The mode that the queue is to have when this family has `mode`.
    fn enter_mode(&mut self, sockets: &mut Sockets, mode: CopyMode) -> CopyMode {
        if self.bridge.below.is_shared() {
            // What is there was copied in the old mode.
            self.pass_on(sockets);
            self.bridge.station.copied = match mode {
                CopyMode::None | CopyMode::Metadata => 0,
                CopyMode::Packet { range: 0 } => usize::MAX,
                CopyMode::Packet { range } => range as usize,
            };
        }
        self.bridge.below.joined_mode(mode)
    }

    /// Sees to it that a verdict is about a packet of this family; returns which.
    fn decide(&mut self, heard: &mut Heard<'_>) -> Option<u32> {
        let Order::Verdict { id, .. } = heard.order else { return None };
        if self.bridge.below.decide(id) {
            return Some(id);
        }
        self.bridge.station.undecided = self.bridge.station.undecided.saturating_add(1);
        heard.order = Order::Answer;
        heard.note.refused = Some(Errno::ENOENT);
        None
    }

    /// Hands out what the kernel said to a request of a program that does not get the packets: these go to who does.
    fn answer(&mut self, sockets: &mut Sockets, from: SocketId, port_id: u32) {
        let peer = core::mem::replace(&mut self.bridge.station.port_id, port_id);
        while let Some(bytes) = self.take(sockets) {
            let to = match ip_queue::datagram(self.bridge.data_model(), &bytes) {
                Ok((_, Message::Packet(_))) => self.peer_socket(sockets),
                _ => sockets.get_mut(from),
            };
            match to {
                Some(socket) => socket.deliver(bytes),
                None => self.lose_packet(&bytes),
            }
        }
        self.bridge.station.port_id = peer;
    }

    fn peer_socket<'s>(&self, sockets: &'s mut Sockets) -> Option<&'s mut Socket> {
        sockets.at_port(self.family(), self.peer()?)
    }

    /// The next message that is there.
    fn take(&mut self, sockets: &mut Sockets) -> Option<Vec<u8>> {
        loop {
            match self.bridge.receive(&mut self.message, Deadline::Immediate) {
                Ok(Received::Datagram { len }) => return Some(self.message[..len].to_vec()),
                Ok(Received::Overrun) => {
                    if let Some(peer) = self.peer_socket(sockets) {
                        peer.overrun();
                    }
                }
                _ => return None,
            }
        }
    }

    /// Has something wait in a socket, if anything is there for it and nothing waits yet.
    pub(super) fn fill(&mut self, sockets: &mut Sockets, socket: SocketId) {
        // Where that fails, so does receiving.
        let _ = self.sort();
        let Some(socket) = sockets.get_mut(socket) else { return };
        if socket.is_readable() || self.peer() != Some(socket.port_id) {
            return;
        }
        match self.bridge.receive(&mut self.message, Deadline::Immediate) {
            Ok(Received::Datagram { len }) => socket.deliver(self.message[..len].to_vec()),
            Ok(Received::Overrun) => socket.overrun(),
            _ => (),
        }
    }

    /// Passes on what is there to the program that gets the packets.
    fn pass_on(&mut self, sockets: &mut Sockets) {
        while let Some(bytes) = self.take(sockets) {
            match self.peer_socket(sockets) {
                Some(peer) => peer.deliver(bytes),
                None => self.lose_packet(&bytes),
            }
        }
    }

    /// Drops the packets that came for a program which is not there.
    pub(super) fn drop_for_nobody(&mut self, sockets: &mut Sockets) {
        if self.peer().is_some() && self.peer_socket(sockets).is_none() {
            self.pass_on(sockets);
        }
    }

    /// A message that nobody was there for: its packet is dropped.
    fn lose_packet(&mut self, message: &[u8]) {
        if let Ok(Some(id)) = self.bridge.drop_announced(message) {
            self.bridge.below.decide(id);
            self.netlink_dropped = self.netlink_dropped.wrapping_add(1);
        }
    }

    /// Has the queue's socket behave as that of the program that gets its packets.
    pub(super) fn set_options(
        &mut self,
        sockets: &mut Sockets,
        socket: SocketId,
    ) -> Result<(), Errno> {
        let Some(socket) = sockets.get(socket) else { return Ok(()) };
        if self.peer() != Some(socket.port_id) {
            return Ok(());
        }
        let (bytes, reports) = (socket.receive_buffer, !socket.ignores_overruns);
        self.configure(bytes, reports).map_err(|error| error.errno)
    }

    fn configure(&mut self, receive_buffer: u32, reports_overruns: bool) -> Result<(), Error> {
        // The kernel doubles what it is asked for.
        self.bridge.set_receive_buffer((receive_buffer / 2) as usize)?;
        self.bridge.report_overruns(reports_overruns)
    }

    /// The program with this port id is gone; if it got the packets, those that wait are dropped.
    pub(super) fn lose(&mut self, port_id: u32) -> Result<(), ClaimError> {
        if self.peer() != Some(port_id) {
            return Ok(());
        }
        if self.bridge.below.is_shared() {
            self.bridge.below.drop_waiting()?;
            self.bridge.station.listener = Listener::default();
            self.bridge.station.undecided = 0;
            return Ok(self.configure(DEFAULT_RECEIVE_BUFFER, true)?);
        }
        let IpQueueStatus { queue_dropped, netlink_dropped, .. } = self.status();
        self.bridge.release_queue()?;
        (self.queue_dropped, self.netlink_dropped) = (queue_dropped, netlink_dropped);
        self.configure(DEFAULT_RECEIVE_BUFFER, true)?;
        self.bridge.claim_queue(self.options)
    }
}
