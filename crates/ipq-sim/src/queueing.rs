//! From a packet to the program and from its verdict back to the packet.

use ipq_proto::{Errno, Family, Hook, Verdict};
use ipq_sys::Protocol;

use crate::fate::{Fate, Reason};
use crate::ip_queue::IpQueue;
use crate::machine::Machine;
use crate::netlink::{SocketKey, UNBOUND};
use crate::nfqueue::Nfqueues;
use crate::packet::{Checksums, Packet, Position};
use crate::record::Datagram;
use crate::rule::Destination;
use crate::trace::TraceEvent;

/// The longest packet that a replacement may grow to, in bytes.
const MAX_PACKET_LEN: usize = 0xffff;

/// Set in the verdict QUEUE: where nobody has the queue, the packet passes.
#[doc(alias = "NF_VERDICT_FLAG_QUEUE_BYPASS")]
const QUEUE_BYPASS: u32 = 0x8000;

/// A packet that a queue did not take.
#[derive(Debug)]
pub(crate) struct NotQueued {
    pub(crate) packet: Packet,
    pub(crate) reason: Reason,
    /// Whether it goes on instead of being dropped.
    pub(crate) passes: bool,
}

impl NotQueued {
    pub(crate) fn dropped(packet: Packet, reason: Reason) -> Self {
        Self { packet, reason, passes: false }
    }
}

impl Machine {
    /// A packet is to be queued by the function at `position`. It is returned if it passes that function instead.
    ///
    /// Where `ip_queue` is loaded, it gets all packets of its family, whichever queue they are for.
    pub(crate) fn enqueue(
        &mut self,
        packet: Packet,
        position: Position,
        to: Destination,
    ) -> Option<Packet> {
        let is_ip_queue = self.ip_queue(packet.family).is_some();
        let entered = if is_ip_queue {
            self.enter_ip_queue(packet, position)
        } else {
            self.enter_nfqueue(packet, position, to)
        };
        match entered {
            Ok(()) => None,
            Err(NotQueued { packet, reason, passes: true }) => {
                self.note(TraceEvent::Passed { packet: packet.number, reason });
                Some(packet)
            }
            Err(NotQueued { packet, reason, passes: false }) => {
                self.finish(packet, Fate::Dropped(reason));
                None
            }
        }
    }

    /// A program sends `datagram` on its socket.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if the module is not there to hear it, `ENODATA` if netfilter is to hear nothing at all, `EBADF` if
    /// the program was killed. What the module refuses it answers with a message.
    pub(crate) fn datagram_from_user(
        &mut self,
        key: SocketKey,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        let socket = self.sockets.get(key);
        if socket.is_detached {
            return Err(Errno::EBADF);
        }
        let (protocol, port_id) = (socket.protocol, socket.port_id);
        self.note(TraceEvent::Request { protocol, port_id, len: datagram.len() });
        let time = self.now();
        if let Some(conversation) = &mut self.conversation {
            let bytes = datagram.to_vec();
            conversation.push(Datagram { time, is_request: true, protocol, port_id, bytes });
        }
        if let Some(family) = protocol.family() {
            self.ip_queue_datagram(key, family, datagram)?;
        } else {
            self.netfilter_datagram(key, datagram)?;
        }
        self.check_counts();
        Ok(())
    }

    /// Lets a packet that was queued go on as its verdict says.
    pub(crate) fn decide(
        &mut self,
        mut packet: Packet,
        position: Position,
        verdict: Verdict,
        replacement: Option<&[u8]>,
    ) {
        let replacement_len = replacement.map(<[u8]>::len);
        self.totals.queued -= 1;
        self.note(TraceEvent::Verdict { packet: packet.number, verdict, replacement_len });
        let replaced = replacement.map_or(Ok(()), |with| replace(&mut packet, with));
        if let Err(reason) = replaced {
            return self.finish(packet, Fate::Dropped(reason));
        }
        if replacement.is_some() && position.hook == Hook::LocalOut {
            // It may go elsewhere now.
            packet.output = Some(self.routes.out_to(packet.headers().destination));
        }
        match action(verdict) {
            Verdict::Accept => self.walk(packet, position.next_function()),
            // With anything in its upper bits it is no verdict that the kernel knows.
            Verdict::Repeat if verdict == Verdict::Repeat => self.walk(packet, position),
            Verdict::Stop => self.walk(packet, position.past_all()),
            Verdict::Queue => {
                let [high, low, ..] = verdict.0.to_be_bytes();
                let number = u16::from_be_bytes([high, low]);
                let bypass = verdict.0 & QUEUE_BYPASS != 0;
                if let Some(packet) = self.enqueue(packet, position, Destination { number, bypass })
                {
                    self.walk(packet, position.next_function());
                }
            }
            _ => self.finish(packet, Fate::Dropped(Reason::Verdict)),
        }
    }

    /// A program closes one descriptor of its socket, which goes with the last one.
    pub(crate) fn close(&mut self, key: SocketKey) {
        if self.sockets.is_last_descriptor(key) {
            self.detach(key);
        }
        self.sockets.close(key);
    }

    /// A socket is of no more use to its program, whatever descriptors there are. The peer is gone with the first such
    /// socket that has the peer's port id, and takes with it what was queued.
    pub(crate) fn detach(&mut self, key: SocketKey) {
        let socket = self.sockets.get(key);
        let (protocol, port_id) = (socket.protocol, socket.port_id);
        if core::mem::replace(&mut socket.is_detached, true) {
            return;
        }
        for message in socket.take_messages() {
            self.memory.messages.give(message);
        }
        if port_id == UNBOUND {
            return;
        }
        self.note(TraceEvent::Closed { protocol, port_id });
        match protocol.family() {
            Some(family) => self.ip_queue_peer_closed(family, port_id),
            None => self.nfqueue_owner_closed(port_id),
        }
        self.check_counts();
    }

    /// Loads what serves `protocol`, if a program that opens a socket for it can have that done; says whether it is
    /// there now.
    pub(crate) fn demand(&mut self, protocol: Protocol) -> bool {
        let Some(family) = protocol.family() else { return self.nfqueues.is_some() };
        let was_loaded = self.ip_queue(family).is_some();
        let is_loaded = self.ip_queues.demand(family);
        if is_loaded && !was_loaded {
            self.note(TraceEvent::Loaded { protocol });
        }
        is_loaded
    }

    /// Loads the module of `family`, if it is not loaded.
    pub(crate) fn load_ip_queue(&mut self, family: Family) {
        self.note(TraceEvent::Loaded { protocol: Protocol::ip_queue(family) });
        self.ip_queues.load(family);
    }

    /// Loads `nfnetlink_queue`, if it is not loaded.
    pub(crate) fn load_nfqueue(&mut self) {
        self.note(TraceEvent::Loaded { protocol: Protocol::Netfilter });
        self.nfqueues.get_or_insert_default();
    }

    /// The sockets of the programs that packets wait for a verdict of, by protocol and port id.
    pub(crate) fn waiting_with(&self) -> Vec<(Protocol, u32)> {
        let ip_queues = self.ip_queues.iter().map(IpQueue::status);
        let ip_queues = ip_queues.filter(|status| status.queue_length > 0);
        let of_ip_queues =
            ip_queues.map(|status| (Protocol::ip_queue(status.family), status.peer_port_id));
        let queues = self.nfqueues.iter().flat_map(Nfqueues::status);
        let queues = queues.filter(|status| status.queue_length > 0);
        of_ip_queues.chain(queues.map(|status| (Protocol::Netfilter, status.port_id))).collect()
    }

    /// Takes the module out of the kernel, and drops what it had queued.
    pub(crate) fn unload_ip_queue(&mut self, family: Family) {
        self.note(TraceEvent::Unloaded { protocol: Protocol::ip_queue(family) });
        let Some(mut queue) = self.ip_queues.unload(family) else { return };
        self.finish_all(queue.flush(|_| true), Reason::ModuleUnloaded);
    }

    /// Takes `nfnetlink_queue` out of the kernel, and drops what it had queued.
    pub(crate) fn unload_nfqueue(&mut self) {
        self.note(TraceEvent::Unloaded { protocol: Protocol::Netfilter });
        let Some(mut queues) = self.nfqueues.take() else { return };
        for queue in queues.iter_mut() {
            let flushed = queue.flush(|_| true);
            self.finish_all(flushed, Reason::ModuleUnloaded);
        }
    }

    /// Brings a device up.
    pub(crate) fn device_up(&mut self, name: &str) {
        let device = self.devices.index(name);
        self.devices.set_up(device, true);
        self.note(TraceEvent::Device { device: self.devices.name(Some(device)), is_up: true });
    }

    /// Takes a device down, and drops what is queued and touches it.
    pub(crate) fn device_down(&mut self, name: &str) {
        let device = self.devices.index(name);
        self.devices.set_up(device, false);
        self.note(TraceEvent::Device { device: self.devices.name(Some(device)), is_up: false });
        let mut flushed = Vec::new();
        for family in Family::ALL {
            let Some(queue) = self.ip_queue(family) else { continue };
            flushed.extend(queue.flush(|packet| packet.touches(device)));
        }
        for queue in self.nfqueues.iter_mut().flat_map(Nfqueues::iter_mut) {
            flushed.extend(queue.flush(|packet| packet.touches(device)));
        }
        self.finish_all(flushed, Reason::DeviceDown);
    }

    /// Drops packets that were taken out of a queue.
    pub(crate) fn finish_all(&mut self, packets: Vec<Packet>, reason: Reason) {
        self.totals.queued -= packets.len() as u64;
        for packet in packets {
            self.finish(packet, Fate::Dropped(reason));
        }
    }
}

/// What a verdict says becomes of the packet. The rest of its bits are a queue's number and flags.
#[doc(alias = "NF_VERDICT_MASK")]
pub(crate) const fn action(verdict: Verdict) -> Verdict {
    Verdict(verdict.0 & 0xff)
}

/// Replaces the bytes of a packet.
fn replace(packet: &mut Packet, replacement: &[u8]) -> Result<(), Reason> {
    if replacement.len() > packet.data().len().max(MAX_PACKET_LEN) {
        return Err(Reason::ReplacementTooLong);
    }
    let data = packet.data_mut();
    data.clear();
    data.extend_from_slice(replacement);
    packet.checksums = Checksums::Unverified;
    Ok(())
}
