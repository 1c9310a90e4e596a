//! Waiting for more than one transport: [`wait_any`].

use core::time::Duration;
use std::io;
use std::os::fd::BorrowedFd;

use ipq_proto::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::{Deadline, Error, Operation, Stepped, Transport};

/// How many transports [`wait_any`] waits for at most: the descriptors are gathered on the stack.
pub const MAX_TRANSPORTS: usize = 16;

/// How long ppoll(2) is asked to wait at most, 34 years: what a `time_t` of 32 bits can hold.
const LONGEST_WAIT: Duration = Duration::from_secs(1 << 30);

/// Why [`wait_any`] returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waited {
    /// One of the transports may have something to receive.
    Ready,
    /// A signal came, or the descriptor that may end the wait became readable.
    Interrupted,
    /// The deadline passed.
    TimedOut,
    /// Nothing can come any more.
    Ended,
}

/// Waits until one of several transports of the same kernel may have something to receive.
///
/// Without any transport, nothing can come. One of `interrupts` that is readable ends the wait; a simulated kernel does
/// not look at them, for it never waits.
///
/// # Errors
///
/// If poll(2) fails, or a simulated kernel is gone.
///
/// # Panics
///
/// If there are more than [`MAX_TRANSPORTS`], or too many with the interrupts.
pub fn wait_any<'a>(
    mut transports: impl Iterator<Item = &'a mut (dyn Transport + 'static)>,
    interrupts: impl IntoIterator<Item = BorrowedFd<'a>>,
    deadline: Deadline,
) -> Result<Waited, Error> {
    let mut waiting: [_; MAX_TRANSPORTS] = core::array::from_fn(|_| transports.next());
    assert!(transports.next().is_none(), "too many transports to wait for");
    if waiting.iter().flatten().all(|transport| transport.has_ended()) {
        return Ok(Waited::Ended);
    }
    let due = waiting.iter().flatten().filter_map(|transport| transport.due()).min();
    let limit = deadline.at_latest(due);
    let waited = match step_each(&mut waiting, limit)? {
        Some(waited) => waited,
        None => poll_each(&waiting, interrupts, limit)?,
    };
    // What a transport kept back may be received now.
    Ok(if waited == Waited::TimedOut && limit != deadline { Waited::Ready } else { waited })
}

/// The transports that [`wait_any`] waits for.
type Waiting<'a> = [Option<&'a mut (dyn Transport + 'static)>; MAX_TRANSPORTS];

/// Lets the kernel behind transports without descriptor do one thing; `None` if there is no such transport. They are
/// of one kernel, but each may keep something back, so all are asked before nothing can come.
fn step_each(transports: &mut Waiting<'_>, deadline: Deadline) -> Result<Option<Waited>, Error> {
    let mut nothing = None;
    let each = transports.iter_mut().flatten();
    for transport in each.filter(|transport| transport.descriptor().is_none()) {
        match transport.step(deadline)? {
            Stepped::Progressed => return Ok(Some(Waited::Ready)),
            Stepped::TimedOut => nothing = Some(Waited::TimedOut),
            Stepped::Ended => nothing = nothing.or(Some(Waited::Ended)),
        }
    }
    Ok(nothing)
}

/// Waits for the descriptors of transports.
fn poll_each<'a>(
    transports: &Waiting<'_>,
    interrupts: impl IntoIterator<Item = BorrowedFd<'a>>,
    deadline: Deadline,
) -> Result<Waited, Error> {
    let Some(first) = transports.iter().flatten().next() else { return Ok(Waited::Ended) };
    let mut polled = Polled::default();
    interrupts.into_iter().for_each(|descriptor| polled.add(descriptor));
    let interrupts = polled.len;
    let descriptors = transports.iter().flatten().filter_map(|transport| transport.descriptor());
    descriptors.for_each(|descriptor| polled.add(descriptor));
    match polled.wait(first.now(), deadline) {
        Ok(Waited::Ready) if (0..interrupts).any(|position| polled.is_readable(position)) => {
            Ok(Waited::Interrupted)
        }
        Ok(waited) => Ok(waited),
        Err(errno) => Err(Error {
            operation: Operation::Wait,
            protocol: first.protocol(),
            errno: Errno(errno as i32),
        }),
    }
}

/// Waits until one of several descriptors is readable or in error, for no longer than `timeout`; without one, for ever.
///
/// Says whether one is; not so when the time is over, or a signal came.
///
/// # Errors
///
/// If poll(2) fails.
///
/// # Panics
///
/// If there are more than [`MAX_TRANSPORTS`].
pub fn wait_readable<'a>(
    descriptors: impl IntoIterator<Item = BorrowedFd<'a>>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut polled = Polled::default();
    descriptors.into_iter().for_each(|descriptor| polled.add(descriptor));
    let deadline = timeout.map_or(Deadline::Never, Deadline::At);
    Ok(polled.wait(Duration::ZERO, deadline)? == Waited::Ready)
}

/// Descriptors to wait for.
#[derive(Default)]
pub(crate) struct Polled<'a> {
    entries: Option<[PollFd<'a>; MAX_TRANSPORTS]>,
    len: usize,
}

impl<'a> Polled<'a> {
    /// Just one descriptor.
    pub(crate) fn one(descriptor: BorrowedFd<'a>) -> Self {
        let mut polled = Self::default();
        polled.add(descriptor);
        polled
    }

    fn add(&mut self, descriptor: BorrowedFd<'a>) {
        let entry = || PollFd::new(descriptor, PollFlags::POLLIN);
        assert!(self.len < MAX_TRANSPORTS, "too many transports to wait for");
        let entries = self.entries.get_or_insert_with(|| core::array::from_fn(|_| entry()));
        entries[self.len] = entry();
        self.len += 1;
    }

    /// Waits until one of them is readable or in error.
    pub(crate) fn wait(&mut self, now: Duration, deadline: Deadline) -> nix::Result<Waited> {
        let timeout = match deadline {
            Deadline::Never => None,
            Deadline::Immediate => Some(Duration::ZERO),
            Deadline::At(time) => Some(time.saturating_sub(now).min(LONGEST_WAIT)),
        };
        let entries = self.entries.as_mut().map_or(&mut [][..], |entries| &mut entries[..self.len]);
        match ppoll(entries, timeout.map(TimeSpec::from_duration), None) {
            Ok(0) => Ok(Waited::TimedOut),
            Ok(_) => Ok(Waited::Ready),
            Err(nix::errno::Errno::EINTR) => Ok(Waited::Interrupted),
            Err(errno) => Err(errno),
        }
    }

    /// Whether the descriptor that was added at this position is readable or in error, after a wait.
    fn is_readable(&self, position: usize) -> bool {
        let entry = self.entries.as_ref().map(|entries| &entries[position]);
        entry.and_then(PollFd::any).unwrap_or(false)
    }
}
