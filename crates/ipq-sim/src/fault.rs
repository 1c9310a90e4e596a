//! Faults of the conversation between a program and its kernel, by plan or by seed: [`Faulty`].
//!
//! A [`Faulty`] is a [`Transport`](ipq_sys::Transport) around another one, a simulated kernel's or a real one's, and
//! does to its messages what a [`FaultPlan`] says: loses them, keeps them back, damages them, fails. The transport
//! inside never knows. A [`Faults`] is the test's hold on it: what was done, and messages held by hand.
//!
//! ```
//! use ipq_proto::Family;
//! use ipq_sim::Kernel;
//! use ipq_sim::fault::{Direction, Fault, FaultPlan, Faulty};
//! use ipq_sys::{Deadline, Received, Transport};
//!
//! let kernel = Kernel::builder().build();
//! let plan = FaultPlan::new(7).with(Fault::Lose.to_program().rate(0.01));
//! let mut socket = Faulty::new(kernel.socket(Family::Ipv4), &plan);
//! let faults = socket.faults();
//! faults.hold(Direction::ToProgram);
//! assert_eq!(socket.receive(&mut [0; 64], Deadline::Never), Ok(Received::Ended));
//! assert_eq!(faults.counts().to_program.lost, 0);
//! ```
//!
//! Everything drawn is drawn from the plan's seed, by a generator that is the same on every machine: the same plan and
//! the same messages are the same faults, always.

mod control;
mod damage;
mod plan;
mod schedule;
mod text;
mod track;
mod transport;

use core::fmt;
use core::time::Duration;

use ipq_proto::Errno;
use ipq_sys::Clock;
use serde::{Deserialize, Serialize};

pub use control::{Counts, Faults, Record, Tally};
pub use plan::{FaultPlan, PlannedFault};
pub(crate) use text::errno_named;
pub use track::Traffic;
pub use transport::Faulty;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the kernel to the program: packets and answers.
    ToProgram,
    /// From the program to the kernel: requests and verdicts. One call of `send` is one message.
    ToKernel,
}

/// What can happen to a message, or before it comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The message is lost, and nobody is told. To the program: what a kernel does whose socket has
    /// `NETLINK_NO_ENOBUFS`; the kernel takes the packet for announced, so it waits until the program goes. To the
    /// kernel: sendto(2) succeeds, and the kernel never sees the request. Either way.
    Lose,
    /// The message comes that much later, by the transport's clock; what comes meanwhile overtakes it. Either way.
    Delay {
        /// How much later.
        time: Duration,
    },
    /// The message is held until the transport's clock shows a time, and released then; what comes meanwhile overtakes it.
    /// By hand, [`Faults::hold`] does it. Either way.
    Hold {
        /// When it is released.
        release: Clock,
    },
    /// The message changes places with the next one. If none comes before a wait ends, it comes then. Either way; while
    /// one waits for its next, no other is struck.
    Reorder,
    /// The message comes twice. A real netlink socket never does that; a kernel refuses the second verdict with
    /// `ENOENT`. Either way.
    Duplicate,
    /// Bits of the message are flipped, one in each of as many bytes, in places that are drawn. Either way.
    Corrupt {
        /// How many bytes are drawn; one may be drawn again.
        bytes: usize,
    },
    /// The message ends early and nobody is told: a short read or write. The length in its header lies. Either way; a
    /// message that is no longer than this is not struck.
    Shorten {
        /// How many bytes are left.
        len: usize,
    },
    /// The transport fails with an error, and from then on at every call. The message is lost. Either way.
    Die {
        /// What every call says: `ENOMEM`, say, or `ECONNREFUSED` where the module was unloaded.
        errno: Errno,
    },
    /// The receive buffer has no room for the message: it is lost, and the program receives
    /// [`Overrun`](ipq_sys::Received::Overrun), unless it asked not to be told. Unlike a kernel whose own buffer is full,
    /// this one takes the packet for announced. To the program.
    #[doc(alias = "ENOBUFS")]
    Overrun,
    /// The program receives the message [`Truncated`](ipq_sys::Received::Truncated), as into a buffer of this length. To the
    /// program; a message that is no longer is not struck.
    #[doc(alias = "MSG_TRUNC")]
    Truncate {
        /// How many bytes are left.
        len: usize,
    },
    /// Another process sends the program something before the message comes: it receives
    /// [`Foreign`](ipq_sys::Received::Foreign), then the message. To the program.
    Foreign {
        /// The port id of the sender.
        port_id: u32,
    },
    /// A signal comes before the message: the program receives [`Interrupted`](ipq_sys::Received::Interrupted), then the
    /// message. To the program.
    #[doc(alias = "EINTR")]
    Interrupt,
    /// The wait ends before its deadline although the message is there: the program receives
    /// [`TimedOut`](ipq_sys::Received::TimedOut), and the message when it next asks. To the program; a wait without deadline
    /// is not struck.
    #[doc(alias = "EAGAIN")]
    TimeOut,
    /// Before the message comes an `NLMSG_ERROR` for a verdict that the program never sent, about an id that no packet
    /// has. To the program.
    SpuriousError {
        /// What it says: `ENOENT`, where a kernel does not find a packet.
        errno: Errno,
    },
    /// The message is not sent: the call fails with this error, which is temporary if it is `EAGAIN`, `ENOBUFS` or
    /// `EINTR`. To the kernel.
    Refuse {
        /// What the call says.
        errno: Errno,
    },
    /// The id in a verdict becomes one that no packet has; the kernel says `ENOENT`. To the kernel; what is no verdict
    /// for a single packet is not struck.
    UnknownId,
}

impl Fault {
    /// This fault, for every message to the program until conditions are added.
    ///
    /// # Panics
    ///
    /// If it happens to messages to the kernel only.
    #[track_caller]
    pub fn to_program(self) -> PlannedFault {
        PlannedFault::new(self, Direction::ToProgram)
    }

    /// This fault, for every message to the kernel until conditions are added.
    ///
    /// # Panics
    ///
    /// If it happens to messages to the program only.
    #[track_caller]
    pub fn to_kernel(self) -> PlannedFault {
        PlannedFault::new(self, Direction::ToKernel)
    }

    /// The only direction in which it can happen; `None` if there are two.
    const fn only_direction(self) -> Option<Direction> {
        match self {
            Self::Lose
            | Self::Delay { .. }
            | Self::Hold { .. }
            | Self::Reorder
            | Self::Duplicate
            | Self::Corrupt { .. }
            | Self::Shorten { .. }
            | Self::Die { .. } => None,
            Self::Overrun
            | Self::Truncate { .. }
            | Self::Foreign { .. }
            | Self::Interrupt
            | Self::TimeOut
            | Self::SpuriousError { .. } => Some(Direction::ToProgram),
            Self::Refuse { .. } | Self::UnknownId => Some(Direction::ToKernel),
        }
    }
}

/// `to-program` or `to-kernel`.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ToProgram => "to-program",
            Self::ToKernel => "to-kernel",
        })
    }
}

impl Fault {
    /// The name it has in a scenario.
    pub fn name(&self) -> &'static str {
        text::Name::of(*self).as_str()
    }
}

/// The name it has in a scenario, and what it is about: `delay 10ms`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text::Name::of(*self).as_str())?;
        match *self {
            Self::Delay { time } => write!(f, " {}", humantime::format_duration(time)),
            Self::Hold { release } => {
                write!(f, " until {}", humantime::format_duration(release))
            }
            Self::Corrupt { bytes } => write!(f, " {bytes} bytes"),
            Self::Shorten { len } | Self::Truncate { len } => write!(f, " to {len} bytes"),
            Self::Foreign { port_id } => write!(f, " port id {port_id}"),
            Self::Die { errno } | Self::SpuriousError { errno } | Self::Refuse { errno } => {
                match errno.name() {
                    Some(name) => write!(f, " {name}"),
                    None => write!(f, " {errno}"),
                }
            }
            _ => Ok(()),
        }
    }
}
