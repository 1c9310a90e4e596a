//! The simulated kernel itself: [`Machine`], and what happens in it when.
//!
//! One thread, no clock but its own, nothing random but what the seed gives. It runs only while somebody steps
//! it. The way of a packet is in [`network`](crate::network), queues and verdicts are in
//! [`queueing`](crate::queueing).

use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use core::cmp::Reverse;
use core::time::Duration;

use ipq_proto::{DataModel, Family};
use ipq_sys::{Clock, Deadline, Stepped};

use crate::capture::Timestamp;
use crate::device::{DeviceIndex, Devices};
use crate::fate::{Fate, Outcome, Totals};
use crate::ip_queue::IpQueue;
use crate::netlink::Sockets;
use crate::packet::Packet;
use crate::replay::Replays;
use crate::route::Routes;
use crate::rule::Rules;

/// All state of a simulated kernel.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) model: DataModel,
    seed: u64,
    clock: Clock,
    /// The wall-clock time at which `clock` was zero, once it is known.
    epoch: Option<Timestamp>,
    agenda: BinaryHeap<Reverse<Appointment>>,
    appointments: u64,
    pub(crate) devices: Devices,
    pub(crate) routes: Routes,
    pub(crate) rules: Rules,
    pub(crate) sockets: Sockets,
    /// The loaded modules: IPv4, then IPv6.
    queues: [Option<IpQueue>; 2],
    pub(crate) replays: Replays,
    pub(crate) totals: Totals,
    /// Packets that have ended, unless they are only counted.
    pub(crate) outcomes: Option<Vec<Outcome>>,
}

/// Something that is to happen at a time. What is due at the same time happens in the order it was planned.
#[derive(Debug)]
struct Appointment {
    time: Clock,
    number: u64,
    event: Event,
}

/// What can happen by itself.
#[derive(Debug)]
pub(crate) enum Event {
    /// A packet comes in by a device.
    Receive(Packet, DeviceIndex),
    /// A packet is sent by this host.
    Send(Packet),
    /// The next packet of a capture is due.
    Replay(usize),
}

impl Machine {
    /// A kernel with `lo`, no rules, and both modules loaded.
    pub(crate) fn new(model: DataModel, seed: u64, epoch: Option<Timestamp>) -> Self {
        let mut machine = Self {
            model,
            seed,
            clock: Duration::ZERO,
            epoch,
            agenda: BinaryHeap::new(),
            appointments: 0,
            devices: Devices::new(),
            routes: Routes::default(),
            rules: Rules::default(),
            sockets: Sockets::default(),
            queues: [None, None],
            replays: Replays::default(),
            totals: Totals::default(),
            outcomes: Some(Vec::new()),
        };
        for family in Family::ALL {
            machine.load(family);
        }
        machine
    }

    /// The simulated time since this kernel started.
    pub(crate) fn now(&self) -> Clock {
        self.clock
    }

    /// The simulated wall-clock time.
    pub(crate) fn wall_clock(&self) -> Timestamp {
        self.epoch.unwrap_or(Timestamp::EPOCH).saturating_add(self.clock)
    }

    /// The time at which a packet of a capture is due. The first one of all sets the wall clock, unless it was
    /// set before; one that is older than the time it is now is due at once.
    pub(crate) fn due(&mut self, timestamp: Timestamp) -> Clock {
        let clock = self.clock;
        let epoch = *self.epoch.get_or_insert_with(|| timestamp.saturating_sub(clock));
        timestamp.since(epoch).unwrap_or(Duration::ZERO).max(clock)
    }

    /// Plans `event` for `time`.
    pub(crate) fn plan(&mut self, time: Clock, event: Event) {
        let number = self.appointments;
        self.appointments += 1;
        self.agenda.push(Reverse(Appointment { time, number, event }));
    }

    /// Lets the next thing happen, unless that is later than `deadline`. Time runs to what happens or, if nothing
    /// does, to the deadline.
    pub(crate) fn step(&mut self, deadline: Deadline) -> Stepped {
        let limit = match deadline {
            Deadline::Immediate => return Stepped::TimedOut,
            Deadline::At(time) => Some(time.max(self.clock)),
            Deadline::Never => None,
        };
        let due = |next: &PeekMut<'_, _>| {
            let Reverse(Appointment { time, .. }) = **next;
            limit.is_none_or(|limit| time <= limit)
        };
        let next = self.agenda.peek_mut().filter(due).map(PeekMut::pop);
        if let Some(Reverse(appointment)) = next {
            assert!(self.clock <= appointment.time, "time runs back");
            self.clock = appointment.time;
            self.happen(appointment.event);
            return Stepped::Progressed;
        }
        match limit {
            Some(limit) => {
                self.clock = limit;
                Stepped::TimedOut
            }
            None => Stepped::Ended,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Receive(packet, device) => self.receive_packet(packet, device),
            Event::Send(packet) => self.send_packet(packet),
            Event::Replay(index) => self.replay_next(index),
        }
    }

    /// The module of `family`, if it is loaded.
    pub(crate) fn queue(&mut self, family: Family) -> Option<&mut IpQueue> {
        self.queues[slot(family)].as_mut()
    }

    /// Loads the module of `family`, if it is not loaded.
    pub(crate) fn load(&mut self, family: Family) {
        // Each family has ids of its own place, so that mixing them up shows. The upper bits of the product depend
        // on all of the seed.
        let seed = self.seed.wrapping_mul(2).wrapping_add(1 + slot(family) as u64);
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let word_len = self.model.word_len();
        self.queues[slot(family)].get_or_insert_with(|| IpQueue::new(family, seed, word_len));
    }

    /// Takes the module of `family` out of the kernel.
    pub(crate) fn unload(&mut self, family: Family) -> Option<IpQueue> {
        self.queues[slot(family)].take()
    }

    /// Ends a packet.
    pub(crate) fn finish(&mut self, packet: Packet, fate: Fate) {
        match fate {
            Fate::Delivered => self.totals.delivered += 1,
            Fate::Dropped(_) => self.totals.dropped += 1,
        }
        if let Some(outcomes) = &mut self.outcomes {
            outcomes.push(Outcome {
                number: packet.number,
                fate,
                family: packet.family,
                timestamp: packet.timestamp,
                mark: packet.mark,
                input_device: self.devices.name(packet.input),
                output_device: self.devices.name(packet.output),
                data: packet.data,
            });
        }
    }

    /// The totals as they are now.
    pub(crate) fn totals(&self) -> Totals {
        let waiting = self.queues.iter().flatten().map(|queue| queue.status().queue_length);
        Totals { queued: waiting.sum(), ..self.totals }
    }
}

/// Where the module of `family` is kept.
const fn slot(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}

impl Appointment {
    fn key(&self) -> (Clock, u64) {
        (self.time, self.number)
    }
}

impl PartialEq for Appointment {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Appointment {}

impl PartialOrd for Appointment {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Appointment {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
