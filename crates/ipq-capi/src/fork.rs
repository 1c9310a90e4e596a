//! What fork(2) must not find half done: [`prepare_once`].
//!
//! A child has only the thread that forked. A lock that another thread had would stay locked in it for ever, and what it
//! guards would be left as that thread was changing it. So the forking thread takes all locks first, and both processes
//! give them back.

use core::cell::RefCell;
use core::mem::{ManuallyDrop, transmute};
use std::sync::{Once, PoisonError, TryLockError};

use crate::critical;
use crate::kernel::Kernel;
use crate::registry::sessions;
use crate::session::Session;
use crate::simulated::{self, Known};
use crate::sync::{Arc, Mutex, MutexGuard, of_thread};

/// What the forking thread has locked.
struct Locks {
    _sessions: MutexGuard<'static, Vec<Arc<Session>>>,
    _simulated: Option<MutexGuard<'static, Known>>,
    kernels: Vec<KernelLock>,
}

/// A session's lock, and the session.
struct KernelLock {
    guard: ManuallyDrop<MutexGuard<'static, Kernel>>,
    _session: Arc<Session>,
}

impl Drop for KernelLock {
    fn drop(&mut self) {
        // SAFETY: dropped this once, before the session that it is in.
        unsafe { ManuallyDrop::drop(&mut self.guard) };
    }
}

of_thread! {
    LOCKS: RefCell<Option<Locks>> = RefCell::new(None);
}

/// Sees to it that every fork(2) from now on takes the locks. To be called before the first one is taken.
pub(crate) fn prepare_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers take and return nothing, never unwind, and are there as long as this library is: when it is
        // unloaded, the C library forgets them.
        unsafe { libc::pthread_atfork(Some(take), Some(give_back), Some(give_back)) };
    });
}

pub(crate) extern "C" fn take() {
    // A fork in a signal handler that came while this thread has a lock: then nothing is waited for.
    let Some(sessions) = take_one(sessions()) else { return };
    let kernels = sessions.iter().filter_map(|session| {
        let guard = take_one(session.mutex())?;
        // SAFETY: the guard borrows from the session, which does not move, and which is kept beside it and dropped later.
        let guard =
            unsafe { transmute::<MutexGuard<'_, Kernel>, MutexGuard<'static, Kernel>>(guard) };
        Some(KernelLock { guard: ManuallyDrop::new(guard), _session: Arc::clone(session) })
    });
    let kernels = kernels.collect();
    let simulated = take_one(simulated::known());
    let all = Locks { _sessions: sessions, _simulated: simulated, kernels };
    let _ = LOCKS.try_with(|locks| locks.replace(Some(all)));
}

pub(crate) extern "C" fn give_back() {
    let _ = LOCKS.try_with(|locks| locks.take().map(|locks| drop(locks.kernels)));
}

fn take_one<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    if !critical::is_inside() {
        return Some(mutex.lock().unwrap_or_else(PoisonError::into_inner));
    }
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
