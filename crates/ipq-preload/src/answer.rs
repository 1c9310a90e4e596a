//! How a call ends that is not passed on: a value or an error number, as C has it.

use core::ffi::c_int;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use ipq_proto::Errno;
use libc::FILE;

/// A type of which one value says that a call has failed.
pub(crate) trait Failure {
    /// That value.
    const FAILED: Self;
}

impl Failure for c_int {
    const FAILED: Self = -1;
}

impl Failure for libc::ssize_t {
    const FAILED: Self = -1;
}

impl Failure for *mut FILE {
    const FAILED: Self = core::ptr::null_mut();
}

/// Makes a call of ours and gives C what came of it. A call that succeeds leaves `errno` as it was; one that panics, which
/// would be a bug, has failed with `EIO`.
pub(crate) fn answer<T: Failure>(call: impl FnOnce() -> Result<T, Errno>) -> T {
    let before = errno();
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(Errno(libc::EIO)));
    match result {
        Ok(value) => {
            set_errno(before);
            value
        }
        Err(errno) => {
            set_errno(errno);
            T::FAILED
        }
    }
}

/// Does something of ours on the side of a call that is passed on; `errno` is what it was before.
pub(crate) fn aside<T>(call: impl FnOnce() -> T) -> Option<T> {
    let before = errno();
    let result = catch_unwind(AssertUnwindSafe(call)).ok();
    set_errno(before);
    result
}

/// The error number of this thread.
pub(crate) fn errno() -> Errno {
    // SAFETY: it takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own, which lives as long as it.
    Errno(unsafe { *place })
}

/// Sets the error number of this thread.
pub(crate) fn set_errno(errno: Errno) {
    // SAFETY: it takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own, which lives as long as it.
    unsafe { *place = errno.0 };
}
