//! The module at work: packets to its peer, and what the peer says.

use ipq_proto::ip_queue::{self as wire, Accepted, VerdictRequest};
use ipq_proto::netlink::Flags;
use ipq_proto::{CopyMode, DataModel, Errno, Family, Hook};
use ipq_sys::Protocol;

use super::encode::{copied, packet_message};
use super::{IpQueue, Refusal};
use crate::device::Devices;
use crate::fate::Reason;
use crate::machine::Machine;
use crate::netlink::SocketKey;
use crate::packet::{Link, Packet, Position};
use crate::queueing::NotQueued;
use crate::reply::{self, Answer, Manner};
use crate::trace::{QueueId, TraceEvent};

impl Machine {
    /// The module of `family`, if it is loaded and so gets all packets that are to be queued.
    pub(crate) fn ip_queue(&mut self, family: Family) -> Option<&mut IpQueue> {
        self.ip_queues.loaded(family)
    }

    /// Lets a packet wait in the queue of its family, whose module is loaded.
    pub(crate) fn enter_ip_queue(
        &mut self,
        packet: Packet,
        position: Position,
    ) -> Result<(), NotQueued> {
        let family = packet.family;
        let Some(queue) = self.ip_queues.loaded(family) else {
            return Err(NotQueued::dropped(packet, Reason::NoQueue));
        };
        let (peer, mode) = match queue.admit() {
            Ok(admitted) => admitted,
            Err(refusal) => return Err(NotQueued::dropped(packet, refusal.into())),
        };
        let id = queue.next_id();
        let mut message = self.memory.messages.take();
        announce(self.model, &self.devices, (&packet, position), (id, mode), &mut message);
        if !self.send_to_port(Protocol::ip_queue(family), peer, message) {
            if let Some(queue) = self.ip_queue(family) {
                queue.count_lost_message();
            }
            return Err(NotQueued::dropped(packet, Reason::ReceiveBufferFull));
        }
        let queue = QueueId::IpQueue(family);
        self.note(TraceEvent::Queued { packet: packet.number, queue, id, hook: position.hook });
        if let Some(queue) = self.ip_queue(family) {
            queue.enqueue(packet, position);
            self.totals.queued += 1;
        }
        Ok(())
    }

    /// The peer of `family`'s module, or who wants to be it, sends `datagram`.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if the module is not there to hear it. What it refuses it answers with a message.
    pub(crate) fn ip_queue_datagram(
        &mut self,
        key: SocketKey,
        family: Family,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        let model = self.model;
        let socket = self.sockets.get(key);
        let (port_id, privileged) = (socket.port_id, socket.privileged);
        let queue = self.ip_queue(family).ok_or(Errno::ECONNREFUSED)?;
        let Some((request, accepted)) = queue.listener.hear(model, privileged, datagram) else {
            return Ok(());
        };
        let error = match accepted {
            Ok(Accepted::Nothing) => return Ok(()),
            Ok(Accepted::Mode) => None,
            Ok(Accepted::Verdict(verdict)) => self.carry_out(family, &verdict).err(),
            Err(refused) => Some(refused.errno),
        };
        if error.is_some() || request.header.flags.contains(Flags::ACK) {
            let mut reply = self.memory.messages.take();
            let request = &request;
            let answer = Answer { request, port_id, error, manner: Manner::OLD };
            reply::write(model, answer, &mut reply);
            self.send_to(key, reply);
        }
        Ok(())
    }

    /// Does what a verdict says, before it is acknowledged.
    fn carry_out(&mut self, family: Family, verdict: &VerdictRequest<'_>) -> Result<(), Errno> {
        let queue = self.ip_queue(family).ok_or(Errno::ENOENT)?;
        let (packet, position, slot) = queue.take(verdict.id).ok_or(Errno::ENOENT)?;
        // A replacement shorter than an IP header is ignored, silently.
        let replacement =
            verdict.replacement().filter(|replacement| replacement.len() >= family.header_len());
        self.decide(packet, position, verdict.verdict, replacement);
        // Only now: a packet that was queued again has got an id of its own meanwhile.
        if let Some(queue) = self.ip_queue(family) {
            queue.release(slot);
        }
        Ok(())
    }

    /// The socket of the peer has closed, and takes with it what was queued.
    pub(crate) fn ip_queue_peer_closed(&mut self, family: Family, port_id: u32) {
        let Some(queue) = self.ip_queue(family).filter(|queue| queue.peer() == Some(port_id))
        else {
            return;
        };
        queue.reset();
        let flushed = queue.flush(|_| true);
        self.finish_all(flushed, Reason::PeerClosed);
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoPeer => Self::NoPeer,
            Refusal::CopyModeNone => Self::CopyModeNone,
            Refusal::Full => Self::QueueFull,
        }
    }
}

/// Writes the message that tells the program of a packet, to be known as `id`.
fn announce(
    model: DataModel,
    devices: &Devices,
    (packet, position): (&Packet, Position),
    (id, mode): (u64, CopyMode),
    buffer: &mut Vec<u8>,
) {
    let timestamp = packet.timestamp.map_or(wire::Timestamp::NONE, |time| wire::Timestamp {
        seconds: model.cut_to_long(time.seconds()),
        microseconds: i64::from(time.nanoseconds() / 1000),
    });
    // Kernels that had this module forgot how a forwarded packet came in once it was routed.
    let (input, link) = match position.hook {
        Hook::PostRouting => (None, Link::default()),
        _ => (packet.input, packet.link),
    };
    let message = wire::Packet {
        id,
        mark: packet.mark.into(),
        timestamp,
        hook: position.hook,
        input_device: devices.name(input),
        output_device: devices.name(packet.output),
        hw_protocol: packet.hw_protocol,
        hw_type: link.hw_type,
        hw_address: link.address,
        payload: copied(mode, packet.data()),
    };
    packet_message(model, &message, buffer);
}
