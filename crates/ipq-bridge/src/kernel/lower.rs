//! The queue below a module, which it has for itself or shares with the module of the other family: [`Lower`].
//!
//! Who shares a queue takes all that comes by its socket and sorts it: packets by their family, answers by what is written
//! into each request ([`carried::is_about`]). A mode below is one that is enough for both, and how many packets may wait is
//! counted here, since the kernel below counts both families together.

use std::collections::{BTreeSet, VecDeque};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::Timestamp;
use ipq_proto::netlink::{Message, MessageType, Reply};
use ipq_proto::nfqueue::{self, ParamsMsg};
use ipq_proto::{Abi, CopyMode, DataModel, Errno, Family, Verdict};
use ipq_sys::{
    Clock, Deadline, DeviceInfo, Error, KernelStatus, Operation, Protocol, Received, Transport,
};

use super::sockets::DEFAULT_RECEIVE_BUFFER;
use super::{LONGEST_MESSAGE, slot};
use crate::station::append_verdict;
use crate::{Options, carried};

/// A module's transport below.
#[derive(Debug)]
pub(super) struct Lower<T> {
    queue: Arc<Mutex<Queue<T>>>,
    family: Family,
    /// A descriptor of the socket that is this module's own.
    descriptor: Option<OwnedFd>,
}

/// The queue of one module, or of two.
#[derive(Debug)]
struct Queue<T> {
    below: T,
    /// What is sorted, if it is shared.
    sorting: Option<Sorting>,
}

/// What is known of the packets of a queue that is shared.
#[derive(Debug)]
struct Sorting {
    number: u16,
    /// What is decided on packets that are too many.
    excess: Verdict,
    /// IPv4, then IPv6.
    sides: [Side; 2],
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

/// One family of them.
#[derive(Debug)]
struct Side {
    mode: CopyMode,
    max_length: u32,
    /// The receive buffer that its peer has, in bytes.
    receive_buffer: usize,
    /// What has been sorted, and not been received.
    sorted: VecDeque<Vec<u8>>,
    has_overrun: bool,
    /// The packets that wait for a verdict.
    waiting: BTreeSet<u32>,
    dropped: u32,
    unwanted: u64,
}

/// What the kernel below cannot say of one family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// How many packets wait.
    pub(super) waiting: u64,
    /// How many were dropped because too many waited.
    pub(super) dropped: u32,
    /// How many came while nobody wanted them.
    pub(super) unwanted: u64,
}

/// What came from below.
enum Came {
    Packet { id: u32, family: Option<Family> },
    Other(Family),
}

impl<T: Transport> Lower<T> {
    /// A queue for the module of one family alone.
    pub(super) fn alone(below: T, family: Family) -> Result<Self, Error> {
        let queue = Queue { below, sorting: None };
        let descriptor = queue.duplicate()?;
        Ok(Self { queue: Arc::new(Mutex::new(queue)), family, descriptor })
    }

    /// From now on the queue, which has this number, is that of both families.
    pub(super) fn share(&mut self, number: u16, options: Options) {
        let side = || Side {
            mode: CopyMode::None,
            max_length: 0,
            receive_buffer: DEFAULT_RECEIVE_BUFFER as usize / 2,
            sorted: VecDeque::new(),
            has_overrun: false,
            waiting: BTreeSet::new(),
            dropped: 0,
            unwanted: 0,
        };
        let sorting = Sorting {
            number,
            excess: if options.fail_open { Verdict::Accept } else { Verdict::Drop },
            sides: [side(), side()],
            inbox: vec![0; LONGEST_MESSAGE],
            outbox: Vec::new(),
        };
        self.queue().sorting = Some(sorting);
    }

    /// The part of the other family.
    pub(super) fn for_family(&self, family: Family) -> Result<Self, Error> {
        let descriptor = self.queue().duplicate()?;
        Ok(Self { queue: Arc::clone(&self.queue), family, descriptor })
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        // Who has panicked with it has left it whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_shared(&self) -> bool {
        self.queue().sorting.is_some()
    }

    /// Sorts what has come, if the queue is shared.
    pub(super) fn sort(&mut self) -> Result<(), Error> {
        self.queue().sort()
    }

    /// Notes which mode this family has, and says which one the queue is to have.
    pub(super) fn joined_mode(&mut self, mode: CopyMode) -> CopyMode {
        match &mut self.queue().sorting {
            None => mode,
            Some(sorting) => {
                sorting.sides[slot(self.family)].mode = mode;
                sorting.joined_mode()
            }
        }
    }

    /// Sets how many packets of this family may wait; says whether that is counted here.
    pub(super) fn set_max_length(&mut self, packets: u32) -> bool {
        let mut queue = self.queue();
        let sorting = queue.sorting.as_mut();
        sorting.map(|sorting| sorting.sides[slot(self.family)].max_length = packets).is_some()
    }

    /// A packet is decided: says whether it is one of this family, as far as that is known.
    pub(super) fn decide(&mut self, id: u32) -> bool {
        let mut queue = self.queue();
        let sorting = queue.sorting.as_mut();
        sorting.is_none_or(|sorting| sorting.sides[slot(self.family)].waiting.remove(&id))
    }

    /// It was not decided after all.
    pub(super) fn undo(&mut self, id: u32) {
        if let Some(sorting) = &mut self.queue().sorting {
            sorting.sides[slot(self.family)].waiting.insert(id);
        }
    }

    /// What is counted for a family, if the queue is shared.
    pub(super) fn counts(&self, family: Family) -> Option<Counts> {
        let queue = self.queue();
        let side = &queue.sorting.as_ref()?.sides[slot(family)];
        Some(Counts {
            waiting: side.waiting.len() as u64,
            dropped: side.dropped,
            unwanted: side.unwanted,
        })
    }

    /// Drops the packets of this family that wait, and wants no more of them.
    pub(super) fn drop_waiting(&mut self) -> Result<(), Error> {
        let mut queue = self.queue();
        queue.sort()?;
        let Queue { below, sorting: Some(sorting) } = &mut *queue else { return Ok(()) };
        let side = &mut sorting.sides[slot(self.family)];
        (side.mode, side.has_overrun) = (CopyMode::None, false);
        side.sorted.clear();
        let (model, number) = (below.data_model(), sorting.number);
        for id in core::mem::take(&mut side.waiting) {
            sorting.outbox.clear();
            append_verdict(model, number, id, Verdict::Drop, &mut sorting.outbox);
            below.send(&[IoSlice::new(&sorting.outbox)])?;
        }
        let mode = sorting.joined_mode();
        sorting.outbox.clear();
        append_mode(model, number, mode, &mut sorting.outbox);
        below.send(&[IoSlice::new(&sorting.outbox)])
    }
}

impl<T: Transport> Queue<T> {
    fn duplicate(&self) -> Result<Option<OwnedFd>, Error> {
        let own = self.below.descriptor().map(|descriptor| descriptor.try_clone_to_owned());
        own.transpose().map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::EMFILE, Errno);
            Error { operation: Operation::Open, protocol: Protocol::Netfilter, errno }
        })
    }

    fn sort(&mut self) -> Result<(), Error> {
        let Self { below, sorting: Some(sorting) } = self else { return Ok(()) };
        loop {
            let received = below.receive(&mut sorting.inbox, Deadline::Immediate)?;
            match received {
                Received::Datagram { len } | Received::Truncated { len, .. } => {
                    sorting.take(below, len)?;
                }
                // Nobody knows whose messages were lost.
                Received::Overrun => {
                    sorting.sides.iter_mut().for_each(|side| side.has_overrun = true);
                }
                Received::Foreign { .. } | Received::Interrupted => (),
                Received::TimedOut | Received::Ended => return Ok(()),
            }
        }
    }
}

impl Sorting {
    /// Sorts the datagram in the inbox.
    fn take<T: Transport>(&mut self, below: &mut T, len: usize) -> Result<(), Error> {
        let datagram = &self.inbox[..len];
        let model = below.data_model();
        let (id, family) = match model.with(Look(datagram)) {
            Came::Packet { id, family } => (id, family.unwrap_or(Family::Ipv4)),
            Came::Other(family) => {
                self.sides[slot(family)].sorted.push_back(datagram.to_vec());
                return Ok(());
            }
        };
        let side = &mut self.sides[slot(family)];
        let verdict = if side.mode == CopyMode::None {
            side.unwanted += 1;
            Verdict::Drop
        } else if side.waiting.len() >= side.max_length as usize {
            side.dropped = side.dropped.wrapping_add(u32::from(self.excess == Verdict::Drop));
            self.excess
        } else {
            side.waiting.insert(id);
            side.sorted.push_back(datagram.to_vec());
            return Ok(());
        };
        self.outbox.clear();
        append_verdict(model, self.number, id, verdict, &mut self.outbox);
        below.send(&[IoSlice::new(&self.outbox)])
    }

    /// The mode that is enough for both families.
    fn joined_mode(&self) -> CopyMode {
        match self.sides.each_ref().map(|side| side.mode) {
            [CopyMode::Packet { range: one }, CopyMode::Packet { range: other }] => {
                // 0 is all there is.
                let range = if one == 0 || other == 0 { 0 } else { one.max(other) };
                CopyMode::Packet { range }
            }
            [one, other] if one.value() < other.value() => other,
            [one, _] => one,
        }
    }
}

/// Looks what a datagram from below is.
struct Look<'d>(&'d [u8]);

impl AbiVisitor for Look<'_> {
    type Output = Came;

    fn visit<A: Abi>(self) -> Came {
        // What makes no sense is counted by whoever gets it.
        let nobody = Came::Other(Family::Ipv4);
        let Ok((Message { header, body, .. }, _)) = Message::decode::<A::Order>(self.0) else {
            return nobody;
        };
        match header.message_type {
            nfqueue::PACKET => {
                let packet = nfqueue::Packet::decode::<A::Order>(body);
                packet.map_or(nobody, |packet| Came::Packet {
                    id: packet.id,
                    family: packet.ip_family(),
                })
            }
            MessageType::ERROR => Reply::decode::<A::Order>(body)
                .map_or(nobody, |reply| Came::Other(carried::is_about(reply.request))),
            _ => nobody,
        }
    }
}

/// Appends to `out` the request to set a copy mode.
fn append_mode(model: DataModel, queue: u16, mode: CopyMode, out: &mut Vec<u8>) {
    struct Mode<'o>(u16, CopyMode, &'o mut Vec<u8>);
    impl AbiVisitor for Mode<'_> {
        type Output = ();

        fn visit<A: Abi>(self) {
            let Self(queue, mode, out) = self;
            carried::append_plain(out, nfqueue::CONFIG, ParamsMsg::<A::Order>::new(queue, mode));
        }
    }
    model.with(Mode(queue, mode, out));
}

impl<T: Transport> Transport for Lower<T> {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        self.queue().below.send(parts)
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        let mut queue = self.queue();
        queue.sort()?;
        let Queue { below, sorting } = &mut *queue;
        let Some(sorting) = sorting else { return below.receive(buffer, deadline) };
        let side = &mut sorting.sides[slot(self.family)];
        if core::mem::take(&mut side.has_overrun) {
            return Ok(Received::Overrun);
        }
        // A server never waits here.
        let Some(next) = side.sorted.pop_front() else { return Ok(Received::TimedOut) };
        let (len, datagram_len) = (next.len().min(buffer.len()), next.len());
        buffer[..len].copy_from_slice(&next[..len]);
        let is_whole = len == datagram_len;
        let truncated = Received::Truncated { len, datagram_len };
        Ok(if is_whole { Received::Datagram { len } } else { truncated })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        self.queue().below.device(index)
    }

    fn kernel_status(&self) -> KernelStatus {
        self.queue().below.kernel_status()
    }

    /// A queue that is shared has as much room as both have together.
    fn set_receive_buffer(&mut self, bytes: usize) -> Result<(), Error> {
        let mut queue = self.queue();
        let Queue { below, sorting } = &mut *queue;
        let Some(sorting) = sorting else { return below.set_receive_buffer(bytes) };
        sorting.sides[slot(self.family)].receive_buffer = bytes;
        let all = sorting.sides.iter().map(|side| side.receive_buffer);
        below.set_receive_buffer(all.fold(0, usize::saturating_add))
    }

    /// A queue that is shared always reports them, and whoever does not want to hear of them does not.
    fn report_overruns(&mut self, report: bool) -> Result<(), Error> {
        let mut queue = self.queue();
        let is_shared = queue.sorting.is_some();
        queue.below.report_overruns(report || is_shared)
    }

    fn protocol(&self) -> Protocol {
        self.queue().below.protocol()
    }

    fn port_id(&self) -> u32 {
        self.queue().below.port_id()
    }

    fn data_model(&self) -> DataModel {
        self.queue().below.data_model()
    }

    fn now(&self) -> Clock {
        self.queue().below.now()
    }

    fn wall_clock(&self) -> Timestamp {
        self.queue().below.wall_clock()
    }
}
