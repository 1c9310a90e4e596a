//! The system calls that `nix` has not, or not without allocating: the only unsafe code of this crate.

#![expect(unsafe_code, reason = "the one place where system calls are made by hand")]
#![expect(clippy::cast_possible_truncation, reason = "two small constants of the C interface")]

use core::mem::zeroed;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use ipq_proto::{DeviceName, HardwareType};
use nix::errno::Errno;
use nix::sys::socket::{SockFlag, accept4};

use crate::{Batch, DeviceInfo, Received};

/// How many datagrams one system call moves at most. The arrays for them live on the stack.
pub(crate) const AT_ONCE: usize = 64;

/// How many it is prepared to receive where few are expected.
pub(crate) const FEW: usize = 8;

/// The port id of the kernel, in both directions.
pub(crate) const KERNEL: u32 = 0;

/// Opens a raw netlink socket. `nix` does it for the protocols that it has names for.
pub(crate) fn netlink_socket(protocol: i32) -> nix::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: socket(2) takes three numbers and touches no memory of ours.
    let descriptor = Errno::result(unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) })?;
    // SAFETY: the kernel has just opened this descriptor for us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Takes the next connection of a listening socket. `nix` gives a number that anybody may own.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: the kernel has just opened this descriptor for us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The protocol of a netlink socket; `EAFNOSUPPORT` for a socket of another family.
pub(crate) fn netlink_protocol(socket: BorrowedFd<'_>) -> nix::Result<i32> {
    if number_option(socket, libc::SO_DOMAIN)? != libc::AF_NETLINK {
        return Err(Errno::EAFNOSUPPORT);
    }
    number_option(socket, libc::SO_PROTOCOL)
}

/// An option of a socket that is an `int`.
fn number_option(socket: BorrowedFd<'_>, option: i32) -> nix::Result<i32> {
    let mut number: i32 = 0;
    let mut len = size_of::<i32>() as libc::socklen_t;
    let value = core::ptr::from_mut(&mut number).cast();
    // SAFETY: the pointers are to `number` and `len`, which live through the call, and `len` is the size of `number`.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, &raw mut len)
    };
    Errno::result(done).map(|_| number)
}

/// Receives what is there into the vacant buffers of `batch`, with one recvmmsg(2), and waits for the first of it if it
/// is to; returns how many datagrams that were, `N` at most.
///
/// `N` is how many are prepared for, on the stack: a few datagrams should not cost what many do.
pub(crate) fn receive_many<const N: usize>(
    socket: BorrowedFd<'_>,
    batch: &mut Batch,
    waits: bool,
) -> nix::Result<usize> {
    // SAFETY: a sockaddr_nl is integers, for which any bytes are a value.
    let mut addresses: [libc::sockaddr_nl; N] = unsafe { zeroed() };
    let mut vectors = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; N];
    // SAFETY: an mmsghdr is integers and pointers, for which all zero bytes are a value.
    let mut headers: [libc::mmsghdr; N] = unsafe { zeroed() };
    // Counts no further than the arrays reach: `zip` ends with the shortest.
    let mut prepared = 0;
    let parts = addresses.iter_mut().zip(&mut vectors).zip(&mut headers);
    for (buffer, ((address, vector), header)) in batch.vacant_buffers().zip(parts) {
        vector.iov_base = buffer.as_mut_ptr().cast();
        vector.iov_len = buffer.len();
        header.msg_hdr.msg_name = core::ptr::from_mut(address).cast();
        header.msg_hdr.msg_namelen = ADDRESS_LEN;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        prepared += 1;
    }
    let waiting = if waits { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
    let flags = waiting | libc::MSG_TRUNC;
    // SAFETY: `prepared` headers, no more than there are, point to elements of `addresses` and `vectors` and, through
    // these, to the distinct buffers of `batch`, each with its true length and derived from a mutable reference. All
    // live, unmoved and untouched by anybody else, until the call returns; the kernel keeps no pointer beyond it. There
    // are no control messages (null, 0) and no timeout.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            prepared,
            flags as _,
            core::ptr::null_mut(),
        )
    };
    let received = usize::try_from(Errno::result(received)?).unwrap_or(0);
    for (header, address) in headers.iter().zip(&addresses).take(received) {
        let named = header.msg_hdr.msg_namelen == ADDRESS_LEN;
        let datagram_len = usize::try_from(header.msg_len).unwrap_or(usize::MAX);
        batch.push(outcome(named.then_some(address.nl_pid), datagram_len, batch.slot_len()));
    }
    Ok(received)
}

/// Sends datagrams to the kernel with one sendmmsg(2); returns how many were taken, at least one.
pub(crate) fn send_many(socket: BorrowedFd<'_>, datagrams: &[IoSlice<'_>]) -> nix::Result<usize> {
    // SAFETY: a sockaddr_nl is integers, for which all zero bytes are a value.
    let mut kernel: libc::sockaddr_nl = unsafe { zeroed() };
    kernel.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    kernel.nl_pid = KERNEL;
    let kernel = &raw mut kernel;
    // SAFETY: an mmsghdr is integers and pointers, for which all zero bytes are a value.
    let mut headers: [libc::mmsghdr; AT_ONCE] = unsafe { zeroed() };
    // Counts no further than the headers reach: `zip` ends with the shorter one.
    let mut prepared = 0;
    for (datagram, header) in datagrams.iter().zip(&mut headers) {
        header.msg_hdr.msg_name = kernel.cast();
        header.msg_hdr.msg_namelen = ADDRESS_LEN;
        // An IoSlice is laid out as an iovec, as its documentation guarantees. The pointer is mutable only because C
        // has no other; nothing is written through it.
        header.msg_hdr.msg_iov = core::ptr::from_ref(datagram).cast_mut().cast();
        header.msg_hdr.msg_iovlen = 1;
        prepared += 1;
    }
    // SAFETY: `prepared` headers, no more than there are, point to the address and to elements of `datagrams`, which
    // borrow live memory with its true length. The kernel reads these, writes nothing but `msg_len` of the headers, and
    // keeps no pointer beyond the call. There are no control messages (null, 0).
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), prepared, 0) };
    Ok(usize::try_from(Errno::result(sent)?).unwrap_or(0))
}

/// Whether `errno` says that the kernel has no recvmmsg(2) (before Linux 2.6.33) or no sendmmsg(2) (before 3.0).
///
/// `EINVAL` does where a C library goes through socketcall(2), which refuses numbers it does not know. Should it be meant,
/// moving the datagrams one by one comes upon it again.
pub(crate) const fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EINVAL)
}

/// What `send_many` takes for granted.
const _: () = assert!(
    size_of::<IoSlice<'_>>() == size_of::<libc::iovec>()
        && align_of::<IoSlice<'_>>() == align_of::<libc::iovec>()
);

/// Turns the error `ENOBUFS` for a full receive buffer off or on.
pub(crate) fn set_no_enobufs(socket: BorrowedFd<'_>, off: bool) -> nix::Result<()> {
    let value = libc::c_int::from(off);
    // SAFETY: the kernel reads an int from a pointer to an int, whose size is given.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_NO_ENOBUFS,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(set).map(|_| ())
}

/// What the kernel knows a socket by, whatever descriptor refers to it. `nix` has it for other systems only.
pub(crate) fn cookie(socket: BorrowedFd<'_>) -> nix::Result<u64> {
    let mut cookie = 0_u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes no more than the 8 bytes that `len` says `cookie` has, and how many it wrote to `len`;
    // both live until the call returns.
    let asked = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    Errno::result(asked).map(|_| cookie)
}

/// The user namespace that another namespace belongs to (`ioctl_ns(2)`, since Linux 4.9).
pub(crate) fn owning_user_namespace(namespace: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    // SAFETY: this request takes no argument and touches no memory of ours.
    let asked = unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_USERNS) };
    let descriptor = Errno::result(asked)?;
    // SAFETY: the kernel has just opened this descriptor for us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The name and the link-layer type of the device `index`. Any socket will do to ask, and answers for its own
/// network namespace; `/sys` would answer for the one it was mounted in.
pub(crate) fn device(socket: BorrowedFd<'_>, index: u32) -> nix::Result<DeviceInfo> {
    // SAFETY: an ifreq is an array of bytes and a union of integers, arrays and a pointer: all zero is a value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    request.ifr_ifru.ifru_ifindex = i32::try_from(index).map_err(|_| Errno::ENODEV)?;
    ask(socket, libc::SIOCGIFNAME, &mut request)?;
    let name = DeviceName::from_wire(request.ifr_name.map(|byte| byte.to_ne_bytes()[0]));
    ask(socket, libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: SIOCGIFHWADDR has just filled in this member; any bytes are a value of it.
    let hw_type = HardwareType(unsafe { request.ifr_ifru.ifru_hwaddr }.sa_family);
    Ok(DeviceInfo { name, hw_type })
}

/// Makes one of the requests of netdevice(7).
fn ask(socket: BorrowedFd<'_>, what: libc::Ioctl, request: &mut libc::ifreq) -> nix::Result<()> {
    // SAFETY: the requests that are made here read and write an ifreq, which `request` is, and nothing else.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), what, core::ptr::from_mut(request)) };
    Errno::result(asked).map(|_| ())
}

/// The length of a netlink address.
const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_nl>() as libc::socklen_t;

/// What it means that a datagram of `datagram_len` bytes came from `sender` into a buffer of `buffer_len` bytes.
pub(crate) fn outcome(sender: Option<u32>, datagram_len: usize, buffer_len: usize) -> Received {
    match sender {
        Some(KERNEL) if datagram_len > buffer_len => {
            Received::Truncated { len: buffer_len, datagram_len }
        }
        Some(KERNEL) => Received::Datagram { len: datagram_len },
        other => Received::Foreign { port_id: other.unwrap_or(u32::MAX) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_sender_and_the_length_of_a_datagram() {
        for (sender, datagram_len, buffer_len, expected) in [
            (Some(0), 0, 0, Received::Datagram { len: 0 }),
            (Some(0), 8, 9, Received::Datagram { len: 8 }),
            (Some(0), 9, 9, Received::Datagram { len: 9 }),
            (Some(0), 10, 9, Received::Truncated { len: 9, datagram_len: 10 }),
            (Some(0), 1, 0, Received::Truncated { len: 0, datagram_len: 1 }),
            (Some(7), 8, 9, Received::Foreign { port_id: 7 }),
            (Some(7), 10, 9, Received::Foreign { port_id: 7 }),
            (Some(u32::MAX), 8, 9, Received::Foreign { port_id: u32::MAX }),
            // Without an address it is not the kernel's either.
            (None, 8, 9, Received::Foreign { port_id: u32::MAX }),
        ] {
            assert_eq!(outcome(sender, datagram_len, buffer_len), expected);
        }
    }

    #[test]
    fn tells_a_call_that_is_missing_from_one_that_failed() {
        assert!(is_missing(Errno::ENOSYS) && is_missing(Errno::EINVAL));
        for errno in [
            Errno::EAGAIN,
            Errno::EBADF,
            Errno::ECONNREFUSED,
            Errno::EINTR,
            Errno::EMSGSIZE,
            Errno::ENOBUFS,
            Errno::EPERM,
        ] {
            assert!(!is_missing(errno), "{errno}");
        }
    }
}
