//! What programs wait with. All of it is passed on, as the descriptors are such that it does what it should; but a simulated
//! kernel, whose time stands still while a program is at work, is told that the program waits.

use core::ffi::c_int;
use core::slice;

use libc::{epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

use crate::carried::{carried, tell_waiting};
use crate::setting::setting;
use crate::{answer, known, real};

/// How many descriptors a set of select(2) has.
const LARGEST_SET: c_int = 1024;
const _: () = assert!(libc::FD_SETSIZE == 1024, "as above");

/// How many descriptors of poll(2) are looked at. Only time is lost if ours is behind them.
const MOST: usize = 1024;

/// Tells that the program waits for those of these that are ours.
///
/// # Safety
///
/// `fds` is null or may be read for `count` of them.
unsafe fn tell_polled(fds: *const pollfd, count: nfds_t) {
    if !known::may_be() || fds.is_null() {
        return;
    }
    let count = usize::try_from(count).unwrap_or(MOST).min(MOST);
    // SAFETY: there are at least so many, which nobody writes to meanwhile, as poll(2) wants.
    let fds = unsafe { slice::from_raw_parts(fds, count) };
    let readers = fds.iter().filter(|fd| fd.fd >= 0 && fd.events & libc::POLLIN != 0);
    readers.filter_map(|fd| carried(fd.fd)).for_each(|socket| socket.tell_waiting());
}

/// Tells that the program waits for those of the first `count` that are in the set and ours.
///
/// # Safety
///
/// `set` is null or may be read, for the first `count`.
unsafe fn tell_selected(count: c_int, set: *const fd_set) {
    if !known::may_be() || set.is_null() {
        return;
    }
    for fd in 0..count.min(LARGEST_SET) {
        // SAFETY: the set is not null, and has a bit for each of these.
        let is_in_it = unsafe { libc::FD_ISSET(fd, set) };
        if let Some(socket) = is_in_it.then(|| carried(fd)).flatten() {
            socket.tell_waiting();
        }
    }
}

/// Tells that the program waits for all of ours, for who waits by epoll(7) does not say for which.
fn tell_all() {
    if known::may_be() {
        answer::aside(|| {
            if let Some(setting) = setting() {
                known::carried_ones().for_each(|cookie| tell_waiting(setting, cookie));
            }
        });
    }
}

/// Whether a time-out is no time at all: then nobody waits.
///
/// # Safety
///
/// `timeout` is null or may be read.
unsafe fn is_zero(timeout: *const timespec) -> bool {
    // SAFETY: it is not null.
    !timeout.is_null()
        && matches!(unsafe { timeout.read() }, timespec { tv_sec: 0, tv_nsec: 0, .. })
}

/// poll(2).
///
/// # Safety
///
/// As poll(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    if timeout != 0 {
        // SAFETY: what poll(2) asks of its caller.
        unsafe { tell_polled(fds, count) };
    }
    // SAFETY: passed on as it came.
    unsafe { real::poll(fds, count, timeout) }
}

/// poll(2), as programs call it that were compiled with checks of the array's length.
///
/// # Safety
///
/// As poll(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __poll_chk(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
    fds_len: size_t,
) -> c_int {
    if timeout != 0
        && usize::try_from(count).is_ok_and(|count| count <= fds_len / size_of::<pollfd>())
    {
        // SAFETY: what poll(2) asks of its caller.
        unsafe { tell_polled(fds, count) };
    }
    // SAFETY: passed on as it came.
    unsafe { real::__poll_chk(fds, count, timeout, fds_len) }
}

/// ppoll(2).
///
/// # Safety
///
/// As ppoll(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn ppoll(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: what ppoll(2) asks of its caller.
    if !unsafe { is_zero(timeout) } {
        // SAFETY: as above.
        unsafe { tell_polled(fds, count) };
    }
    // SAFETY: passed on as it came.
    unsafe { real::ppoll(fds, count, timeout, mask) }
}

/// ppoll(2), as programs call it that were compiled with checks of the array's length.
///
/// # Safety
///
/// As ppoll(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __ppoll_chk(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    fds_len: size_t,
) -> c_int {
    // SAFETY: what ppoll(2) asks of its caller.
    if !unsafe { is_zero(timeout) }
        && usize::try_from(count).is_ok_and(|count| count <= fds_len / size_of::<pollfd>())
    {
        // SAFETY: as above.
        unsafe { tell_polled(fds, count) };
    }
    // SAFETY: passed on as it came.
    unsafe { real::__ppoll_chk(fds, count, timeout, mask, fds_len) }
}

/// select(2).
///
/// # Safety
///
/// As select(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: it is not null, and the caller's to be read.
    let waits = timeout.is_null()
        || !matches!(unsafe { timeout.read() }, timeval { tv_sec: 0, tv_usec: 0, .. });
    if waits {
        // SAFETY: what select(2) asks of its caller.
        unsafe { tell_selected(count, read) };
    }
    // SAFETY: passed on as it came.
    unsafe { real::select(count, read, write, except, timeout) }
}

/// pselect(2).
///
/// # Safety
///
/// As pselect(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pselect(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: what pselect(2) asks of its caller.
    if !unsafe { is_zero(timeout) } {
        // SAFETY: as above.
        unsafe { tell_selected(count, read) };
    }
    // SAFETY: passed on as it came.
    unsafe { real::pselect(count, read, write, except, timeout, mask) }
}

/// `epoll_wait(2)`.
///
/// # Safety
///
/// As `epoll_wait(2)`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_wait(
    fd: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: c_int,
) -> c_int {
    if timeout != 0 {
        tell_all();
    }
    // SAFETY: passed on as it came.
    unsafe { real::epoll_wait(fd, events, count, timeout) }
}

/// `epoll_pwait(2)`.
///
/// # Safety
///
/// As `epoll_pwait(2)`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_pwait(
    fd: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    if timeout != 0 {
        tell_all();
    }
    // SAFETY: passed on as it came.
    unsafe { real::epoll_pwait(fd, events, count, timeout, mask) }
}

/// `epoll_pwait2(2)`.
///
/// # Safety
///
/// As `epoll_pwait2(2)`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_pwait2(
    fd: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: what epoll_pwait2(2) asks of its caller.
    if !unsafe { is_zero(timeout) } {
        tell_all();
    }
    // SAFETY: passed on as it came.
    unsafe { real::epoll_pwait2(fd, events, count, timeout, mask) }
}
