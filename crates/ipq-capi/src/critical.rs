//! Locks that a signal handler cannot hang on: [`lock`].

use core::cell::Cell;
use core::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use ipq_proto::Errno;

use crate::error::{ErrorCode, Failure};
use crate::fork;
use crate::sync::{Mutex, MutexGuard, of_thread};

of_thread! {
    /// Whether this thread has a lock, or is about to take one.
    INSIDE: Cell<bool> = Cell::new(false);
}

/// A lock that this thread has, of which it never has two.
#[derive(Debug)]
pub(crate) struct Locked<'a, T> {
    // Given back before `inside` is.
    guard: MutexGuard<'a, T>,
    _inside: Inside,
}

/// Says that this thread has a lock, until it is dropped.
#[derive(Debug)]
struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.set(false));
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// Takes the lock. It is only ever held for a moment, never while waiting for the kernel.
///
/// # Errors
///
/// If this thread has one already: this is a signal handler, which came between another call's taking it and giving it
/// back. Waiting would never end.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Result<Locked<'_, T>, Failure> {
    if is_inside() {
        let words = "called in a signal handler that came in the middle of another call of libipq";
        return Err(Failure::new(ErrorCode::Implementation, Errno(libc::EDEADLK), words));
    }
    INSIDE.with(|inside| inside.set(true));
    let inside = Inside;
    fork::prepare_once();
    // A panic while it was held is of a call that has failed. What it left is the best there is.
    let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Locked { guard, _inside: inside })
}

/// Whether this thread has a lock.
pub(crate) fn is_inside() -> bool {
    INSIDE.with(Cell::get)
}
