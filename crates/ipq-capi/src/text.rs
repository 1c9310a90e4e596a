//! The texts of errors, for people: `ipq_errstr`, `ipq_perror` and the like.

use core::ffi::{CStr, c_char, c_int};
use core::ptr;

use crate::error::{self, ErrorCode};

// libc has no name for the stream.
unsafe extern "C" {
    static stderr: *mut libc::FILE;
}

/// Prints the last error as perror(3) does, to the C library's stderr: a program may have redirected or locked it.
///
/// # Safety
///
/// `prefix` is null or a string.
pub(crate) unsafe fn print(prefix: *const c_char) {
    let errno = error::errno();
    let prefix = if prefix.is_null() { c"ERROR".as_ptr() } else { prefix };
    let code = error::last_code();
    let [between, library] = match code {
        0 => [c"".as_ptr(); 2],
        code => [c": ".as_ptr(), error::text(code).as_ptr()],
    };
    let [again, system] = match errno {
        0 => [c"".as_ptr(); 2],
        // SAFETY: it returns a string for any number, which is good until the next call of this thread.
        errno => [c": ".as_ptr(), unsafe { libc::strerror(errno) }],
    };
    let format = c"%s%s%s%s%s\n".as_ptr();
    // SAFETY: the C library has set it before any code of a program runs, and programs only put other streams there.
    let stream = unsafe { ptr::addr_of!(stderr).read() };
    // SAFETY: five strings for five conversions, and a stream.
    unsafe { libc::fprintf(stream, format, prefix, between, library, again, system) };
}

/// The text of an error's number.
pub(crate) fn of(code: c_int) -> &'static CStr {
    error::text(code)
}

/// The text of this thread's last error.
pub(crate) fn of_last() -> &'static CStr {
    of(error::last_code())
}

const _: () = assert!(ErrorCode::None as c_int == 0);
