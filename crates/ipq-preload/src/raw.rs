//! System calls, straight to the kernel: past what this library stands in front of, no points of cancellation, and safe in
//! a signal handler.

use core::ffi::{CStr, c_int, c_long, c_uint, c_void};
use core::ptr;
use core::sync::atomic::AtomicU32;

use ipq_proto::Errno;
use libc::{iovec, msghdr, sockaddr_un, socklen_t};

/// What a system call returned.
fn checked(returned: c_long) -> Result<usize, Errno> {
    usize::try_from(returned).map_err(|_| crate::answer::errno())
}

fn descriptor(returned: c_long) -> Result<c_int, Errno> {
    checked(returned).and_then(|fd| c_int::try_from(fd).map_err(|_| Errno(libc::EBADF)))
}

/// socket(2), of the family `AF_UNIX`.
pub(crate) fn unix_socket(kind: c_int) -> Result<c_int, Errno> {
    // SAFETY: three numbers.
    descriptor(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind, 0) })
}

/// connect(2).
pub(crate) fn connect(fd: c_int, address: &sockaddr_un, len: socklen_t) -> Result<(), Errno> {
    assert!(len as usize <= size_of::<sockaddr_un>(), "no longer than it is");
    let address = ptr::from_ref(address);
    // SAFETY: the address has at least `len` bytes, which are only read.
    checked(unsafe { libc::syscall(libc::SYS_connect, fd, address, len) }).map(drop)
}

/// close(2). What it says is of no use.
pub(crate) fn close(fd: c_int) {
    // SAFETY: a number. It names a descriptor that is this library's own, which the callers see to.
    let _ = unsafe { libc::syscall(libc::SYS_close, fd) };
}

/// A copy of a descriptor, with a number from `lowest` on, closed on exec(2).
pub(crate) fn duplicate_from(fd: c_int, lowest: c_int) -> Result<c_int, Errno> {
    // SAFETY: three numbers.
    descriptor(unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, lowest) })
}

/// A copy of a descriptor with this number, which may be in use.
pub(crate) fn duplicate_to(fd: c_int, number: c_int, flags: c_int) -> Result<(), Errno> {
    // SAFETY: three numbers. `number` is a descriptor that the caller wants to have replaced.
    checked(unsafe { libc::syscall(libc::SYS_dup3, fd, number, flags) }).map(drop)
}

/// Sets the flags that fcntl(2) calls file status flags.
pub(crate) fn set_status_flags(fd: c_int, flags: c_int) -> Result<(), Errno> {
    // SAFETY: three numbers.
    checked(unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_SETFL, flags) }).map(drop)
}

/// The flags that fcntl(2) calls file status flags.
pub(crate) fn status_flags(fd: c_int) -> Result<c_int, Errno> {
    // SAFETY: two numbers.
    descriptor(unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_GETFL, 0) })
}

/// Sends a datagram of these parts.
///
/// # Safety
///
/// Each part names memory that may be read; where it may not, the kernel finds that out and answers `EFAULT`.
pub(crate) unsafe fn send_parts(fd: c_int, parts: &[iovec]) -> Result<usize, Errno> {
    // SAFETY: integers and pointers, for which zero is a value.
    let mut message: msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut();
    message.msg_iovlen = parts.len() as _;
    let flags = libc::MSG_NOSIGNAL;
    // SAFETY: `message` and its parts live until the call returns, and are only read.
    checked(unsafe { libc::syscall(libc::SYS_sendmsg, fd, &raw const message, flags) })
}

/// Writes these parts to a file.
///
/// # Safety
///
/// As [`send_parts`].
pub(crate) unsafe fn write_parts(fd: c_int, parts: &[iovec]) -> Result<usize, Errno> {
    // SAFETY: there are as many parts as is said; they are only read.
    checked(unsafe { libc::syscall(libc::SYS_writev, fd, parts.as_ptr(), parts.len()) })
}

/// Receives a datagram into these parts; returns how long it was.
///
/// # Safety
///
/// Each part names memory that may be written, by nobody else meanwhile; where it may not, the kernel finds that out and
/// answers `EFAULT`.
pub(crate) unsafe fn receive_parts(
    fd: c_int,
    parts: &mut [iovec],
    flags: c_int,
) -> Result<usize, Errno> {
    // SAFETY: integers and pointers, for which zero is a value.
    let mut message: msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len() as _;
    let flags = flags | libc::MSG_TRUNC;
    // SAFETY: `message` and its parts live until the call returns.
    checked(unsafe { libc::syscall(libc::SYS_recvmsg, fd, &raw mut message, flags) })
}

/// Receives a datagram of at most so many bytes; returns how many.
pub(crate) fn receive(fd: c_int, buffer: &mut [u8], flags: c_int) -> Result<usize, Errno> {
    let mut part = [iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() }];
    // SAFETY: the part is the buffer.
    unsafe { receive_parts(fd, &mut part, flags) }
}

/// The value of a socket option that is a number.
pub(crate) fn socket_option(fd: c_int, name: c_int) -> Result<c_int, Errno> {
    let mut value: c_int = 0;
    get_option(fd, name, &mut value)?;
    Ok(value)
}

/// Sets a socket option that is a number.
pub(crate) fn set_socket_option(fd: c_int, name: c_int, value: c_int) -> Result<(), Errno> {
    let len = size_of::<c_int>();
    // SAFETY: the value has as many bytes as are said, and is only read.
    checked(unsafe {
        libc::syscall(libc::SYS_setsockopt, fd, libc::SOL_SOCKET, name, &raw const value, len)
    })
    .map(drop)
}

/// What the kernel knows a socket by, in all processes and for ever.
pub(crate) fn cookie(fd: c_int) -> Result<u64, Errno> {
    let mut value = 0_u64;
    get_option(fd, libc::SO_COOKIE, &mut value)?;
    Ok(value)
}

/// Reads an option of the level `SOL_SOCKET` whose value is a number of this type.
fn get_option<T>(fd: c_int, name: c_int, value: &mut T) -> Result<(), Errno>
where
    T: Copy + From<u8>,
{
    let mut len = socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    let (value, len) = (ptr::from_mut(value), &raw mut len);
    // SAFETY: the kernel writes no more than `len` bytes to `value`, which has as many; any bytes are an integer.
    let got =
        unsafe { libc::syscall(libc::SYS_getsockopt, fd, libc::SOL_SOCKET, name, value, len) };
    checked(got).map(drop)
}

/// A file in memory.
pub(crate) fn memory_file(name: &CStr, flags: c_uint) -> Result<c_int, Errno> {
    // SAFETY: the name ends in NUL, and is only read.
    descriptor(unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) })
}

/// openat(2), from the working directory.
pub(crate) fn open(path: &CStr, flags: c_int, mode: c_uint) -> Result<c_int, Errno> {
    // SAFETY: the path ends in NUL, and is only read.
    descriptor(unsafe {
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, mode)
    })
}

/// write(2).
pub(crate) fn write(fd: c_int, data: &[u8]) -> Result<usize, Errno> {
    // SAFETY: `data` is as long as is said, and only read.
    checked(unsafe { libc::syscall(libc::SYS_write, fd, data.as_ptr(), data.len()) })
}

/// The id of this thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: it takes nothing.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(id).unwrap_or(0)
}

/// The id of this process.
pub(crate) fn process_id() -> u32 {
    // SAFETY: it takes nothing.
    let id = unsafe { libc::syscall(libc::SYS_getpid) };
    u32::try_from(id).unwrap_or(0)
}

/// Signals of a thread, as the kernel has them.
pub(crate) type SignalMask = u64;

/// Lets this thread get only those signals that are not in `mask`; returns what the mask was.
pub(crate) fn set_signal_mask(mask: SignalMask) -> SignalMask {
    let mut before: SignalMask = 0;
    let (new, old) = (&raw const mask, &raw mut before);
    let how = libc::SIG_SETMASK;
    // SAFETY: both have the 8 bytes that are said. It cannot fail then, and signals that cannot be blocked are not.
    let _ =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, size_of::<SignalMask>()) };
    before
}

/// Sleeps until woken, unless the word has another value already.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32) {
    let none = ptr::null::<c_void>();
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives until the call returns, and there is no time-out (null). Whatever it says, the caller looks
    // at the word again.
    let _ = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, none) };
}

/// Wakes one who sleeps.
pub(crate) fn futex_wake(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word's address is only a name here.
    let _ = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, 1) };
}

/// Memory for a `T` that is all zero bytes here, and again in each child of fork(2).
pub(crate) fn forgetful_memory(len: usize) -> Result<*mut c_void, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new place for new memory, without a file.
    let place = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if place == libc::MAP_FAILED {
        return Err(crate::answer::errno());
    }
    // SAFETY: that memory, which nobody uses yet.
    match unsafe { libc::madvise(place, len, libc::MADV_WIPEONFORK) } {
        0 => Ok(place),
        _ => Err(crate::answer::errno()),
    }
}

/// How many of `fds` are open.
pub(crate) fn poll_now(fds: &mut [libc::pollfd]) -> Result<usize, Errno> {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mask = ptr::null::<c_void>();
    let (place, count) = (fds.as_mut_ptr(), fds.len());
    // SAFETY: `fds` has as many elements as is said; the time lives until the call returns; there is no mask (null).
    checked(unsafe { libc::syscall(libc::SYS_ppoll, place, count, &raw const now, mask, 0_usize) })
}
