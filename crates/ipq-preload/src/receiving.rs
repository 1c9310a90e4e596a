//! What programs receive with.

use core::ffi::{c_int, c_uint, c_void};
use core::time::Duration;
use std::time::Instant;

use ipq_proto::Errno;
use libc::{iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};

use crate::answer::answer;
use crate::carried::{Carried, Datagram, carried};
use crate::sending::MOST_MESSAGES;
use crate::{known, memory, real, trace};

/// Receives into these parts.
///
/// # Safety
///
/// They name memory that may be written.
unsafe fn receive(socket: &Carried, parts: &[iovec], flags: c_int) -> Result<Datagram, Errno> {
    // SAFETY: the caller's.
    let received = unsafe { socket.receive(parts, flags) };
    // SAFETY: as above; what is told to be received has been written.
    unsafe { trace::received(socket, parts, flags, received) };
    received
}

/// What a call that receives returns: how many bytes there are now, or with `MSG_TRUNC` how many there were.
fn length(datagram: Datagram, flags: c_int) -> ssize_t {
    let len = if flags & libc::MSG_TRUNC == 0 { datagram.len } else { datagram.whole_len };
    len.cast_signed()
}

/// Receives into a buffer.
///
/// # Safety
///
/// `buffer` may be written for `len` bytes.
unsafe fn receive_into(
    fd: &Carried,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
) -> Result<ssize_t, Errno> {
    // SAFETY: the caller's.
    let datagram = unsafe { receive(fd, &memory::part(buffer, len), flags)? };
    Ok(length(datagram, flags))
}

/// recv(2).
///
/// # Safety
///
/// As recv(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recv(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    match carried(fd) {
        // SAFETY: passed on as it came.
        None => unsafe { real::recv(fd, buffer, len, flags) },
        // SAFETY: what recv(2) asks of its caller.
        Some(socket) => answer(|| unsafe { receive_into(&socket, buffer, len, flags) }),
    }
}

/// recv(2), as programs call it that were compiled with checks of the buffer's length.
///
/// # Safety
///
/// As recv(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __recv_chk(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    buffer_len: size_t,
    flags: c_int,
) -> ssize_t {
    match carried(fd).filter(|_| len <= buffer_len) {
        // SAFETY: passed on as it came. It ends the program if the buffer is too short.
        None => unsafe { real::__recv_chk(fd, buffer, len, buffer_len, flags) },
        // SAFETY: what recv(2) asks of its caller.
        Some(socket) => answer(|| unsafe { receive_into(&socket, buffer, len, flags) }),
    }
}

/// Receives into a buffer and answers who has sent it.
///
/// # Safety
///
/// As recvfrom(2).
unsafe fn receive_from(
    socket: &Carried,
    (buffer, len): (*mut c_void, size_t),
    flags: c_int,
    (address, address_len): (*mut sockaddr, *mut socklen_t),
) -> Result<ssize_t, Errno> {
    if !address.is_null() {
        // What is wrong with it is found out before anything is received.
        // SAFETY: the caller's.
        unsafe { memory::room(address_len)? };
    }
    // SAFETY: the caller's.
    let datagram = unsafe { receive(socket, &memory::part(buffer, len), flags)? };
    if !address.is_null() {
        // SAFETY: the caller's.
        unsafe { memory::answer_address(datagram.port_id, address, address_len)? };
    }
    Ok(length(datagram, flags))
}

/// recvfrom(2).
///
/// # Safety
///
/// As recvfrom(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recvfrom(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    match carried(fd) {
        // SAFETY: passed on as it came.
        None => unsafe { real::recvfrom(fd, buffer, len, flags, address, address_len) },
        // SAFETY: what recvfrom(2) asks of its caller.
        Some(socket) => answer(|| unsafe {
            receive_from(&socket, (buffer, len), flags, (address, address_len))
        }),
    }
}

/// recvfrom(2), as programs call it that were compiled with checks of the buffer's length.
///
/// # Safety
///
/// As recvfrom(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    buffer_len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    match carried(fd).filter(|_| len <= buffer_len) {
        // SAFETY: passed on as it came. It ends the program if the buffer is too short.
        None => unsafe {
            real::__recvfrom_chk(fd, buffer, len, buffer_len, flags, address, address_len)
        },
        // SAFETY: what recvfrom(2) asks of its caller.
        Some(socket) => answer(|| unsafe {
            receive_from(&socket, (buffer, len), flags, (address, address_len))
        }),
    }
}

/// Receives what a header says, and writes there what is told of it.
///
/// # Safety
///
/// As recvmsg(2).
unsafe fn receive_message(
    socket: &Carried,
    message: &mut msghdr,
    flags: c_int,
) -> Result<ssize_t, Errno> {
    let count = memory::count(message.msg_iovlen);
    // SAFETY: what recvmsg(2) asks of its caller.
    let parts = unsafe { memory::parts(message.msg_iov, count, Errno(libc::EMSGSIZE))? };
    let room = usize::try_from(message.msg_namelen.cast_signed()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: as above.
    let datagram = unsafe { receive(socket, parts, flags)? };
    if !message.msg_name.is_null() {
        // SAFETY: as above.
        unsafe { memory::write_address(datagram.port_id, message.msg_name, room) };
        message.msg_namelen = socklen_t::try_from(memory::ADDRESS_LEN).unwrap_or_default();
    }
    let truncated = if datagram.whole_len > datagram.len { libc::MSG_TRUNC } else { 0 };
    message.msg_flags = truncated | flags & libc::MSG_CMSG_CLOEXEC;
    message.msg_controllen = 0;
    Ok(length(datagram, flags))
}

/// recvmsg(2).
///
/// # Safety
///
/// As recvmsg(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        let received = unsafe { real::recvmsg(fd, message, flags) };
        // SAFETY: if it was good for recvmsg(2), it is not null, and the caller's to be read.
        if received >= 0 && unsafe { message.read() }.msg_controllen != 0 {
            // A descriptor may have come, and may be one of ours.
            known::expect_some();
        }
        return received;
    };
    answer(|| {
        if message.is_null() {
            return Err(memory::FAULT);
        }
        // SAFETY: it is not null, and the caller's to be read.
        let mut header = unsafe { message.read() };
        // SAFETY: what recvmsg(2) asks of its caller.
        let received = unsafe { receive_message(&socket, &mut header, flags)? };
        // SAFETY: it is not null, and the caller's to be written.
        unsafe { message.write(header) };
        Ok(received)
    })
}

/// Until when several messages are received.
struct Limit {
    started: Instant,
    time: Duration,
}

impl Limit {
    fn new(timeout: timespec) -> Result<Self, Errno> {
        let nanoseconds = u32::try_from(timeout.tv_nsec).ok().filter(|&part| part < 1_000_000_000);
        let seconds = u64::try_from(timeout.tv_sec).ok();
        let time = seconds.zip(nanoseconds).map(|(whole, part)| Duration::new(whole, part));
        Ok(Self { started: Instant::now(), time: time.ok_or(Errno::EINVAL)? })
    }

    fn is_over(&self) -> bool {
        self.started.elapsed() >= self.time
    }
}

/// recvmmsg(2).
///
/// # Safety
///
/// As recvmmsg(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::recvmmsg(fd, messages, count, flags, timeout) };
    };
    answer(|| {
        let waits_for_one = flags & libc::MSG_WAITFORONE != 0;
        let mut flags = flags & !libc::MSG_WAITFORONE;
        // SAFETY: it is null or the caller's to be read.
        let limit = unsafe { timeout.as_ref() }.map(|timeout| Limit::new(*timeout)).transpose()?;
        let mut received = 0;
        while received < count.min(MOST_MESSAGES) {
            // SAFETY: there are `count` of them, as recvmmsg(2) wants.
            let place = unsafe { messages.add(received as usize) };
            // SAFETY: as above.
            let mut message = unsafe { place.read() };
            // SAFETY: as above, and all that it names is the caller's.
            let len = match unsafe { receive_message(&socket, &mut message.msg_hdr, flags) } {
                Ok(len) => len,
                Err(errno) if received == 0 => return Err(errno),
                Err(_) => break,
            };
            message.msg_len = c_uint::try_from(len).unwrap_or(c_uint::MAX);
            // SAFETY: as above.
            unsafe { place.write(message) };
            received += 1;
            if waits_for_one {
                flags |= libc::MSG_DONTWAIT;
            }
            // As the kernel has it, a time-out is looked at only when something has come.
            if limit.as_ref().is_some_and(Limit::is_over) {
                break;
            }
        }
        c_int::try_from(received).map_err(|_| Errno::EINVAL)
    })
}

/// read(2).
///
/// # Safety
///
/// As read(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
    match carried(fd) {
        // SAFETY: passed on as it came.
        None => unsafe { real::read(fd, buffer, len) },
        // SAFETY: what read(2) asks of its caller.
        Some(socket) => answer(|| unsafe { receive_into(&socket, buffer, len, 0) }),
    }
}

/// read(2), as programs call it that were compiled with checks of the buffer's length.
///
/// # Safety
///
/// As read(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __read_chk(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    buffer_len: size_t,
) -> ssize_t {
    match carried(fd).filter(|_| len <= buffer_len) {
        // SAFETY: passed on as it came. It ends the program if the buffer is too short.
        None => unsafe { real::__read_chk(fd, buffer, len, buffer_len) },
        // SAFETY: what read(2) asks of its caller.
        Some(socket) => answer(|| unsafe { receive_into(&socket, buffer, len, 0) }),
    }
}

/// readv(2).
///
/// # Safety
///
/// As readv(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::readv(fd, parts, count) };
    };
    answer(|| {
        let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
        // SAFETY: what readv(2) asks of its caller.
        let parts = unsafe { memory::parts(parts, count, Errno::EINVAL)? };
        // SAFETY: as above.
        let datagram = unsafe { receive(&socket, parts, 0)? };
        Ok(length(datagram, 0))
    })
}
