//! A simulated kernel and a model of it, to which the same things are done: [`Run`].

mod compare;

use core::time::Duration;
use std::collections::BTreeSet;
use std::io::IoSlice;

use ipq_proto::{DataModel, Errno, Family, HardwareAddress};
use ipq_sys::{Deadline, Protocol, Received, Stepped, Transport};

use super::model::packet::{Content, Device};
use super::model::wire::Layout;
use super::model::{Heard, Model, Opening, QueueName, Queued, Rule, START, SocketName, Target};
use super::operation::{Operation, Options, SLOTS, Setup, Slot};
use super::request::{Context, Request};
use crate::capture::Timestamp;
use crate::{Action, Extras, Kernel, Match, QueueId, Socket, SocketOptions, Table, TraceEvent};
use compare::hex;

/// What a program's buffer has room for: every message there is.
const ROOM: usize = 0x2_0000;

/// Both, and the sockets of the programs.
pub(super) struct Run {
    kernel: Kernel,
    model: Model,
    layout: Layout,
    slots: [Option<Open>; SLOTS],
    opened: SocketName,
    sequence: u32,
    seen: Vec<u64>,
    /// Which packets have ended.
    ended: BTreeSet<u64>,
    log: Log,
}

/// A socket in use.
struct Open {
    name: SocketName,
    /// One or more descriptors of it.
    descriptors: Vec<Socket>,
}

/// What was done, to be told if it ends in a panic.
#[derive(Default)]
struct Log(Vec<String>);

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {} operations:", self.0.len());
            self.0.iter().for_each(|line| eprintln!("  {line}"));
        }
    }
}

impl Run {
    pub(super) fn new(setup: &Setup) -> Self {
        let (model, word_len) = match (setup.is_wide, setup.is_big_endian) {
            (false, false) => (DataModel::Ilp32Little, 4),
            (false, true) => (DataModel::Ilp32Big, 4),
            (true, false) => (DataModel::Lp64Little, 8),
            (true, true) => (DataModel::Lp64Big, 8),
        };
        let layout = Layout { word_len, is_big_endian: setup.is_big_endian };
        let start = i64::try_from(START).ok().and_then(|seconds| Timestamp::new(seconds, 0));
        let mut builder = Kernel::builder()
            .seed(setup.seed)
            .data_model(model)
            .start_time(start.expect("a time"))
            .trace();
        for device in [Device::Eth0, Device::Eth1] {
            // No packet here is too long for its link.
            builder = builder.device(crate::Device::ethernet(device.name()).mtu(0x1_0000));
        }
        let kernel = builder
            .device(crate::Device::point_to_point(Device::Tunnel.name()))
            .route("10.9.0.0/16".parse().expect("a network"), Device::Eth1.name())
            .route("fd09::/16".parse().expect("a network"), Device::Eth1.name())
            .build();
        setup.rules.iter().for_each(|rule| add_rule(&kernel, rule));
        let mut log = Log::default();
        log.0.push(format!("{setup:?}"));
        Self {
            kernel,
            model: Model::new(layout, setup.rules.clone()),
            layout,
            slots: [const { None }; SLOTS],
            opened: 0,
            sequence: 0,
            seen: Vec::new(),
            ended: BTreeSet::new(),
            log,
        }
    }

    /// Does something to both, and compares everything, for as long as the model knows where packets are.
    pub(super) fn apply(&mut self, operation: &Operation) {
        if self.model.is_lost() {
            return;
        }
        self.log.0.push(format!("{operation:?}"));
        self.act(operation);
        self.check();
    }

    fn act(&mut self, operation: &Operation) {
        let kernel = self.kernel.clone();
        match operation {
            Operation::Send { datagram, mark, owner } => {
                let content = Content::Known(datagram.clone());
                let extras = Extras { mark: *mark, owner: *owner, ..Extras::default() };
                kernel.send_with(datagram.family, &content.bytes(), extras);
                self.model.send_packet(datagram.family, content, *mark, *owner);
            }
            Operation::Receive { device, sender, datagram, mark } => {
                let content = Content::Known(datagram.clone());
                let address = sender.as_ref().map(|sender| &sender[..]).unwrap_or_default();
                let sender = HardwareAddress::new(address).expect("six bytes or none");
                let extras = Extras { mark: *mark, sender, ..Extras::default() };
                kernel.receive_with(device.name(), datagram.family, &content.bytes(), extras);
                self.model.receive_packet(*device, address, datagram.family, content, *mark);
            }
            Operation::Step => {
                let stepped = kernel.step();
                self.tell();
                let is_step = self.model.step();
                assert_eq!(stepped, if is_step { Stepped::Progressed } else { Stepped::Ended });
            }
            Operation::Run => {
                kernel.run();
                self.tell();
                self.model.advance(0);
            }
            Operation::Advance(milliseconds) => {
                kernel.advance(Duration::from_millis((*milliseconds).into()));
                self.tell();
                self.model.advance(u64::from(*milliseconds) * 1000);
            }
            Operation::Open { slot, protocol, options } => self.open(*slot, *protocol, *options),
            Operation::Duplicate(slot) => {
                if let Some(open) = &mut self.slots[*slot] {
                    let another = open.descriptors[0].duplicate();
                    open.descriptors.push(another);
                }
            }
            Operation::Close(slot) => self.close(*slot),
            Operation::Kill(port_id) => {
                kernel.act(&Action::Kill(*port_id));
                self.model.kill(*port_id);
            }
            Operation::Hear { slot, buffer_len, waits } => {
                let mut buffer = vec![0; *buffer_len];
                self.hear(*slot, &mut buffer, *waits);
            }
            Operation::HearAll(slot) => {
                let mut buffer = vec![0; ROOM];
                while self.hear(*slot, &mut buffer, false) {}
            }
            Operation::Say { slot, requests, damage } => self.say(*slot, requests, *damage),
            Operation::SetReceiveBuffer(slot, bytes) => {
                if let Some(open) = &mut self.slots[*slot] {
                    assert_eq!(open.descriptors[0].set_receive_buffer(*bytes), Ok(()));
                    self.model.set_receive_buffer(open.name, *bytes);
                }
            }
            Operation::ReportOverruns(slot, report) => {
                if let Some(open) = &mut self.slots[*slot] {
                    assert_eq!(open.descriptors[0].report_overruns(*report), Ok(()));
                    self.model.report_overruns(open.name, *report);
                }
            }
            Operation::SetDevice(device, is_up) => {
                if *is_up {
                    kernel.device_up(device.name());
                } else {
                    kernel.device_down(device.name());
                }
                self.model.set_device(*device, *is_up);
            }
            Operation::LoadIpQueue(family) => {
                kernel.load_ip_queue(*family);
                self.model.load_ip_queue(*family);
            }
            Operation::UnloadIpQueue(family) => {
                kernel.unload_ip_queue(*family);
                self.model.unload_ip_queue(*family);
            }
            Operation::LoadNfqueue => {
                kernel.load_nfqueue();
                self.model.load_nfqueue();
            }
            Operation::UnloadNfqueue => {
                kernel.unload_nfqueue();
                self.model.unload_nfqueue();
            }
            Operation::SetMaxLength(family, packets) => {
                kernel.set_queue_max_length(*family, *packets);
                self.model.set_max_length(*family, *packets);
            }
            Operation::SetLastId(queue, id) => {
                // Ids that go back while packets wait are no kernel's.
                if self.model.waiting_ids(QueueName::Nfqueue(*queue)).is_empty() {
                    kernel.set_last_nfqueue_id(*queue, *id);
                    self.model.set_last_id(*queue, *id);
                }
            }
        }
    }

    /// Opens a socket in a slot, after whatever was there is closed.
    pub(super) fn open(&mut self, slot: Slot, protocol: Protocol, options: Options) {
        while self.slots[slot].is_some() {
            self.close(slot);
        }
        let Options { port_id, is_privileged, receive_buffer, reports_overruns } = options;
        let socket = self.kernel.open_socket_for(
            protocol,
            SocketOptions {
                port_id,
                privileged: is_privileged,
                receive_buffer,
                ignores_overrun: !reports_overruns,
            },
        );
        self.opened += 1;
        let name = self.opened;
        let opening =
            Opening { protocol, port_id, is_privileged, receive_buffer, reports_overruns };
        let expected = self.model.open(name, opening);
        let opened = socket.as_ref().map(Socket::port_id).map_err(|error| error.errno);
        assert_eq!(opened, expected, "opening a socket");
        self.slots[slot] = socket.ok().map(|socket| Open { name, descriptors: vec![socket] });
    }

    fn close(&mut self, slot: Slot) {
        let Some(open) = &mut self.slots[slot] else { return };
        open.descriptors.pop();
        if open.descriptors.is_empty() {
            self.model.close(open.name);
            self.slots[slot] = None;
        }
    }

    /// Has a program read one message; says whether there was one.
    fn hear(&mut self, slot: Slot, buffer: &mut [u8], waits: bool) -> bool {
        let Some(open) = &mut self.slots[slot] else { return false };
        let name = open.name;
        let deadline = if waits { Deadline::Never } else { Deadline::Immediate };
        let received = open.descriptors[0].receive(buffer, deadline).map_err(|error| error.errno);
        self.tell();
        let heard = if waits { self.model.wait(name) } else { self.model.receive(name) };
        let expected = match &heard {
            Heard::Dead => Err(Errno::EBADF),
            Heard::Nothing if waits => Ok(Received::Ended),
            Heard::Nothing => Ok(Received::TimedOut),
            Heard::Overrun => Ok(Received::Overrun),
            Heard::Message(message) if message.len() <= buffer.len() => {
                Ok(Received::Datagram { len: message.len() })
            }
            Heard::Message(message) => {
                Ok(Received::Truncated { len: buffer.len(), datagram_len: message.len() })
            }
        };
        assert_eq!(received, expected, "of {heard:02x?}");
        if let Heard::Message(message) = &heard {
            let len = message.len().min(buffer.len());
            self.compare(&buffer[..len], message);
        }
        matches!(heard, Heard::Message(_) | Heard::Overrun)
    }

    fn say(&mut self, slot: Slot, requests: &[Request], damage: Option<(u8, u8)>) {
        if self.slots[slot].is_none() {
            return;
        }
        let mut datagram = Vec::new();
        for request in requests {
            datagram.resize(datagram.len().next_multiple_of(4), 0);
            self.sequence += 1;
            datagram.extend(request.write(&Sender { run: self, slot }, self.sequence));
        }
        if let Some((at, change)) = damage
            && let Some(at) = usize::from(at).checked_rem(datagram.len())
        {
            datagram[at] ^= change;
        }
        self.model.know(requests.iter().flat_map(Request::replacements));
        self.send(slot, &[&datagram]);
    }

    /// Writes the id of the packet that has waited longest into what is to be a verdict, where the id is.
    pub(super) fn write_id(&self, slot: Slot, datagram: &mut [u8]) {
        if self.slots[slot].is_none() {
            return;
        }
        let sender = Sender { run: self, slot };
        let Some(&id) = sender.waiting(0).first() else { return };
        let mut bytes = Vec::new();
        let at = match sender.queue(0) {
            QueueName::IpQueue(_) => {
                self.layout.put_word(id, &mut bytes);
                16 + self.layout.word_len
            }
            QueueName::Nfqueue(_) => {
                bytes.extend(&id.to_be_bytes()[4..]);
                28
            }
        };
        if let Some(place) = datagram.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
    }

    /// Has a program send a datagram that is in parts.
    pub(super) fn send(&mut self, slot: Slot, parts: &[&[u8]]) {
        if self.model.is_lost() {
            return;
        }
        let Some(open) = &mut self.slots[slot] else { return };
        let name = open.name;
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let sent = open.descriptors[0].send(&slices).map_err(|error| error.errno);
        self.tell();
        let datagram = parts.concat();
        assert_eq!(sent, self.model.send(name, &datagram), "sending {}", hex(&datagram));
    }

    /// Tells the model what the kernel has queued since it was last told.
    fn tell(&mut self) {
        let queued = self.kernel.take_trace().into_iter().filter_map(|entry| {
            let TraceEvent::Queued { packet, queue, id, hook } = entry.event else { return None };
            let queue = match queue {
                QueueId::IpQueue(family) => QueueName::IpQueue(family),
                QueueId::Nfqueue(number) => QueueName::Nfqueue(number),
            };
            Some(Queued { packet, queue, hook, id })
        });
        let queued: Vec<_> = queued.collect();
        self.seen.extend(queued.iter().map(|queued| queued.id));
        self.model.tell(queued);
    }

    /// Everybody goes home: nothing waits any more, and every packet has ended.
    pub(super) fn end(mut self) {
        if self.model.is_lost() {
            return;
        }
        for slot in 0..SLOTS {
            self.apply(&Operation::HearAll(slot));
        }
        self.apply(&Operation::Run);
        for slot in 0..SLOTS {
            while self.slots[slot].is_some() {
                self.apply(&Operation::Close(slot));
            }
        }
        let totals = self.kernel.totals();
        // An ip_queue whose peer gave another port id than its own keeps what it has until that is taken and left.
        let orphans = Family::ALL.map(|family| self.model.waiting_ids(QueueName::IpQueue(family)));
        assert_eq!(totals.queued, orphans.concat().len() as u64);
        assert_eq!(totals.entered, totals.queued + self.ended.len() as u64);
    }
}

/// A program in a slot, as its requests see it.
struct Sender<'r> {
    run: &'r Run,
    slot: Slot,
}

impl Sender<'_> {
    fn socket(&self) -> &Socket {
        &self.run.slots[self.slot].as_ref().expect("it speaks").descriptors[0]
    }

    fn queue(&self, number: u16) -> QueueName {
        let family = self.socket().protocol().family();
        family.map_or(QueueName::Nfqueue(number), QueueName::IpQueue)
    }
}

impl Context for Sender<'_> {
    fn layout(&self) -> Layout {
        self.run.layout
    }

    fn port_id(&self) -> u32 {
        self.socket().port_id()
    }

    fn waiting(&self, queue: u16) -> Vec<u64> {
        self.run.model.waiting_ids(self.queue(queue))
    }

    fn seen(&self) -> &[u64] {
        &self.run.seen
    }

    fn family(&self, queue: u16, id: u64) -> Family {
        self.run.model.family_of(self.queue(queue), id).unwrap_or(Family::Ipv4)
    }
}

fn add_rule(kernel: &Kernel, rule: &Rule) {
    let mut condition = Match::any();
    if let Some(family) = rule.family {
        condition = condition.family(family);
    }
    if let Some(mark) = rule.mark {
        condition = condition.mark(mark);
    }
    let table = [Table::Raw, Table::Mangle, Table::Filter][rule.table];
    let target = match rule.target {
        Target::Accept => crate::Target::Accept,
        Target::Drop => crate::Target::Drop,
        Target::Mark(mark) => crate::Target::Mark(mark),
        Target::Queue { number: 0, bypass: false } => crate::Target::Queue,
        Target::Queue { number, bypass } => {
            crate::Target::Nfqueue { first: number, last: number, bypass }
        }
    };
    kernel.rule_in(table, rule.hook, condition, target);
}
