//! The simulated kernel itself: [`Machine`], and what happens in it when.
//!
//! One thread, no clock but its own, nothing random but what the seed gives. It runs only while somebody steps
//! it. The way of a packet is in [`network`](crate::network), queues and verdicts are in
//! [`queueing`](crate::queueing).

use core::time::Duration;

use ipq_proto::{DataModel, Errno};
use ipq_sys::{Clock, Deadline, Protocol, Received, Stepped};

use crate::action::Action;
use crate::agenda::Agenda;
use crate::capture::Timestamp;
use crate::device::{Device, DeviceIndex, Devices};
use crate::fate::{Fate, Outcome, Totals};
use crate::fragment::Reassembly;
use crate::host::{EndpointIndex, Endpoints, Flows};
use crate::ip_queue::IpQueues;
use crate::memory::Memory;
use crate::netlink::{SocketKey, Sockets, UNBOUND};
use crate::nfqueue::Nfqueues;
use crate::packet::{Packet, Position};
use crate::record::Datagram;
use crate::replay::Replays;
use crate::route::Routes;
use crate::rule::Rules;
use crate::trace::{Trace, TraceEntry, TraceEvent};

/// All state of a simulated kernel.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) model: DataModel,
    pub(crate) seed: u64,
    clock: Clock,
    /// The wall-clock time at which `clock` was zero, once it is known.
    epoch: Option<Timestamp>,
    agenda: Agenda<Event>,
    /// Packets in the agenda.
    on_their_way: u64,
    pub(crate) devices: Devices,
    pub(crate) routes: Routes,
    pub(crate) rules: Rules,
    pub(crate) sockets: Sockets,
    pub(crate) ip_queues: IpQueues,
    /// The queues of `nfnetlink_queue`; `None` if it is not loaded.
    pub(crate) nfqueues: Option<Nfqueues>,
    /// Whether connections are tracked.
    pub(crate) has_conntrack: bool,
    /// Whether queues of `nfnetlink_queue` are told when packets arrived.
    pub(crate) has_arrival_times: bool,
    /// Packets that one verdict lets go on, while it does; kept for its memory.
    pub(crate) batch: Vec<(Packet, Position)>,
    pub(crate) memory: Memory,
    pub(crate) replays: Replays,
    /// The hosts of the network, this one among them.
    pub(crate) endpoints: Endpoints,
    /// What they send by themselves.
    pub(crate) flows: Flows,
    /// Fragments for this host that wait for others.
    pub(crate) reassembly: Reassembly<Packet>,
    pub(crate) totals: Totals,
    /// Packets that have ended, unless they are only counted.
    pub(crate) outcomes: Option<Vec<Outcome>>,
    pub(crate) trace: Trace,
    /// Datagrams between programs and this kernel, if they are kept.
    pub(crate) conversation: Option<Vec<Datagram>>,
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
    /// Something is done to the kernel.
    Act(Box<Action>),
    /// The stack of an endpoint has something to do.
    Poll(EndpointIndex),
    /// The next packet of a flow is due.
    Flow(usize),
    /// Fragments may have waited long enough.
    Expire,
}

impl Event {
    /// How many packets are part of it.
    fn packets(&self) -> u64 {
        match self {
            Self::Receive(..) | Self::Send(_) => 1,
            Self::Replay(_) | Self::Act(_) | Self::Poll(_) | Self::Flow(_) | Self::Expire => 0,
        }
    }
}

impl Machine {
    /// A kernel with `lo`, no rules, and all modules at hand.
    pub(crate) fn new(model: DataModel, seed: u64, epoch: Option<Timestamp>) -> Self {
        Self {
            model,
            seed,
            clock: Duration::ZERO,
            epoch,
            agenda: Agenda::default(),
            on_their_way: 0,
            devices: Devices::new(),
            routes: Routes::default(),
            rules: Rules::new(seed),
            sockets: Sockets::default(),
            ip_queues: IpQueues::new(seed, model.word_len()),
            nfqueues: Some(Nfqueues::default()),
            has_conntrack: false,
            has_arrival_times: true,
            batch: Vec::new(),
            memory: Memory::default(),
            replays: Replays::default(),
            endpoints: Endpoints::default(),
            flows: Flows::default(),
            reassembly: Reassembly::default(),
            totals: Totals::default(),
            outcomes: Some(Vec::new()),
            trace: Trace::default(),
            conversation: None,
        }
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
        self.on_their_way += event.packets();
        self.agenda.plan(self.clock, time, event);
    }

    /// Lets the next thing happen, unless that is later than `deadline`. Time runs to what happens or, if nothing
    /// does, to the deadline.
    #[inline]
    pub(crate) fn step(&mut self, deadline: Deadline) -> Stepped {
        match deadline {
            Deadline::Immediate => Stepped::TimedOut,
            Deadline::At(time) => self.step_until(Some(time.max(self.clock))),
            Deadline::Never => self.step_until(None),
        }
    }

    /// The same, unless it is later than `limit`, which has not passed.
    fn step_until(&mut self, limit: Option<Clock>) -> Stepped {
        while let Some((time, event)) = self.agenda.take(self.clock, limit) {
            if self.is_off(&event, time) {
                continue;
            }
            if time < self.clock {
                self.violated("time runs back");
            }
            self.clock = time;
            self.on_their_way -= event.packets();
            self.happen(event);
            self.check_counts();
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

    /// When the next thing is to happen by itself.
    pub(crate) fn next_event(&mut self) -> Option<Clock> {
        while let Some((time, event)) = self.agenda.next(self.clock) {
            if !self.is_off(event, time) {
                return Some(time);
            }
            self.agenda.take(self.clock, None);
        }
        None
    }

    /// Whether what was planned for `time` has no meaning any more, so that no time passes for it.
    #[inline]
    fn is_off(&self, event: &Event, time: Clock) -> bool {
        match event {
            Event::Poll(endpoint) => !self.endpoints.is_due(*endpoint, time),
            Event::Expire => self.reassembly.next_end().is_none_or(|end| end > time),
            _ => false,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Receive(packet, device) => {
                self.note_entered(&packet, Some(device));
                self.receive_packet(packet, device);
            }
            Event::Send(packet) => {
                self.note_entered(&packet, None);
                self.send_packet(packet);
            }
            Event::Replay(index) => self.replay_next(index),
            Event::Act(action) => self.act(&action),
            Event::Poll(endpoint) => self.poll(endpoint),
            Event::Flow(index) => self.continue_flow(index),
            Event::Expire => self.expire_fragments(),
        }
    }

    /// Packets that are to come in, or to be sent.
    pub(crate) fn on_their_way(&self) -> u64 {
        self.on_their_way
    }

    /// Remembers that a packet came in by a device, or was made here.
    pub(crate) fn note_entered(&mut self, packet: &Packet, device: Option<DeviceIndex>) {
        let device = self.devices.name(device);
        let (family, len) = (packet.family, packet.data().len());
        self.note(TraceEvent::Entered { packet: packet.number, family, len, device });
    }

    /// Adds a device and the ways to what it reaches.
    pub(crate) fn add_device(&mut self, device: Device) {
        let (index, addresses) = self.devices.add(device);
        for address in addresses {
            self.routes.add_address(address, index);
        }
    }

    /// Remembers that something happened.
    #[inline]
    pub(crate) fn note(&mut self, event: TraceEvent) {
        self.trace.push(TraceEntry { time: self.clock, event });
    }

    /// Sends a message of the kernel to a socket; says whether it fitted into the receive buffer.
    pub(crate) fn send_to(&mut self, key: SocketKey, message: Vec<u8>) -> bool {
        self.send_from(UNBOUND, key, message)
    }

    /// Sends a message to a socket, from a port id; says whether it fitted into the receive buffer.
    pub(crate) fn send_from(&mut self, sender: u32, key: SocketKey, message: Vec<u8>) -> bool {
        let len = message.len();
        let socket = self.sockets.get(key);
        let (protocol, port_id) = (socket.protocol, socket.port_id);
        if let Some(conversation) = self.conversation.as_mut().filter(|_| socket.has_room()) {
            let (time, bytes) = (self.clock, message.clone());
            conversation.push(Datagram { time, is_request: false, protocol, port_id, bytes });
        }
        let sent = socket.deliver(sender, message);
        let fits = sent.is_ok();
        if let Err(lost) = sent {
            self.memory.messages.give(lost);
        }
        self.note(TraceEvent::Message { protocol, port_id, len, fits });
        fits
    }

    /// Takes the next message of a socket into `buffer`, waiting for it until `deadline`: meanwhile the kernel runs.
    ///
    /// # Errors
    ///
    /// `EBADF` if the program was killed.
    pub(crate) fn receive(
        &mut self,
        key: SocketKey,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<Received, Errno> {
        loop {
            let socket = self.sockets.get(key);
            if socket.is_detached {
                return Err(Errno::EBADF);
            }
            if let Some(received) = socket.receive(buffer, &mut self.memory.messages) {
                return Ok(received);
            }
            match self.step(deadline) {
                Stepped::Progressed => (),
                Stepped::TimedOut => return Ok(Received::TimedOut),
                Stepped::Ended => return Ok(Received::Ended),
            }
        }
    }

    /// Sends a message to the socket that is bound to a port id; says whether there is one and it had room.
    pub(crate) fn send_to_port(
        &mut self,
        protocol: Protocol,
        port_id: u32,
        message: Vec<u8>,
    ) -> bool {
        self.sockets.find(protocol, port_id).is_some_and(|key| self.send_to(key, message))
    }

    /// Ends a packet.
    pub(crate) fn finish(&mut self, mut packet: Packet, fate: Fate) {
        self.note(TraceEvent::Ended { packet: packet.number, fate });
        match fate {
            Fate::Delivered => self.totals.delivered += 1,
            Fate::Dropped(_) => self.totals.dropped += 1,
            Fate::Fragmented => self.totals.fragmented += 1,
            Fate::Reassembled => self.totals.reassembled += 1,
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
                data: core::mem::take(packet.data_mut()),
            });
        }
        self.memory.keep(packet);
    }

    /// The totals as they are now.
    pub(crate) fn totals(&self) -> Totals {
        self.check_queues();
        Totals { incomplete: self.reassembly.len(), ..self.totals }
    }
}
