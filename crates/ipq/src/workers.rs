//! One thread for each of several queues: [`Workers`].

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use ipq_proto::{CopyMode, Verdict};
use ipq_sys::{Deadline, Waited};

use crate::shared::Pace;
use crate::turns::{Next, Turn, Turns};
use crate::{
    DefaultVerdict, Error, Options, Packet, Queue, QueuedPacket, SharedQueue, Snapshot, Statistics,
    Stopper, TransportName,
};

/// Several queues of `nfnetlink_queue`, each with a socket and a thread of its own: as many cores as there are queues.
///
/// The kernel spreads packets over queues by their addresses (`--queue-balance A:B`), so that those of a connection stay in
/// order. Each queue has its own receive buffer and its own length: a packet that waits long for its verdict keeps its own
/// queue's place and no other's. While a worker is busy with a slow packet, those behind it in its queue wait, and those in
/// other queues do not; whoever may be slow should hand packets on to other threads, and read on.
///
/// ```
/// # use ipq::{CopyMode, DefaultVerdict, Families, Family, Hook, Queue, Workers};
/// # use ipq_sim::{Kernel, Match, Target};
/// # let kernel = Kernel::builder().build();
/// # kernel.rule(Hook::LocalOut, Match::any(), Target::Nfqueue { first: 4, last: 7, bypass: false });
/// # kernel.send(Family::Ipv4, &[0x45; 20]);
/// # let queues = (4..=7).map(|number| Queue::with_nfqueue(kernel.nfqueue_socket(), number..=number, Families::Both));
/// # let workers = Workers::new(queues.collect::<Result<_, _>>()?, DefaultVerdict::Accept)?;
/// # workers.set_mode(CopyMode::Packet { range: 0 })?;
/// // let workers = Workers::open("nfqueue:4-7".parse()?, CopyMode::Packet { range: 0 }, Options::default(), …)?;
/// workers.run(|packet| packet.accept())?;
/// assert_eq!(workers.statistics().accepted, 1);
/// # Ok::<(), ipq::Error>(())
/// ```
#[derive(Debug)]
pub struct Workers {
    queues: Vec<SharedQueue>,
    turns: Turns,
}

impl Workers {
    /// Opens every queue of a transport's name by itself, and sets its copy mode. Anything but `nfqueue:A-B` is one queue.
    ///
    /// # Errors
    ///
    /// As [`Queue::open`] and [`Queue::set_mode`]; those that were opened before are closed again.
    pub fn open(
        name: TransportName,
        mode: CopyMode,
        options: impl Into<Options>,
        default: DefaultVerdict,
    ) -> Result<Self, Error> {
        let options = options.into();
        let names = match name {
            TransportName::Nfqueue { first, last } => (first..=last)
                .map(|number| TransportName::Nfqueue { first: number, last: number })
                .collect(),
            other => vec![other],
        };
        let queues = names.into_iter().map(|name| Queue::open(name, options));
        let workers = Self::new(queues.collect::<Result<_, _>>()?, default)?;
        workers.set_mode(mode)?;
        Ok(workers)
    }

    /// Takes queues that are open already.
    ///
    /// # Errors
    ///
    /// If this process has no descriptor left.
    pub fn new(queues: Vec<Queue>, default: DefaultVerdict) -> Result<Self, Error> {
        let shared = queues.into_iter().map(|queue| SharedQueue::new(queue, default));
        Ok(Self { queues: shared.collect::<Result<_, _>>()?, turns: Turns::default() })
    }

    /// Sets the copy mode of every queue.
    ///
    /// # Errors
    ///
    /// As [`Queue::set_mode`].
    pub fn set_mode(&self, mode: CopyMode) -> Result<(), Error> {
        self.queues.iter().try_for_each(|queue| queue.with_queue(|queue| queue.set_mode(mode))?)
    }

    /// The queues.
    pub fn queues(&self) -> &[SharedQueue] {
        &self.queues
    }

    /// Has one thread for each queue take packets and hand them to `each`, until all are [stopped](Self::stop) or, on a
    /// simulated kernel, have nothing left to do. An error in one of them stops all.
    ///
    /// A simulated kernel goes on when no worker has anything to do: no time passes while one of them is at work.
    ///
    /// A packet may be settled right there or later, by any thread; one whose verdict cannot be sent gets the default if
    /// `each` returns it.
    ///
    /// # Errors
    ///
    /// The first error of a queue, by their order: as [`SharedQueue::next`], or what `each` returned.
    ///
    /// # Panics
    ///
    /// If `each` does, once all threads have ended.
    pub fn run<E: Into<Error>>(
        &self,
        each: impl Fn(QueuedPacket) -> Result<(), E> + Sync,
    ) -> Result<(), Error> {
        self.serve(|worker| {
            let queue = worker.queue;
            while let Some(packet) = queue.next_at(worker)? {
                each(packet).map_err(Into::into)?;
            }
            Ok(())
        })
    }

    /// Has one thread for each queue give every packet the verdict that `decide` returns, in batches, as
    /// [`SharedQueue::decide`] does: the fastest way, for verdicts that need no time.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn decide(&self, decide: impl Fn(&Packet<'_>) -> Verdict + Sync) -> Result<(), Error> {
        self.serve(|worker| {
            let queue = worker.queue;
            queue.decide_at(worker, &decide)
        })
    }

    /// Has one thread for each queue do `work`. Whatever ends one of them before its time, an error or a panic, stops all.
    fn serve(
        &self,
        work: impl Fn(&mut Worker<'_>) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let work = &work;
        thread::scope(|scope| {
            // All of them take part before one begins.
            let workers: Vec<_> =
                (0..self.queues.len()).map(|number| Worker::new(self, number)).collect();
            let workers = workers.into_iter();
            let threads: Vec<_> =
                workers.map(|worker| scope.spawn(move || worker.serve(work))).collect();
            let ends: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
            ends.into_iter().try_for_each(|end| end.unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    /// Whether there is something to do for one of these queues.
    fn is_ready(&self, queues: &[usize]) -> bool {
        queues.iter().any(|&queue| self.queues[queue].is_ready())
    }

    /// Has a simulated kernel go on until there is something to do for one of these queues.
    fn go_on(&self, queues: &[usize]) -> Result<Next, Error> {
        while !self.is_ready(queues) {
            // Most often they are all of one kernel.
            let mut steps = queues.iter().map(|&queue| self.queues[queue].step(Deadline::Never));
            let something =
                steps.find(|step| !matches!(step, Ok(Waited::TimedOut | Waited::Ended)));
            if something.transpose()?.is_none() {
                return Ok(Next::End);
            }
        }
        Ok(Next::Look)
    }

    /// Ends the reads of all queues, from any thread.
    pub fn stop(&self) {
        self.stoppers().iter().for_each(Stopper::stop);
    }

    /// The handles that end the reads of each queue.
    pub fn stoppers(&self) -> Vec<Stopper> {
        self.queues.iter().map(SharedQueue::stopper).collect()
    }

    /// What all queues have seen and done so far, together; from any thread, also while they work.
    pub fn statistics(&self) -> Statistics {
        self.queues.iter().map(SharedQueue::statistics).sum()
    }

    /// The same, with what the kernel says of each queue.
    pub fn snapshot(&self) -> Snapshot {
        self.queues.iter().map(SharedQueue::snapshot).sum()
    }

    /// Stops, settles what is left of each queue by default, and closes it, as [`SharedQueue::close`].
    ///
    /// # Errors
    ///
    /// The first of those of the queues, all of which are closed.
    pub fn close(&self) -> Result<Snapshot, Error> {
        self.stop();
        let closed: Vec<_> = self.queues.iter().map(SharedQueue::close).collect();
        closed.into_iter().sum()
    }
}

/// One of the threads.
struct Worker<'w> {
    workers: &'w Workers,
    queue: &'w SharedQueue,
    /// On a simulated kernel; any other goes on by itself.
    turn: Option<Turn<'w>>,
}

impl<'w> Worker<'w> {
    fn new(workers: &'w Workers, number: usize) -> Self {
        let queue = &workers.queues[number];
        Self { workers, queue, turn: queue.is_simulated().then(|| workers.turns.join(number)) }
    }

    fn serve(mut self, work: impl Fn(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let stop_all = StopAll(self.workers);
        work(&mut self)?;
        core::mem::forget(stop_all);
        Ok(())
    }
}

impl Pace for Worker<'_> {
    /// Goes on once no worker has anything to do.
    fn go_on(&mut self, deadline: Deadline) -> Result<Waited, Error> {
        let Some(turn) = &mut self.turn else { return self.queue.step(deadline) };
        let next = turn.wait(|queues| self.workers.go_on(queues))?;
        Ok(if next == Next::End { Waited::Ended } else { Waited::Ready })
    }

    fn go_ahead(&mut self) {
        if let Some(turn) = &self.turn {
            turn.go_ahead(|queues| self.workers.is_ready(queues));
        }
    }
}

/// Stops all when it is dropped.
struct StopAll<'w>(&'w Workers);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
