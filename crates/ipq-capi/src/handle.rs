//! What C sees of a session: [`Handle`].

use core::ffi::c_int;
use core::mem::offset_of;
use core::ptr::NonNull;
use std::os::fd::RawFd;

use libc::sockaddr_nl;

/// `struct ipq_handle`. Programs read it; what they write into it changes nothing.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[doc(alias = "ipq_handle")]
pub struct Handle {
    fd: c_int,
    blocking: u8,
    local: sockaddr_nl,
    peer: sockaddr_nl,
}

/// A handle on the heap, which C points to. This library writes it once and never reads it.
#[derive(Debug)]
pub(crate) struct Visible(NonNull<Handle>);

// SAFETY: only the address is ever used; what it points to is left to C.
unsafe impl Send for Visible {}
// SAFETY: likewise.
unsafe impl Sync for Visible {}

impl Visible {
    /// A handle with this descriptor, of a socket with this port id.
    pub(crate) fn new(fd: RawFd, port_id: u32) -> Self {
        let handle = Handle { fd, blocking: 1, local: address(port_id), peer: address(KERNEL) };
        Self(NonNull::from(Box::leak(Box::new(handle))))
    }

    pub(crate) const fn as_ptr(&self) -> *mut Handle {
        self.0.as_ptr()
    }
}

impl Drop for Visible {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a box in `new` and is given back this once. C was told that the handle is gone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The port id of the kernel.
const KERNEL: u32 = 0;

fn address(port_id: u32) -> sockaddr_nl {
    // SAFETY: a sockaddr_nl is integers, for which all zero bytes are a value.
    let mut address: sockaddr_nl = unsafe { core::mem::zeroed() };
    address.nl_family = FAMILY;
    address.nl_pid = port_id;
    address
}

#[expect(clippy::cast_possible_truncation, reason = "the number is 16")]
const FAMILY: libc::sa_family_t = libc::AF_NETLINK as libc::sa_family_t;

const _: () = assert!(
    offset_of!(Handle, fd) == 0
        && offset_of!(Handle, blocking) == 4
        && offset_of!(Handle, local) == 8
        && offset_of!(Handle, peer) == 20
        && size_of::<Handle>() == 32
);
