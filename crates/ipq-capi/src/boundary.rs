//! Where a call from C comes in, and what it returns: a panic ends here.

use core::ffi::c_int;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::Ordering;
use std::panic::catch_unwind;

use ipq_proto::Errno;

use crate::error::{self, ErrorCode, Failure, report};
use crate::handle::Handle;
use crate::registry;
use crate::session::Session;
use crate::sync::Arc;

/// What a function of C returns where it failed.
pub(crate) trait Failed {
    const FAILED: Self;
}

impl Failed for c_int {
    const FAILED: Self = -1;
}

impl Failed for isize {
    const FAILED: Self = -1;
}

impl<T> Failed for *mut T {
    const FAILED: Self = core::ptr::null_mut();
}

/// Runs `body`; a failure becomes the thread's last error, and so does a panic.
pub(crate) fn call<T: Failed>(body: impl FnOnce() -> Result<T, Failure>) -> T {
    // What a panic leaves half done is behind a mutex, which says so, or of this call alone.
    let before = Errno(error::errno());
    match caught(body) {
        // What the library's own system calls left in errno is nobody's business.
        Ok(value) => {
            error::set_errno(before.0);
            value
        }
        Err(failure) => {
            report(Failure { errno: failure.errno.or(Some(before)), ..failure });
            T::FAILED
        }
    }
}

/// The same for a call about a session, whose last error it becomes as well.
pub(crate) fn call_on<T: Failed>(
    handle: *const Handle,
    body: impl FnOnce(&Session) -> Result<T, Failure>,
) -> T {
    call(|| {
        let session = find(handle)?;
        let done = caught(|| body(&session));
        if let Err(failure) = &done {
            session.last_error.store(failure.code as c_int, Ordering::Relaxed);
        }
        done
    })
}

fn caught<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        let words = "a bug in libipq: please report what it printed";
        Err(Failure::new(ErrorCode::Implementation, Errno(libc::EFAULT), words))
    })
}

/// The session behind a handle, which stays there while this call needs it.
pub(crate) fn find(handle: *const Handle) -> Result<Arc<Session>, Failure> {
    if handle.is_null() {
        return Err(Failure::new(ErrorCode::Implementation, Errno::EINVAL, "the handle is NULL"));
    }
    registry::find(handle)?.ok_or_else(unknown)
}

/// A pointer is no handle.
pub(crate) fn unknown() -> Failure {
    let words = "the handle is none that is open: it was destroyed, or never created, or copied";
    Failure::new(ErrorCode::Implementation, Errno::EINVAL, words)
}
