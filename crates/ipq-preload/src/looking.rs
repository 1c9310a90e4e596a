//! What programs ask of a file by its name: stat(2) and its like.
//!
//! A file of the served kernel says what one of this system says that is of the same sort: regular, of length 0, root's,
//! and to be written or not.

use core::ffi::{CStr, c_char, c_int, c_uint};

use libc::{stat as Stat, stat64 as Stat64, statx as Statx};

use crate::answer::aside;
use crate::files::{is_setting, served};
use crate::{memory, real};

/// A file of each kernel that only reads, and one that is also written.
const STATUS_LIKE: &CStr = c"/proc/version";
const SETTING_LIKE: &CStr = c"/proc/sys/kernel/hostname";

/// The path to ask about instead of this one.
///
/// # Safety
///
/// `path` is null or ends in NUL.
unsafe fn path_like(path: *const c_char) -> *const c_char {
    // SAFETY: the caller's.
    let text = unsafe { memory::text(path) };
    let is_setting = aside(|| {
        let (setting, index) = served(text)?;
        is_setting(setting, index).ok()
    });
    match is_setting.flatten() {
        Some(true) => SETTING_LIKE.as_ptr(),
        Some(false) => STATUS_LIKE.as_ptr(),
        None => path,
    }
}

/// Defines the ways to ask: what comes before the path, and what comes after it, is passed on.
macro_rules! ways_to_ask {
    ($($(#[$doc:meta])* $name:ident($($before:ident: $before_type:ty),*)($($after:ident: $after_type:ty),*);)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As stat(2).
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            $($before: $before_type,)* path: *const c_char, $($after: $after_type),*
        ) -> c_int {
            // SAFETY: what stat(2) asks of its caller.
            let path = unsafe { path_like(path) };
            // SAFETY: passed on as it came, but for the path, which is one.
            unsafe { real::$name($($before,)* path, $($after),*) }
        }
    )*};
}

ways_to_ask! {
    /// stat(2).
    stat()(status: *mut Stat);
    /// stat(2), for large files.
    stat64()(status: *mut Stat64);
    /// lstat(2).
    lstat()(status: *mut Stat);
    /// lstat(2), for large files.
    lstat64()(status: *mut Stat64);
    /// fstatat(2).
    fstatat(directory: c_int)(status: *mut Stat, flags: c_int);
    /// fstatat(2), for large files.
    fstatat64(directory: c_int)(status: *mut Stat64, flags: c_int);
    /// statx(2).
    statx(directory: c_int)(flags: c_int, mask: c_uint, status: *mut Statx);
    /// stat(2), as programs call it that were linked with glibc before 2.33.
    __xstat(version: c_int)(status: *mut Stat);
    /// The same for large files.
    __xstat64(version: c_int)(status: *mut Stat64);
    /// lstat(2), as programs call it that were linked with glibc before 2.33.
    __lxstat(version: c_int)(status: *mut Stat);
    /// The same for large files.
    __lxstat64(version: c_int)(status: *mut Stat64);
    /// fstatat(2), as programs call it that were linked with glibc before 2.33.
    __fxstatat(version: c_int, directory: c_int)(status: *mut Stat, flags: c_int);
    /// The same for large files.
    __fxstatat64(version: c_int, directory: c_int)(status: *mut Stat64, flags: c_int);
}
