//! The program's memory, which its calls point to: addresses, numbers, texts. Where C lets a pointer be null, so do these;
//! where it does not, the answer is the kernel's, `EFAULT`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::{size_of_val, zeroed};
use core::ptr;
use core::slice;

use ipq_proto::Errno;
use libc::{iovec, sockaddr, sockaddr_nl, socklen_t};

/// A null pointer where there should be something.
pub(crate) const FAULT: Errno = Errno(libc::EFAULT);

/// The length of a netlink address in bytes.
pub(crate) const ADDRESS_LEN: usize = size_of::<sockaddr_nl>();

/// The most parts that a call may have.
const MAX_PARTS: usize = 1024;

/// The longest address of any family.
const LONGEST_ADDRESS: usize = size_of::<libc::sockaddr_storage>();

/// The netlink address of `len` bytes at `address`; `None` if it is of the family `AF_UNSPEC`.
///
/// # Safety
///
/// `address` is null or may be read for `len` bytes.
pub(crate) unsafe fn read_address(
    address: *const sockaddr,
    len: usize,
) -> Result<Option<sockaddr_nl>, Errno> {
    if address.is_null() {
        return Err(FAULT);
    }
    if len > LONGEST_ADDRESS || len < size_of::<libc::sa_family_t>() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: there are at least the bytes of the family, at an address of any alignment.
    let family = unsafe { address.cast::<libc::sa_family_t>().read_unaligned() };
    match c_int::from(family) {
        libc::AF_UNSPEC => return Ok(None),
        libc::AF_NETLINK if len >= ADDRESS_LEN => (),
        _ => return Err(Errno::EINVAL),
    }
    // SAFETY: there are as many bytes as a netlink address has, all of them integers.
    Ok(Some(unsafe { address.cast::<sockaddr_nl>().read_unaligned() }))
}

/// Writes the netlink address of this port id to `address`, as far as there is room in `room` bytes.
///
/// # Safety
///
/// `address` may be written for `room` bytes.
pub(crate) unsafe fn write_address(port_id: u32, address: *mut c_void, room: usize) {
    // SAFETY: integers, for which zero is a value.
    let mut name: sockaddr_nl = unsafe { zeroed() };
    name.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).unwrap_or_default();
    name.nl_pid = port_id;
    let from = ptr::from_ref(&name).cast::<u8>();
    // SAFETY: `name` is as long as is taken at most, there is room for that, and the two do not overlap, since `name` is
    // here.
    unsafe { ptr::copy_nonoverlapping(from, address.cast(), room.min(size_of_val(&name))) };
}

/// The same for a call that has the room in `*len`, and wants to be told there how long the address is.
///
/// # Safety
///
/// Each is null or may be written, `address` for `*len` bytes.
pub(crate) unsafe fn answer_address(
    port_id: u32,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> Result<(), Errno> {
    // SAFETY: the caller's.
    let room = unsafe { room(len)? };
    if address.is_null() {
        return Err(FAULT);
    }
    // SAFETY: the caller's.
    unsafe { write_address(port_id, address.cast(), room) };
    // SAFETY: it is not null, as `room` has found out.
    unsafe { len.write(socklen_t::try_from(ADDRESS_LEN).unwrap_or_default()) };
    Ok(())
}

/// How many bytes there are, as `*len` says; `EINVAL` if it is negative.
///
/// # Safety
///
/// `len` is null or may be read.
pub(crate) unsafe fn room(len: *const socklen_t) -> Result<usize, Errno> {
    if len.is_null() {
        return Err(FAULT);
    }
    // SAFETY: it is not null.
    let len = unsafe { len.read() };
    usize::try_from(len.cast_signed()).map_err(|_| Errno::EINVAL)
}

/// Answers a number to getsockopt(2), as far as there is room for it.
///
/// # Safety
///
/// Each is null or may be written, `value` for `*len` bytes.
pub(crate) unsafe fn answer_option(
    number: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> Result<(), Errno> {
    // SAFETY: the caller's.
    let room = unsafe { room(len)? }.min(size_of::<c_int>());
    if value.is_null() {
        return Err(FAULT);
    }
    let from = ptr::from_ref(&number).cast::<u8>();
    // SAFETY: there is as much room, `number` is as long, and the two do not overlap, since `number` is here.
    unsafe { ptr::copy_nonoverlapping(from, value.cast(), room) };
    // SAFETY: it is not null, as `room` has found out.
    unsafe { len.write(socklen_t::try_from(room).unwrap_or_default()) };
    Ok(())
}

/// The number that is given to setsockopt(2); `None` if it is too short for one.
///
/// # Safety
///
/// `value` is null or may be read for `len` bytes.
pub(crate) unsafe fn given_option(
    value: *const c_void,
    len: socklen_t,
) -> Result<Option<c_int>, Errno> {
    if (len as usize) < size_of::<c_int>() {
        return Ok(None);
    }
    if value.is_null() {
        return Err(FAULT);
    }
    // SAFETY: there are as many bytes as the number has, at an address of any alignment.
    Ok(Some(unsafe { value.cast::<c_int>().read_unaligned() }))
}

/// How many parts there are, as a header has it: a number of another type in each C library.
pub(crate) fn count(parts: impl TryInto<usize>) -> usize {
    parts.try_into().unwrap_or(usize::MAX)
}

/// The parts that a call names.
///
/// # Safety
///
/// `parts` may be read for `count` of them, as long as `'a`.
pub(crate) unsafe fn parts<'a>(
    parts: *const iovec,
    count: usize,
    too_many: Errno,
) -> Result<&'a [iovec], Errno> {
    if count > MAX_PARTS {
        return Err(too_many);
    }
    match (parts.is_null(), count) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(FAULT),
        // SAFETY: there are so many, which nobody writes to while a call reads them.
        (false, _) => Ok(unsafe { slice::from_raw_parts(parts, count) }),
    }
}

/// One part.
pub(crate) fn part(base: *const c_void, len: usize) -> [iovec; 1] {
    [iovec { iov_base: base.cast_mut(), iov_len: len }]
}

/// A text.
///
/// # Safety
///
/// `text` is null, or ends in NUL and does so as long as `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    if text.is_null() {
        return None;
    }
    // SAFETY: it ends in NUL.
    Some(unsafe { CStr::from_ptr(text) })
}
