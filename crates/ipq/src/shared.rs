//! A queue for several threads, whose packets are settled exactly once: [`SharedQueue`].

use core::fmt;
use core::task::Waker;
use core::time::Duration;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::PoisonError;

use ipq_proto::{DataModel, Verdict};
use ipq_sys::{Deadline, Waited, wait_readable};

use crate::packet::Outline;
use crate::queue::Work;
use crate::queued_packet::Order;
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::{Error, Event, Packet, PacketId, Queue, QueuedPacket, Snapshot, Statistics, Stopper};

/// What becomes of a packet that nobody gives a verdict.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DefaultVerdict {
    /// It passes: fail open.
    Accept,
    /// It is dropped: fail closed.
    Drop,
}

impl From<DefaultVerdict> for Verdict {
    fn from(verdict: DefaultVerdict) -> Self {
        match verdict {
            DefaultVerdict::Accept => Self::Accept,
            DefaultVerdict::Drop => Self::Drop,
        }
    }
}

/// A queue that hands out packets which cannot be forgotten, to any thread. Clones are the same queue.
///
/// Each [`QueuedPacket`] is settled exactly once: by a verdict, which any thread may give at any time and in any order, or
/// else by the default when it is dropped. Nobody has to wait for a reader that waits: the lock inside is held only while
/// something is read or sent, never while waiting.
///
/// ```
/// # use ipq::{CopyMode, DefaultVerdict, Family, Hook, Queue, SharedQueue};
/// # use ipq_sim::{Kernel, Match, Target};
/// # let kernel = Kernel::builder().build();
/// # kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
/// # for _ in 0..2 { kernel.send(Family::Ipv4, &[0x45; 20]) }
/// let mut queue = Queue::with(kernel.socket(Family::Ipv4))?;
/// queue.set_mode(CopyMode::Packet { range: 2048 })?;
/// let queue = SharedQueue::new(queue, DefaultVerdict::Drop)?;
/// while let Some(packet) = queue.next(None)? {
///     if packet.packet().payload().len() < 1000 {
///         std::thread::spawn(move || packet.accept()).join().unwrap()?;
///     }
///     // Any other packet is dropped here, and counted.
/// }
/// let snapshot = queue.close()?;
/// assert_eq!(snapshot.statistics.accepted, 2);
/// # Ok::<(), ipq::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedQueue(Arc<Shared>);

struct Shared {
    session: Mutex<Session>,
    stopper: Stopper,
    default: DefaultVerdict,
}

/// What is behind the lock.
struct Session {
    /// `None` once it is closed.
    queue: Option<Queue>,
    /// Its descriptors once more, to wait on while others use it. Whoever waits holds them for so long only, since the
    /// socket is open until the last of them is closed.
    descriptors: Arc<Vec<OwnedFd>>,
    /// The packets that are handed out, each with the number it was handed out as. `ip_queue` uses an id again as soon as
    /// the packet is gone, so an id alone does not name one.
    held: HashMap<PacketId, u64>,
    handed_out: u64,
    /// Packets that are to get the default, but the kernel did not take it.
    owed: Vec<PacketId>,
    /// What is read into.
    buffer: Vec<u8>,
    /// Buffers of packets that are settled, for those to come.
    spare: Vec<Vec<u8>>,
    /// Tasks that wait for a packet to be settled.
    wakers: Vec<Waker>,
    /// The last word once the queue is closed.
    end: Snapshot,
}

/// How many buffers are kept for packets to come.
const SPARE_BUFFERS: usize = 256;

impl SharedQueue {
    /// Makes a queue one for several threads; packets that nobody decides on get `default`.
    ///
    /// # Errors
    ///
    /// If this process has no descriptor left.
    pub fn new(mut queue: Queue, default: DefaultVerdict) -> Result<Self, Error> {
        let stopper = queue.stopper()?;
        let duplicates = queue.descriptors().map(|descriptor| descriptor.try_clone_to_owned());
        let duplicates = duplicates.collect::<Result<_, _>>().map_err(Error::Descriptor)?;
        let session = Session {
            queue: Some(queue),
            descriptors: Arc::new(duplicates),
            held: HashMap::new(),
            handed_out: 0,
            owed: Vec::new(),
            buffer: Vec::new(),
            spare: Vec::new(),
            wakers: Vec::new(),
            end: Snapshot::default(),
        };
        Ok(Self(Arc::new(Shared { session: Mutex::new(session), stopper, default })))
    }

    /// Takes the next packet, waiting for it no longer than `timeout`; without one, for ever. Several threads may wait:
    /// each packet goes to one of them.
    ///
    /// `None` says that nothing came in time, that the queue was [stopped](Self::stopper), or that a simulated kernel has
    /// nothing left to do. What else comes, overruns and refusals, is counted in the [snapshot](Self::snapshot).
    ///
    /// # Errors
    ///
    /// If the socket fails, or the queue is closed. A message that makes no sense is counted and passed over.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<QueuedPacket>, Error> {
        let deadline = Deadline::after(self.lock().queue()?.clock(), timeout);
        self.attempt(deadline, |session| session.take(self), &mut Alone(self))
    }

    /// The next packet, waiting for it for ever, at the pace of several queues.
    pub(crate) fn next_at(&self, pace: &mut impl Pace) -> Result<Option<QueuedPacket>, Error> {
        self.attempt(Deadline::Never, |session| session.take(self), pace)
    }

    /// Whether there is something to do for its thread, or it has to end.
    pub(crate) fn is_ready(&self) -> bool {
        let mut session = self.lock();
        let Ok(queue) = session.queue() else { return true };
        let waited = queue.step(Deadline::Immediate);
        queue.is_to_stop() || !matches!(waited, Ok(Waited::TimedOut | Waited::Ended))
    }

    /// Whether it has no descriptor to wait for.
    pub(crate) fn is_simulated(&self) -> bool {
        self.lock().descriptors.is_empty()
    }

    /// Lets a simulated kernel do one thing, if there is nothing to read.
    pub(crate) fn step(&self, deadline: Deadline) -> Result<Waited, Error> {
        self.lock().queue()?.step(deadline)
    }

    /// Has `take` look until there is something, and waits in between, without the lock; a simulated kernel does not wait,
    /// but goes on at this `pace`.
    fn attempt<T>(
        &self,
        deadline: Deadline,
        mut take: impl FnMut(&mut Session) -> Result<Option<T>, Error>,
        pace: &mut impl Pace,
    ) -> Result<Option<T>, Error> {
        loop {
            let mut session = self.lock();
            if session.queue()?.is_to_stop() {
                return Ok(None);
            }
            if let Some(something) = take(&mut session)? {
                drop(session);
                pace.go_ahead();
                return Ok(Some(something));
            }
            let descriptors = Arc::clone(&session.descriptors);
            if descriptors.is_empty() {
                drop(session);
                match pace.go_on(deadline)? {
                    Waited::Ready | Waited::Interrupted => continue,
                    Waited::TimedOut | Waited::Ended => return Ok(None),
                }
            }
            let queue = session.queue()?;
            let now = queue.clock();
            let limit = deadline.at_latest(queue.due());
            drop(session);
            let left = match limit {
                Deadline::At(end) if end <= now && limit == deadline => return Ok(None),
                Deadline::At(end) => Some(end.saturating_sub(now)),
                Deadline::Immediate | Deadline::Never => None,
            };
            self.wait(&descriptors, left)?;
            if self.is_stopped() {
                return Ok(None);
            }
        }
    }

    /// Waits until there may be something to do.
    fn wait(&self, descriptors: &[OwnedFd], timeout: Option<Duration>) -> Result<(), Error> {
        let stopper = self.0.stopper.descriptor();
        let descriptors = descriptors.iter().map(AsFd::as_fd);
        wait_readable(descriptors.chain([stopper]), timeout).map_err(Error::Descriptor)?;
        Ok(())
    }

    /// Takes packets and hands them to `each`, until the queue is [stopped](Self::stopper) or a simulated kernel has
    /// nothing left to do.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn run(&self, mut each: impl FnMut(QueuedPacket)) -> Result<(), Error> {
        while let Some(packet) = self.next(None)? {
            each(packet);
        }
        Ok(())
    }

    /// Reads packets in batches and gives each the verdict that `decide` returns, as [`Queue::run`] does, until the queue is
    /// [stopped](Self::stopper) or a simulated kernel has nothing left to do: the fastest way, for verdicts that need no
    /// time. Others may use the queue between two batches.
    ///
    /// # Errors
    ///
    /// As [`Queue::run`].
    pub fn decide(&self, decide: impl FnMut(&Packet<'_>) -> Verdict) -> Result<(), Error> {
        self.decide_at(&mut Alone(self), decide)
    }

    /// The same at the pace of several queues.
    pub(crate) fn decide_at(
        &self,
        pace: &mut impl Pace,
        mut decide: impl FnMut(&Packet<'_>) -> Verdict,
    ) -> Result<(), Error> {
        let mut work = self.with_queue(|queue| Work::new(queue))?;
        let mut batch = |session: &mut Session| {
            session.pay(self.0.default)?;
            let now = Some(Duration::ZERO);
            let events = session.queue()?.work(&mut work, now, |packet| decide(&packet))?;
            Ok((events > 0).then_some(()))
        };
        while self.attempt(Deadline::Never, &mut batch, pace)?.is_some() {}
        Ok(())
    }

    /// Takes the next packet if it is there already, stopped or not; a simulated kernel does not run for it. For programs
    /// with a loop of their own, which wait for the descriptors of the [queue inside](Self::with_queue).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn try_next(&self) -> Result<Option<QueuedPacket>, Error> {
        self.lock().take(self)
    }

    /// A handle that ends waiting and all later reads, from any thread or from a signal.
    pub fn stopper(&self) -> Stopper {
        self.0.stopper.clone()
    }

    /// Whether it is stopped, by the stopper or by what was written to it.
    pub fn is_stopped(&self) -> bool {
        self.0.stopper.look()
    }

    /// Stops the queue, gives every packet that is still queued the default verdict, handed out or not yet read, and
    /// closes it. Verdicts for packets that are still held fail with [`Error::Closed`] from now on, and do nothing.
    ///
    /// The same happens when the last clone and the last packet are dropped; but then nobody hears of an error.
    ///
    /// # Errors
    ///
    /// If the socket fails. It is closed all the same, and the kernel drops what it still has. A thread that waits in
    /// [`next`](Self::next) has its hand on the socket until it returns, which it does at once.
    pub fn close(&self) -> Result<Snapshot, Error> {
        self.0.stopper.stop();
        self.lock().close(self.0.default)
    }

    /// Hands the session to `body`, while everybody else waits: to set a mode, or whatever else a [`Queue`] can do. Packets
    /// that are read there are not guarded.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn with_queue<T>(&self, body: impl FnOnce(&mut Queue) -> T) -> Result<T, Error> {
        self.lock().queue().map(body)
    }

    /// What it has seen and done so far.
    pub fn statistics(&self) -> Statistics {
        let session = self.lock();
        session.queue.as_ref().map_or(session.end.statistics, Queue::statistics)
    }

    /// The same, with what the kernel says of its queues; once closed, as it was in the end.
    pub fn snapshot(&self) -> Snapshot {
        let session = self.lock();
        session.queue.as_ref().map_or_else(|| session.end.clone(), Queue::snapshot)
    }

    /// How many packets are handed out and not settled.
    pub fn held(&self) -> usize {
        self.lock().held.len()
    }

    /// Settles a packet, if it is the one that was handed out as `number`.
    pub(crate) fn settle(&self, id: PacketId, number: u64, order: &Order<'_>) -> Result<(), Error> {
        let mut session = self.lock();
        let is_gone = session.held.get(&id) != Some(&number);
        let queue = session.queue()?;
        if is_gone {
            // Another packet has its id by now.
            queue.count_late_verdict();
            return Ok(());
        }
        queue.settle(id, order)?;
        session.held.remove(&id);
        session.wake();
        Ok(())
    }

    /// Gives a packet that is let go the default, and takes its buffer back.
    pub(crate) fn let_go(&self, id: PacketId, number: u64, is_settled: bool, buffer: Vec<u8>) {
        let mut session = self.lock();
        if session.spare.len() < SPARE_BUFFERS {
            session.spare.push(buffer);
        }
        if is_settled || session.held.get(&id) != Some(&number) {
            return;
        }
        session.held.remove(&id);
        session.owed.push(id);
        // Where it does not work now, whoever reads next tries it again.
        let _ = session.pay(self.0.default);
        session.wake();
    }

    /// The descriptors of the queue once more; none on a simulated kernel.
    #[cfg(feature = "tokio")]
    pub(crate) fn duplicates(&self) -> Result<Vec<OwnedFd>, Error> {
        let descriptors = Arc::clone(&self.lock().descriptors);
        self.with_queue(|_| ())?;
        let duplicates = descriptors.iter().map(OwnedFd::try_clone);
        duplicates.collect::<Result<_, _>>().map_err(Error::Descriptor)
    }

    /// Wakes a task when the next packet is settled; says whether there is one that can be.
    #[cfg(feature = "tokio")]
    pub(crate) fn wake_when_settled(&self, waker: &Waker) -> bool {
        let mut session = self.lock();
        if session.held.is_empty() {
            return false;
        }
        session.wakers.retain(|other| !other.will_wake(waker));
        session.wakers.push(waker.clone());
        true
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        // What a thread that panicked leaves behind is whole: it changes in single steps.
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn queue(&mut self) -> Result<&mut Queue, Error> {
        self.queue.as_mut().ok_or(Error::Closed)
    }

    /// The next packet that is there.
    fn take(&mut self, shared: &SharedQueue) -> Result<Option<QueuedPacket>, Error> {
        self.pay(shared.0.default)?;
        loop {
            let queue = self.queue.as_mut().ok_or(Error::Closed)?;
            let len = queue.buffer_len();
            if self.buffer.len() != len {
                self.buffer.resize(len, 0);
            }
            let spare = &mut self.spare;
            let keep = |event: Event<'_>, message: &[u8], model| {
                outline(&event, model).map(|outline| {
                    let mut buffer = spare.pop().unwrap_or_default();
                    buffer.clear();
                    buffer.extend_from_slice(message);
                    (outline, buffer)
                })
            };
            match queue.try_read_message(&mut self.buffer, keep) {
                Ok(Some(Some((outline, message)))) => {
                    self.handed_out += 1;
                    self.held.insert(outline.id, self.handed_out);
                    let shared = shared.clone();
                    return Ok(Some(QueuedPacket::new(shared, outline, self.handed_out, message)));
                }
                Ok(None) => return Ok(None),
                Ok(Some(None)) | Err(Error::Message(_)) => (),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the packets their default that are owed it.
    fn pay(&mut self, default: DefaultVerdict) -> Result<(), Error> {
        while let Some(&id) = self.owed.last() {
            match self.queue()?.settle_by_default(id, default) {
                Err(error) if error.is_temporary() => return Ok(()),
                paid => {
                    self.owed.pop();
                    paid?;
                }
            }
        }
        Ok(())
    }

    /// Wakes whoever waits for a packet to be settled.
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn close(&mut self, default: DefaultVerdict) -> Result<Snapshot, Error> {
        self.wake();
        let Some(mut queue) = self.queue.take() else { return Ok(self.end.clone()) };
        self.descriptors = Arc::new(Vec::new());
        let mut left: Vec<_> =
            self.owed.drain(..).chain(self.held.drain().map(|held| held.0)).collect();
        left.sort_unstable();
        let settled = left.into_iter().try_for_each(|id| queue.settle_by_default(id, default));
        let settled = settled.and_then(|()| queue.settle_rest(default));
        self.end = queue.snapshot();
        let released = settled.and_then(|()| queue.release());
        released.map(|()| self.end.clone())
    }
}

/// When a simulated kernel goes on, for a thread that reads. The lock is not held meanwhile.
pub(crate) trait Pace {
    /// There is nothing to read: lets it do something, until the deadline.
    fn go_on(&mut self, deadline: Deadline) -> Result<Waited, Error>;

    /// There is something to read, and the thread is at it from now on.
    fn go_ahead(&mut self) {}
}

/// The pace of one queue by itself.
struct Alone<'q>(&'q SharedQueue);

impl Pace for Alone<'_> {
    fn go_on(&mut self, deadline: Deadline) -> Result<Waited, Error> {
        self.0.step(deadline)
    }
}

/// The packet of an event, if it has one.
fn outline(event: &Event<'_>, model: DataModel) -> Option<Outline> {
    match event {
        Event::Packet(packet) => Some(Outline::of(packet, false, model)),
        Event::Truncated { packet: Some(packet), .. } => Some(Outline::of(packet, true, model)),
        _ => None,
    }
}

/// Without the session, which somebody else may have.
impl fmt::Debug for SharedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedQueue").field("default", &self.0.default).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner);
        // There is nobody to tell.
        let _ = session.close(self.default);
    }
}
