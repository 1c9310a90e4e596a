//! Where the packets come from: [`Source`].

use std::path::PathBuf;

use ipq::{Error, Options, Queue, QueueName, TransportName};
use ipq_sim::{Fate, Kernel, Malformed, Outcome, Reason, Replay, capture_kernel};

/// A kernel, real or simulated, and what can be learned of it beside the queue.
#[derive(Debug)]
pub(crate) enum Source {
    /// A real one.
    Real,
    /// A simulated one, fed with a capture.
    Simulated { kernel: Kernel, replay: Replay, path: PathBuf },
}

/// What a simulated kernel told since the last time.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) malformed: Vec<Malformed>,
    pub(crate) delivered: Vec<Outcome>,
    /// Packets that no program had asked for.
    pub(crate) unclaimed: u64,
}

impl Source {
    /// Opens the queue that a transport's name says.
    pub(crate) fn open(name: TransportName, options: Options) -> Result<(Self, Queue), Error> {
        let TransportName::Sim(path) = name else {
            return Ok((Self::Real, Queue::open(name, options)?));
        };
        let (kernel, replay) = capture_kernel(&path).map_err(Error::Capture)?;
        let queue =
            Queue::with_sockets(options.families.iter().map(|family| kernel.socket(family)))?;
        Ok((Self::Simulated { kernel, replay, path }, queue))
    }

    /// What happened since the last call.
    pub(crate) fn news(&self) -> News {
        let Self::Simulated { kernel, replay, .. } = self else { return News::default() };
        let mut news = News { malformed: replay.take_malformed(), ..News::default() };
        for outcome in kernel.take_outcomes() {
            match outcome.fate {
                Fate::Delivered => news.delivered.push(outcome),
                Fate::Dropped(Reason::NoPeer) => news.unclaimed += 1,
                Fate::Dropped(_) | Fate::Fragmented | Fate::Reassembled => (),
            }
        }
        news
    }

    /// Frames of the capture that carry no IP.
    pub(crate) fn skipped(&self) -> u64 {
        match self {
            Self::Real => 0,
            Self::Simulated { replay, .. } => replay.status().skipped,
        }
    }

    /// Packets that the kernel dropped because the program was too slow, as far as it is known.
    pub(crate) fn lost(&self, queue: &Queue) -> u64 {
        let Self::Simulated { kernel, .. } = self else {
            // A full buffer is told once, and at least one packet was lost each time.
            return queue.statistics().lost.max(queue.statistics().overruns);
        };
        let statuses = queue.queues().filter_map(|queue| match queue {
            QueueName::IpQueue(family) => kernel.ip_queue_status(family),
            QueueName::Nfqueue(_) => None,
        });
        statuses
            .map(|status| u64::from(status.queue_dropped) + u64::from(status.netlink_dropped))
            .sum()
    }

    /// What ended the capture before its end, if anything did.
    pub(crate) fn failure(&self) -> Option<Error> {
        match self {
            Self::Real => None,
            Self::Simulated { replay, .. } => replay.take_error().map(Error::Capture),
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
