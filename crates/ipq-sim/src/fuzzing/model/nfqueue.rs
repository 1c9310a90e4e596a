//! `nfnetlink_queue`, as the model has it.

use ipq_proto::{Errno, Family, Hook};

use super::ip_queue::START;
use super::packet::{Content, Device, Packet, Place};
use super::socket::{Announcement, Message};
use super::wire::{ACK, HEADER_LEN, Header, Layout, REQUEST, aligned};
use super::{Model, QueueName, SocketName, Waiting};
use crate::fate::{Fate, Reason};

/// The subsystem, in the upper half of the type.
const SUBSYSTEM: u16 = 3;

/// The messages of the subsystem.
const PACKET: u16 = 0;
const VERDICT: u16 = 1;
const CONFIG: u16 = 2;
const BATCH: u16 = 3;

/// The kernel's own `ENOTSUPP`.
const NOT_SUPPORTED: Errno = Errno(524);

const MAX_RANGE: u32 = 65_531;

const FAIL_OPEN: u32 = 1;
const CONNTRACK: u32 = 2;
const UID_GID: u32 = 8;
const ALL_FLAGS: u32 = 31;

/// A queue that a program has.
#[derive(Debug)]
pub(super) struct Nfqueue {
    /// By port id.
    pub(super) owner: u32,
    socket: SocketName,
    /// Which one it is of all that there have been.
    pub(super) birth: u64,
    mode: u8,
    range: u32,
    max_length: u32,
    flags: u32,
    queue_dropped: u64,
    user_dropped: u64,
    last_id: u32,
    pub(super) waiting: Vec<Waiting>,
}

impl Nfqueue {
    pub(super) fn line(&self, number: u16) -> String {
        let Self { owner, mode, range, queue_dropped, user_dropped, last_id, .. } = self;
        format!(
            "{number:5} {owner:6} {:5} {mode:1} {range:5} {queue_dropped:5} {user_dropped:5} {last_id:8}  1",
            self.waiting.len()
        )
    }

    fn set_mode(&mut self, mode: u8, range: u32) {
        match mode {
            0 | 1 => (self.mode, self.range) = (mode, 0),
            2 if range == 0 => (self.mode, self.range) = (2, MAX_RANGE),
            2 => (self.mode, self.range) = (2, range.min(MAX_RANGE)),
            _ => (),
        }
    }
}

/// The data of the last attribute of a kind.
fn last<'a>(attributes: &[(u16, &'a [u8])], kind: u16) -> Option<&'a [u8]> {
    attributes.iter().rev().find(|(other, _)| *other == kind).map(|(_, data)| *data)
}

/// The number in network order at the start of some data.
fn big_endian(data: &[u8]) -> u32 {
    u32::from_be_bytes(data[..4].try_into().expect("its length was checked"))
}

fn number(attributes: &[(u16, &[u8])], kind: u16) -> Option<u32> {
    last(attributes, kind).map(big_endian)
}

/// Attributes of a known length must have it.
fn check(attributes: &[(u16, &[u8])], least: &[(u16, usize)]) -> Result<(), Errno> {
    let is_short = attributes
        .iter()
        .any(|(kind, data)| least.iter().any(|(known, len)| kind == known && data.len() < *len));
    if is_short { Err(Errno::ERANGE) } else { Ok(()) }
}

impl Model {
    /// A program says something to netfilter: any number of messages.
    pub(super) fn hear_netfilter(
        &mut self,
        name: SocketName,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        if datagram.is_empty() {
            return Err(Errno::ENODATA);
        }
        let mut rest = datagram;
        while let Some((header, message)) = self.layout.message(rest) {
            rest = &rest[aligned(message.len()).min(rest.len())..];
            let is_privileged = self.socket(name).is_privileged;
            let error = if is_privileged {
                self.hear_message(name, header, &message[HEADER_LEN..]).err()
            } else {
                Some(Errno::EPERM)
            };
            if error.is_some() || header.flags & ACK != 0 {
                let port_id = self.socket(name).port_id;
                let is_old = !self.ip_queues.is_empty();
                let error = error.map(|errno| errno.0);
                let answer = self.layout.answer((header, message), port_id, error, is_old);
                self.socket(name).put(Message::Exactly(answer, 0));
            }
            if !is_privileged {
                break;
            }
        }
        Ok(())
    }

    fn hear_message(&mut self, name: SocketName, header: Header, body: &[u8]) -> Result<(), Errno> {
        if header.flags & REQUEST == 0 || header.message_type < 16 {
            return Ok(());
        }
        if self.nfqueues.is_none() {
            return Err(Errno::EINVAL);
        }
        if body.len() < 4 {
            return Ok(());
        }
        if header.message_type >> 8 != SUBSYSTEM {
            return Err(Errno::EOPNOTSUPP);
        }
        let queue = u16::from_be_bytes([body[2], body[3]]);
        let attributes = self.layout.attributes(&body[4..]);
        match header.message_type & 0xff {
            PACKET => Err(NOT_SUPPORTED),
            CONFIG => {
                check(&attributes, &[(1, 4), (2, 5), (3, 4), (4, 4), (5, 4)])?;
                self.configure(name, queue, &attributes)
            }
            kind @ (VERDICT | BATCH) => {
                check(&attributes, &[(2, 8), (3, 4), (21, 4)])?;
                let is_cut_vlan =
                    |(kind, data): &(u16, &[u8])| *kind == 19 && (1..4).contains(&data.len());
                if kind == VERDICT && attributes.iter().any(is_cut_vlan) {
                    return Err(Errno::ERANGE);
                }
                self.give_verdict(name, queue, &attributes, kind == BATCH)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn configure(
        &mut self,
        name: SocketName,
        number: u16,
        attributes: &[(u16, &[u8])],
    ) -> Result<(), Errno> {
        let command = last(attributes, 1);
        if let Some([command @ (3 | 4), _, high, low, ..]) = command {
            return self.bind_family(*command == 3, u16::from_be_bytes([*high, *low]));
        }
        let (mask, flags) = (self::number(attributes, 4), self::number(attributes, 5));
        if let Some(flags) = flags {
            let mask = mask.ok_or(Errno::EINVAL)?;
            if flags & !ALL_FLAGS != 0 || flags & mask & CONNTRACK != 0 {
                return Err(Errno::EOPNOTSUPP);
            }
        }
        let owner = self.socket(name).port_id;
        let queues = self.nfqueues.as_mut().expect("it was looked for");
        if queues.get(&number).is_some_and(|queue| queue.owner != owner) {
            return Err(Errno::EPERM);
        }
        match command.map(|command| command[0]) {
            None => (),
            Some(1) if queues.contains_key(&number) => return Err(Errno::EBUSY),
            Some(1) => {
                self.births += 1;
                queues.insert(
                    number,
                    Nfqueue {
                        owner,
                        socket: name,
                        birth: self.births,
                        mode: 0,
                        range: MAX_RANGE,
                        max_length: 1024,
                        flags: 0,
                        queue_dropped: 0,
                        user_dropped: 0,
                        last_id: 0,
                        waiting: Vec::new(),
                    },
                );
            }
            Some(2) => {
                let queue = queues.remove(&number).ok_or(Errno::ENODEV)?;
                let packets = queue.waiting.into_iter().map(|waiting| waiting.packet);
                self.drop_all(packets, Reason::PeerClosed);
                return Ok(());
            }
            Some(_) => return Err(Errno::EOPNOTSUPP),
        }
        let queue = queues.get_mut(&number).ok_or(Errno::ENODEV)?;
        if let Some(parameters) = last(attributes, 2) {
            queue.set_mode(parameters[4], big_endian(parameters));
        }
        if let (Some(flags), Some(mask)) = (flags, mask) {
            queue.flags = queue.flags & !mask | flags & mask;
        }
        queue.max_length = self::number(attributes, 3).unwrap_or(queue.max_length);
        Ok(())
    }

    /// Makes `nfnetlink_queue` the handler of a family, or no longer, which it cannot be where `ip_queue` is.
    fn bind_family(&mut self, is_bind: bool, family: u16) -> Result<(), Errno> {
        let family = match family {
            2 => Family::Ipv4,
            10 => Family::Ipv6,
            _ => return Ok(()),
        };
        if self.ip_queues.contains_key(&family) {
            return Err(if is_bind { Errno::EBUSY } else { Errno::EINVAL });
        }
        if is_bind {
            self.bound.insert(family);
        } else {
            self.bound.remove(&family);
        }
        Ok(())
    }

    fn give_verdict(
        &mut self,
        name: SocketName,
        number: u16,
        attributes: &[(u16, &[u8])],
        is_batch: bool,
    ) -> Result<(), Errno> {
        let owner = self.socket(name).port_id;
        let queues = self.nfqueues.as_mut().expect("it was looked for");
        let queue = queues.get_mut(&number).ok_or(Errno::ENODEV)?;
        if queue.owner != owner {
            return Err(Errno::EPERM);
        }
        let header = last(attributes, 2).ok_or(Errno::EINVAL)?;
        let (verdict, id) = (big_endian(header), big_endian(&header[4..]));
        if verdict & 0xff > 5 || verdict & 0xff == 2 {
            return Err(Errno::EINVAL);
        }
        let number_of = |waiting: &Waiting| u32::try_from(waiting.id).expect("these ids are short");
        let decided: Vec<_> = if is_batch {
            // From the oldest on, up to the first one that is later.
            let is_later =
                |waiting: &Waiting| number_of(waiting).wrapping_sub(id).cast_signed() > 0;
            let end = queue.waiting.iter().position(is_later).unwrap_or(queue.waiting.len());
            queue.waiting.drain(..end).collect()
        } else {
            queue.waiting.extract_if(.., |waiting| number_of(waiting) == id).collect()
        };
        if decided.is_empty() {
            return Err(Errno::ENOENT);
        }
        let replacement = last(attributes, 10).filter(|_| !is_batch);
        for Waiting { mut packet, place, .. } in decided {
            packet.mark = self::number(attributes, 3).unwrap_or(packet.mark);
            packet.priority = self::number(attributes, 21).unwrap_or(packet.priority);
            let replacement: Option<Content> = replacement.map(|data| self.content_of(data));
            self.go_on(packet, place, verdict, replacement);
        }
        Ok(())
    }

    /// A packet is to wait in a queue; it comes back if it passes instead.
    pub(super) fn enter_nfqueue(
        &mut self,
        packet: Packet,
        place: Place,
        number: u16,
        bypass: bool,
    ) -> Option<Packet> {
        let queue = self.nfqueues.as_mut().map(|queues| queues.get_mut(&number));
        let queue = match queue {
            None | Some(None) if bypass => return Some(packet),
            None => return self.refuse(packet, Reason::NoQueue),
            Some(None) => return self.refuse(packet, Reason::NoPeer),
            Some(Some(queue)) => queue,
        };
        if queue.mode == 0 {
            return self.refuse(packet, Reason::CopyModeNone);
        }
        let fails_open = queue.flags & FAIL_OPEN != 0;
        if queue.waiting.len() as u64 >= u64::from(queue.max_length) {
            if fails_open {
                return Some(packet);
            }
            queue.queue_dropped += 1;
            return self.refuse(packet, Reason::QueueFull);
        }
        loop {
            queue.last_id = queue.last_id.wrapping_add(1);
            let id = u64::from(queue.last_id);
            if !queue.waiting.iter().any(|waiting| waiting.id == id) {
                break;
            }
        }
        let (id, reader) = (queue.last_id, queue.socket);
        let message = announcement(self.layout, &packet, place.0, (number, id), queue);
        if self.socket(reader).put(Message::Announcement(message)) {
            let told = self.id_of(&packet, QueueName::Nfqueue(number), place.0);
            assert_eq!(told, u64::from(id), "the id of {packet:?}");
            let queue = self.nfqueues.as_mut().and_then(|queues| queues.get_mut(&number));
            queue.expect("it is there").waiting.push(Waiting { id: told, packet, place });
            return None;
        }
        if fails_open {
            return Some(packet);
        }
        let queue = self.nfqueues.as_mut().and_then(|queues| queues.get_mut(&number));
        queue.expect("it is there").user_dropped += 1;
        self.refuse(packet, Reason::ReceiveBufferFull)
    }

    fn refuse(&mut self, packet: Packet, reason: Reason) -> Option<Packet> {
        self.end(packet, Some(Fate::Dropped(reason)));
        None
    }

    /// A queue counts on from another id.
    pub(in crate::fuzzing) fn set_last_id(&mut self, number: u16, id: u32) {
        if let Some(queue) = self.nfqueues.as_mut().and_then(|queues| queues.get_mut(&number)) {
            queue.last_id = id;
        }
    }
}

/// What the program is told of a packet.
fn announcement(
    layout: Layout,
    packet: &Packet,
    hook: Hook,
    (number, id): (u16, u32),
    queue: &Nfqueue,
) -> Announcement {
    let (family, protocol) = match packet.family {
        Family::Ipv4 => (2, [0x08, 0x00]),
        Family::Ipv6 => (10, [0x86, 0xdd]),
    };
    let mut head = Vec::new();
    layout.put_header((SUBSYSTEM << 8 | PACKET, 0, 0, 0), 0, &mut head);
    head.extend([family, 0]);
    head.extend(number.to_be_bytes());

    let be32 = |number: u32| number.to_be_bytes().to_vec();
    let [.., hook_byte] = hook.0.to_be_bytes();
    let mut attributes = vec![(1, [&id.to_be_bytes()[..], &protocol, &[hook_byte]].concat())];
    let mut add =
        |kind: u16, data: Option<Vec<u8>>| attributes.extend(data.map(|data| (kind, data)));
    add(3, Some(packet.mark).filter(|mark| *mark != 0).map(be32));
    add(21, Some(packet.priority).filter(|priority| *priority != 0).map(be32));
    let is_timed = packet.input.is_some() && hook != Hook::PostRouting;
    add(
        4,
        packet.arrived.filter(|_| is_timed).map(|time| {
            let seconds = START + time / 1_000_000;
            [seconds.to_be_bytes(), (time % 1_000_000).to_be_bytes()].concat()
        }),
    );
    add(5, packet.input.map(Device::index).map(be32));
    add(6, packet.output.map(Device::index).map(be32));
    let address = packet.link.as_ref().map(|(_, address)| address);
    add(
        9,
        address.filter(|address| !address.is_empty()).map(|address| {
            let [high, low] = u16::try_from(address.len()).expect("it is short").to_be_bytes();
            let mut data = [&[high, low, 0, 0][..], address].concat();
            data.resize(12, 0);
            data
        }),
    );
    // Nobody has looked yet at the checksums of what comes from outside.
    add(14, packet.input.map(|_| be32(4)));
    let owner = packet.owner.filter(|_| queue.flags & UID_GID != 0);
    add(16, owner.map(|(uid, _)| be32(uid)));
    add(17, owner.map(|(_, gid)| be32(gid)));
    if queue.mode == 2 {
        let bytes = packet.content.bytes();
        let range = (queue.range as usize).min(bytes.len());
        let is_cut = range < bytes.len();
        add(13, is_cut.then(|| be32(u32::try_from(bytes.len()).expect("no packet is so long"))));
        add(10, Some(bytes[..range].to_vec()));
    }
    Announcement::new(head, attributes)
}
