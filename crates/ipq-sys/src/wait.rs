//! Waiting for more than one transport: [`wait_any`].

use core::time::Duration;
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
/// Without any transport, nothing can come. `interrupt`, if it is readable, ends the wait; a simulated kernel does not
/// look at it, for it never waits.
///
/// # Errors
///
/// If poll(2) fails, or a simulated kernel is gone.
///
/// # Panics
///
/// If there are more than [`MAX_TRANSPORTS`].
pub fn wait_any<'a>(
    transports: impl Iterator<Item = &'a mut (dyn Transport + 'static)>,
    interrupt: Option<BorrowedFd<'a>>,
    deadline: Deadline,
) -> Result<Waited, Error> {
    let mut first = None;
    let mut polled = Polled::default();
    if let Some(descriptor) = interrupt {
        polled.add(descriptor);
    }
    for transport in transports {
        if transport.descriptor().is_none() {
            return Ok(match transport.step(deadline)? {
                Stepped::Progressed => Waited::Ready,
                Stepped::TimedOut => Waited::TimedOut,
                Stepped::Ended => Waited::Ended,
            });
        }
        let transport: &'a dyn Transport = transport;
        first.get_or_insert_with(|| (transport.now(), transport.protocol()));
        transport.descriptor().into_iter().for_each(|descriptor| polled.add(descriptor));
    }
    let Some((now, protocol)) = first else { return Ok(Waited::Ended) };
    match polled.wait(now, deadline) {
        Ok(Waited::Ready) if interrupt.is_some() && polled.is_readable(0) => {
            Ok(Waited::Interrupted)
        }
        Ok(waited) => Ok(waited),
        Err(errno) => {
            Err(Error { operation: Operation::Wait, protocol, errno: Errno(errno as i32) })
        }
    }
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
