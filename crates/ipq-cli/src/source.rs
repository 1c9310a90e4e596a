//! Where the packets come from: [`Source`].

use std::path::PathBuf;
use std::time::SystemTime;

use ipq::{Error, Options, Queue, QueueName, TransportName};
use ipq_sim::capture::Timestamp;
use ipq_sim::{Fate, Malformed, Outcome, Reason, Replay, ReplayStatus, Simulation};

/// A kernel, real or simulated, and what can be learned of it beside the queue.
#[derive(Debug)]
pub(crate) enum Source {
    /// A real one.
    Real,
    /// A simulated one, which a capture or a scenario describes.
    Simulated { simulation: Box<Simulation>, path: PathBuf },
}

/// What a simulated kernel told since the last time.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) malformed: Vec<Malformed>,
    /// Packets that no program had asked for.
    pub(crate) unclaimed: u64,
}

impl Source {
    /// Opens the queue that a transport's name says.
    pub(crate) fn open(name: TransportName, options: Options) -> Result<(Self, Queue), Error> {
        let TransportName::Sim(path) = name else {
            return Ok((Self::Real, Queue::open(name, options)?));
        };
        let mut simulation = Box::new(Simulation::open(&path)?);
        let queue = Queue::with_simulation(&mut simulation, options)?;
        Ok((Self::Simulated { simulation, path }, queue))
    }

    /// Whether what left the queue alive is known only from the verdicts. All packets of a capture are queued, so that
    /// those which are delivered are the ones.
    pub(crate) fn knows_only_verdicts(&self) -> bool {
        match self {
            Self::Real => true,
            Self::Simulated { path, .. } => Simulation::is_scenario(path),
        }
    }

    /// What the wall clock of the kernel shows.
    pub(crate) fn wall_clock(&self) -> Timestamp {
        match self {
            Self::Real => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                Timestamp::EPOCH.saturating_add(now.unwrap_or_default())
            }
            Self::Simulated { simulation, .. } => simulation.kernel().wall_clock(),
        }
    }

    /// What happened since the last call. Shows `delivered` the packets that were, where that says that they left the queue
    /// alive.
    pub(crate) fn news(&self, mut delivered: impl FnMut(&Outcome)) -> News {
        let Self::Simulated { simulation, .. } = self else { return News::default() };
        let malformed = simulation.replays().iter().flat_map(Replay::take_malformed).collect();
        let mut news = News { malformed, ..News::default() };
        simulation.kernel().drain_outcomes(|outcome| match outcome.fate {
            Fate::Delivered if self.knows_only_verdicts() => (),
            Fate::Delivered => delivered(outcome),
            Fate::Dropped(Reason::NoPeer) => news.unclaimed += 1,
            Fate::Dropped(_) | Fate::Fragmented | Fate::Reassembled => (),
        });
        news
    }

    /// Frames of the capture that carry no IP.
    pub(crate) fn skipped(&self) -> u64 {
        match self {
            Self::Real => 0,
            Self::Simulated { simulation, .. } => {
                let statuses = simulation.replays().iter().map(Replay::status);
                statuses.map(|ReplayStatus { skipped, .. }| skipped).sum()
            }
        }
    }

    /// Packets that the kernel dropped because the program was too slow, as far as it is known.
    pub(crate) fn lost(&self, queue: &Queue) -> u64 {
        let Self::Simulated { simulation, .. } = self else {
            // A full buffer is told once, and at least one packet was lost each time.
            return queue.statistics().lost.max(queue.statistics().overruns);
        };
        let kernel = simulation.kernel();
        let nfqueues = kernel.nfqueue_status();
        let dropped = queue.queues().filter_map(|queue| match queue {
            QueueName::IpQueue(family) => {
                let status = kernel.ip_queue_status(family)?;
                Some((status.queue_dropped, status.netlink_dropped))
            }
            QueueName::Nfqueue(number) => {
                let status = nfqueues.iter().find(|status| status.queue == number)?;
                Some((status.queue_dropped, status.user_dropped))
            }
        });
        dropped.map(|(queue, socket)| u64::from(queue) + u64::from(socket)).sum()
    }

    /// What ended the capture before its end, if anything did.
    pub(crate) fn failure(&self) -> Option<Error> {
        match self {
            Self::Real => None,
            Self::Simulated { simulation, .. } => {
                let mut errors = simulation.replays().iter().filter_map(Replay::take_error);
                errors.next().map(Error::Capture)
            }
        }
    }

    /// The file, if there is one.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Real => None,
            Self::Simulated { path, .. } => Some(path),
        }
    }
}
