//! How a session comes about: which kernel, which options.

use core::ffi::c_int;
use std::env;
use std::os::fd::AsRawFd;

use ipq::TransportName;
use ipq_proto::{Errno, Family};
use ipq_sys::unix::UnixSocket;
use ipq_sys::{ClaimError, NetlinkSocket, Operation, Protocol, SocketOptions, Transport};

use crate::error::{Detail, ErrorCode, Failure};
use crate::kernel::Kernel;
use crate::session::{Opened, Session};
use crate::{registry, simulated, sorter};

/// The variable that says which kernel.
const VARIABLE: &str = "IPQ_TRANSPORT";

/// What a program wants of a session. By default, what the original had.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) transport: Option<String>,
    pub(crate) queue: Option<u16>,
    pub(crate) max_length: Option<u32>,
    pub(crate) receive_buffer: Option<u32>,
    pub(crate) fail_open: bool,
    pub(crate) ignore_overruns: bool,
    pub(crate) close_on_exec: bool,
}

/// Opens the queue of `family`; `is_sole` if this process may have only one.
pub(crate) fn session(family: Family, wanted: &Wanted, is_sole: bool) -> Result<Session, Failure> {
    let name = name(wanted)?;
    let mut kernel = kernel(&name, family, wanted)?;
    prepare(kernel.transport(), wanted)?;
    let number = matches!(kernel, Kernel::Bridged(_)).then(|| number(&name, family));
    Session::new(kernel, Opened { process: std::process::id(), family, number, is_sole })
}

/// The transport's name: the program's own choice, then that of whoever started it, then `auto`.
fn name(wanted: &Wanted) -> Result<TransportName, Failure> {
    let named = match &wanted.transport {
        Some(name) => Some(name.clone()),
        None if is_privileged_start() => None,
        None => env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned()),
    };
    let name = match named.filter(|name| !name.is_empty()) {
        Some(name) => name.parse().map_err(|error: ipq::ParseTransportError| Failure {
            code: ErrorCode::Socket,
            errno: Some(Errno::EINVAL),
            detail: Detail::Said(error.to_string()),
        })?,
        None => TransportName::default(),
    };
    match (name, wanted.queue) {
        (name, None) => Ok(name),
        (TransportName::Auto | TransportName::Nfqueue { .. }, Some(queue)) => {
            Ok(TransportName::Nfqueue { first: queue, last: queue })
        }
        (_, Some(_)) => Err(unsupported("this transport has no numbered queues: take nfqueue:N")),
    }
}

/// Whether this program has more rights than whoever started it, and so must not do what that one's environment says.
fn is_privileged_start() -> bool {
    // SAFETY: it takes a number and returns one.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Opens the kernel that is wanted.
fn kernel(name: &TransportName, family: Family, wanted: &Wanted) -> Result<Kernel, Failure> {
    match name {
        TransportName::Auto => match ip_queue(family, wanted) {
            Err(error) if error.is_unsupported() => nfqueue(number(name, family), family, wanted),
            opened => plain(opened, wanted),
        },
        TransportName::IpQueue => plain(ip_queue(family, wanted), wanted),
        TransportName::Nfqueue { .. } => nfqueue(number(name, family), family, wanted),
        TransportName::Unix(path) => {
            let protocol = Protocol::ip_queue(family);
            plain(UnixSocket::open(path, protocol, wanted.socket_options()), wanted)
        }
        TransportName::Sim(file) => {
            refuse_queue_options(wanted)?;
            let (socket, server) = simulated::open(file, family, wanted.socket_options())?;
            Ok(Kernel::Simulated { socket, server })
        }
        _ => Err(unsupported("this version of libipq does not have the transport")),
    }
}

/// Which queue of `nfnetlink_queue` is meant: of several, there is one for each family.
const fn number(name: &TransportName, family: Family) -> u16 {
    match (name, family) {
        (TransportName::Nfqueue { first, .. }, Family::Ipv4) => *first,
        (TransportName::Nfqueue { last, .. }, Family::Ipv6) => *last,
        _ => 0,
    }
}

/// A socket of the kernel's `ip_queue`.
fn ip_queue(family: Family, wanted: &Wanted) -> Result<NetlinkSocket, ipq_sys::Error> {
    NetlinkSocket::open(Protocol::ip_queue(family), wanted.socket_options())
}

/// A kernel that has no options but those of its socket.
fn plain(
    opened: Result<impl Transport + 'static, ipq_sys::Error>,
    wanted: &Wanted,
) -> Result<Kernel, Failure> {
    let transport = opened.map_err(unopened)?;
    refuse_queue_options(wanted)?;
    Ok(Kernel::Plain(Box::new(transport)))
}

/// `ip_queue` has no options of its own.
fn refuse_queue_options(wanted: &Wanted) -> Result<(), Failure> {
    if wanted.max_length.is_some() {
        let words = "on ip_queue the maximum length is a sysctl: net.ipv4.ip_queue_maxlen";
        return Err(unsupported(words));
    }
    if wanted.fail_open {
        return Err(unsupported("ip_queue cannot let packets pass when it is full"));
    }
    Ok(())
}

/// A queue of `nfnetlink_queue`.
fn nfqueue(number: u16, family: Family, wanted: &Wanted) -> Result<Kernel, Failure> {
    let options = ipq_bridge::Options {
        max_length: wanted.max_length,
        fail_open: wanted.fail_open,
        receive_buffer: wanted.socket_options().receive_buffer,
    };
    match ipq_bridge::open(number, family, options) {
        Err(taken @ ClaimError::QueueTaken { .. }) => {
            let Some(session) = registry::sharing(number, family)? else {
                return Err(unclaimed(&taken));
            };
            let bridge =
                sorter::open_anywhere(family, options).map_err(|error| unclaimed(&error))?;
            session.kernel()?.share(number, family, bridge)
        }
        opened => opened.map(Kernel::bridged).map_err(|error| unclaimed(&error)),
    }
}

impl Wanted {
    fn socket_options(&self) -> SocketOptions {
        SocketOptions { receive_buffer: self.receive_buffer.map(|bytes| bytes as usize) }
    }
}

/// Makes a transport what is wanted, and its descriptor what programs expect of the original's: it is there in programs
/// that are started, and waiting for it has no end of its own.
fn prepare(transport: &mut dyn Transport, wanted: &Wanted) -> Result<(), Failure> {
    if wanted.ignore_overruns {
        transport.report_overruns(false).map_err(unopened)?;
    }
    let Some(descriptor) = transport.descriptor() else { return Ok(()) };
    let descriptor = descriptor.as_raw_fd();
    let flags = if wanted.close_on_exec { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: with this request, fcntl(2) takes a descriptor and a number.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, flags) } < 0 {
        let errno = Errno(crate::error::errno());
        return Err(Failure::new(ErrorCode::Socket, errno, "setting close-on-exec"));
    }
    // SAFETY: a timeval is integers, for which all zero bytes are a value: no time-out.
    let never: libc::timeval = unsafe { core::mem::zeroed() };
    #[expect(clippy::cast_possible_truncation, reason = "16 bytes at most")]
    let len = size_of::<libc::timeval>() as libc::socklen_t;
    let value = (&raw const never).cast();
    // SAFETY: the kernel reads a timeval, whose length is given. A descriptor that is no socket has no time-out either.
    let _: c_int =
        unsafe { libc::setsockopt(descriptor, libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, len) };
    Ok(())
}

/// Which of the original's errors it is that a transport could not be opened.
fn unopened(error: ipq_sys::Error) -> Failure {
    let code = match error.operation {
        Operation::Bind => ErrorCode::Bind,
        _ => ErrorCode::Socket,
    };
    Failure::transport(code, error)
}

/// Why a queue could not be claimed.
pub(crate) fn unclaimed(error: &ClaimError) -> Failure {
    let (code, errno) = match error {
        ClaimError::Transport(error) => return unopened(*error),
        ClaimError::QueueTaken { .. } => (ErrorCode::Bind, Errno(libc::EADDRINUSE)),
        ClaimError::BindRefused { errno, .. } => (ErrorCode::Bind, *errno),
        ClaimError::OptionRefused { errno, .. } => (ErrorCode::Socket, *errno),
        _ => (ErrorCode::Socket, Errno(libc::EBUSY)),
    };
    Failure { code, errno: Some(errno), detail: Detail::Said(error.to_string()) }
}

fn unsupported(words: &'static str) -> Failure {
    Failure::new(ErrorCode::Socket, Errno::EOPNOTSUPP, words)
}
