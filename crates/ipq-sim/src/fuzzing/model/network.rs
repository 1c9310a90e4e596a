//! The way of a packet through the kernel, as the model has it.

use ipq_proto::{Family, Hook};

use super::packet::{Content, Device, Packet, Place};
use super::{End, Model};
use crate::fate::{Fate, Reason};

/// A rule: for packets of a family, or with a mark, or for all, in a table of a hook.
#[derive(Clone, Debug)]
pub(in crate::fuzzing) struct Rule {
    pub(in crate::fuzzing) hook: Hook,
    /// `raw`, `mangle`, `filter`: 0 to 2.
    pub(in crate::fuzzing) table: usize,
    pub(in crate::fuzzing) family: Option<Family>,
    pub(in crate::fuzzing) mark: Option<u32>,
    pub(in crate::fuzzing) target: Target,
}

/// What a rule does.
#[derive(Clone, Copy, Debug)]
pub(in crate::fuzzing) enum Target {
    Accept,
    Drop,
    Mark(u32),
    /// To a queue; where nobody has it the packet passes, if it says so.
    Queue {
        number: u16,
        bypass: bool,
    },
}

/// How many tables a hook has.
const TABLES: usize = 3;

/// What a packet is told at a hook.
enum Decision {
    Pass,
    Drop,
    Queue(usize, u16, bool),
}

impl Model {
    /// A packet is handed in; it enters when the kernel gets to it.
    pub(in crate::fuzzing) fn receive_packet(
        &mut self,
        device: Device,
        sender: &[u8],
        family: Family,
        content: Content,
        mark: u32,
    ) {
        let mut packet = self.packet(family, content, mark);
        packet.link = device.link(sender);
        self.to_come.push_back((packet, Some(device)));
    }

    /// This host is to send a packet.
    pub(in crate::fuzzing) fn send_packet(
        &mut self,
        family: Family,
        content: Content,
        mark: u32,
        owner: Option<(u32, u32)>,
    ) {
        let packet = self.packet(family, content, mark);
        self.to_come.push_back((Packet { owner, ..packet }, None));
    }

    fn packet(&mut self, family: Family, content: Content, mark: u32) -> Packet {
        self.entered += 1;
        Packet {
            number: self.entered,
            family,
            content,
            mark,
            priority: 0,
            arrived: None,
            input: None,
            output: None,
            link: None,
            has_protocol: false,
            owner: None,
        }
    }

    /// The next thing happens; says whether there was one.
    pub(in crate::fuzzing) fn step(&mut self) -> bool {
        let Some((packet, device)) = self.to_come.pop_front() else { return false };
        if let Some(device) = device {
            self.come_in(packet, device);
        } else {
            let output = Some(route(&packet).unwrap_or(Device::Loopback));
            self.walk(Packet { output, ..packet }, (Hook::LocalOut, 0));
        }
        true
    }

    /// Everything happens that is due, and then time passes.
    pub(in crate::fuzzing) fn advance(&mut self, microseconds: u64) {
        while self.step() {}
        self.time += microseconds;
    }

    /// How many packets are yet to enter.
    pub(in crate::fuzzing) fn pending(&self) -> u64 {
        self.to_come.len() as u64
    }

    pub(in crate::fuzzing) fn set_device(&mut self, device: Device, is_up: bool) {
        if is_up {
            self.down.remove(&device);
            return;
        }
        self.down.insert(device);
        let queues = self.ip_queues.values_mut().map(|queue| &mut queue.waiting);
        let nfqueues = self.nfqueues.iter_mut().flatten().map(|(_, queue)| &mut queue.waiting);
        let mut dropped = Vec::new();
        for waiting in queues.chain(nfqueues) {
            let touches = |packet: &Packet| [packet.input, packet.output].contains(&Some(device));
            dropped.extend(waiting.extract_if(.., |waiting| touches(&waiting.packet)));
        }
        self.drop_all(dropped.into_iter().map(|waiting| waiting.packet), Reason::DeviceDown);
    }

    fn come_in(&mut self, mut packet: Packet, device: Device) {
        if self.down.contains(&device) {
            return self.end(packet, Some(Fate::Dropped(Reason::DeviceDown)));
        }
        (packet.input, packet.output, packet.has_protocol) = (Some(device), None, true);
        packet.arrived.get_or_insert(self.time);
        match packet.content.check_ip() {
            Ok(()) => self.walk(packet, (Hook::PreRouting, 0)),
            Err(reason) => self.end(packet, Some(Fate::Dropped(reason))),
        }
    }

    /// Takes a packet on from a place.
    pub(super) fn walk(&mut self, mut packet: Packet, mut place: Place) {
        loop {
            let (hook, table) = place;
            match self.decide(&mut packet, hook, table) {
                Decision::Drop => {
                    return self.end(packet, Some(Fate::Dropped(Reason::Rule(hook))));
                }
                Decision::Queue(table, number, bypass) => {
                    let Some(passed) = self.queue(packet, (hook, table), number, bypass) else {
                        return;
                    };
                    (packet, place) = (passed, (hook, table + 1));
                }
                Decision::Pass => {
                    let Some((on_its_way, next)) = self.behind(packet, hook) else { return };
                    (packet, place) = (on_its_way, (next, 0));
                }
            }
        }
    }

    fn decide(&self, packet: &mut Packet, hook: Hook, first: usize) -> Decision {
        for table in first..TABLES {
            for rule in self.rules.iter().filter(|rule| rule.hook == hook && rule.table == table) {
                let is_meant = rule.family.is_none_or(|family| family == packet.family)
                    && rule.mark.is_none_or(|mark| mark == packet.mark);
                match rule.target {
                    _ if !is_meant => (),
                    Target::Mark(mark) => packet.mark = mark,
                    Target::Accept => break,
                    Target::Drop => return Decision::Drop,
                    Target::Queue { number, bypass } => {
                        return Decision::Queue(table, number, bypass);
                    }
                }
            }
        }
        Decision::Pass
    }

    /// What comes behind a hook; `None` if the packet has come to its end.
    fn behind(&mut self, mut packet: Packet, hook: Hook) -> Option<(Packet, Hook)> {
        match hook {
            Hook::PreRouting => {
                packet.output = route(&packet);
                if packet.output.is_none() {
                    return Some((packet, Hook::LocalIn));
                }
                if let Err(reason) = packet.content.spend_hop() {
                    self.end(packet, Some(Fate::Dropped(reason)));
                    return None;
                }
                if packet.family == Family::Ipv4 {
                    // By its type of service, which is none.
                    packet.priority = 0;
                }
                Some((packet, Hook::Forward))
            }
            Hook::Forward => Some((packet, Hook::PostRouting)),
            Hook::LocalOut => {
                packet.has_protocol = true;
                Some((packet, Hook::PostRouting))
            }
            Hook::LocalIn => {
                // Those of IPv6 are put together behind this hook.
                self.is_lost |= packet.family == Family::Ipv6 && packet.content.has_extension();
                self.arrive(packet);
                None
            }
            _ => {
                let device = packet.output.expect("it is known where it leaves");
                if self.down.contains(&device) {
                    self.end(packet, Some(Fate::Dropped(Reason::DeviceDown)));
                } else if device == Device::Loopback {
                    packet.link = device.link(&[0; 6]);
                    packet.owner = None;
                    self.come_in(packet, device);
                } else {
                    self.arrive(packet);
                }
                None
            }
        }
    }

    /// A packet reaches its receiver, who looks at all of it.
    fn arrive(&mut self, mut packet: Packet) {
        let fate = match packet.content.check_all() {
            Ok(()) => Fate::Delivered,
            Err(reason) => Fate::Dropped(reason),
        };
        let is_known = packet.content.is_known();
        self.end(packet, is_known.then_some(fate));
    }

    pub(super) fn end(&mut self, packet: Packet, fate: Option<Fate>) {
        match fate {
            Some(Fate::Delivered) => self.totals.delivered += 1,
            Some(_) => self.totals.dropped += 1,
            // One of the two.
            None => self.unknown_ends += 1,
        }
        let name = |device: Option<Device>| device.map_or("", Device::name);
        self.ended.push(End {
            number: packet.number,
            fate,
            family: packet.family,
            arrived: packet.arrived,
            mark: packet.mark,
            devices: [name(packet.input), name(packet.output)],
            content: packet.content,
        });
    }

    /// What a verdict makes of a packet that has left its queue.
    ///
    /// The lowest byte is the decision. What else `nfnetlink_queue` lets through is the number of a queue, whether the
    /// packet passes where nobody has it, and, with REPEAT, nothing that the kernel knows.
    pub(super) fn go_on(
        &mut self,
        mut packet: Packet,
        place: Place,
        verdict: u32,
        replacement: Option<Content>,
    ) {
        let (hook, table) = place;
        if let Some(replacement) = replacement {
            if replacement.bytes().len() > 0xffff {
                return self.end(packet, Some(Fate::Dropped(Reason::ReplacementTooLong)));
            }
            packet.content = replacement;
            if hook == Hook::LocalOut {
                packet.output = Some(route(&packet).unwrap_or(Device::Loopback));
            }
        }
        match verdict & 0xff {
            1 => self.walk(packet, (hook, table + 1)),
            3 => {
                let number = u16::try_from(verdict >> 16).expect("half of it");
                let bypass = verdict & 0x8000 != 0;
                if let Some(packet) = self.queue(packet, place, number, bypass) {
                    self.walk(packet, (hook, table + 1));
                }
            }
            4 if verdict == 4 => self.walk(packet, place),
            5 => self.walk(packet, (hook, TABLES)),
            _ => self.end(packet, Some(Fate::Dropped(Reason::Verdict))),
        }
    }

    /// Puts a packet into a queue; it comes back if it passes instead.
    fn queue(&mut self, packet: Packet, place: Place, number: u16, bypass: bool) -> Option<Packet> {
        if self.ip_queues.contains_key(&packet.family) {
            self.enter_ip_queue(packet, place);
            return None;
        }
        self.enter_nfqueue(packet, place, number, bypass)
    }

    /// What a replacement is, of which these are the bytes.
    pub(super) fn content_of(&self, bytes: &[u8]) -> Content {
        let known = self.known.iter().find(|content| content.bytes() == bytes);
        known.cloned().unwrap_or_else(|| Content::Opaque(bytes.to_vec()))
    }
}

/// The device by which a packet leaves; `None` if it is for this host.
fn route(packet: &Packet) -> Option<Device> {
    packet.content.is_for_beyond().then_some(Device::Eth1)
}
