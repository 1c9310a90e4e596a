//! The queues of a kernel, said a second time: [`Model`].
//!
//! It says what the kernel answers to every request, what every program hears, what waits where, what all files in
//! `/proc` read, and how every packet ends. It follows what is known and recorded of the kernels, shares no code with the
//! simulator, and is as plain as can be: it looks through lists and copies packets. Where the two differ one of them is
//! wrong.
//!
//! What it is not told it does not know: ids of `ip_queue`, which are opaque, it takes from the simulator, and of packets
//! it knows what they were made to be ([`packet`]) and not how to read them.

mod ip_queue;
mod network;
mod nfqueue;
pub(super) mod packet;
mod socket;
pub(super) mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ipq_proto::{Errno, Family, Hook};
use ipq_sys::Protocol;

use crate::fate::{Fate, Reason, Totals};
use ip_queue::IpQueue;
use nfqueue::Nfqueue;
use packet::{Content, Device, Packet, Place};
use socket::Socket;
use wire::Layout;

pub(super) use ip_queue::START;
pub(super) use network::{Rule, Target};
pub(super) use socket::{Heard, Message};

/// Names a socket.
pub(super) type SocketName = usize;

/// A kernel, as far as queues show it.
#[derive(Debug)]
pub(super) struct Model {
    layout: Layout,
    rules: Vec<Rule>,
    down: BTreeSet<Device>,
    /// In microseconds.
    time: u64,
    /// What is about to enter: a packet, and the device it comes in by.
    to_come: VecDeque<(Packet, Option<Device>)>,
    sockets: BTreeMap<SocketName, Socket>,
    ip_queues: BTreeMap<Family, IpQueue>,
    /// Families whose module is not there to be loaded when a program opens a socket.
    gone: BTreeSet<Family>,
    /// Families for which `nfnetlink_queue` was made the handler.
    bound: BTreeSet<Family>,
    /// By number; `None` without the module.
    nfqueues: Option<BTreeMap<u16, Nfqueue>>,
    /// How many queues there have been.
    births: u64,
    entered: u64,
    ended: Vec<End>,
    totals: Totals,
    /// How many packets ended at a receiver who looked at bytes of which nothing is known.
    unknown_ends: u64,
    /// Whether one came to its receiver that may be a fragment, and wait there for others.
    is_lost: bool,
    /// What the kernel says it has queued and this model has not yet: packet, place and id, in order.
    told: VecDeque<Queued>,
    /// What the packets of requests are that are about to be sent.
    known: Vec<Content>,
}

/// That a packet was queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Queued {
    pub(super) packet: u64,
    pub(super) queue: QueueName,
    pub(super) hook: Hook,
    pub(super) id: u64,
}

/// A queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum QueueName {
    IpQueue(Family),
    Nfqueue(u16),
}

/// How a packet ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) number: u64,
    /// `None` if its receiver looked at bytes of which nothing is known.
    pub(super) fate: Option<Fate>,
    pub(super) family: Family,
    /// In microseconds since the kernel started.
    pub(super) arrived: Option<u64>,
    pub(super) mark: u32,
    pub(super) devices: [&'static str; 2],
    pub(super) content: Content,
}

/// Who wants to have a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) protocol: Protocol,
    pub(super) port_id: Option<u32>,
    pub(super) is_privileged: bool,
    pub(super) receive_buffer: usize,
    pub(super) reports_overruns: bool,
}

impl Model {
    pub(super) fn new(layout: Layout, rules: Vec<Rule>) -> Self {
        Self {
            layout,
            rules,
            down: BTreeSet::new(),
            time: 0,
            to_come: VecDeque::new(),
            sockets: BTreeMap::new(),
            ip_queues: BTreeMap::new(),
            gone: BTreeSet::new(),
            bound: BTreeSet::new(),
            nfqueues: Some(BTreeMap::new()),
            births: 0,
            entered: 0,
            ended: Vec::new(),
            totals: Totals::default(),
            unknown_ends: 0,
            is_lost: false,
            told: VecDeque::new(),
            known: Vec::new(),
        }
    }

    /// Tells what the kernel has queued in the operation that comes next.
    pub(super) fn tell(&mut self, queued: impl IntoIterator<Item = Queued>) {
        self.told.extend(queued);
    }

    /// Tells what the packets in requests are.
    pub(super) fn know(&mut self, contents: impl IntoIterator<Item = Content>) {
        self.known = contents.into_iter().collect();
    }

    /// Whether the kernel queued what it should not.
    pub(super) fn is_told_too_much(&self) -> bool {
        !self.told.is_empty()
    }

    /// The id of a packet that is queued now, as the kernel gave it.
    fn id_of(&mut self, packet: &Packet, queue: QueueName, hook: Hook) -> u64 {
        let told = self.told.pop_front();
        let told = told.unwrap_or_else(|| panic!("the kernel did not queue {packet:?}"));
        assert_eq!(
            (told.packet, told.queue, told.hook),
            (packet.number, queue, hook),
            "{packet:?}"
        );
        told.id
    }

    /// A program opens a socket; says which port id it gets.
    pub(super) fn open(&mut self, name: SocketName, opening: Opening) -> Result<u32, Errno> {
        let Opening { protocol, .. } = opening;
        match protocol.family() {
            Some(family) => {
                if !self.gone.contains(&family) && !self.bound.contains(&family) {
                    self.load_ip_queue(family);
                }
                if !self.ip_queues.contains_key(&family) {
                    return Err(Errno::EPROTONOSUPPORT);
                }
            }
            None if self.nfqueues.is_none() => return Err(Errno::EPROTONOSUPPORT),
            None => (),
        }
        let port_id = match opening.port_id.filter(|&port_id| port_id != 0) {
            Some(taken) if self.bound_to(protocol, taken).is_some() => {
                return Err(Errno::EADDRINUSE);
            }
            Some(port_id) => port_id,
            None => {
                (1000..2000).find(|&id| self.bound_to(protocol, id).is_none()).expect("a port id")
            }
        };
        let mut socket = Socket::new(protocol, port_id, opening.is_privileged);
        socket.receive_buffer = opening.receive_buffer;
        socket.reports_overruns = opening.reports_overruns;
        self.sockets.insert(name, socket);
        Ok(port_id)
    }

    /// The socket that has a port id.
    fn bound_to(&self, protocol: Protocol, port_id: u32) -> Option<SocketName> {
        let mut sockets = self.sockets.iter().filter(|(_, socket)| {
            socket.protocol == protocol && socket.port_id == port_id && !socket.is_dead
        });
        sockets.next().map(|(&name, _)| name)
    }

    fn socket(&mut self, name: SocketName) -> &mut Socket {
        self.sockets.get_mut(&name).expect("it is open")
    }

    /// The last descriptor of a socket is closed.
    pub(super) fn close(&mut self, name: SocketName) {
        self.part_with(name);
        self.sockets.remove(&name);
    }

    /// A program is killed.
    pub(super) fn kill(&mut self, port_id: u32) {
        let names: Vec<_> = self.sockets.keys().copied().collect();
        for name in names {
            if self.socket(name).port_id == port_id {
                self.part_with(name);
            }
        }
    }

    /// What a program had queued is dropped.
    fn part_with(&mut self, name: SocketName) {
        let socket = self.socket(name);
        if socket.is_dead {
            return;
        }
        socket.die();
        let (protocol, port_id) = (socket.protocol, socket.port_id);
        let mut dropped = Vec::new();
        if let Some(family) = protocol.family() {
            let queue = self.ip_queues.get_mut(&family).filter(|queue| queue.peer == port_id);
            dropped.extend(queue.into_iter().flat_map(IpQueue::leave));
        } else if let Some(queues) = &mut self.nfqueues {
            for (_, queue) in queues.extract_if(.., |_, queue| queue.owner == port_id) {
                dropped.extend(queue.waiting);
            }
        }
        self.drop_all(dropped.into_iter().map(|waiting| waiting.packet), Reason::PeerClosed);
    }

    /// A program sends a datagram.
    pub(super) fn send(&mut self, name: SocketName, datagram: &[u8]) -> Result<(), Errno> {
        let socket = self.socket(name);
        if socket.is_dead {
            return Err(Errno::EBADF);
        }
        match socket.protocol.family() {
            Some(family) => self.hear_ip_queue(name, family, datagram),
            None => self.hear_netfilter(name, datagram),
        }
    }

    /// What a program receives that does not wait.
    pub(super) fn receive(&mut self, name: SocketName) -> Heard {
        self.socket(name).take()
    }

    /// What a program receives that waits as long as anything can happen.
    pub(super) fn wait(&mut self, name: SocketName) -> Heard {
        loop {
            match self.receive(name) {
                Heard::Nothing if self.step() => (),
                heard => return heard,
            }
        }
    }

    /// Reads what came, to be compared with a message.
    pub(super) fn understand(&self, bytes: &[u8], expected: &Message) -> Message {
        match expected {
            Message::Exactly(_, padding) => Message::Exactly(bytes.to_vec(), *padding),
            Message::Announcement(_) => {
                Message::Announcement(socket::Announcement::read(self.layout, bytes))
            }
        }
    }

    pub(super) fn set_receive_buffer(&mut self, name: SocketName, bytes: usize) {
        self.socket(name).receive_buffer = bytes;
    }

    pub(super) fn report_overruns(&mut self, name: SocketName, report: bool) {
        self.socket(name).reports_overruns = report;
    }

    pub(super) fn load_ip_queue(&mut self, family: Family) {
        self.ip_queues.entry(family).or_default();
    }

    pub(super) fn unload_ip_queue(&mut self, family: Family) {
        self.gone.insert(family);
        if let Some(mut queue) = self.ip_queues.remove(&family) {
            let dropped = queue.leave();
            let packets = dropped.into_iter().map(|waiting| waiting.packet);
            self.drop_all(packets, Reason::ModuleUnloaded);
        }
    }

    pub(super) fn load_nfqueue(&mut self) {
        self.nfqueues.get_or_insert_default();
    }

    pub(super) fn unload_nfqueue(&mut self) {
        let queues = self.nfqueues.take().into_iter().flatten();
        let dropped: Vec<_> = queues.flat_map(|(_, queue)| queue.waiting).collect();
        self.drop_all(dropped.into_iter().map(|waiting| waiting.packet), Reason::ModuleUnloaded);
    }

    pub(super) fn set_max_length(&mut self, family: Family, max_length: u32) {
        if let Some(queue) = self.ip_queues.get_mut(&family) {
            queue.max_length = max_length;
        }
    }

    /// What `/proc/net/ip_queue` and `/proc/net/ip6_queue` read.
    pub(super) fn ip_queue_file(&self, family: Family) -> Option<String> {
        self.ip_queues.get(&family).map(|queue| queue.file(family))
    }

    /// The lines of `/proc/net/netfilter/nfnetlink_queue`.
    pub(super) fn nfqueue_file(&self) -> Vec<String> {
        let mut queues: Vec<_> = self.nfqueues.iter().flatten().collect();
        queues.sort_by_key(|(number, queue)| {
            ((**number >> 8 ^ **number) % 16, u64::MAX - queue.birth)
        });
        queues.into_iter().map(|(number, queue)| queue.line(*number)).collect()
    }

    /// How packets have ended since this was last asked.
    pub(super) fn take_ended(&mut self) -> Vec<End> {
        core::mem::take(&mut self.ended)
    }

    pub(super) fn totals(&self) -> Totals {
        let in_ip_queues = self.ip_queues.values().map(|queue| queue.waiting.len());
        let in_nfqueues = self.nfqueues.iter().flatten().map(|(_, queue)| queue.waiting.len());
        let queued = in_ip_queues.chain(in_nfqueues).sum::<usize>() as u64;
        Totals { entered: self.entered, queued, ..self.totals }
    }

    /// Whether it cannot say any more where all packets are.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether of every packet that ended it is known how.
    pub(super) fn knows_all_ends(&self) -> bool {
        self.unknown_ends == 0
    }

    /// The ids of packets that wait for a verdict in `queue`.
    pub(super) fn waiting_ids(&self, queue: QueueName) -> Vec<u64> {
        self.waiting(queue).map(|waiting| waiting.id).collect()
    }

    /// The family of a packet that waits in `queue`.
    pub(super) fn family_of(&self, queue: QueueName, id: u64) -> Option<Family> {
        self.waiting(queue).find(|waiting| waiting.id == id).map(|waiting| waiting.packet.family)
    }

    fn waiting(&self, queue: QueueName) -> impl Iterator<Item = &Waiting> {
        let waiting = match queue {
            QueueName::IpQueue(family) => self.ip_queues.get(&family).map(|queue| &queue.waiting),
            QueueName::Nfqueue(number) => {
                let queues = self.nfqueues.as_ref();
                queues.and_then(|queues| queues.get(&number)).map(|queue| &queue.waiting)
            }
        };
        waiting.into_iter().flatten()
    }

    fn drop_all(&mut self, packets: impl IntoIterator<Item = Packet>, reason: Reason) {
        for packet in packets {
            self.end(packet, Some(Fate::Dropped(reason)));
        }
    }
}

/// A packet that waits for a verdict.
#[derive(Debug)]
struct Waiting {
    id: u64,
    packet: Packet,
    place: Place,
}
