//! What programs do with sockets, but for sending and receiving.

use core::ffi::{c_int, c_ulong, c_void};

use ipq_proto::Errno;
use ipq_sys::unix::SocketOption;
use libc::{sockaddr, socklen_t};

use crate::answer::answer;
use crate::carried::{Carried, carried};
use crate::known::{self, NetlinkFlag};
use crate::setting::setting;
use crate::{memory, raw, real, trace};

/// socket(2): a netlink socket of a protocol that is carried is opened at the served kernel.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let to_carry = || {
        let setting = setting().filter(|_| domain == libc::AF_NETLINK)?;
        Some((setting, setting.carries(protocol)?))
    };
    let Some((setting, protocol)) = to_carry() else {
        // SAFETY: three numbers.
        return unsafe { real::socket(domain, kind, protocol) };
    };
    answer(|| {
        const FLAGS: c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        /// What a type is without flags, to the kernel.
        const TYPE_MASK: c_int = 0xf;
        if kind & !(FLAGS | TYPE_MASK) != 0 {
            return Err(Errno::EINVAL);
        }
        let is_dgram = match kind & TYPE_MASK {
            libc::SOCK_RAW => false,
            libc::SOCK_DGRAM => true,
            _ => return Err(Errno(libc::ESOCKTNOSUPPORT)),
        };
        let opened = Carried::open(setting, protocol, is_dgram, kind & FLAGS);
        trace::opened(setting, protocol, opened);
        opened
    })
}

/// bind(2).
///
/// # Safety
///
/// As bind(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::bind(fd, address, len) };
    };
    answer(|| {
        // SAFETY: what bind(2) asks of its caller.
        let name = unsafe { memory::read_address(address, len as usize)? }.ok_or(Errno::EINVAL)?;
        let bound = socket.bind(name.nl_pid);
        trace::bound(&socket, name.nl_pid, bound);
        bound.map(|()| 0)
    })
}

/// connect(2): to the kernel, which is where everything goes anyway. Nobody else can be reached.
///
/// # Safety
///
/// As connect(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn connect(
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::connect(fd, address, len) };
    };
    answer(|| {
        // SAFETY: what connect(2) asks of its caller.
        let Some(name) = (unsafe { memory::read_address(address, len as usize)? }) else {
            return Ok(0);
        };
        if name.nl_pid != 0 {
            return Err(Errno::ECONNREFUSED);
        }
        if socket.port_id()? == 0 {
            socket.bind(0)?;
        }
        Ok(0)
    })
}

/// listen(2), which netlink has not.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn listen(fd: c_int, backlog: c_int) -> c_int {
    match carried(fd) {
        // SAFETY: two numbers.
        None => unsafe { real::listen(fd, backlog) },
        Some(_) => answer(|| Err(Errno::EOPNOTSUPP)),
    }
}

/// accept(2), which netlink has not.
///
/// # Safety
///
/// As accept(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn accept(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    match carried(fd) {
        // SAFETY: passed on as it came.
        None => unsafe { real::accept(fd, address, len) },
        Some(_) => answer(|| Err(Errno::EOPNOTSUPP)),
    }
}

/// accept4(2), which netlink has not.
///
/// # Safety
///
/// As accept4(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    match carried(fd) {
        // SAFETY: passed on as it came.
        None => unsafe { real::accept4(fd, address, len, flags) },
        Some(_) => answer(|| Err(Errno::EOPNOTSUPP)),
    }
}

/// shutdown(2), which netlink has not.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn shutdown(fd: c_int, how: c_int) -> c_int {
    match carried(fd) {
        // SAFETY: two numbers.
        None => unsafe { real::shutdown(fd, how) },
        Some(_) => answer(|| Err(Errno::EOPNOTSUPP)),
    }
}

/// getsockname(2).
///
/// # Safety
///
/// As getsockname(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getsockname(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    let Some(socket) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::getsockname(fd, address, len) };
    };
    answer(|| {
        let port_id = socket.port_id()?;
        // SAFETY: what getsockname(2) asks of its caller.
        unsafe { memory::answer_address(port_id, address, len)? };
        Ok(0)
    })
}

/// getpeername(2): the kernel.
///
/// # Safety
///
/// As getpeername(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getpeername(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    let Some(_) = carried(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::getpeername(fd, address, len) };
    };
    answer(|| {
        // SAFETY: what getpeername(2) asks of its caller.
        unsafe { memory::answer_address(0, address, len)? };
        Ok(0)
    })
}

/// What an option of a netlink socket is to the descriptor behind it.
enum Place {
    /// Known here: a number.
    Number(c_int),
    /// Known to the served kernel.
    Served(SocketOption),
    /// One bit, known here.
    Flag(NetlinkFlag),
    /// A multicast group to join or to leave. The queues send nothing to any.
    Membership,
    /// As good on the descriptor that there is.
    Descriptor,
    /// It would be about the descriptor that there is, and keep it from telling that something can be read.
    Nowhere,
}

impl Place {
    fn of(socket: &Carried, level: c_int, name: c_int) -> Self {
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_TYPE) => {
                Self::Number(if socket.is_dgram { libc::SOCK_DGRAM } else { libc::SOCK_RAW })
            }
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => Self::Number(libc::AF_NETLINK),
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => Self::Number(socket.protocol.number()),
            (libc::SOL_SOCKET, libc::SO_RCVBUF) => Self::Served(SocketOption::RECEIVE_BUFFER),
            (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE) => {
                Self::Served(SocketOption::RECEIVE_BUFFER_FORCE)
            }
            (
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER | libc::SO_ATTACH_BPF | libc::SO_PEEK_OFF,
            ) => Self::Nowhere,
            (libc::SOL_SOCKET, _) => Self::Descriptor,
            (libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS) => {
                Self::Served(SocketOption::IGNORE_OVERRUNS)
            }
            (libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP | libc::NETLINK_DROP_MEMBERSHIP) => {
                Self::Membership
            }
            (libc::SOL_NETLINK, name) => NetlinkFlag::of(name).map_or(Self::Nowhere, Self::Flag),
            _ => Self::Nowhere,
        }
    }
}

const NO_SUCH_OPTION: Errno = Errno(libc::ENOPROTOOPT);

/// getsockopt(2).
///
/// # Safety
///
/// As getsockopt(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: passed on as it came.
    let pass_on = || unsafe { real::getsockopt(fd, level, name, value, len) };
    let Some(socket) = carried(fd) else { return pass_on() };
    let number = match Place::of(&socket, level, name) {
        Place::Descriptor => return pass_on(),
        Place::Number(number) => Ok(number),
        Place::Served(option) => socket
            .option(option)
            .and_then(|value| c_int::try_from(value).map_err(|_| Errno(libc::EPROTO))),
        Place::Flag(flag) => Ok(c_int::from(known::has_flag(socket.cookie, flag))),
        Place::Membership | Place::Nowhere => Err(NO_SUCH_OPTION),
    };
    answer(|| {
        // SAFETY: what getsockopt(2) asks of its caller.
        unsafe { memory::answer_option(number?, value, len)? };
        Ok(0)
    })
}

/// setsockopt(2).
///
/// # Safety
///
/// As setsockopt(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: passed on as it came.
    let pass_on = || unsafe { real::setsockopt(fd, level, name, value, len) };
    let Some(socket) = carried(fd) else { return pass_on() };
    let place = Place::of(&socket, level, name);
    if matches!(place, Place::Descriptor) {
        return pass_on();
    }
    answer(|| {
        // SAFETY: what setsockopt(2) asks of its caller.
        let number = unsafe { memory::given_option(value, len)? };
        match place {
            Place::Served(SocketOption::RECEIVE_BUFFER) => {
                set_receive_buffer(&socket, number.ok_or(Errno::EINVAL)?)
            }
            Place::Served(SocketOption::RECEIVE_BUFFER_FORCE) => {
                let bytes = number.ok_or(Errno::EINVAL)?.max(0).unsigned_abs();
                socket.set_option(SocketOption::RECEIVE_BUFFER_FORCE, bytes)
            }
            // A netlink option that is too short for a number is taken for 0.
            Place::Served(option) => socket.set_option(option, u32::from(number.unwrap_or(0) != 0)),
            Place::Flag(flag) => {
                known::set_flag(socket.cookie, flag, number.unwrap_or(0) != 0);
                Ok(())
            }
            Place::Membership => match number {
                Some(1..=32) => Ok(()),
                _ => Err(Errno::EINVAL),
            },
            Place::Number(_) | Place::Descriptor | Place::Nowhere => Err(NO_SUCH_OPTION),
        }?;
        Ok(0)
    })
}

/// Asks for a receive buffer of so many bytes: this system grants it to the descriptor that there is, doubles it and has its
/// limits, and the served kernel is told what came of it.
fn set_receive_buffer(socket: &Carried, bytes: c_int) -> Result<(), Errno> {
    raw::set_socket_option(socket.fd, libc::SO_RCVBUF, bytes)?;
    let granted = raw::socket_option(socket.fd, libc::SO_RCVBUF)?;
    // It is doubled there too, and this much has been granted already.
    socket.set_option(SocketOption::RECEIVE_BUFFER_FORCE, granted.unsigned_abs() / 2)
}

/// ioctl(2): netlink does not tell how much there is to read or to send. Everything else is passed on.
///
/// # Safety
///
/// As ioctl(2).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    const AT_MARK: c_ulong = 0x8905;
    let is_about_bytes = [libc::FIONREAD, libc::TIOCOUTQ, AT_MARK].contains(&request);
    match carried(fd).filter(|_| is_about_bytes) {
        // SAFETY: passed on as it came.
        None => unsafe { real::ioctl(fd, request, argument) },
        Some(_) => answer(|| Err(Errno(libc::ENOTTY))),
    }
}
