//! Frames in parts, some of which are the program's own memory: [`Outgoing`] and [`Incoming`].

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr;

use ipq_proto::Errno;
use libc::iovec;

use crate::raw;

/// How many parts there are without memory being allocated for them.
const FEW: usize = 24;

const NONE: iovec = iovec { iov_base: ptr::null_mut(), iov_len: 0 };

/// A list of parts, the first of which is the head's.
struct Parts {
    few: [iovec; FEW],
    len: usize,
    /// All of them, if they are more than a few: no program has so many, still less in a signal handler.
    many: Vec<iovec>,
}

impl Parts {
    const fn new() -> Self {
        Self { few: [NONE; FEW], len: 1, many: Vec::new() }
    }

    fn push(&mut self, base: *mut c_void, len: usize) {
        let part = iovec { iov_base: base, iov_len: len };
        if let Some(place) = self.few.get_mut(self.len) {
            *place = part;
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(part);
        }
        self.len += 1;
    }

    /// All of them, behind this head.
    fn with_head(&mut self, base: *mut c_void, len: usize) -> &mut [iovec] {
        let all = if self.many.is_empty() { &mut self.few[..self.len] } else { &mut self.many[..] };
        all[0] = iovec { iov_base: base, iov_len: len };
        all
    }
}

/// A frame to be sent.
pub(crate) struct Outgoing<'a> {
    parts: Parts,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> Outgoing<'a> {
    pub(crate) const fn new() -> Self {
        Self { parts: Parts::new(), memory: PhantomData }
    }

    /// Adds a part.
    pub(crate) fn push(&mut self, part: &'a [u8]) {
        self.parts.push(part.as_ptr().cast_mut().cast(), part.len());
    }

    /// Adds parts that are the program's.
    ///
    /// # Safety
    ///
    /// They name memory that may be read until `'a` ends. Where it may not, the kernel notices, and sending fails.
    pub(crate) unsafe fn extend(&mut self, parts: &[iovec]) {
        for part in parts {
            self.parts.push(part.iov_base, part.iov_len);
        }
    }

    /// Sends the frame with this head.
    pub(crate) fn send(&mut self, fd: c_int, head: &[u8]) -> Result<(), Errno> {
        let parts = self.parts.with_head(head.as_ptr().cast_mut().cast(), head.len());
        // SAFETY: each part is the head, which lives until the call returns, or was pushed for as long as `'a`.
        unsafe { raw::send_parts(fd, parts) }.map(drop)
    }

    /// Writes the same to a file.
    pub(crate) fn write(&mut self, fd: c_int, head: &[u8]) -> Result<(), Errno> {
        let parts = self.parts.with_head(head.as_ptr().cast_mut().cast(), head.len());
        // SAFETY: as above.
        unsafe { raw::write_parts(fd, parts) }.map(drop)
    }
}

/// Room for a frame to be received.
pub(crate) struct Incoming<'a> {
    parts: Parts,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Incoming<'a> {
    pub(crate) const fn new() -> Self {
        Self { parts: Parts::new(), memory: PhantomData }
    }

    /// Adds a part.
    pub(crate) fn push(&mut self, part: &'a mut [u8]) {
        self.parts.push(part.as_mut_ptr().cast(), part.len());
    }

    /// Adds parts that are the program's.
    ///
    /// # Safety
    ///
    /// They name memory that may be written until `'a` ends. Where it may not, the kernel notices, and receiving fails.
    pub(crate) unsafe fn extend(&mut self, parts: &[iovec]) {
        for part in parts {
            self.parts.push(part.iov_base, part.iov_len);
        }
    }

    /// Receives a frame with such a head; returns how long it was. Nothing is written beyond the parts.
    pub(crate) fn receive(&mut self, fd: c_int, head: &mut [u8]) -> Result<usize, Errno> {
        let parts = self.parts.with_head(head.as_mut_ptr().cast(), head.len());
        // SAFETY: each part is the head, which lives until the call returns, or was pushed for as long as `'a`.
        unsafe { raw::receive_parts(fd, parts, 0) }
    }
}
