//! What can end a session's call: [`Error`].

use core::fmt;

use ipq_proto::{CopyMode, DecodeError, EncodeError, Errno, Family};
use ipq_sim::capture::CaptureError;

use crate::TransportName;

/// Why a call failed. Printed, it says what was attempted, what came back and what to do about it;
/// [`fault`](Self::fault) says whose fault it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on the socket.
    Transport(ipq_sys::Error),
    /// The kernel refused to set a copy mode.
    ModeRefused {
        /// The mode.
        mode: CopyMode,
        /// Of the queue of this family.
        family: Family,
        /// Why.
        errno: Errno,
    },
    /// The kernel did not answer a request to set a copy mode.
    NoAnswer {
        /// The queue of this family.
        family: Family,
    },
    /// The kernel sent what makes no sense. The message is lost; the next read goes on after it.
    Message(DecodeError),
    /// A number is too large for the kernel's words: no such packet was ever handed out.
    Number(EncodeError),
    /// The session has no queue of the family of this packet.
    WrongFamily(Family),
    /// A session was to be made from two sockets of the same family.
    FamilyTwice(Family),
    /// The capture behind the transport `sim:FILE` cannot be read.
    Capture(CaptureError),
    /// This version cannot do what the transport's name asks for.
    Unsupported(TransportName),
}

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// The caller's: it asked for what cannot be.
    Caller,
    /// The system's: something is missing, forbidden, taken or used up, and can be changed.
    System,
    /// The kernel's, or of whoever speaks in its place: what it sent breaks the protocol.
    Peer,
}

impl Error {
    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Transport(_) | Self::ModeRefused { .. } | Self::Capture(_) => Fault::System,
            Self::NoAnswer { .. } | Self::Message(_) => Fault::Peer,
            Self::Number(_)
            | Self::WrongFamily(_)
            | Self::FamilyTwice(_)
            | Self::Unsupported(_) => Fault::Caller,
        }
    }

    /// Whether the same call may succeed later, unchanged.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_temporary())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::ModeRefused { mode, family, errno } => {
                write!(f, "setting copy mode {mode} for {family}: {errno}")?;
                match (*errno, family) {
                    (Errno::EPERM, _) => f.write_str("; CAP_NET_ADMIN is missing: run as root"),
                    (Errno::EBUSY, Family::Ipv4) => {
                        f.write_str("; another program has the queue: /proc/net/ip_queue names it")
                    }
                    (Errno::EBUSY, Family::Ipv6) => {
                        f.write_str("; another program has the queue: /proc/net/ip6_queue names it")
                    }
                    // The one mode request that this crate makes is wrong only for a kernel of other words.
                    (Errno::EINVAL, _) => f.write_str(
                        "; a 32-bit program cannot talk to the ip_queue of a 64-bit kernel: build it for 64 bits",
                    ),
                    _ => Ok(()),
                }
            }
            Self::NoAnswer { family } => write!(
                f,
                "setting a copy mode for {family}: the kernel did not answer; is it one, and is its ip_queue loaded?"
            ),
            Self::Message(error) => write!(
                f,
                "reading a message from the kernel: {error}; it is lost, the next read goes on after it"
            ),
            Self::Number(error) => {
                write!(f, "sending a verdict: {error}; no such packet was queued")
            }
            Self::WrongFamily(family) => write!(
                f,
                "sending a verdict: this session has no queue for {family}; open it for that family, or for both"
            ),
            Self::FamilyTwice(family) => {
                write!(f, "opening a session: there are two sockets for {family}, one is enough")
            }
            Self::Capture(error) => error.fmt(f),
            Self::Unsupported(name) => write!(
                f,
                "opening {name}: this version cannot; use ip_queue on Linux 2.4 to 3.4, or sim:FILE anywhere"
            ),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            Self::Message(error) => Some(error),
            Self::Number(error) => Some(error),
            Self::Capture(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ipq_sys::Error> for Error {
    fn from(error: ipq_sys::Error) -> Self {
        Self::Transport(error)
    }
}
