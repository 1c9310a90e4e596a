//! A queue for asynchronous code: [`AsyncQueue`].

use core::array;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::collections::VecDeque;

use futures_core::Stream;
use futures_sink::Sink;
use ipq_proto::Verdict;
use ipq_sys::{Clock, Deadline, MAX_TRANSPORTS, Waited, Watched};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{Error, QueuedPacket, SharedQueue};

/// A [`SharedQueue`] as tokio has it: a stream of packets, and a sink of verdicts.
///
/// It works in every flavour of tokio's runtime, in a `LocalSet`, and beside other readers of the same queue.
/// Whatever waits for the next packet may be cancelled: a packet is taken only when it is handed out, and one that is
/// dropped afterwards gets the default verdict.
///
/// ```
/// # use ipq::{AsyncQueue, CopyMode, DefaultVerdict, Family, Hook, Queue, SharedQueue};
/// # use ipq_sim::{Kernel, Match, Target};
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// # let kernel = Kernel::builder().build();
/// # kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
/// # let mut packet = Vec::new();
/// # etherparse::PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(1, 2).write(&mut packet, b"x").unwrap();
/// # for _ in 0..2 { kernel.send(Family::Ipv4, &packet) }
/// let mut queue = Queue::with(kernel.socket(Family::Ipv4))?;
/// queue.set_mode(CopyMode::Packet { range: 2048 })?;
/// let mut packets = AsyncQueue::new(SharedQueue::new(queue, DefaultVerdict::Drop)?)?;
/// while let Some(packet) = packets.next().await.transpose()? {
///     tokio::spawn(async move {
///         tokio::time::sleep(std::time::Duration::from_millis(100)).await;
///         packet.accept()
///     });
/// }
/// # assert_eq!(kernel.totals().delivered, 2);
/// # Ok::<(), ipq::Error>(()) }).unwrap();
/// ```
///
/// A verdict never waits, so it may be given by [`QueuedPacket::settle`] and its kin in any task; the sink is for code that
/// is made of streams, and repeats by itself what could not be sent.
///
/// On a simulated kernel, simulated time is tokio's: the kernel does what is due, then the task sleeps until the next thing
/// is. Under a paused clock (`start_paused`, `tokio::time::pause`) a test therefore takes no time and always goes the same
/// way. The stream ends when the kernel has nothing left to do and no packet is held, unless it is to
/// [stay open](Self::stay_open).
pub struct AsyncQueue {
    queue: SharedQueue,
    source: Source,
    /// Ends when something may come that no descriptor tells of.
    timer: Option<Pin<Box<Sleep>>>,
    /// Verdicts that could not be sent yet.
    unsent: VecDeque<(QueuedPacket, Verdict)>,
    /// Ends when they are to be tried again.
    patience: Option<Pin<Box<Sleep>>>,
}

/// How it is known that there is something to read.
enum Source {
    /// By descriptors: those of the queue, then that of its stopper.
    Descriptors(Vec<Watched>),
    /// By letting a simulated kernel run, whose clock and tokio's showed this when it began.
    Simulated { clock: Clock, instant: Instant, stays_open: bool },
}

/// How long to wait before a verdict is sent again, and before a simulated kernel is looked at again that has nothing to do.
const SHORT_WHILE: Duration = Duration::from_millis(1);

impl AsyncQueue {
    /// Makes a queue one for asynchronous code. Others may use its clones meanwhile, asynchronously or not.
    ///
    /// # Errors
    ///
    /// If the queue is closed, or this process has no descriptor left.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, or in one without I/O (`enable_io`) or, on a simulated kernel, without time (`enable_time`).
    pub fn new(queue: SharedQueue) -> Result<Self, Error> {
        let descriptors = queue.duplicates()?;
        let source = if descriptors.is_empty() {
            let clock = queue.with_queue(|queue| queue.clock())?;
            Source::Simulated { clock, instant: Instant::now(), stays_open: false }
        } else {
            let stopper = queue.stopper().reader().map_err(Error::Descriptor)?;
            let watched = descriptors.into_iter().chain([stopper]).map(Watched::new);
            Source::Descriptors(watched.collect::<Result<_, _>>().map_err(Error::Descriptor)?)
        };
        Ok(Self { queue, source, timer: None, unsent: VecDeque::new(), patience: None })
    }

    /// Has the stream go on when a simulated kernel has nothing left to do, for tests in which other tasks send packets now
    /// and then: it looks every millisecond of tokio's time. On a real kernel it always goes on.
    #[must_use]
    pub fn stay_open(mut self) -> Self {
        if let Source::Simulated { stays_open, .. } = &mut self.source {
            *stays_open = true;
        }
        self
    }

    /// The queue: for its [stopper](SharedQueue::stopper), [snapshot](SharedQueue::snapshot) and
    /// [end](SharedQueue::close).
    pub const fn queue(&self) -> &SharedQueue {
        &self.queue
    }

    /// The next packet; `None` once the queue is stopped, or a simulated kernel has nothing left to do. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`SharedQueue::next`].
    pub async fn next(&mut self) -> Option<Result<QueuedPacket, Error>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    fn poll_packet(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<QueuedPacket, Error>>> {
        // A queue that is never empty must not keep other tasks from running.
        let turn = ready!(coop::poll_proceed(context));
        let polled = match self.source {
            Source::Descriptors(_) => self.poll_descriptors(context),
            Source::Simulated { clock, instant, stays_open } => {
                self.poll_simulated(context, clock, instant, stays_open)
            }
        };
        if polled.is_ready() {
            turn.made_progress();
        }
        polled.map(Result::transpose)
    }

    fn poll_descriptors(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<QueuedPacket>, Error>> {
        loop {
            if self.queue.is_stopped() {
                return Poll::Ready(Ok(None));
            }
            let Source::Descriptors(descriptors) = &self.source else { return Poll::Pending };
            // First what is ready, then what is there: a packet that comes in between makes it ready again.
            let mut ready: [Option<_>; MAX_TRANSPORTS] = array::from_fn(|_| None);
            for (slot, descriptor) in ready.iter_mut().zip(descriptors) {
                if let Poll::Ready(guard) = descriptor.poll_readable(context) {
                    *slot = Some(guard.map_err(Error::Descriptor)?);
                }
            }
            if let Some(packet) = self.queue.try_next()? {
                return Poll::Ready(Ok(Some(packet)));
            }
            let mut is_ready = false;
            for mut guard in ready.into_iter().flatten() {
                guard.clear_ready();
                is_ready = true;
            }
            let due =
                self.queue.with_queue(|queue| Some(queue.due()?.saturating_sub(queue.clock())))?;
            let is_due = due.is_some_and(|left| {
                set(&mut self.timer, Instant::now() + left).poll(context).is_ready()
            });
            if !is_ready && !is_due {
                return Poll::Pending;
            }
        }
    }

    fn poll_simulated(
        &mut self,
        context: &mut Context<'_>,
        start: Clock,
        instant: Instant,
        stays_open: bool,
    ) -> Poll<Result<Option<QueuedPacket>, Error>> {
        loop {
            if self.queue.is_stopped() {
                return Poll::Ready(Ok(None));
            }
            if let Some(packet) = self.queue.try_next()? {
                return Poll::Ready(Ok(Some(packet)));
            }
            let now = start.saturating_add(instant.elapsed());
            let upcoming =
                self.queue.with_queue(|queue| match queue.step(Deadline::At(now))? {
                    Waited::Ready | Waited::Interrupted => Ok::<_, Error>(Some(now)),
                    Waited::TimedOut | Waited::Ended => Ok(queue.upcoming()),
                })??;
            let wait_until = match upcoming {
                Some(time) if time <= now => continue,
                Some(time) => instant + time.saturating_sub(start),
                None if stays_open => Instant::now() + SHORT_WHILE,
                // Whoever settles a packet wakes this task.
                None if self.queue.wake_when_settled(context.waker()) => return Poll::Pending,
                None => return Poll::Ready(Ok(None)),
            };
            // A packet that is settled may give the kernel something to do before.
            self.queue.wake_when_settled(context.waker());
            ready!(set(&mut self.timer, wait_until).poll(context));
        }
    }

    /// Sends the verdicts that could not be sent before.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if let Some(patience) = &mut self.patience {
                ready!(patience.as_mut().poll(context));
                self.patience = None;
            }
            let Some((packet, verdict)) = self.unsent.pop_front() else {
                return Poll::Ready(Ok(()));
            };
            match packet.settle(verdict) {
                Ok(()) => (),
                Err(unsettled) if unsettled.error().is_temporary() => {
                    self.unsent.push_front((unsettled.into_packet(), verdict));
                    self.patience = Some(Box::pin(sleep(SHORT_WHILE)));
                }
                Err(unsettled) => return Poll::Ready(Err(unsettled.into())),
            }
        }
    }
}

/// Has `timer` end then: the same one again, so that waiting allocates nothing.
fn set(timer: &mut Option<Pin<Box<Sleep>>>, end: Instant) -> Pin<&mut Sleep> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
    timer.as_mut().reset(end);
    timer.as_mut()
}

/// Packets, as by [`AsyncQueue::next`].
impl Stream for AsyncQueue {
    type Item = Result<QueuedPacket, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_packet(context)
    }
}

/// Verdicts. What cannot be sent for now is kept, and sent later; what cannot be sent at all is an error, and the packet
/// gets the default. Closing the sink sends what is kept and leaves the queue as it is.
impl Sink<(QueuedPacket, Verdict)> for AsyncQueue {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_send(context)
    }

    fn start_send(
        self: Pin<&mut Self>,
        (packet, verdict): (QueuedPacket, Verdict),
    ) -> Result<(), Error> {
        self.get_mut().unsent.push_back((packet, verdict));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_send(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_send(context)
    }
}

impl fmt::Debug for AsyncQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncQueue")
            .field("queue", &self.queue)
            .field("unsent", &self.unsent.len())
            .finish_non_exhaustive()
    }
}
