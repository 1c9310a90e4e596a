//! The simulated kernel as its user holds it: [`Kernel`].

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use core::fmt;
use core::time::Duration;

use ipq_proto::{DataModel, Family, HardwareAddress, Hook};
use ipq_sys::{
    Clock, Deadline, Error, IpQueueStatus, KernelStatus, NfqueueStatus, Operation, Protocol,
    Stepped, Transport,
};

use crate::action::Action;
use crate::builder::Builder;
use crate::capture::{CaptureError, Entry, Reader, Timestamp};
use crate::device::Device;
use crate::extras::Extras;
use crate::fate::{Fate, Outcome, Totals};
use crate::machine::{Event, Machine};
use crate::nfqueue::{Nfqueues, Owner};
use crate::record::Datagram;
use crate::replay::{Entries, Given, Replay};
use crate::rule::{Match, Table, Target};
use crate::socket::{Socket, SocketOptions};
use crate::trace::{QueueId, TraceEntry, TraceEvent};

/// A simulated kernel with `ip_queue`: devices, hooks, rules, and packets that end with exactly one fate.
///
/// A handle: clones and sockets share one kernel. It does nothing by itself. It runs while somebody waits on one
/// of its sockets, or calls [`step`](Self::step), [`run`](Self::run) or [`advance`](Self::advance), and its time
/// is simulated. The same calls in the same order do the same, always.
///
/// ```
/// use ipq_proto::{Family, Hook};
/// use ipq_sim::{Fate, Kernel, Match, Reason, Target};
///
/// let kernel = Kernel::builder().seed(7).build();
/// kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
/// kernel.send(Family::Ipv4, &[0x45; 20]);
/// kernel.run();
/// let outcomes = kernel.take_outcomes();
/// assert_eq!(outcomes[0].fate, Fate::Dropped(Reason::NoPeer));
/// ```
#[derive(Clone)]
pub struct Kernel(Arc<Mutex<Machine>>);

impl Kernel {
    /// What a kernel is made from.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(machine: Machine) -> Self {
        Self(Arc::new(Mutex::new(machine)))
    }

    /// The machine. One that panicked is looked at as it was left.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule to the table `filter`, behind those that the hook has. The first rule that matches counts; a
    /// packet that no rule matches passes.
    #[doc(alias = "iptables")]
    pub fn rule(&self, hook: Hook, condition: Match, target: Target) {
        self.rule_in(Table::Filter, hook, condition, target);
    }

    /// Adds a rule to a table of your choice.
    pub fn rule_in(&self, table: Table, hook: Hook, condition: Match, target: Target) {
        self.lock().rules.add(hook, table, condition, target);
    }

    /// Lets a packet come in by `device` now, from its IP header on.
    ///
    /// It is received when the kernel next runs, and checked as a real kernel checks it: a header that makes no
    /// sense or has a wrong checksum ends it before the first hook.
    ///
    /// # Panics
    ///
    /// If there is no such device.
    pub fn receive(&self, device: &str, family: Family, data: &[u8]) {
        self.receive_from(device, HardwareAddress::NONE, family, data);
    }

    /// The same, from a sender with a link-layer address.
    ///
    /// # Panics
    ///
    /// If there is no such device.
    pub fn receive_from(&self, device: &str, sender: HardwareAddress, family: Family, data: &[u8]) {
        self.receive_with(device, family, data, Extras { sender, ..Extras::default() });
    }

    /// The same, with whatever else a packet can bring along.
    ///
    /// # Panics
    ///
    /// If there is no such device, or none of a name in `extras`, or a part of them is longer than 65,531 bytes.
    pub fn receive_with(&self, device: &str, family: Family, data: &[u8], extras: Extras) {
        let mut machine = self.lock();
        let device = machine.devices.index(device);
        let mut packet = machine.new_packet(family, data);
        packet.link = machine.devices.link(device, extras.sender);
        extras.hand_over(&mut packet, &machine.devices);
        let now = machine.now();
        machine.plan(now, Event::Receive(packet, device));
    }

    /// Lets this host send a packet now, from its IP header on, by the device that a route says or else by `lo`.
    pub fn send(&self, family: Family, data: &[u8]) {
        self.send_marked(family, data, 0);
    }

    /// The same, with a netfilter mark.
    #[doc(alias = "SO_MARK")]
    pub fn send_marked(&self, family: Family, data: &[u8], mark: u32) {
        let mut machine = self.lock();
        let mut packet = machine.new_packet(family, data);
        packet.mark = mark;
        let now = machine.now();
        machine.plan(now, Event::Send(packet));
    }

    /// The same, with whatever else a packet can bring along.
    ///
    /// # Panics
    ///
    /// If there is no device of a name in `extras`, or a part of them is longer than 65,531 bytes.
    pub fn send_with(&self, family: Family, data: &[u8], extras: Extras) {
        let mut machine = self.lock();
        let mut packet = machine.new_packet(family, data);
        extras.hand_over(&mut packet, &machine.devices);
        let now = machine.now();
        machine.plan(now, Event::Send(packet));
    }

    /// Lets the packets of a capture come in by `device`, each at its time, read as they are needed.
    ///
    /// The first packet that any capture brings sets the simulated wall clock, unless the builder did. Checksums
    /// and lengths of these packets are taken as they are.
    ///
    /// # Panics
    ///
    /// If there is no such device.
    pub fn replay<I>(&self, device: &str, capture: I) -> Replay
    where
        I: Iterator<Item = Result<Entry, CaptureError>> + Send + 'static,
    {
        self.start_replay(device, Box::new(Given(capture)))
    }

    /// The same, for a capture file: its packets are read into the memory of such as have ended, so that a run of any length
    /// allocates nothing for a packet.
    ///
    /// # Panics
    ///
    /// If there is no such device.
    pub fn replay_file<R: io::Read + Send + 'static>(
        &self,
        device: &str,
        capture: Reader<R>,
    ) -> Replay {
        self.start_replay(device, Box::new(capture))
    }

    fn start_replay(&self, device: &str, entries: Box<dyn Entries>) -> Replay {
        let mut machine = self.lock();
        let device = machine.devices.index(device);
        let index = machine.start_replay(entries, device);
        Replay::new(self.clone(), index)
    }

    /// Opens a netlink socket to the `ip_queue` of `family`, as a privileged program does it.
    ///
    /// # Panics
    ///
    /// If the module is not loaded: [`open_socket`](Self::open_socket) tells instead.
    pub fn socket(&self, family: Family) -> Socket {
        let opened = self.open_socket(family, SocketOptions::default());
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens a netlink socket to the `ip_queue` of `family`, whose module is loaded if need be.
    ///
    /// # Errors
    ///
    /// `EPROTONOSUPPORT` if the module is not there, or `nfnetlink_queue` is the handler of the family; `EADDRINUSE` if
    /// another socket has the port id.
    pub fn open_socket(&self, family: Family, options: SocketOptions) -> Result<Socket, Error> {
        self.open_socket_for(Protocol::ip_queue(family), options)
    }

    /// Opens a netlink socket to `nfnetlink_queue`, as a privileged program does it.
    ///
    /// # Panics
    ///
    /// If the module is not loaded: [`open_socket_for`](Self::open_socket_for) tells instead.
    pub fn nfqueue_socket(&self) -> Socket {
        let opened = self.open_socket_for(Protocol::Netfilter, SocketOptions::default());
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens a netlink socket to any of the queues.
    ///
    /// # Errors
    ///
    /// `EPROTONOSUPPORT` if the module is not there, `EADDRINUSE` if another socket has the port id.
    pub fn open_socket_for(
        &self,
        protocol: Protocol,
        options: SocketOptions,
    ) -> Result<Socket, Error> {
        let failed = |operation| move |errno| Error { operation, protocol, errno };
        let mut machine = self.lock();
        if !machine.demand(protocol) {
            return Err(failed(Operation::Open)(ipq_proto::Errno::EPROTONOSUPPORT));
        }
        let opened = machine.sockets.open(protocol, options.port_id, options.privileged);
        let key = opened.map_err(failed(Operation::Bind))?;
        let socket = machine.sockets.get(key);
        socket.receive_buffer = options.receive_buffer;
        socket.ignores_overrun = options.ignores_overrun;
        let port_id = socket.port_id;
        machine.note(TraceEvent::Opened { protocol, port_id });
        Ok(Socket::new(self.clone(), key, protocol, port_id, machine.model))
    }

    /// Opens a socket that has a queue, as another program's: whoever else claims it is told so. Nothing reads from it.
    ///
    /// ```
    /// use ipq_proto::Family;
    /// use ipq_sim::{Kernel, QueueId};
    ///
    /// let kernel = Kernel::builder().build();
    /// let _theirs = kernel.occupy(QueueId::IpQueue(Family::Ipv4))?;
    /// assert_ne!(kernel.ip_queue_status(Family::Ipv4).map(|status| status.peer_port_id), Some(0));
    /// # Ok::<(), ipq_sys::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `EPROTONOSUPPORT` if the module is not there, `EBUSY` if a program has the queue.
    pub fn occupy(&self, queue: QueueId) -> Result<Socket, Error> {
        let protocol = match queue {
            QueueId::IpQueue(family) => Protocol::ip_queue(family),
            QueueId::Nfqueue(_) => Protocol::Netfilter,
        };
        let socket = self.open_socket_for(protocol, SocketOptions::default())?;
        let mut machine = self.lock();
        let claimed = match queue {
            QueueId::IpQueue(family) => {
                machine.ip_queue(family).is_some_and(|queue| queue.claim(socket.port_id()))
            }
            QueueId::Nfqueue(number) => {
                let owner = Owner { socket: socket.key(), port_id: socket.port_id() };
                machine.nfqueues.as_mut().is_some_and(|queues| queues.bind(owner, number).is_ok())
            }
        };
        drop(machine);
        let busy = Error { operation: Operation::Bind, protocol, errno: ipq_proto::Errno::EBUSY };
        claimed.then_some(socket).ok_or(busy)
    }

    /// Lets the next thing happen, whenever it is due.
    pub fn step(&self) -> Stepped {
        self.lock().step(Deadline::Never)
    }

    /// Runs until nothing is left to happen.
    pub fn run(&self) {
        while self.step() == Stepped::Progressed {}
    }

    /// Runs for a time, and returns when all that was due in it has happened.
    pub fn advance(&self, time: Duration) {
        let mut machine = self.lock();
        let end = machine.now().saturating_add(time);
        while machine.step(Deadline::At(end)) == Stepped::Progressed {}
    }

    /// The simulated time since the kernel started.
    pub fn now(&self) -> Clock {
        self.lock().now()
    }

    /// The simulated wall-clock time, which arrival times are in.
    pub fn wall_clock(&self) -> Timestamp {
        self.lock().wall_clock()
    }

    /// The wall-clock time at which its clock showed zero: what times of a trace count from.
    pub fn start_time(&self) -> Timestamp {
        let machine = self.lock();
        machine.wall_clock().saturating_sub(machine.now())
    }

    /// The packets that have been delivered since outcomes were last [taken](Self::take_outcomes), in that order.
    pub fn delivered(&self) -> Vec<Outcome> {
        let machine = self.lock();
        let outcomes = machine.outcomes.iter().flatten();
        outcomes.filter(|outcome| outcome.fate == Fate::Delivered).cloned().collect()
    }

    /// Takes what has happened since the last call, in that order. Empty unless the kernel was built to
    /// [trace](Builder::trace).
    pub fn take_trace(&self) -> Vec<TraceEntry> {
        self.lock().trace.take()
    }

    /// Takes the datagrams that programs and this kernel have exchanged since the last call, in that order. Empty unless the
    /// kernel was built to [record](Builder::record) them. What a receive buffer had no room for is not among them.
    pub fn take_conversation(&self) -> Vec<Datagram> {
        self.lock().conversation.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// How many packets have ended as `is_wanted` says since outcomes were last taken.
    pub(crate) fn count_outcomes(&self, is_wanted: impl Fn(&Fate) -> bool) -> u64 {
        let machine = self.lock();
        let outcomes = machine.outcomes.iter().flatten();
        outcomes.filter(|outcome| is_wanted(&outcome.fate)).count() as u64
    }

    /// Takes the packets that have ended since the last call, in the order they ended. Empty if the kernel was
    /// built only to [count](Builder::count_only) them.
    pub fn take_outcomes(&self) -> Vec<Outcome> {
        self.lock().outcomes.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Shows `each` what [`take_outcomes`](Self::take_outcomes) would give, and keeps the memory for packets to come: so that
    /// a run of any length allocates nothing for a packet.
    pub fn drain_outcomes(&self, each: impl FnMut(&Outcome)) {
        let mut ended = self.take_outcomes();
        ended.iter().for_each(each);
        let machine = &mut *self.lock();
        for outcome in ended.drain(..) {
            machine.memory.bytes.give(outcome.data);
        }
        if let Some(outcomes) = machine.outcomes.as_mut().filter(|outcomes| outcomes.is_empty()) {
            *outcomes = ended;
        }
    }

    /// How many packets there were, and what became of them.
    pub fn totals(&self) -> Totals {
        self.lock().totals()
    }

    /// What `/proc/net/ip_queue` (or `ip6_queue`) says; `None` if the module is not loaded.
    #[doc(alias = "/proc/net/ip_queue")]
    pub fn ip_queue_status(&self, family: Family) -> Option<IpQueueStatus> {
        self.lock().ip_queue(family).map(|queue| queue.status())
    }

    /// What `/proc/net/netfilter/nfnetlink_queue` says: a line for each queue that a program has.
    #[doc(alias = "/proc/net/netfilter/nfnetlink_queue")]
    pub fn nfqueue_status(&self) -> Vec<NfqueueStatus> {
        self.lock().nfqueues.as_ref().map(Nfqueues::status).unwrap_or_default()
    }

    /// What all of these files say.
    pub fn status(&self) -> KernelStatus {
        let ip_queues = Family::ALL.into_iter().filter_map(|family| self.ip_queue_status(family));
        KernelStatus {
            ip_queues: ip_queues.collect(),
            nfqueues: self.nfqueue_status(),
            problems: Vec::new(),
        }
    }

    /// Has a queue of `nfnetlink_queue` count on from `id`, as if so many packets had been in it: ids wrap around
    /// after 2^32. Without such a queue it does nothing.
    pub fn set_last_nfqueue_id(&self, number: u16, id: u32) {
        if let Some(queue) = self.lock().nfqueues.as_mut().and_then(|queues| queues.get(number)) {
            queue.set_last_id(id);
        }
    }

    /// Unloads `nfnetlink_queue`: what it has queued is dropped, and its queues are gone.
    #[doc(alias = "rmmod")]
    pub fn unload_nfqueue(&self) {
        self.lock().unload_nfqueue();
    }

    /// Loads `nfnetlink_queue`, if it is not loaded.
    #[doc(alias = "modprobe")]
    pub fn load_nfqueue(&self) {
        self.lock().load_nfqueue();
    }

    /// Sets the maximum length of a queue. The sysctl's -1 is [`u32::MAX`]. Without the module it does nothing.
    #[doc(alias("net.ipv4.ip_queue_maxlen", "net.ipv6.ip6_queue_maxlen"))]
    pub fn set_queue_max_length(&self, family: Family, max_length: u32) {
        if let Some(queue) = self.lock().ip_queue(family) {
            queue.set_max_length(max_length);
        }
    }

    /// Loads the module of `family`, if it is not loaded.
    #[doc(alias = "modprobe")]
    pub fn load_ip_queue(&self, family: Family) {
        self.lock().load_ip_queue(family);
    }

    /// Unloads the module of `family`: what it has queued is dropped.
    #[doc(alias = "rmmod")]
    pub fn unload_ip_queue(&self, family: Family) {
        self.lock().unload_ip_queue(family);
    }

    /// Does something to the kernel when its clock shows `time`, or at once if that has passed.
    ///
    /// # Panics
    ///
    /// If it is about a device that is not there.
    pub fn at(&self, time: Clock, action: Action) {
        let mut machine = self.lock();
        if let Some(device) = action.device() {
            machine.devices.index(device);
        }
        let time = time.max(machine.now());
        machine.plan(time, Event::Act(Box::new(action)));
    }

    /// Does something to the kernel now.
    ///
    /// # Panics
    ///
    /// If it is about a device that is not there.
    pub fn act(&self, action: &Action) {
        self.lock().act(action);
    }

    /// Adds a device, which is up from now on.
    ///
    /// # Panics
    ///
    /// If there is one of that name.
    pub fn add_device(&self, device: Device) {
        self.lock().add_device(device);
    }

    /// Sets the longest packet that a device takes, in bytes, and the hosts at the other end of its link.
    ///
    /// # Panics
    ///
    /// If there is no such device.
    #[doc(alias = "MTU")]
    pub fn set_mtu(&self, device: &str, bytes: usize) {
        let mut machine = self.lock();
        let device = machine.devices.index(device);
        machine.set_mtu(device, bytes);
    }

    /// Takes a device down: what is queued and came in by it, or was to leave by it, is dropped.
    ///
    /// # Panics
    ///
    /// If there is no such device.
    pub fn device_down(&self, name: &str) {
        self.lock().device_down(name);
    }

    /// Brings a device up again.
    ///
    /// # Panics
    ///
    /// If there is no such device.
    pub fn device_up(&self, name: &str) {
        self.lock().device_up(name);
    }

    /// Word size and byte order of its messages.
    pub fn data_model(&self) -> DataModel {
        self.lock().model
    }
}

/// Without what is in it, which is too much to read.
impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").finish_non_exhaustive()
    }
}
