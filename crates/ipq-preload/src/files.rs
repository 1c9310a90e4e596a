//! The files of the kernel that tell of the queues: read and written as they are where the module is loaded.

use core::ffi::{CStr, c_char, c_int};

use ipq_proto::Errno;
use ipq_sys::unix::{Call, MAX_FRAME_LEN, Opening};
use libc::{FILE, iovec, mode_t};

use crate::answer::{answer, aside};
use crate::control::Control;
use crate::known::{self, Kind};
use crate::parts::{Incoming, Outgoing};
use crate::setting::{Setting, setting};
use crate::{memory, raw, real};

/// A file, by the names that programs open it by.
struct Served {
    name: &'static str,
    other_name: &'static str,
    /// Whether it may be written.
    is_setting: bool,
}

/// All of them. One that the served kernel does not have is this system's.
const FILES: [Served; 5] = [
    Served { name: "/proc/net/ip_queue", other_name: "/proc/self/net/ip_queue", is_setting: false },
    Served {
        name: "/proc/net/ip6_queue",
        other_name: "/proc/self/net/ip6_queue",
        is_setting: false,
    },
    Served {
        name: "/proc/net/netfilter/nfnetlink_queue",
        other_name: "/proc/self/net/netfilter/nfnetlink_queue",
        is_setting: false,
    },
    Served { name: "/proc/sys/net/ipv4/ip_queue_maxlen", other_name: "", is_setting: true },
    Served { name: "/proc/sys/net/ipv6/ip6_queue_maxlen", other_name: "", is_setting: true },
];

/// A file that the program has open for writing.
#[derive(Clone, Copy)]
pub(crate) struct OpenFile {
    setting: &'static Setting,
    name: &'static str,
}

impl OpenFile {
    /// The file with this index.
    pub(crate) fn new(setting: &'static Setting, index: u8) -> Option<Self> {
        FILES.get(usize::from(index)).map(|file| Self { setting, name: file.name })
    }

    /// Writes these parts to it, as one number; returns how many bytes they are.
    ///
    /// # Safety
    ///
    /// They name memory that may be read.
    pub(crate) unsafe fn write(&self, parts: &[iovec]) -> Result<usize, Errno> {
        let len = parts.iter().fold(0_usize, |len, part| len.saturating_add(part.iov_len));
        let name_len = u32::try_from(self.name.len()).unwrap_or(0);
        let mut more = Outgoing::new();
        more.push(self.name.as_bytes());
        // SAFETY: the caller's.
        unsafe { more.extend(parts) };
        let question = (Call::WRITE_FILE, 0, [name_len, 0]);
        let (answer, _) =
            self.setting.control.ask(self.setting, question, more, Incoming::new())?;
        answer.result().map(|_| len)
    }
}

/// The file of the served kernel that this path names, if it may have it.
pub(crate) fn served(path: Option<&CStr>) -> Option<(&'static Setting, usize)> {
    let setting = setting()?;
    let path = path?.to_bytes();
    let is_named =
        |file: &Served| [file.name, file.other_name].iter().any(|name| name.as_bytes() == path);
    Some((setting, FILES.iter().position(is_named)?))
}

/// Whether a file that the served kernel has is to be written.
pub(crate) fn is_setting(setting: &Setting, index: usize) -> Result<bool, Errno> {
    let Served { name, is_setting, .. } = FILES[index];
    read(setting, name).map(|_| is_setting)
}

/// Opens the file with this path as open(2) would with these flags: `None` if it is no file of the served kernel.
fn open_served(path: Option<&CStr>, flags: c_int) -> Option<Result<c_int, Errno>> {
    let (setting, index) = served(path)?;
    match open_at(setting, index, flags) {
        Err(Errno::ENOENT) => None,
        opened => Some(opened),
    }
}

fn open_at(setting: &'static Setting, index: usize, flags: c_int) -> Result<c_int, Errno> {
    let Served { name, is_setting, .. } = FILES[index];
    if flags & libc::O_DIRECTORY != 0 {
        return Err(Errno(libc::ENOTDIR));
    }
    if flags & libc::O_ACCMODE == libc::O_RDONLY {
        return open_text(&read(setting, name)?, flags);
    }
    // It is looked at first whether there is one.
    read(setting, name)?;
    if !is_setting {
        return Err(Errno(libc::EACCES));
    }
    let flags = if flags & libc::O_CLOEXEC == 0 { 0 } else { libc::SOCK_CLOEXEC };
    let (fd, cookie) = Control::open(setting, flags, |_| Opening::File { name })?;
    known::remember(cookie, Kind::File { index: u8::try_from(index).unwrap_or(u8::MAX) });
    Ok(fd)
}

/// What a file says now.
fn read(setting: &Setting, name: &str) -> Result<Vec<u8>, Errno> {
    let mut text = vec![0; MAX_FRAME_LEN];
    let (mut more, mut into) = (Outgoing::new(), Incoming::new());
    more.push(name.as_bytes());
    into.push(&mut text);
    let (answer, len) = setting.control.ask(setting, (Call::READ_FILE, 0, [0, 0]), more, into)?;
    answer.result()?;
    text.truncate(len);
    Ok(text)
}

/// A descriptor that reads this text, and cannot be written.
fn open_text(text: &[u8], flags: c_int) -> Result<c_int, Errno> {
    let file = raw::memory_file(c"ipq", libc::MFD_CLOEXEC)?;
    let filled = fill(file, text, flags & libc::O_CLOEXEC);
    if filled.is_err() {
        raw::close(file);
    }
    filled.map(|()| file)
}

/// Writes a text into a file, and makes its descriptor one that only reads, with this flag.
fn fill(file: c_int, mut text: &[u8], flag: c_int) -> Result<(), Errno> {
    while !text.is_empty() {
        let len = raw::write(file, text)?;
        text = text.get(len..).unwrap_or_default();
    }
    let mut path = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0";
    let start = b"/proc/self/fd/".len();
    let digits = file.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    let mut rest = file.unsigned_abs();
    for place in path[start..start + digits].iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::EINVAL)?;
    let reader = raw::open(path, libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    let moved = raw::duplicate_to(reader, file, flag);
    raw::close(reader);
    moved
}

/// Opens a file of the served kernel, or else has another call open what the path names.
///
/// # Safety
///
/// `path` is null or ends in NUL.
unsafe fn open_or(path: *const c_char, flags: c_int, pass_on: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the caller's.
    let path = unsafe { memory::text(path) };
    match aside(|| open_served(path, flags)).flatten() {
        Some(opened) => answer(|| opened),
        None => pass_on(),
    }
}

/// Defines the ways to open a file: where it begins to look for it matters only to a path that is none of ours.
macro_rules! ways_to_open {
    ($($(#[$doc:meta])* $name:ident[$($directory:ident)?][$($mode:ident)?];)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As open(2).
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            $($directory: c_int,)? path: *const c_char, flags: c_int $(, $mode: mode_t)?
        ) -> c_int {
            // SAFETY: passed on as it came; a mode that was not given is not looked at.
            let pass_on = || unsafe { real::$name($($directory,)? path, flags $(, $mode)?) };
            // SAFETY: what open(2) asks of its caller.
            unsafe { open_or(path, flags, pass_on) }
        }
    )*};
}

ways_to_open! {
    /// open(2).
    open[][mode];
    /// open(2), for large files.
    open64[][mode];
    /// open(2), as programs call it that were compiled with checks.
    __open_2[][];
    /// open(2) for large files, as programs call it that were compiled with checks.
    __open64_2[][];
    /// openat(2).
    openat[directory][mode];
    /// openat(2), for large files.
    openat64[directory][mode];
    /// openat(2), as programs call it that were compiled with checks.
    __openat_2[directory][];
    /// openat(2) for large files, as programs call it that were compiled with checks.
    __openat64_2[directory][];
}

/// Defines the other way to write to a file.
macro_rules! ways_to_create {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As creat(2).
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(path: *const c_char, mode: mode_t) -> c_int {
            // SAFETY: passed on as it came.
            let pass_on = || unsafe { real::$name(path, mode) };
            // SAFETY: what creat(2) asks of its caller.
            unsafe { open_or(path, libc::O_WRONLY, pass_on) }
        }
    )*};
}

ways_to_create! {
    /// creat(2).
    creat;
    /// creat(2), for large files.
    creat64;
}

/// Whether a file of the served kernel may be used as access(2) is asked; `None` if it is none.
fn may_access(path: Option<&CStr>, mode: c_int) -> Option<Result<c_int, Errno>> {
    let (setting, index) = served(path)?;
    let Served { name, is_setting, .. } = FILES[index];
    match read(setting, name) {
        Err(Errno::ENOENT) => None,
        Err(errno) => Some(Err(errno)),
        Ok(_) if mode & libc::X_OK != 0 || (mode & libc::W_OK != 0 && !is_setting) => {
            Some(Err(Errno(libc::EACCES)))
        }
        Ok(_) => Some(Ok(0)),
    }
}

/// access(2).
///
/// # Safety
///
/// As access(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn access(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: what access(2) asks of its caller.
    let text = unsafe { memory::text(path) };
    match aside(|| may_access(text, mode)).flatten() {
        Some(allowed) => answer(|| allowed),
        // SAFETY: passed on as it came.
        None => unsafe { real::access(path, mode) },
    }
}

/// faccessat(2).
///
/// # Safety
///
/// As faccessat(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn faccessat(
    directory: c_int,
    path: *const c_char,
    mode: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: what faccessat(2) asks of its caller.
    let text = unsafe { memory::text(path) };
    match aside(|| may_access(text, mode)).flatten() {
        Some(allowed) => answer(|| allowed),
        // SAFETY: passed on as it came.
        None => unsafe { real::faccessat(directory, path, mode, flags) },
    }
}

/// The flags of open(2) that a mode of fopen(3) stands for.
fn flags_of(mode: &CStr) -> c_int {
    let mode = mode.to_bytes();
    let access = match (mode.first(), mode.contains(&b'+')) {
        (_, true) => libc::O_RDWR,
        (Some(b'r'), false) => libc::O_RDONLY,
        _ => libc::O_WRONLY,
    };
    if mode.contains(&b'e') { access | libc::O_CLOEXEC } else { access }
}

/// Opens a file of the served kernel as a stream, or else has another call open what the path names.
///
/// # Safety
///
/// Each is null or ends in NUL.
unsafe fn fopen_or(
    path: *const c_char,
    mode: *const c_char,
    pass_on: impl FnOnce() -> *mut FILE,
) -> *mut FILE {
    // SAFETY: the caller's.
    let path = unsafe { memory::text(path) };
    // SAFETY: the caller's.
    let text = unsafe { memory::text(mode) };
    let opened = text.and_then(|text| aside(|| open_served(path, flags_of(text))).flatten());
    let Some(opened) = opened else { return pass_on() };
    answer(|| {
        let fd = opened?;
        // SAFETY: the descriptor has just been opened, and is nobody else's; the mode ends in NUL.
        let stream = unsafe { real::fdopen(fd, mode) };
        if stream.is_null() {
            let errno = crate::answer::errno();
            raw::close(fd);
            return Err(errno);
        }
        Ok(stream)
    })
}

/// fopen(3).
///
/// # Safety
///
/// As fopen(3).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: passed on as it came.
    let pass_on = || unsafe { real::fopen(path, mode) };
    // SAFETY: what fopen(3) asks of its caller.
    unsafe { fopen_or(path, mode, pass_on) }
}

/// fopen(3), for large files.
///
/// # Safety
///
/// As fopen(3).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: passed on as it came.
    let pass_on = || unsafe { real::fopen64(path, mode) };
    // SAFETY: what fopen(3) asks of its caller.
    unsafe { fopen_or(path, mode, pass_on) }
}

/// Opens a file of the served kernel as the stream that there is, or else has another call open what the path names.
///
/// # Safety
///
/// The path and the mode are null or end in NUL, and the stream is one.
unsafe fn freopen_or(
    path: *const c_char,
    mode: *const c_char,
    stream: *mut FILE,
    pass_on: impl FnOnce() -> *mut FILE,
) -> *mut FILE {
    // SAFETY: the caller's.
    let path = unsafe { memory::text(path) };
    // SAFETY: the caller's.
    let text = unsafe { memory::text(mode) };
    let opened = text.and_then(|text| aside(|| open_served(path, flags_of(text))).flatten());
    let (Some(opened), Some(text)) = (opened, text) else { return pass_on() };
    answer(|| {
        // SAFETY: the stream is the caller's, and the others end in NUL. Something has to be open whose place ours takes.
        let stream = unsafe { real::freopen(c"/dev/null".as_ptr(), mode, stream) };
        if stream.is_null() {
            let errno = crate::answer::errno();
            let _ = opened.map(raw::close);
            return Err(errno);
        }
        let moved = opened.and_then(|fd| {
            // SAFETY: it has just been opened.
            let place = unsafe { libc::fileno(stream) };
            let moved = raw::duplicate_to(fd, place, flags_of(text) & libc::O_CLOEXEC);
            raw::close(fd);
            moved
        });
        if moved.is_err() {
            // SAFETY: nobody has it any more, as where freopen(3) fails.
            unsafe { libc::fclose(stream) };
        }
        moved.map(|()| stream)
    })
}

/// freopen(3).
///
/// # Safety
///
/// As freopen(3).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn freopen(
    path: *const c_char,
    mode: *const c_char,
    stream: *mut FILE,
) -> *mut FILE {
    // SAFETY: passed on as it came.
    let pass_on = || unsafe { real::freopen(path, mode, stream) };
    // SAFETY: what freopen(3) asks of its caller.
    unsafe { freopen_or(path, mode, stream, pass_on) }
}

/// freopen(3), for large files.
///
/// # Safety
///
/// As freopen(3).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn freopen64(
    path: *const c_char,
    mode: *const c_char,
    stream: *mut FILE,
) -> *mut FILE {
    // SAFETY: passed on as it came.
    let pass_on = || unsafe { real::freopen64(path, mode, stream) };
    // SAFETY: what freopen(3) asks of its caller.
    unsafe { freopen_or(path, mode, stream, pass_on) }
}
