//! What programs send with.

use core::ffi::{c_int, c_uint, c_void};

use ipq_proto::Errno;
use libc::{iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use crate::answer::answer;
use crate::carried::{Carried, Ours, carried, ours};
use crate::{memory, real, trace};

/// Sends these parts to the port id of an address, or to the kernel if that is null; returns how many bytes they were.
///
/// # Safety
///
/// The parts name memory that may be read; `address` is null or may be read for `len` bytes.
unsafe fn send_to(
    socket: &Carried,
    parts: &[iovec],
    (address, len): (*const sockaddr, usize),
    flags: c_int,
) -> Result<ssize_t, Errno> {
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let port_id = if address.is_null() || len == 0 {
        0
    } else {
        // SAFETY: of the address the caller says so.
        unsafe { memory::read_address(address, len)? }.ok_or(Errno::EINVAL)?.nl_pid
    };
    // SAFETY: of the parts the caller says so.
    let sent = unsafe { socket.send(port_id, parts) };
    // SAFETY: as above.
    unsafe { trace::sent(socket, port_id, parts, sent) };
    sent.map(usize::cast_signed)
}

/// The length of an address, as a structure of C has it.
fn len_of(len: socklen_t) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

const NOBODY: (*const sockaddr, usize) = (core::ptr::null(), 0);

/// send(2).
///
/// # Safety
///
/// As send(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn send(
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::send(fd, data, len, flags) };
    };
    // SAFETY: what send(2) asks of its caller.
    answer(|| unsafe { send_to(&socket, &memory::part(data, len), NOBODY, flags) })
}

/// sendto(2).
///
/// # Safety
///
/// As sendto(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sendto(
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::sendto(fd, data, len, flags, address, address_len) };
    };
    let to = (address, len_of(address_len));
    // SAFETY: what sendto(2) asks of its caller.
    answer(|| unsafe { send_to(&socket, &memory::part(data, len), to, flags) })
}

/// Sends what a header says.
///
/// # Safety
///
/// As sendmsg(2).
unsafe fn send_message(socket: &Carried, message: &msghdr, flags: c_int) -> Result<ssize_t, Errno> {
    let count = memory::count(message.msg_iovlen);
    // SAFETY: what sendmsg(2) asks of its caller.
    let parts = unsafe { memory::parts(message.msg_iov, count, Errno(libc::EMSGSIZE))? };
    let to = (message.msg_name.cast_const().cast(), len_of(message.msg_namelen));
    // SAFETY: as above.
    unsafe { send_to(socket, parts, to, flags) }
}

/// sendmsg(2).
///
/// # Safety
///
/// As sendmsg(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sendmsg(
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    match carried(fd) {
        // SAFETY: passed on as it came.
        None => unsafe { real::sendmsg(fd, message, flags) },
        Some(socket) => answer(|| {
            if message.is_null() {
                return Err(memory::FAULT);
            }
            // SAFETY: it is not null, and the caller's to be read.
            let message = unsafe { message.read() };
            // SAFETY: what sendmsg(2) asks of its caller.
            unsafe { send_message(&socket, &message, flags) }
        }),
    }
}

/// sendmmsg(2).
///
/// # Safety
///
/// As sendmmsg(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::sendmmsg(fd, messages, count, flags) };
    };
    answer(|| {
        let mut sent = 0;
        while sent < count.min(MOST_MESSAGES) {
            // SAFETY: there are `count` of them, as sendmmsg(2) wants.
            let place = unsafe { messages.add(sent as usize) };
            // SAFETY: as above.
            let mut message = unsafe { place.read() };
            // SAFETY: as above, and all that it names is the caller's.
            let len = match unsafe { send_message(&socket, &message.msg_hdr, flags) } {
                Ok(len) => len,
                Err(errno) if sent == 0 => return Err(errno),
                Err(_) => break,
            };
            message.msg_len = c_uint::try_from(len).unwrap_or(c_uint::MAX);
            // SAFETY: as above.
            unsafe { place.write(message) };
            sent += 1;
        }
        c_int::try_from(sent).map_err(|_| Errno::EINVAL)
    })
}

/// How many messages one call moves at most.
pub(crate) const MOST_MESSAGES: c_uint = 1024;

/// Writes to a descriptor of ours.
///
/// # Safety
///
/// The parts name memory that may be read.
unsafe fn write_parts(ours: Ours, parts: &[iovec]) -> Result<ssize_t, Errno> {
    match ours {
        // SAFETY: the caller's.
        Ours::Socket(socket) => unsafe { send_to(&socket, parts, NOBODY, 0) },
        // SAFETY: the caller's.
        Ours::File(file) => unsafe { file.write(parts) }.map(usize::cast_signed),
    }
}

/// write(2).
///
/// # Safety
///
/// As write(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    match ours(fd) {
        // SAFETY: passed on as it came.
        None => unsafe { real::write(fd, data, len) },
        // SAFETY: what write(2) asks of its caller.
        Some(ours) => answer(|| unsafe { write_parts(ours, &memory::part(data, len)) }),
    }
}

/// writev(2).
///
/// # Safety
///
/// As writev(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let Some(ours) = ours(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::writev(fd, parts, count) };
    };
    answer(|| {
        let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
        // SAFETY: what writev(2) asks of its caller.
        let parts = unsafe { memory::parts(parts, count, Errno::EINVAL)? };
        // SAFETY: as above.
        unsafe { write_parts(ours, parts) }
    })
}
