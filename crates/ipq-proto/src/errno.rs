//! Error numbers as the kernel sends them: [`Errno`].

use core::fmt;

/// An error number, positive, with the values and names of Linux on most machines (`asm-generic/errno.h`;
/// alpha, mips, parisc and sparc number a few of them differently).
///
/// Any number is legal: what a message carries is whatever the kernel put there. The constants are those
/// that the queues use.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Errno(pub i32);

/// Defines the constants and their names together, so that neither can be forgotten.
macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// The constant's name, for example `ENOENT`; `None` for numbers not named here.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// What it means, for example `no such file or directory`; `None` for numbers not named here.
            pub const fn text(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    /// The sender lacks `CAP_NET_ADMIN`.
    EPERM = 1, "operation not permitted";
    /// No packet with this id is queued.
    ENOENT = 2, "no such file or directory";
    /// A signal came.
    EINTR = 4, "interrupted system call";
    /// The descriptor is of no more use: its program was killed.
    EBADF = 9, "bad file descriptor";
    /// Nothing to read, or no room to write, right now.
    EAGAIN = 11, "resource temporarily unavailable";
    /// The kernel has no memory for it.
    ENOMEM = 12, "cannot allocate memory";
    /// Access is denied.
    EACCES = 13, "permission denied";
    /// Another program is the peer, or owns the queue.
    EBUSY = 16, "device or resource busy";
    /// No program has this queue.
    ENODEV = 19, "no such device";
    /// The request makes no sense.
    EINVAL = 22, "invalid argument";
    /// There are too many clients.
    EMFILE = 24, "too many open files";
    /// An attribute of the request is shorter than its type.
    ERANGE = 34, "numerical result out of range";
    /// A datagram has nothing in it.
    ENODATA = 61, "no data available";
    /// The request's flags say that it was cut.
    ECOMM = 70, "communication error on send";
    /// What is at the other end does not keep to its protocol.
    EPROTO = 71, "protocol error";
    /// There is no such option of a socket.
    ENOPROTOOPT = 92, "protocol not available";
    /// The kernel does not know this protocol: the module is missing.
    EPROTONOSUPPORT = 93, "protocol not supported";
    /// The kernel cannot do this.
    EOPNOTSUPP = 95, "operation not supported";
    /// The port id is taken.
    EADDRINUSE = 98, "address already in use";
    /// The server that has the kernel is gone.
    ECONNRESET = 104, "connection reset by peer";
    /// The receive buffer was full: messages were lost.
    ENOBUFS = 105, "no buffer space available";
    /// Nobody listens: the module has been unloaded.
    ECONNREFUSED = 111, "connection refused";
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "Errno({name})"),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

/// `ENOENT (no such file or directory)`, or `error 1234` for numbers not named here.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.text()) {
            (Some(name), Some(text)) => write!(f, "{name} ({text})"),
            _ => write!(f, "error {}", self.0),
        }
    }
}

impl core::error::Error for Errno {}
