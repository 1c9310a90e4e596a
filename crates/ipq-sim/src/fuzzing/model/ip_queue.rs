//! `ip_queue`, as the model has it.

use core::fmt::Write;

use ipq_proto::{Errno, Family, Hook};
use ipq_sys::Protocol;

use super::packet::{Packet, Place};
use super::socket::Message;
use super::wire::{ACK, HEADER_LEN, Layout, MULTI, REQUEST, aligned};
use super::{Model, QueueName, SocketName, Waiting};
use crate::fate::{Fate, Reason};

const MODE: u16 = 0x11;
const VERDICT: u16 = 0x12;
const PACKET: u16 = 0x13;
/// The first type that there is not.
const MAX: u16 = 0x14;

/// The flag that has the value of `MSG_TRUNC`.
const TRUNCATED: u16 = 0x20;

const MAX_RANGE: u32 = 0xffff;

/// When a kernel starts: what `Run` tells the simulator.
pub(in crate::fuzzing) const START: u64 = 1_000_000_000;

/// One instance.
#[derive(Debug)]
pub(super) struct IpQueue {
    /// 0 is nobody.
    pub(super) peer: u32,
    mode: u8,
    range: u32,
    pub(super) max_length: u32,
    queue_dropped: u64,
    netlink_dropped: u64,
    pub(super) waiting: Vec<Waiting>,
}

impl Default for IpQueue {
    fn default() -> Self {
        Self {
            peer: 0,
            mode: 0,
            range: 0,
            max_length: 1024,
            queue_dropped: 0,
            netlink_dropped: 0,
            waiting: Vec::new(),
        }
    }
}

impl IpQueue {
    /// The peer goes; what waited is returned.
    pub(super) fn leave(&mut self) -> Vec<Waiting> {
        (self.peer, self.mode, self.range) = (0, 0, 0);
        core::mem::take(&mut self.waiting)
    }

    pub(super) fn file(&self, family: Family) -> String {
        let last = match family {
            Family::Ipv4 => "Netlink dropped   : ",
            Family::Ipv6 => "Netfilter dropped : ",
        };
        let lines = [
            ("Peer PID          : ", self.peer.into()),
            ("Copy mode         : ", self.mode.into()),
            ("Copy range        : ", self.range.into()),
            ("Queue length      : ", self.waiting.len() as u64),
            ("Queue max. length : ", self.max_length.into()),
            ("Queue dropped     : ", self.queue_dropped),
            (last, self.netlink_dropped),
        ];
        lines.iter().fold(String::new(), |mut file, (label, number)| {
            let _ = writeln!(file, "{label}{number}");
            file
        })
    }

    /// A new mode, by its number.
    fn set_mode(&mut self, mode: u8, range: u32) -> Result<(), Errno> {
        (self.mode, self.range) = match mode {
            0 | 1 => (mode, 0),
            2 => (mode, range.min(MAX_RANGE)),
            _ => return Err(Errno::EINVAL),
        };
        Ok(())
    }
}

impl Model {
    /// A program says something to the module of a family.
    pub(super) fn hear_ip_queue(
        &mut self,
        name: SocketName,
        family: Family,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        if !self.ip_queues.contains_key(&family) {
            return Err(Errno::ECONNREFUSED);
        }
        let Some((header, message)) = self.layout.message(datagram) else { return Ok(()) };
        let is_pid = header.port_id != 0 && header.port_id.cast_signed() > 0;
        let has = |flag| header.flags & flag != 0;
        let answer = if !is_pid || !has(REQUEST) || has(MULTI) {
            Err(Errno::EINVAL)
        } else if has(TRUNCATED) {
            Err(Errno::ECOMM)
        } else if header.message_type == 0 || header.message_type >= MAX {
            Err(Errno::EINVAL)
        } else if header.message_type <= 0x10 {
            return Ok(());
        } else {
            let body = &message[HEADER_LEN..];
            self.peer_says(name, family, header.port_id, header.message_type, body)
        };
        if answer.is_err() || has(ACK) {
            let port_id = self.socket(name).port_id;
            let error = answer.err().map(|errno| errno.0);
            let answer = self.layout.answer((header, message), port_id, error, true);
            self.socket(name).put(Message::Exactly(answer, 0));
        }
        Ok(())
    }

    fn peer_says(
        &mut self,
        name: SocketName,
        family: Family,
        sender: u32,
        message_type: u16,
        body: &[u8],
    ) -> Result<(), Errno> {
        if !self.socket(name).is_privileged {
            return Err(Errno::EPERM);
        }
        let layout = self.layout;
        let queue = self.ip_queues.get_mut(&family).expect("it was looked for");
        if queue.peer == 0 {
            queue.peer = sender;
        }
        if queue.peer != sender {
            return Err(Errno::EBUSY);
        }
        let union_len = 3 * layout.word_len;
        if body.len() < union_len {
            return Err(Errno::EINVAL);
        }
        match message_type {
            MODE => {
                let range = layout.word(1, body) & u64::from(u32::MAX);
                queue.set_mode(body[0], u32::try_from(range).expect("half of it"))
            }
            VERDICT => {
                let verdict = layout.u32(body);
                let data_len = layout.word(2, body);
                let data = &body[union_len..];
                if verdict > 5 || verdict == 2 {
                    return Err(Errno::EINVAL);
                }
                let id = layout.word(1, body);
                let at = queue.waiting.iter().position(|waiting| waiting.id == id);
                let at = at.ok_or(Errno::ENOENT)?;
                let Waiting { packet, place, .. } = queue.waiting.remove(at);
                let least = if family == Family::Ipv4 { 20 } else { 40 };
                let is_meant = data_len != 0 && data_len == data.len() as u64;
                let replacement = (is_meant && data.len() >= least).then(|| self.content_of(data));
                self.go_on(packet, place, verdict, replacement);
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// A packet is to wait for the peer's verdict.
    pub(super) fn enter_ip_queue(&mut self, packet: Packet, place: Place) {
        let family = packet.family;
        let queue = self.ip_queues.get_mut(&family).expect("it was looked for");
        let (peer, mode) = (queue.peer, queue.mode);
        let refused = if peer == 0 {
            Some(Reason::NoPeer)
        } else if mode == 0 {
            Some(Reason::CopyModeNone)
        } else if queue.waiting.len() as u64 >= u64::from(queue.max_length) {
            queue.queue_dropped += 1;
            Some(Reason::QueueFull)
        } else {
            None
        };
        if let Some(reason) = refused {
            return self.end(packet, Some(Fate::Dropped(reason)));
        }
        let payload = match (mode, queue.range as usize) {
            (2, 0) => packet.content.bytes(),
            (2, range) => {
                let mut bytes = packet.content.bytes();
                bytes.truncate(range);
                bytes
            }
            _ => Vec::new(),
        };
        // The id is known only if the packet is queued; until then any one will do.
        let reader = self.bound_to(Protocol::ip_queue(family), peer);
        let has_room = reader.is_some_and(|reader| self.socket(reader).has_room());
        let id =
            if has_room { self.id_of(&packet, QueueName::IpQueue(family), place.0) } else { 0 };
        let message = announcement(self.layout, &packet, place.0, id, &payload);
        let is_sent = reader.is_some_and(|reader| self.socket(reader).put(message));
        let queue = self.ip_queues.get_mut(&family).expect("it was looked for");
        if is_sent {
            queue.waiting.push(Waiting { id, packet, place });
        } else {
            queue.netlink_dropped += 1;
            self.end(packet, Some(Fate::Dropped(Reason::ReceiveBufferFull)));
        }
    }
}

/// What the peer is told of a packet.
fn announcement(layout: Layout, packet: &Packet, hook: Hook, id: u64, payload: &[u8]) -> Message {
    // A packet that is about to leave has forgotten how it came.
    let input = packet.input.filter(|_| hook != Hook::PostRouting);
    let link = packet.link.clone().filter(|_| input.is_some());
    let (hw_type, address) = link.unwrap_or_default();
    let (seconds, microseconds) =
        packet.arrived.map_or((0, 0), |time| (START + time / 1_000_000, time % 1_000_000));
    let protocol: [u8; 2] = match packet.family {
        _ if !packet.has_protocol => [0, 0],
        Family::Ipv4 => [0x08, 0x00],
        Family::Ipv6 => [0x86, 0xdd],
    };
    let mut body = Vec::new();
    for word in [id, packet.mark.into(), seconds, microseconds] {
        layout.put_word(word, &mut body);
    }
    layout.put(4, hook.0.into(), &mut body);
    for device in [input, packet.output] {
        let mut name = device.map_or("", super::packet::Device::name).as_bytes().to_vec();
        name.resize(16, 0);
        body.extend(name);
    }
    body.extend(protocol);
    layout.put(2, hw_type.into(), &mut body);
    body.push(u8::try_from(address.len()).expect("no address is that long"));
    body.extend(&address);
    body.resize(body.len() + 8 - address.len(), 0);
    body.resize(body.len().next_multiple_of(layout.word_len), 0);
    layout.put_word(payload.len() as u64, &mut body);
    body.extend(payload);
    let unpadded = body.len();
    body.resize(aligned(unpadded), 0);
    let mut message = Vec::new();
    layout.put_header((PACKET, 0, 0, 0), body.len(), &mut message);
    message.extend(&body);
    Message::Exactly(message, body.len() - unpadded)
}
