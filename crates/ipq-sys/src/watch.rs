//! Descriptors that tokio watches: [`Watched`].

#![expect(unsafe_code, reason = "tokio cannot know that a descriptor stays what it is")]

use core::task::{Context, Poll};
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A descriptor of which a runtime of tokio watches whether it is readable.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Has the present runtime watch a descriptor.
    ///
    /// # Errors
    ///
    /// If epoll(7) does not take it.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, or in one without I/O.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open and stays the same until it is dropped. This type hands out no mutable reference
        // to it, so nobody puts another one in its place.
        let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Self(watched?))
    }

    /// Whether it is readable, or may be; if not, the task is woken when it is.
    ///
    /// # Errors
    ///
    /// If the runtime is shutting down.
    pub fn poll_readable(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'_, OwnedFd>>> {
        self.0.poll_read_ready(context)
    }
}
