//! From a packet to the program and from its verdict back to the packet.

use ipq_proto::ip_queue::{self as wire, VerdictRequest};
use ipq_proto::{CopyMode, Errno, Family, Verdict};
use ipq_sys::Protocol;

use crate::fate::{Fate, Reason};
use crate::ip_queue::{
    Accepted, Refusal, copied, error_message, packet_message, receive, word_sized,
};
use crate::machine::Machine;
use crate::netlink::SocketKey;
use crate::packet::{Checksums, Packet, Position};

/// The longest packet that a replacement may grow to, in bytes.
const MAX_PACKET_LEN: usize = 0xffff;

impl Machine {
    /// A packet has hit the QUEUE target of the function at `position`.
    pub(crate) fn enqueue(&mut self, packet: Packet, position: Position) {
        if let Err((packet, reason)) = self.try_enqueue(packet, position) {
            self.finish(packet, Fate::Dropped(reason));
        }
    }

    fn try_enqueue(&mut self, packet: Packet, position: Position) -> Result<(), (Packet, Reason)> {
        let family = packet.family;
        let Some(queue) = self.queue(family) else { return Err((packet, Reason::NoQueue)) };
        let (peer, mode) = match queue.admit() {
            Ok(admitted) => admitted,
            Err(Refusal::NoPeer) => return Err((packet, Reason::NoPeer)),
            Err(Refusal::CopyModeNone) => return Err((packet, Reason::CopyModeNone)),
            Err(Refusal::Full) => return Err((packet, Reason::QueueFull)),
        };
        let id = queue.next_id();
        let message = self.announce(&packet, position, id, mode);
        let socket = self.sockets.find_mut(Protocol::ip_queue(family), peer);
        let delivered = socket.is_some_and(|socket| socket.deliver(message));
        match self.queue(family) {
            Some(queue) if delivered => {
                queue.enqueue(packet, position);
                Ok(())
            }
            Some(queue) => {
                queue.count_lost_message();
                Err((packet, Reason::ReceiveBufferFull))
            }
            None => Err((packet, Reason::NoQueue)),
        }
    }

    /// The message that tells the program of a packet.
    fn announce(&self, packet: &Packet, position: Position, id: u64, mode: CopyMode) -> Vec<u8> {
        let timestamp = packet.timestamp.map_or(wire::Timestamp::NONE, |time| wire::Timestamp {
            seconds: word_sized(self.model, time.seconds()),
            microseconds: i64::from(time.nanoseconds() / 1000),
        });
        let message = wire::Packet {
            id,
            mark: packet.mark.into(),
            timestamp,
            hook: position.hook,
            input_device: self.devices.name(packet.input),
            output_device: self.devices.name(packet.output),
            hw_protocol: packet.hw_protocol,
            hw_type: packet.link.hw_type,
            hw_address: packet.link.address,
            payload: copied(mode, &packet.data),
        };
        packet_message(self.model, &message)
    }

    /// A program sends `datagram` on its socket.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if the module is not there to hear it. What the module refuses it answers with a message.
    pub(crate) fn datagram_from_user(
        &mut self,
        key: SocketKey,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        let model = self.model;
        let socket = self.sockets.get(key);
        let (port_id, privileged) = (socket.port_id, socket.privileged);
        let Some(family) = socket.protocol.family() else { return Err(Errno::ECONNREFUSED) };
        let queue = self.queue(family).ok_or(Errno::ECONNREFUSED)?;
        let Some((request, accepted)) = receive(queue, model, privileged, datagram) else {
            return Ok(());
        };
        let error = match accepted {
            Ok(Accepted::Nothing) => return Ok(()),
            Ok(Accepted::Mode) => None,
            Ok(Accepted::Verdict(verdict)) => self.carry_out(family, &verdict).err(),
            Err(errno) => Some(errno),
        };
        if error.is_some() || request.header.flags.contains(ipq_proto::netlink::Flags::ACK) {
            let reply = error_message(model, port_id, &request, error);
            self.sockets.get(key).deliver(reply);
        }
        Ok(())
    }

    /// Does what a verdict says, before it is acknowledged.
    fn carry_out(&mut self, family: Family, verdict: &VerdictRequest<'_>) -> Result<(), Errno> {
        let queue = self.queue(family).ok_or(Errno::ENOENT)?;
        let (mut packet, position) = queue.take(verdict.id).ok_or(Errno::ENOENT)?;
        let replaced = verdict.replacement().map_or(Ok(()), |with| replace(&mut packet, with));
        match (replaced, verdict.verdict) {
            (Err(reason), _) => self.finish(packet, Fate::Dropped(reason)),
            (Ok(()), Verdict::Accept) => self.walk(packet, position.next_function()),
            (Ok(()), Verdict::Repeat) => self.walk(packet, position),
            (Ok(()), Verdict::Queue) => self.enqueue(packet, position),
            (Ok(()), Verdict::Stop) => self.walk(packet, position.past_all()),
            (Ok(()), _) => self.finish(packet, Fate::Dropped(Reason::Verdict)),
        }
        // Only now: a packet that was queued again has got an id of its own meanwhile.
        if let Some(queue) = self.queue(family) {
            queue.release(verdict.id);
        }
        Ok(())
    }

    /// A program closes one descriptor of its socket. The peer is gone with the last one of any socket that has
    /// the peer's port id, and takes with it what was queued.
    pub(crate) fn close(&mut self, key: SocketKey) {
        let Some(socket) = self.sockets.close(key) else { return };
        let Some(family) = socket.protocol.family() else { return };
        let Some(queue) = self.queue(family).filter(|queue| queue.peer() == Some(socket.port_id))
        else {
            return;
        };
        queue.reset();
        let flushed = queue.flush(|_| true);
        self.finish_all(flushed, Reason::PeerClosed);
    }

    /// Takes the module out of the kernel, and drops what it had queued.
    pub(crate) fn unload_module(&mut self, family: Family) {
        let Some(mut queue) = self.unload(family) else { return };
        self.finish_all(queue.flush(|_| true), Reason::ModuleUnloaded);
    }

    /// Takes a device down, and drops what is queued and touches it.
    pub(crate) fn device_down(&mut self, name: &str) {
        let device = self.devices.index(name);
        self.devices.set_up(device, false);
        for family in Family::ALL {
            let Some(queue) = self.queue(family) else { continue };
            let flushed = queue.flush(|packet| packet.touches(device));
            self.finish_all(flushed, Reason::DeviceDown);
        }
    }

    fn finish_all(&mut self, packets: Vec<Packet>, reason: Reason) {
        for packet in packets {
            self.finish(packet, Fate::Dropped(reason));
        }
    }
}

/// Replaces the bytes of a packet. A replacement shorter than an IP header is ignored, silently.
fn replace(packet: &mut Packet, replacement: &[u8]) -> Result<(), Reason> {
    if replacement.len() < packet.family.header_len() {
        return Ok(());
    }
    if replacement.len() > packet.data.len().max(MAX_PACKET_LEN) {
        return Err(Reason::ReplacementTooLong);
    }
    packet.data.clear();
    packet.data.extend_from_slice(replacement);
    packet.checksums = Checksums::Unverified;
    Ok(())
}
