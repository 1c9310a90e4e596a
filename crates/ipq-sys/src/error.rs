//! What the operating system refused: [`Error`].

use core::fmt;
use std::io;

use ipq_proto::Errno;

use crate::Protocol;

/// An operation on a transport that failed for good, or for now (`EAGAIN`).
///
/// Printed, it says what was attempted, what came back and, where that is known, what to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Error {
    /// What was attempted.
    pub operation: Operation,
    /// On which protocol's socket.
    pub protocol: Protocol,
    /// What came back.
    pub errno: Errno,
}

/// What was attempted on a transport.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// To open the socket.
    Open,
    /// To take a socket that was opened elsewhere.
    Adopt,
    /// To bind it to a port id.
    Bind,
    /// To set one of its options.
    Configure,
    /// To send a datagram.
    Send,
    /// To receive one.
    Receive,
    /// To wait for one.
    Wait,
}

impl Error {
    /// Whether the kernel has no such protocol: the module is missing, or the kernel is too new to have it.
    pub const fn is_unsupported(&self) -> bool {
        matches!((self.operation, self.errno), (Operation::Open, Errno::EPROTONOSUPPORT))
    }

    /// Whether the server is gone that had the kernel behind a [`UnixSocket`](crate::unix::UnixSocket). No socket of a real
    /// kernel says so.
    pub const fn is_gone(&self) -> bool {
        matches!(self.errno, Errno::ECONNRESET)
    }

    /// Whether the same operation may succeed later.
    pub const fn is_temporary(&self) -> bool {
        matches!(self.errno, Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS)
    }

    /// What to do about it, if anything is known to help.
    fn advice(self) -> Option<&'static str> {
        let queue = match self.protocol {
            Protocol::Firewall | Protocol::Ip6Firewall => "ip_queue",
            Protocol::Netfilter => "nfnetlink_queue",
        };
        Some(match (self.operation, self.errno, queue) {
            (Operation::Open, Errno::EPROTONOSUPPORT, "ip_queue") => {
                "this kernel has no such queue: Linux 2.4 to 3.4 have it as the module ip_queue or ip6_queue, \
                 later ones have nfnetlink_queue instead, which is the transport nfqueue:0; a capture can be run \
                 through a simulated kernel with the transport sim:FILE"
            }
            (Operation::Open, Errno::EPROTONOSUPPORT, _) => {
                "this kernel was built without nfnetlink_queue, or its module is not loaded"
            }
            (Operation::Open | Operation::Bind, Errno::EPERM | Errno::EACCES, _) => {
                "run as root, or inside unshare -Urn"
            }
            (Operation::Adopt, _, _) => {
                "it has to be a netlink socket of protocol 3 or 13 (ip_queue) or 12 (nfnetlink_queue)"
            }
            (Operation::Bind, Errno::EADDRINUSE, _) => {
                "another socket of this process has the port id"
            }
            (_, Errno::ECONNRESET, _) => "the simulated kernel is gone: its server has ended",
            (Operation::Send, Errno::ECONNREFUSED, "ip_queue") => {
                "nobody listens in the kernel: its module has been unloaded"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempt = match self.operation {
            Operation::Open => "opening a socket for",
            Operation::Adopt => "taking an open descriptor as a socket for",
            Operation::Bind => "binding the socket of",
            Operation::Configure => "configuring the socket of",
            Operation::Send => "sending to",
            Operation::Receive => "receiving from",
            Operation::Wait => "waiting for",
        };
        write!(f, "{attempt} {}: ", self.protocol)?;
        match self.errno.name() {
            Some(_) => write!(f, "{}", self.errno)?,
            None => write!(f, "{}", io::Error::from_raw_os_error(self.errno.0))?,
        }
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Error {}
