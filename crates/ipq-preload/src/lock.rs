//! A lock in memory of any origin: [`Lock`].

use crate::raw::{futex_wait, futex_wake};
use crate::sync::{AtomicU32, Ordering};

/// A lock that nobody has as long as its memory is zero. It is safe in signal handlers, if these are blocked while it is
/// held, and allocates nothing.
///
/// 0 nobody has it, 1 one has it, 2 one has it and others may wait for it.
#[repr(transparent)]
pub(crate) struct Lock(pub(crate) AtomicU32);

impl Lock {
    /// Waits until nobody has it, and takes it.
    pub(crate) fn take(&self) {
        if self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.0.swap(2, Ordering::Acquire) != 0 {
                futex_wait(&self.0, 2);
            }
        }
    }

    /// Gives it back. Only who has taken it may do this.
    pub(crate) fn give_back(&self) {
        if self.0.swap(0, Ordering::Release) == 2 {
            futex_wake(&self.0);
        }
    }
}
