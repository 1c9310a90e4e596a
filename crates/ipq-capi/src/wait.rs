//! Waiting for a descriptor as libipq waits: [`wait`].

use core::ffi::c_int;
use core::ptr::null_mut;
use core::time::Duration;
use std::io;
use std::os::fd::RawFd;
use std::time::Instant;

use ipq_proto::Errno;

/// How long to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Until {
    /// For ever, as recv(2) does.
    Ever,
    /// Until then, as select(2) does.
    Then(Instant),
    /// Not at all.
    Now,
}

impl Until {
    /// The time-out of `ipq_read`, which starts now: microseconds, 0 for ever, negative not at all.
    pub(crate) fn from_timeout(timeout: c_int) -> Self {
        match u64::try_from(timeout) {
            Ok(0) => Self::Ever,
            Ok(microseconds) => Self::Then(Instant::now() + Duration::from_micros(microseconds)),
            Err(_) => Self::Now,
        }
    }
}

/// What became of waiting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waited {
    /// There may be something.
    Ready,
    /// The time is over.
    TimedOut,
    /// A signal came while a time ran.
    Interrupted,
}

/// Waits until there is something to receive, or until `kept_until`, when the transport itself hands out something.
///
/// # Errors
///
/// What recv(2) or poll(2) says: `EINTR` at a signal where it would wait for ever.
pub(crate) fn wait(
    descriptor: RawFd,
    until: Until,
    kept_until: Option<Instant>,
) -> Result<Waited, Errno> {
    match (until, kept_until) {
        (Until::Now, _) => Ok(Waited::TimedOut),
        (Until::Ever, None) => receivable(descriptor),
        (Until::Ever, Some(kept)) => {
            poll(descriptor, Some(kept))?;
            Ok(Waited::Ready)
        }
        // A descriptor may be readable and yet have nothing for the program, over and over.
        (Until::Then(end), _) if Instant::now() >= end => Ok(Waited::TimedOut),
        (Until::Then(end), kept) => {
            let first = kept.map_or(end, |kept| kept.min(end));
            match poll(descriptor, Some(first)) {
                // Something is handed out, and it is not over yet.
                Ok(Waited::TimedOut) if first < end => Ok(Waited::Ready),
                Err(Errno(libc::EINTR)) => Ok(Waited::Interrupted),
                waited => waited,
            }
        }
    }
}

/// Waits with recv(2), looking at nothing and taking nothing. So a signal does what the program expects of a receive
/// call, which goes on waiting after a handler with `SA_RESTART`, as poll(2) never does; and a descriptor that the
/// program made non-blocking does not wait.
fn receivable(descriptor: RawFd) -> Result<Waited, Errno> {
    // SAFETY: of no bytes, none is written.
    let received =
        unsafe { libc::recv(descriptor, null_mut(), 0, libc::MSG_PEEK | libc::MSG_TRUNC) };
    if received >= 0 {
        return Ok(Waited::Ready);
    }
    match last_errno() {
        Errno(libc::ENOTSOCK) => poll(descriptor, None),
        errno => Err(errno),
    }
}

/// Waits with poll(2).
fn poll(descriptor: RawFd, end: Option<Instant>) -> Result<Waited, Errno> {
    let timeout = end.map(|end| {
        let longer = end.saturating_duration_since(Instant::now());
        libc::timespec {
            tv_sec: libc::time_t::try_from(longer.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: longer.subsec_nanos().into(),
        }
    });
    let timeout = timeout.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let mut polled = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, and a timespec or null, all alive until the call returns; null leaves the signal mask alone.
    match unsafe { libc::ppoll(&raw mut polled, 1, timeout, core::ptr::null()) } {
        0 => Ok(Waited::TimedOut),
        -1 => Err(last_errno()),
        // A descriptor that the program has closed is never ready.
        _ if polled.revents & libc::POLLNVAL != 0 => Err(Errno(libc::EBADF)),
        _ => Ok(Waited::Ready),
    }
}

/// The error number of the call that has just failed.
fn last_errno() -> Errno {
    Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0))
}
