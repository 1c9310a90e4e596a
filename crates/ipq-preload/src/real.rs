//! The functions that ours stand in front of: those of the C library, or of whatever library comes next.

use core::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use ipq_proto::Errno;
use libc::{
    FILE, epoll_event, fd_set, iovec, mmsghdr, mode_t, msghdr, nfds_t, pollfd, sigset_t, size_t,
    sockaddr, socklen_t, ssize_t, stat as Stat, stat64 as Stat64, statx as Statx, timespec,
    timeval,
};

use crate::answer::{Failure, set_errno};

/// Where a function is, once that is known.
struct Address {
    name: &'static CStr,
    known: AtomicPtr<c_void>,
}

impl Address {
    const fn new(name: &'static CStr) -> Self {
        Self { name, known: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Null if the library has no such function.
    fn get(&self) -> *mut c_void {
        let known = self.known.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        // SAFETY: the name ends in NUL and lives for ever. Whoever finds it twice at once, finds the same.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.known.store(found, Ordering::Relaxed);
        found
    }
}

/// What a function of ours does where the next library has no such function: an old one.
fn missing<T: Failure>() -> T {
    set_errno(Errno(libc::ENOSYS));
    T::FAILED
}

/// Defines a caller for each function. An argument behind a semicolon is variable in C, and is always passed on: the
/// calling conventions of Linux pass it where a fixed one would be, and who does not need it does not look.
macro_rules! real_functions {
    ($($name:ident($($arg:ident: $type:ty),* $(; $variable:ident: $variable_type:ty)?) -> $ret:ty;)*) => {
        $(
            /// The next library's function of this name.
            ///
            /// # Safety
            ///
            /// As that function.
            pub(crate) unsafe fn $name($($arg: $type,)* $($variable: $variable_type)?) -> $ret {
                let address = addresses::$name.get();
                if address.is_null() {
                    return missing();
                }
                // SAFETY: the C library's function of this name has this type.
                let function = unsafe {
                    transmute::<*mut c_void, real_functions!(@type [$($type),*] [$($variable_type)?] $ret)>(address)
                };
                // SAFETY: the caller's arguments are as the function wants them.
                unsafe { function($($arg,)* $($variable)?) }
            }
        )*

        #[expect(non_upper_case_globals, reason = "the names of C")]
        mod addresses {
            use super::{Address, CStr};

            $(pub(super) static $name: Address = Address::new(
                // What `concat!` makes ends in its only NUL.
                match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a name with a NUL in it"),
                }
            );)*
        }

        /// Finds all of them now, because dlsym(3) may allocate, which a signal handler must not.
        pub(crate) fn find_all() {
            $(addresses::$name.get();)*
        }
    };
    (@type [$($type:ty),*] [] $ret:ty) => { unsafe extern "C" fn($($type),*) -> $ret };
    (@type [$($type:ty),*] [$variable:ty] $ret:ty) => { unsafe extern "C" fn($($type,)* ...) -> $ret };
}

real_functions! {
    socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int;
    connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int;
    listen(fd: c_int, backlog: c_int) -> c_int;
    accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int;
    accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int;
    shutdown(fd: c_int, how: c_int) -> c_int;
    getsockname(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int;
    getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int;
    getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int;
    setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int;
    ioctl(fd: c_int, request: c_ulong; argument: *mut c_void) -> c_int;

    send(fd: c_int, data: *const c_void, len: size_t, flags: c_int) -> ssize_t;
    sendto(
        fd: c_int, data: *const c_void, len: size_t, flags: c_int, address: *const sockaddr, address_len: socklen_t
    ) -> ssize_t;
    sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t;
    sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int;
    write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t;
    writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t;

    recv(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int) -> ssize_t;
    __recv_chk(fd: c_int, buffer: *mut c_void, len: size_t, buffer_len: size_t, flags: c_int) -> ssize_t;
    recvfrom(
        fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int, address: *mut sockaddr, address_len: *mut socklen_t
    ) -> ssize_t;
    __recvfrom_chk(
        fd: c_int, buffer: *mut c_void, len: size_t, buffer_len: size_t, flags: c_int, address: *mut sockaddr,
        address_len: *mut socklen_t
    ) -> ssize_t;
    recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t;
    recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int;
    read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t;
    __read_chk(fd: c_int, buffer: *mut c_void, len: size_t, buffer_len: size_t) -> ssize_t;
    readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t;

    poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int;
    __poll_chk(fds: *mut pollfd, count: nfds_t, timeout: c_int, fds_len: size_t) -> c_int;
    ppoll(fds: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int;
    __ppoll_chk(
        fds: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, fds_len: size_t
    ) -> c_int;
    select(
        count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval
    ) -> c_int;
    pselect(
        count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec,
        mask: *const sigset_t
    ) -> c_int;
    epoll_wait(fd: c_int, events: *mut epoll_event, count: c_int, timeout: c_int) -> c_int;
    epoll_pwait(
        fd: c_int, events: *mut epoll_event, count: c_int, timeout: c_int, mask: *const sigset_t
    ) -> c_int;
    epoll_pwait2(
        fd: c_int, events: *mut epoll_event, count: c_int, timeout: *const timespec, mask: *const sigset_t
    ) -> c_int;

    open(path: *const c_char, flags: c_int; mode: mode_t) -> c_int;
    open64(path: *const c_char, flags: c_int; mode: mode_t) -> c_int;
    openat(directory: c_int, path: *const c_char, flags: c_int; mode: mode_t) -> c_int;
    openat64(directory: c_int, path: *const c_char, flags: c_int; mode: mode_t) -> c_int;
    __open_2(path: *const c_char, flags: c_int) -> c_int;
    __open64_2(path: *const c_char, flags: c_int) -> c_int;
    __openat_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int;
    __openat64_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int;
    creat(path: *const c_char, mode: mode_t) -> c_int;
    creat64(path: *const c_char, mode: mode_t) -> c_int;
    fopen(path: *const c_char, mode: *const c_char) -> *mut FILE;
    fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE;
    freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE;
    freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE;
    fdopen(fd: c_int, mode: *const c_char) -> *mut FILE;
    access(path: *const c_char, mode: c_int) -> c_int;
    faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int;
    stat(path: *const c_char, status: *mut Stat) -> c_int;
    stat64(path: *const c_char, status: *mut Stat64) -> c_int;
    lstat(path: *const c_char, status: *mut Stat) -> c_int;
    lstat64(path: *const c_char, status: *mut Stat64) -> c_int;
    fstatat(directory: c_int, path: *const c_char, status: *mut Stat, flags: c_int) -> c_int;
    fstatat64(directory: c_int, path: *const c_char, status: *mut Stat64, flags: c_int) -> c_int;
    statx(
        directory: c_int, path: *const c_char, flags: c_int, mask: c_uint, status: *mut Statx
    ) -> c_int;
    __xstat(version: c_int, path: *const c_char, status: *mut Stat) -> c_int;
    __xstat64(version: c_int, path: *const c_char, status: *mut Stat64) -> c_int;
    __lxstat(version: c_int, path: *const c_char, status: *mut Stat) -> c_int;
    __lxstat64(version: c_int, path: *const c_char, status: *mut Stat64) -> c_int;
    __fxstatat(
        version: c_int, directory: c_int, path: *const c_char, status: *mut Stat, flags: c_int
    ) -> c_int;
    __fxstatat64(
        version: c_int, directory: c_int, path: *const c_char, status: *mut Stat64, flags: c_int
    ) -> c_int;
}
