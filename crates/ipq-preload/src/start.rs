//! What is done when the library is loaded, before the program starts.

use core::ffi::c_int;

use libc::pollfd;

use crate::carried::ours;
use crate::{answer, known, raw, real, setting};

/// Descriptors up to this number are looked at.
const MOST: c_int = 4096;

/// How many at once.
const AT_ONCE: usize = 512;

/// Called by the dynamic linker.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = {
    extern "C" fn start() {
        answer::aside(|| {
            real::find_all();
            setting::read();
            if setting::setting().is_some() {
                look_at_inherited();
            }
        });
    }
    start
};

/// Finds out whether the program has inherited a descriptor of ours, from one that opened it and called exec(2).
fn look_at_inherited() {
    // Otherwise nothing would be looked at.
    known::expect_some();
    let mut has_any = false;
    let mut first = 0;
    while first < MOST && !has_any {
        let mut fds = [const { pollfd { fd: 0, events: 0, revents: 0 } }; AT_ONCE];
        for (fd, number) in fds.iter_mut().zip(first..) {
            fd.fd = number;
        }
        if raw::poll_now(&mut fds).is_err() {
            // There cannot be so many descriptors.
            has_any = (first..MOST).take(AT_ONCE).any(|fd| ours(fd).is_some());
            break;
        }
        let mut open = fds.iter().filter(|fd| fd.revents & libc::POLLNVAL == 0);
        has_any = open.any(|fd| ours(fd.fd).is_some());
        first += c_int::try_from(AT_ONCE).unwrap_or(MOST);
    }
    if !has_any {
        known::expect_none();
    }
}
