//! The system calls that `nix` has not, or not without allocating: the only unsafe code of this crate.

#![expect(unsafe_code, reason = "the one place where system calls are made by hand")]
#![expect(clippy::cast_possible_truncation, reason = "two small constants of the C interface")]

use core::mem::{MaybeUninit, zeroed};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use crate::{Batch, Received};

/// How many datagrams one system call moves at most. The arrays for them live on the stack.
const AT_ONCE: usize = 32;

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

/// Receives what is there, without waiting, into the vacant buffers of `batch`, with one recvmmsg(2).
pub(crate) fn receive_many(socket: BorrowedFd<'_>, batch: &mut Batch) -> nix::Result<()> {
    let mut addresses = [const { MaybeUninit::<libc::sockaddr_nl>::zeroed() }; AT_ONCE];
    let mut vectors = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; AT_ONCE];
    // SAFETY: an mmsghdr is integers and pointers, for which all zero bytes are a value.
    let mut headers: [libc::mmsghdr; AT_ONCE] = unsafe { zeroed() };
    let mut prepared = 0;
    let parts = addresses.iter_mut().zip(&mut vectors).zip(&mut headers);
    for (buffer, ((address, vector), header)) in batch.vacant_buffers().zip(parts) {
        vector.iov_base = buffer.as_mut_ptr().cast();
        vector.iov_len = buffer.len();
        header.msg_hdr.msg_name = address.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = ADDRESS_LEN;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        prepared += 1;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the first `prepared` headers point to `addresses`, `vectors` and, through these, to the distinct buffers
    // of `batch`, each with its true length. All of them live, unmoved and otherwise unused, until the call returns.
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
        // SAFETY: zeroed at first, then perhaps written by the kernel: any bytes are a sockaddr_nl.
        let port_id = unsafe { address.assume_init_ref() }.nl_pid;
        let datagram_len = usize::try_from(header.msg_len).unwrap_or(usize::MAX);
        batch.push(outcome(named.then_some(port_id), datagram_len, batch.slot_len()));
    }
    Ok(())
}

/// Sends datagrams to the kernel with one sendmmsg(2); returns how many were taken, at least one.
pub(crate) fn send_many(socket: BorrowedFd<'_>, datagrams: &[IoSlice<'_>]) -> nix::Result<usize> {
    // SAFETY: a sockaddr_nl is integers, for which all zero bytes are a value.
    let mut kernel: libc::sockaddr_nl = unsafe { zeroed() };
    kernel.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    kernel.nl_pid = KERNEL;
    // SAFETY: an mmsghdr is integers and pointers, for which all zero bytes are a value.
    let mut headers: [libc::mmsghdr; AT_ONCE] = unsafe { zeroed() };
    let mut prepared = 0;
    for (datagram, header) in datagrams.iter().zip(&mut headers) {
        header.msg_hdr.msg_name = (&raw mut kernel).cast();
        header.msg_hdr.msg_namelen = ADDRESS_LEN;
        // An IoSlice is laid out as an iovec, as its documentation guarantees; the kernel only reads it.
        header.msg_hdr.msg_iov = core::ptr::from_ref(datagram).cast_mut().cast();
        header.msg_hdr.msg_iovlen = 1;
        prepared += 1;
    }
    // SAFETY: the first `prepared` headers point to `kernel` and to elements of `datagrams`, which borrow live
    // memory with its true length. The kernel writes nothing but `msg_len` of the headers.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), prepared, 0) };
    Ok(usize::try_from(Errno::result(sent)?).unwrap_or(0))
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
