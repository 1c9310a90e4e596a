//! The functions of libipq(3).
//!
//! Each takes what C gives it. What can be checked is checked; for the rest, the caller is bound by what `libipq.h` and
//! the manual pages say, and by what is written here under "Safety".

use core::ffi::{c_char, c_int, c_uchar, c_uint, c_ulong};

use ipq_proto::{Errno, Family};

use crate::boundary::{call, call_on, unknown};
use crate::error::{ErrorCode, Failure};
use crate::handle::Handle;
use crate::open::{self, Wanted};
use crate::send::Decision;
use crate::session::Read;
use crate::{error, message, registry, text};

/// The least length of a buffer: `sizeof(struct nlmsgerr)`.
const SMALLEST_BUFFER: usize = 20;

/// Opens the queue of a family.
#[unsafe(no_mangle)]
pub extern "C" fn ipq_create_handle(flags: u32, protocol: u32) -> *mut Handle {
    // Unused since ever.
    let _ = flags;
    call(|| {
        let family = family(protocol)?;
        registry::refuse_second(family)?;
        registry::add(open::session(family, &Wanted::default(), true)?)
    })
}

/// The family of a protocol's number: `NFPROTO_IPV4` or `NFPROTO_IPV6`.
pub(crate) fn family(protocol: u32) -> Result<Family, Failure> {
    let family = u8::try_from(protocol).ok().and_then(Family::of_hook);
    family.ok_or_else(|| Failure::plain(ErrorCode::Protocol))
}

/// Closes a session.
#[unsafe(no_mangle)]
pub extern "C" fn ipq_destroy_handle(h: *mut Handle) -> c_int {
    call(|| {
        if h.is_null() {
            return Ok(0);
        }
        drop(registry::remove(h)?.ok_or_else(unknown)?);
        Ok(0)
    })
}

/// Says how much of each packet is wanted.
#[unsafe(no_mangle)]
pub extern "C" fn ipq_set_mode(h: *const Handle, mode: u8, len: usize) -> c_int {
    call_on(h, |session| Ok(bytes_sent(session.set_mode(mode, len)?)))
}

/// Reads a message.
///
/// # Safety
///
/// `buf` has room for `len` bytes, which nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_read(
    h: *const Handle,
    buf: *mut c_uchar,
    len: usize,
    timeout: c_int,
) -> isize {
    let mut is_interrupted = false;
    let read = call_on(h, |session| {
        if len < SMALLEST_BUFFER || isize::try_from(len).is_err() {
            return Err(Failure::plain(ErrorCode::BufferSize));
        }
        if buf.is_null() {
            let words = "the buffer is NULL";
            return Err(Failure::new(ErrorCode::Receive, Errno(libc::EFAULT), words));
        }
        // SAFETY: not null, of that many bytes, used by nobody else, as the caller vouches, and not longer than any object
        // can be. What C has not written yet is bytes all the same.
        let buffer = unsafe { core::slice::from_raw_parts_mut(buf, len) };
        Ok(match session.read(buffer, timeout)? {
            Read::Message(len) => isize::try_from(len).unwrap_or(isize::MAX),
            Read::Nothing => 0,
            Read::Interrupted => {
                is_interrupted = true;
                0
            }
        })
    });
    if is_interrupted {
        error::set_errno(libc::EINTR);
    }
    read
}

/// The type of the message in a buffer; -1 if it is NULL.
///
/// # Safety
///
/// `buf` is null or was filled by [`ipq_read`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_message_type(buf: *const c_uchar) -> c_int {
    // SAFETY: the caller vouches for it.
    call(|| unsafe { message::message_type(buf) })
}

/// The packet message in a buffer; null if there is none.
///
/// # Safety
///
/// As [`ipq_message_type`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_get_packet(buf: *const c_uchar) -> *mut c_uchar {
    // SAFETY: the caller vouches for it.
    call(|| unsafe { message::packet(buf) })
}

/// The error number in a buffer, positive; -1 if there is none.
///
/// # Safety
///
/// As [`ipq_message_type`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_get_msgerr(buf: *const c_uchar) -> c_int {
    // SAFETY: the caller vouches for it.
    call(|| unsafe { message::error_number(buf) })
}

/// Decides on a packet.
///
/// # Safety
///
/// `buf` is null or has `data_len` bytes, which nobody changes meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_set_verdict(
    h: *const Handle,
    id: c_ulong,
    verdict: c_uint,
    data_len: usize,
    buf: *mut c_uchar,
) -> c_int {
    call_on(h, |session| {
        // SAFETY: the caller vouches for it.
        let replacement = unsafe { replacement(buf, data_len) };
        Ok(bytes_sent(session.set_verdict(Decision { id, verdict, replacement })?))
    })
}

/// The bytes that are to take a packet's place; none if the length or the pointer says so.
///
/// # Safety
///
/// `buf` is null or has `data_len` bytes, which nobody changes meanwhile.
pub(crate) unsafe fn replacement<'a>(buf: *const c_uchar, data_len: usize) -> &'a [u8] {
    if data_len == 0 || buf.is_null() {
        return &[];
    }
    // No object is longer. It is too long for a message even so, and refused as that.
    let len = data_len.min(isize::MAX.unsigned_abs());
    // SAFETY: not null, of that many bytes, unchanged meanwhile, as the caller vouches.
    unsafe { core::slice::from_raw_parts(buf, len) }
}

/// Was never implemented.
///
/// In C it takes more arguments, which are not looked at: where they are is the caller's business in every calling
/// convention of Linux.
#[unsafe(no_mangle)]
pub extern "C" fn ipq_ctl(h: *const Handle, request: c_int) -> c_int {
    let _ = (h, request);
    error::report(Failure::plain(ErrorCode::Unsupported));
    1
}

/// The text of this thread's last error. Not to be changed, whatever its type says.
#[unsafe(no_mangle)]
pub extern "C" fn ipq_errstr() -> *mut c_char {
    text::of_last().as_ptr().cast_mut()
}

/// Prints the last error to stderr.
///
/// # Safety
///
/// `s` is null or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_perror(s: *const c_char) {
    // SAFETY: the caller vouches for it.
    unsafe { text::print(s) };
}

fn bytes_sent(count: usize) -> c_int {
    c_int::try_from(count).unwrap_or(c_int::MAX)
}
