//! What can end a session's call: [`Error`].

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ipq_proto::{CopyMode, DecodeError, EncodeError, Errno};
use ipq_sim::capture::CaptureError;
use ipq_sim::{ScenarioError, SimulationError};
use ipq_sys::{ClaimError, Owner, Protocol};

use crate::{PacketId, QueueName, RewriteError};

/// Why a call failed. Printed, it says what was attempted, what came back and what to do about it;
/// [`fault`](Self::fault) says whose fault it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on the socket.
    Transport(ipq_sys::Error),
    /// The kernel refused to give a queue to this program.
    BindRefused {
        /// The queue's number.
        queue: u16,
        /// Why: `EPERM` without `CAP_NET_ADMIN`.
        errno: Errno,
    },
    /// Another socket has the queue.
    QueueTaken {
        /// The queue's number.
        queue: u16,
        /// Who has it, if that can be seen.
        owner: Option<Owner>,
    },
    /// `ip_queue` gets the packets of a family, and `nfnetlink_queue` none.
    HandlerTaken,
    /// The kernel refused an option.
    OptionRefused {
        /// The option.
        option: &'static str,
        /// Of this queue.
        queue: QueueName,
        /// Why: a kernel that does not know an option says `EOPNOTSUPP`.
        errno: Errno,
    },
    /// The transport has no such option.
    NoSuchOption(&'static str),
    /// The kernel refused to set a copy mode.
    ModeRefused {
        /// The mode.
        mode: CopyMode,
        /// Of this queue.
        queue: QueueName,
        /// Why.
        errno: Errno,
    },
    /// The kernel did not answer a request to configure a queue.
    NoAnswer {
        /// The queue.
        queue: QueueName,
    },
    /// The kernel sent what makes no sense. The message is lost; the next read goes on after it.
    Message(DecodeError),
    /// A number has no room in the kernel's messages: no such packet was ever handed out, or a replacement is too
    /// long.
    Number(EncodeError),
    /// The session does not have the queue of this packet.
    WrongQueue(PacketId),
    /// A transport speaks another protocol than the session that was to be made of it.
    WrongProtocol(Protocol),
    /// A session was to be made from two sockets of the same queue.
    TwoSockets(QueueName),
    /// No descriptor could be made to wait on.
    Descriptor(io::Error),
    /// The queue was closed before: its packets are settled.
    Closed,
    /// A packet cannot be rewritten.
    Rewrite(RewriteError),
    /// The capture behind the transport `sim:FILE` cannot be read.
    Capture(CaptureError),
    /// The scenario behind the transport `sim:FILE` cannot be read, or makes no sense.
    Scenario(ScenarioError),
    /// There is no server at the path of the transport `unix:PATH`, or it does not let this program in.
    Unreachable {
        /// The path.
        path: PathBuf,
        /// What came back.
        errno: Errno,
    },
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
            Self::Transport(_)
            | Self::BindRefused { .. }
            | Self::QueueTaken { .. }
            | Self::HandlerTaken
            | Self::OptionRefused { .. }
            | Self::ModeRefused { .. }
            | Self::Descriptor(_)
            | Self::Capture(_)
            | Self::Unreachable { .. }
            | Self::Scenario(_) => Fault::System,
            Self::NoAnswer { .. } | Self::Message(_) => Fault::Peer,
            Self::Number(_)
            | Self::NoSuchOption(_)
            | Self::WrongQueue(_)
            | Self::WrongProtocol(_)
            | Self::TwoSockets(_)
            | Self::Closed
            | Self::Rewrite(_) => Fault::Caller,
        }
    }

    /// The error number behind it, if there is one: `EBUSY` where another program has the queue, however the kernel says so.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Transport(error) => Some(error.errno),
            Self::BindRefused { errno, .. }
            | Self::OptionRefused { errno, .. }
            | Self::ModeRefused { errno, .. }
            | Self::Unreachable { errno, .. } => Some(*errno),
            Self::QueueTaken { .. } | Self::HandlerTaken => Some(Errno::EBUSY),
            _ => None,
        }
    }

    /// Whether the same call may succeed later, unchanged.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_temporary())
    }
}

/// What to do without the capability.
const CAPABILITY: &str = "CAP_NET_ADMIN is missing: run as root, or inside unshare -Urn";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            &Self::BindRefused { queue, errno } => ClaimError::BindRefused { queue, errno }.fmt(f),
            Self::QueueTaken { queue, owner } => {
                ClaimError::QueueTaken { queue: *queue, owner: owner.clone() }.fmt(f)
            }
            Self::HandlerTaken => ClaimError::HandlerTaken.fmt(f),
            Self::OptionRefused { option, queue, errno } => {
                write!(f, "setting the option {option} of {queue}: {errno}")?;
                f.write_str(match *errno {
                    Errno::EOPNOTSUPP => "; this kernel does not have it",
                    _ => "",
                })
            }
            Self::NoSuchOption(option) => {
                write!(f, "asking for {option}: ip_queue has no such option")
            }
            Self::ModeRefused { mode, queue, errno } => {
                write_mode_refused(f, *mode, *queue, *errno)
            }
            Self::NoAnswer { queue } => write!(
                f,
                "configuring {queue}: the kernel did not answer; is it one, and is its module loaded?"
            ),
            Self::Message(error) => write!(
                f,
                "reading a message from the kernel: {error}; it is lost, the next read goes on after it"
            ),
            Self::Number(error) if error.field == "packet id" => {
                write!(f, "sending a verdict: {error}; no such packet was queued")
            }
            Self::Number(error) => write!(f, "sending a verdict: {error}"),
            Self::WrongQueue(id) => write!(
                f,
                "sending a verdict: this session does not have {}; open it for that queue too",
                id.queue()
            ),
            Self::WrongProtocol(protocol) => write!(
                f,
                "opening a session: the transport speaks {protocol}; Queue::with takes ip_queue, Queue::with_nfqueue \
                 nfnetlink_queue"
            ),
            Self::TwoSockets(queue) => {
                write!(f, "opening a session: there are two sockets for {queue}, one is enough")
            }
            Self::Descriptor(error) => {
                write!(f, "making a descriptor to wait on: {error}; are too many open?")
            }
            Self::Closed => f.write_str(
                "using a queue that was closed: its packets got the default verdict then",
            ),
            Self::Rewrite(error) => error.fmt(f),
            Self::Capture(error) => error.fmt(f),
            Self::Scenario(error) => error.fmt(f),
            Self::Unreachable { path, errno } => write_unreachable(f, path, *errno),
        }
    }
}

fn write_mode_refused(
    f: &mut fmt::Formatter<'_>,
    mode: CopyMode,
    queue: QueueName,
    errno: Errno,
) -> fmt::Result {
    write!(f, "setting copy mode {mode} of {queue}: {errno}")?;
    match (errno, queue) {
        (Errno::EPERM, QueueName::IpQueue(_)) => {
            f.write_str("; CAP_NET_ADMIN is missing: run as root")
        }
        (Errno::EPERM, _) => write!(f, "; {CAPABILITY}"),
        // The one mode request that this crate makes is wrong only for a kernel of other words.
        (Errno::EINVAL, QueueName::IpQueue(_)) => f.write_str(
            "; a 32-bit program cannot talk to the ip_queue of a 64-bit kernel: build it for 64 bits",
        ),
        (Errno::EBUSY, QueueName::IpQueue(_)) => {
            write!(f, "; another program has the queue: /proc/net/{queue} names it")
        }
        _ => Ok(()),
    }
}

fn write_unreachable(f: &mut fmt::Formatter<'_>, path: &Path, errno: Errno) -> fmt::Result {
    let path = path.display();
    write!(f, "connecting to the simulated kernel at {path}: {errno}; ")?;
    match errno {
        Errno::EACCES => f.write_str("only the user who serves it may"),
        Errno::EMFILE => f.write_str("its server has as many clients as it takes"),
        Errno::EPROTO => f.write_str("what listens there is no server of this version"),
        _ => write!(f, "is it served? ipq-cli sim serve --listen {path} does it"),
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            Self::Message(error) => Some(error),
            Self::Number(error) => Some(error),
            Self::Descriptor(error) => Some(error),
            Self::Rewrite(error) => Some(error),
            Self::Capture(error) => Some(error),
            Self::Scenario(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SimulationError> for Error {
    fn from(error: SimulationError) -> Self {
        match error {
            SimulationError::Capture(error) => Self::Capture(error),
            SimulationError::Scenario(error) => Self::Scenario(error),
        }
    }
}

impl From<ipq_sys::Error> for Error {
    fn from(error: ipq_sys::Error) -> Self {
        Self::Transport(error)
    }
}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Transport(error) => Self::Transport(error),
            ClaimError::QueueTaken { queue, owner } => Self::QueueTaken { queue, owner },
            ClaimError::BindRefused { queue, errno } => Self::BindRefused { queue, errno },
            ClaimError::OptionRefused { option, queue, errno } => {
                Self::OptionRefused { option, queue: QueueName::Nfqueue(queue), errno }
            }
            ClaimError::HandlerTaken => Self::HandlerTaken,
            ClaimError::WrongProtocol(protocol) => Self::WrongProtocol(protocol),
            ClaimError::NoAnswer { queue } => Self::NoAnswer { queue: QueueName::Nfqueue(queue) },
        }
    }
}
