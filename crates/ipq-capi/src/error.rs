//! Errors as libipq has them: a number, a text, and one of them for each thread.

use core::cell::{Cell, RefCell};
use core::ffi::{CStr, c_char, c_int};
use std::ffi::CString;

use ipq_proto::Errno;

use crate::sync::of_thread;

/// The number of an error, as in `ipq_errmap`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum ErrorCode {
    /// None, or one without a name.
    None = 0,
    /// The library was used wrongly, or has a bug.
    Implementation = 1,
    /// No memory for a handle.
    Handle = 2,
    /// The socket could not be opened.
    Socket = 3,
    /// It could not be bound.
    Bind = 4,
    /// No memory for a buffer.
    Buffer = 5,
    /// Receiving failed, or what came was not the kernel's.
    Receive = 6,
    /// Nothing can come any more.
    EndOfFile = 7,
    /// An address had the wrong length.
    AddressLength = 8,
    /// A message was sent in part.
    SentTruncated = 9,
    /// A message was longer than the buffer.
    ReceivedTruncated = 10,
    /// The kernel reported an error.
    Netlink = 11,
    /// Sending failed.
    Send = 12,
    /// There is no such operation.
    Unsupported = 13,
    /// The buffer is too short for any message.
    BufferSize = 14,
    /// Nothing came in time.
    Timeout = 15,
    /// Neither IPv4 nor IPv6.
    Protocol = 16,
}

/// An entry of [`ipq_errmap`]: `struct ipq_error_text`.
#[derive(Debug)]
#[repr(C)]
pub struct ErrorText {
    code: c_int,
    text: *const c_char,
}

// SAFETY: `text` points to a string literal, which nobody changes and which is there as long as the library is.
unsafe impl Sync for ErrorText {}

/// How many errors there are.
const COUNT: usize = 17;

const TEXTS: [&CStr; COUNT] = [
    c"Unknown error",
    c"Implementation error",
    c"Unable to create netlink handle",
    c"Unable to create netlink socket",
    c"Unable to bind netlink socket",
    c"Unable to allocate buffer",
    c"Failed to receive netlink message",
    c"Received EOF on netlink socket",
    c"Invalid peer address length",
    c"Sent message truncated",
    c"Received message truncated",
    c"Received error from netlink",
    c"Failed to send netlink message",
    c"Operation not supported",
    c"Receive buffer size invalid",
    c"Timeout",
    c"Invalid protocol specified",
];

/// The errors by number, for programs that look at the table themselves.
#[unsafe(no_mangle)]
pub static ipq_errmap: [ErrorText; COUNT] = {
    let mut map = [const { ErrorText { code: 0, text: TEXTS[0].as_ptr() } }; COUNT];
    let mut index = 0;
    while index < COUNT {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "at most 16"
        )]
        let code = index as c_int;
        map[index] = ErrorText { code, text: TEXTS[index].as_ptr() };
        index += 1;
    }
    map
};

/// The text of an error's number; that of 0 for a number that is none.
pub(crate) fn text(code: c_int) -> &'static CStr {
    usize::try_from(code).ok().and_then(|code| TEXTS.get(code)).copied().unwrap_or(TEXTS[0])
}

/// What went wrong in a call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    /// For `errno`; `None` leaves it as it is, where no system call failed.
    pub(crate) errno: Option<Errno>,
    /// What there is to say beyond the number's text.
    pub(crate) detail: Detail,
}

/// What there is to say of a failure, put into words only when somebody asks.
#[derive(Debug)]
pub(crate) enum Detail {
    None,
    Words(&'static str),
    Transport(ipq_sys::Error),
    Cut { message_len: usize, buffer_len: usize },
    Foreign { port_id: u32 },
    Said(String),
}

impl Failure {
    pub(crate) const fn new(code: ErrorCode, errno: Errno, words: &'static str) -> Self {
        Self { code, errno: Some(errno), detail: Detail::Words(words) }
    }

    pub(crate) const fn plain(code: ErrorCode) -> Self {
        Self { code, errno: None, detail: Detail::None }
    }

    pub(crate) const fn transport(code: ErrorCode, error: ipq_sys::Error) -> Self {
        Self { code, errno: Some(error.errno), detail: Detail::Transport(error) }
    }
}

impl core::fmt::Display for Detail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Words(words) => f.write_str(words),
            Self::Transport(error) => error.fmt(f),
            Self::Cut { message_len, buffer_len } => write!(
                f,
                "the message has {message_len} bytes and the buffer {buffer_len}: the packet still waits for its verdict; \
                 ask for a smaller copy range or bring a larger buffer"
            ),
            Self::Foreign { port_id } => {
                write!(
                    f,
                    "the message came from port id {port_id} and not from the kernel; it was discarded"
                )
            }
            Self::Said(words) => f.write_str(words),
        }
    }
}

of_thread! {
    /// The number of the last error of this thread.
    CODE: Cell<c_int> = Cell::new(0);
    /// What there is to say of it.
    DETAIL: RefCell<Detail> = RefCell::new(Detail::None);
    /// What was said of it, which the caller of `ipq_errdetail` points to.
    SAID: RefCell<Option<CString>> = RefCell::new(None);
}

/// The number of the last error of this thread.
pub(crate) fn last_code() -> c_int {
    CODE.with(Cell::get)
}

/// Makes `failure` this thread's last error, and `errno` what it says.
pub(crate) fn report(failure: Failure) {
    let Failure { code, errno, detail } = failure;
    CODE.with(|place| place.set(code as c_int));
    // Not where a thread is ending, nor in a signal handler that came in between.
    let _ = DETAIL.try_with(|place| place.try_borrow_mut().map(|mut place| *place = detail));
    if let Some(Errno(errno)) = errno {
        set_errno(errno);
    }
}

/// The last error of this thread in a line. The pointer is good until the thread asks again.
pub(crate) fn last_detail() -> *const c_char {
    let said = DETAIL.try_with(|detail| {
        let words = detail.try_borrow().map(|detail| detail.to_string()).unwrap_or_default();
        let line = CString::new(words).unwrap_or_default();
        SAID.try_with(|place| {
            let Ok(mut place) = place.try_borrow_mut() else { return c"".as_ptr() };
            place.insert(line).as_ptr()
        })
    });
    said.ok().and_then(Result::ok).unwrap_or(c"".as_ptr())
}

/// Sets `errno`.
pub(crate) fn set_errno(errno: c_int) {
    // SAFETY: it returns this thread's errno, which is there as long as the thread is.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: a valid, aligned int that only this thread uses.
    unsafe { place.write(errno) };
}

/// What `errno` is.
pub(crate) fn errno() -> c_int {
    // SAFETY: it returns this thread's errno, which is there as long as the thread is.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: a valid, aligned int that only this thread uses.
    unsafe { place.read() }
}
