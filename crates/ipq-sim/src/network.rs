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
use crate::fragment::{Added, PATIENCE, fragments};
use crate::headers::Headers;
use crate::hops::spend_hop;
use crate::machine::{Event, Machine};
use crate::packet::{Checksums, Packet, Parts, Position};
use crate::receiver::{check_ip, check_transport};
use crate::rule::Decision;
use crate::trace::TraceEvent;

impl Machine {
    /// A packet that enters this kernel from outside, and is counted from now on.
    pub(crate) fn new_packet(&mut self, family: Family, data: &[u8]) -> Packet {
        let data = self.memory.bytes.copy(data);
        self.new_packet_of(family, data)
    }

    /// The same, of bytes that are the packet's own.
    pub(crate) fn new_packet_of(&mut self, family: Family, data: Vec<u8>) -> Packet {
        self.totals.entered += 1;
        self.memory.packet(self.totals.entered, family, data)
    }

    /// A packet comes in by `device`, with the link-layer header it has.
    pub(crate) fn receive_packet(&mut self, packet: Packet, device: DeviceIndex) {
        if let Some((packet, hook)) = self.let_in(packet, device) {
            self.walk(packet, Position::at(hook));
        }
    }

    /// A packet comes in by `device`: where it goes first, unless it ends.
    fn let_in(&mut self, mut packet: Packet, device: DeviceIndex) -> Option<(Packet, Hook)> {
        if !self.devices.is_up(device) {
            self.finish(packet, Fate::Dropped(Reason::DeviceDown));
            return None;
        }
        packet.input = Some(device);
        packet.output = None;
        packet.hw_protocol = packet.family.ether_type();
        let now = self.wall_clock();
        packet.timestamp.get_or_insert(now);
        match check_ip(&mut packet) {
            Ok(()) => Some((packet, Hook::PreRouting)),
            Err(reason) => {
                self.finish(packet, Fate::Dropped(reason));
                None
            }
        }
    }

    /// A packet is sent by this host.
    pub(crate) fn send_packet(&mut self, mut packet: Packet) {
        let Headers { destination, is_fragment, .. } = *packet.headers();
        packet.output = Some(self.routes.out_to(destination));
        if is_fragment {
            // Whoever fragments a packet writes this field; for others it is still empty at LOCAL_OUT.
            packet.hw_protocol = packet.family.ether_type();
        }
        self.walk(packet, Position::at(Hook::LocalOut));
    }

    /// Takes a packet through the hooks from `position` on, until it ends or is queued.
    pub(crate) fn walk(&mut self, mut packet: Packet, mut position: Position) {
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
                let destination = packet.headers().destination;
                packet.output = destination.and_then(|to| self.routes.device(to));
                if packet.output.is_none() {
                    // Fragments of IPv6 are put together by what comes behind the hook.
                    let packet = match packet.family {
                        Family::Ipv4 => self.reassemble(packet)?,
                        Family::Ipv6 => packet,
                    };
                    return Some((packet, Hook::LocalIn));
                }
                if let Err(reason) = spend_hop(packet.family, packet.data_mut()) {
                    self.finish(packet, Fate::Dropped(reason));
                    return None;
                }
                if packet.family == Family::Ipv4 {
                    packet.priority = priority_of_service(packet.data());
                }
                Some((packet, Hook::Forward))
            }
            Hook::Forward => Some((packet, Hook::PostRouting)),
            Hook::LocalOut => {
                packet.hw_protocol = packet.family.ether_type();
                Some((packet, Hook::PostRouting))
            }
            Hook::LocalIn => {
                // Those of IPv4 were put together in front of the hook: what a verdict has made one since is none to it.
                let whole = match packet.family {
                    Family::Ipv4 => packet,
                    Family::Ipv6 => self.reassemble(packet)?,
                };
                self.deliver(whole, None);
                None
            }
            _ => self.transmit(packet),
        }
    }

    /// Puts the fragments for this host together: what comes of one is the whole packet, once it is there.
    ///
    /// Those of a capture are left as they are, since it may well lack others.
    fn reassemble(&mut self, mut packet: Packet) -> Option<Packet> {
        if !packet.headers().is_fragment || packet.checksums == Checksums::Verified {
            return Some(packet);
        }
        let now = self.now();
        let fragment = packet.data().to_vec();
        match self.reassembly.add(now, &fragment, packet) {
            Added::Whole(data, mut fragments) => {
                // The first of them to come stands for the whole.
                let mut whole = fragments.remove(0);
                for fragment in fragments {
                    self.finish(fragment, Fate::Reassembled);
                }
                *whole.data_mut() = data;
                Some(whole)
            }
            Added::Waits => {
                self.plan(now.saturating_add(PATIENCE), Event::Expire);
                None
            }
            Added::Refused(packet) => {
                self.finish(packet, Fate::Dropped(Reason::Malformed));
                None
            }
        }
    }

    /// Drops the fragments that have waited long enough.
    pub(crate) fn expire_fragments(&mut self) {
        for packet in self.reassembly.expire(self.now()) {
            self.finish(packet, Fate::Dropped(Reason::ReassemblyTimeout));
        }
    }

    /// A packet leaves by its output device, in fragments if it is too long for it. What `lo` sends it receives, and then
    /// the way goes on.
    fn transmit(&mut self, mut packet: Packet) -> Option<(Packet, Hook)> {
        let device = packet.output.unwrap_or(LOOPBACK);
        if !self.devices.is_up(device) {
            self.finish(packet, Fate::Dropped(Reason::DeviceDown));
            return None;
        }
        let mtu = self.devices.mtu(device);
        if packet.data().len() > mtu && packet.checksums == Checksums::Unverified {
            self.transmit_fragments(packet, mtu);
            return None;
        }
        if device == LOOPBACK {
            packet.link = self.devices.link(LOOPBACK, HardwareAddress::from_wire(6, [0; 8]));
            // What is received is no socket's, and has no other link's header.
            packet.owner = None;
            packet.rare = None;
            return self.let_in(packet, LOOPBACK);
        }
        self.deliver(packet, Some(device));
        None
    }

    fn transmit_fragments(&mut self, packet: Packet, mtu: usize) {
        let identification = u32::try_from(packet.number % (1 << 32)).unwrap_or_default();
        let (family, is_own) = (packet.family, packet.input.is_none());
        let Some(parts) = fragments(family, packet.data(), mtu, identification, is_own) else {
            return self.finish(packet, Fate::Dropped(Reason::TooLong));
        };
        for part in parts {
            let mut fragment = self.new_packet(family, &part);
            let Parts { mark, timestamp, input, output, link, hw_protocol, owner, .. } = *packet;
            (fragment.mark, fragment.timestamp, fragment.input) = (mark, timestamp, input);
            (fragment.output, fragment.link, fragment.hw_protocol) = (output, link, hw_protocol);
            fragment.owner = owner;
            self.note_entered(&fragment, None);
            if let Some((fragment, hook)) = self.transmit(fragment) {
                self.walk(fragment, Position::at(hook));
            }
        }
        self.finish(packet, Fate::Fragmented);
    }

    /// A packet reaches its receiver, who looks at all of it: this host or, by a device, the one at the other end.
    fn deliver(&mut self, mut packet: Packet, device: Option<DeviceIndex>) {
        if let Err(reason) = check_ip(&mut packet).and_then(|()| check_transport(&mut packet)) {
            return self.finish(packet, Fate::Dropped(reason));
        }
        if !self.endpoints.is_empty()
            && let Some(destination) = packet.headers().destination
        {
            match device {
                None => self.arrive_here(&packet, destination),
                Some(device) => self.arrive_beyond(&packet, device, destination),
            }
        }
        self.finish(packet, Fate::Delivered);
    }
}

/// The priority that an IPv4 packet is forwarded with, by the type of service in its header.
#[doc(alias("TOS", "TC_PRIO_BULK", "TC_PRIO_INTERACTIVE"))]
fn priority_of_service(packet: &[u8]) -> u32 {
    const THROUGHPUT: u8 = 0x08;
    const LOW_DELAY: u8 = 0x10;
    const BOTH: u8 = THROUGHPUT | LOW_DELAY;
    match packet.get(1).map(|service| service & BOTH) {
        Some(THROUGHPUT) => 2,
        Some(LOW_DELAY) => 6,
        Some(BOTH) => 4,
        _ => 0,
    }
}
