//! The way of a packet: in by a device or out of this host, through the hooks, to its end.
//!
//! ```text
//!  receive -> PRE_ROUTING -> (route) -> LOCAL_IN -> this host
//!                               |
//!                               +-----> FORWARD -> POST_ROUTING -> out by a device
//!  send ----> LOCAL_OUT ---------------------------^    |
//!                                                       +-> lo: received again
//! ```

use ipq_proto::{Family, HardwareAddress, Hook};

use crate::device::{DeviceIndex, LOOPBACK};
use crate::fate::{Fate, Reason};
use crate::headers::Headers;
use crate::hops::spend_hop;
use crate::machine::Machine;
use crate::packet::{Checksums, Link, Packet, Position};
use crate::receiver::{check_ip, check_transport};
use crate::rule::Decision;
use crate::trace::TraceEvent;

impl Machine {
    /// A packet that enters this kernel from outside, and is counted from now on.
    pub(crate) fn new_packet(&mut self, family: Family, data: &[u8]) -> Packet {
        self.totals.entered += 1;
        Packet {
            owner: None,
            number: self.totals.entered,
            family,
            data: self.buffers.copy(data),
            mark: 0,
            timestamp: None,
            input: None,
            output: None,
            link: Link::default(),
            hw_protocol: ipq_proto::EtherType::NONE,
            checksums: Checksums::Unverified,
        }
    }

    /// A packet comes in by `device`, with the link-layer header it has.
    pub(crate) fn receive_packet(&mut self, mut packet: Packet, device: DeviceIndex) {
        if !self.devices.is_up(device) {
            return self.finish(packet, Fate::Dropped(Reason::DeviceDown));
        }
        packet.input = Some(device);
        packet.output = None;
        packet.owner = None;
        packet.hw_protocol = packet.family.ether_type();
        let now = self.wall_clock();
        packet.timestamp.get_or_insert(now);
        match check_ip(&mut packet) {
            Ok(()) => self.walk(packet, Position::at(Hook::PreRouting)),
            Err(reason) => self.finish(packet, Fate::Dropped(reason)),
        }
    }

    /// A packet is sent by this host.
    pub(crate) fn send_packet(&mut self, mut packet: Packet) {
        let headers = Headers::of(&packet.data);
        let route = headers.destination.and_then(|to| self.routes.device(to));
        packet.output = Some(route.unwrap_or(LOOPBACK));
        if headers.is_fragment {
            // Whoever fragments a packet writes this field; for others it is still empty at LOCAL_OUT.
            packet.hw_protocol = packet.family.ether_type();
        }
        self.walk(packet, Position::at(Hook::LocalOut));
    }

    /// Takes a packet through the hooks from `position` on, until it ends or is queued.
    pub(crate) fn walk(&mut self, packet: Packet, position: Position) {
        let (mut packet, mut position) = (packet, position);
        loop {
            if position.function == 0 {
                self.note(TraceEvent::Hook { packet: packet.number, hook: position.hook });
            }
            match self.rules.decide(&mut packet, &self.devices, position) {
                Decision::Drop => {
                    return self.finish(packet, Fate::Dropped(Reason::Rule(position.hook)));
                }
                Decision::Queue(at, to) => match self.enqueue(packet, at, to) {
                    Some(passed) => {
                        packet = passed;
                        position = at.next_function();
                        continue;
                    }
                    None => return,
                },
                Decision::Pass => (),
            }
            match self.leave_hook(packet, position.hook) {
                Some((on_its_way, hook)) => {
                    packet = on_its_way;
                    position = Position::at(hook);
                }
                None => return,
            }
        }
    }

    /// What comes after a hook: the next one, or the end of the way in this kernel.
    fn leave_hook(&mut self, mut packet: Packet, hook: Hook) -> Option<(Packet, Hook)> {
        match hook {
            Hook::PreRouting => {
                let destination = Headers::of(&packet.data).destination;
                packet.output = destination.and_then(|to| self.routes.device(to));
                if packet.output.is_none() {
                    return Some((packet, Hook::LocalIn));
                }
                if let Err(reason) = spend_hop(packet.family, &mut packet.data) {
                    self.finish(packet, Fate::Dropped(reason));
                    return None;
                }
                Some((packet, Hook::Forward))
            }
            Hook::Forward => Some((packet, Hook::PostRouting)),
            Hook::LocalOut => {
                packet.hw_protocol = packet.family.ether_type();
                Some((packet, Hook::PostRouting))
            }
            Hook::LocalIn => {
                self.deliver(packet);
                None
            }
            _ => {
                self.transmit(packet);
                None
            }
        }
    }

    /// A packet leaves by its output device. What `lo` sends it receives.
    fn transmit(&mut self, mut packet: Packet) {
        let device = packet.output.unwrap_or(LOOPBACK);
        if !self.devices.is_up(device) {
            return self.finish(packet, Fate::Dropped(Reason::DeviceDown));
        }
        if device == LOOPBACK {
            packet.link = self.devices.link(LOOPBACK, HardwareAddress::from_wire(6, [0; 8]));
            return self.receive_packet(packet, LOOPBACK);
        }
        self.deliver(packet);
    }

    /// A packet reaches its receiver, here or at the other end of a device, who looks at all of it.
    fn deliver(&mut self, mut packet: Packet) {
        let fate = match check_ip(&mut packet).and_then(|()| check_transport(&packet)) {
            Ok(()) => Fate::Delivered,
            Err(reason) => Fate::Dropped(reason),
        };
        self.finish(packet, fate);
    }
}
