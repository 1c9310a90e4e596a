//! What the original does not have: options, marks, batches, statistics, an error for each handle.

use core::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ulong};
use core::sync::atomic::Ordering;

use ipq_proto::Errno;
use zerocopy::IntoBytes;

use crate::boundary::{call, call_on, find};
use crate::calls::{family, replacement};
use crate::error::{self, ErrorCode, Failure};
use crate::handle::Handle;
use crate::open::{self, Wanted};
use crate::send::Decision;
use crate::{registry, text};

/// `struct ipq_options`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    size: usize,
    transport: *const c_char,
    queue: c_int,
    flags: u32,
    maxlen: u32,
    rcvbuf: u32,
}

/// `struct ipq_verdict`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Verdict {
    id: c_ulong,
    value: c_uint,
    data_len: usize,
    buf: *const c_uchar,
}

#[cfg(feature = "fuzzing")]
impl Verdict {
    /// For the packet `id`, with a replacement that is there for as long as this is used.
    pub(crate) const fn new(id: c_ulong, value: c_uint, replacement: &[u8]) -> Self {
        Self { id, value, data_len: replacement.len(), buf: replacement.as_ptr() }
    }
}

/// `IPQ_OPTION_CLOEXEC` and the others.
const CLOEXEC: u32 = 1;
const NO_ENOBUFS: u32 = 2;
const FAIL_OPEN: u32 = 4;
const ALL_FLAGS: u32 = CLOEXEC | NO_ENOBUFS | FAIL_OPEN;

/// Opens the queue of a family with options.
///
/// # Safety
///
/// `options` is null or points to such a structure, whose `transport` is null or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_create_handle_with(
    protocol: u32,
    options: *const Options,
) -> *mut Handle {
    call(|| {
        let family = family(protocol)?;
        // SAFETY: the caller vouches for it.
        let wanted = unsafe { wanted(options) }?;
        registry::add(open::session(family, &wanted, false)?)
    })
}

/// What the options say.
unsafe fn wanted(options: *const Options) -> Result<Wanted, Failure> {
    let invalid = |words| Failure::new(ErrorCode::Socket, Errno::EINVAL, words);
    if options.is_null() {
        return Ok(Wanted::default());
    }
    // SAFETY: not null; the first word of the structure says how long it is.
    let size = unsafe { options.cast::<usize>().read() };
    // There is only one version of the structure yet.
    if size != size_of::<Options>() {
        return Err(invalid("the options' size is not that of struct ipq_options"));
    }
    // SAFETY: it is a whole structure.
    let options = unsafe { options.read() };
    if options.flags & !ALL_FLAGS != 0 {
        return Err(invalid("the options have a flag that this version does not know"));
    }
    let transport = match options.transport {
        name if name.is_null() => None,
        // SAFETY: not null, so a string.
        name => Some(
            unsafe { CStr::from_ptr(name) }
                .to_str()
                .map_err(|_| invalid("the transport's name is not UTF-8"))?
                .to_owned(),
        ),
    };
    let queue = match options.queue {
        -1 => None,
        queue => {
            Some(u16::try_from(queue).map_err(|_| invalid("a queue is a number up to 65535"))?)
        }
    };
    Ok(Wanted {
        transport,
        queue,
        max_length: Some(options.maxlen).filter(|&packets| packets != 0),
        receive_buffer: Some(options.rcvbuf).filter(|&bytes| bytes != 0),
        fail_open: options.flags & FAIL_OPEN != 0,
        ignore_overruns: options.flags & NO_ENOBUFS != 0,
        close_on_exec: options.flags & CLOEXEC != 0,
    })
}

/// Decides on a packet and gives it a mark.
///
/// # Safety
///
/// As [`ipq_set_verdict`](crate::calls::ipq_set_verdict).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_set_vwmark(
    h: *const Handle,
    id: c_ulong,
    verdict: c_uint,
    mark: c_ulong,
    data_len: usize,
    buf: *mut c_uchar,
) -> c_int {
    call_on(h, |session| {
        // SAFETY: the caller vouches for it.
        let replacement = unsafe { replacement(buf, data_len) };
        let sent = session.set_marked_verdict(Decision { id, verdict, replacement }, mark)?;
        Ok(c_int::try_from(sent).unwrap_or(c_int::MAX))
    })
}

/// Decides on several packets.
///
/// # Safety
///
/// `verdicts` points to `count` of them, or `count` is 0; the `buf` of each is null or has `data_len` bytes. Nobody changes
/// any of it meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_set_verdicts(
    h: *const Handle,
    verdicts: *const Verdict,
    count: usize,
) -> isize {
    call_on(h, |session| {
        if count == 0 {
            return Ok(0);
        }
        let longest = isize::MAX.unsigned_abs() / size_of::<Verdict>();
        if verdicts.is_null() || count > longest {
            let words = "there are no such verdicts: the pointer is NULL, or the count cannot be";
            return Err(Failure::new(ErrorCode::Send, Errno(libc::EFAULT), words));
        }
        // SAFETY: not null, that many, unchanged meanwhile, as the caller vouches; and no more than can be.
        let verdicts = unsafe { core::slice::from_raw_parts(verdicts, count) };
        let sent = session.set_verdicts(verdicts.iter().map(|verdict| Decision {
            id: verdict.id,
            verdict: verdict.value,
            // SAFETY: the caller vouches for it.
            replacement: unsafe { replacement(verdict.buf, verdict.data_len) },
        }))?;
        Ok(isize::try_from(sent).unwrap_or(isize::MAX))
    })
}

/// Tells what a session has seen and done.
///
/// # Safety
///
/// `statistics` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipq_get_statistics(
    h: *const Handle,
    statistics: *mut c_uchar,
    size: usize,
) -> c_int {
    call_on(h, |session| {
        if statistics.is_null() {
            let words = "there is nowhere to put the statistics";
            return Err(Failure::new(ErrorCode::Implementation, Errno(libc::EFAULT), words));
        }
        let counts = session.statistics();
        let bytes = counts.as_bytes();
        // A program may know fewer numbers, or more.
        let known = bytes.len().min(size);
        // SAFETY: there is room for `size` bytes, which are no part of `counts`.
        unsafe { statistics.copy_from_nonoverlapping(bytes.as_ptr(), known) };
        // SAFETY: within those bytes, or right behind them.
        let rest = unsafe { statistics.add(known) };
        // SAFETY: the rest of them.
        unsafe { rest.write_bytes(0, size - known) };
        Ok(0)
    })
}

/// The number of the last error of a session.
#[unsafe(no_mangle)]
pub extern "C" fn ipq_handle_error(h: *const Handle) -> c_int {
    call(|| {
        let session = find(h)?;
        Ok(session.last_error.load(Ordering::Relaxed))
    })
}

/// The text of an error.
#[unsafe(no_mangle)]
pub extern "C" fn ipq_strerror(error: c_int) -> *const c_char {
    text::of(error).as_ptr()
}

/// This thread's last error in a line.
#[unsafe(no_mangle)]
pub extern "C" fn ipq_errdetail() -> *const c_char {
    error::last_detail()
}
