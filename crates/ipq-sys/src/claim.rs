//! Queues of `nfnetlink_queue` for a socket: [`claim`].

use core::fmt;

use ipq_proto::abi::AbiVisitor;
use ipq_proto::netlink::{Body, Flags, Framed, Header};
use ipq_proto::nfqueue::{CONFIG, Command, CommandMsg, FlagsMsg, MaxLengthMsg, QueueFlags};
use ipq_proto::{Abi, Errno, Family};
use zerocopy::{Immutable, IntoBytes};

use crate::{Error, Owner, Protocol, Transport, ask, queue_owner};

/// Room for the answer to a request: it repeats the request.
const ANSWER_LEN: usize = 4096;

/// Which queues a socket is to have, and how they are to be.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'c> {
    /// The number of the first queue.
    pub first: u16,
    /// The number of the last one.
    pub last: u16,
    /// Whose packets are wanted. Kernels before Linux 3.8 need to know.
    pub families: &'c [Family],
    /// How many packets may wait in each of them; `None` leaves the kernel's default, 1024.
    pub max_length: Option<u32>,
    /// Options to set, each with its name.
    pub flags: &'c [(QueueFlags, &'static str)],
}

/// Why a queue could not be had. Printed, it says what was attempted, what came back and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClaimError {
    /// The socket failed.
    Transport(Error),
    /// Another socket has the queue.
    QueueTaken {
        /// The number of the queue.
        queue: u16,
        /// Who that is, if it can be told.
        owner: Option<Owner>,
    },
    /// The kernel does not let this program have the queue.
    BindRefused {
        /// The number of the queue.
        queue: u16,
        /// What it said.
        errno: Errno,
    },
    /// The kernel refused an option.
    OptionRefused {
        /// The name of the option.
        option: &'static str,
        /// The number of the queue.
        queue: u16,
        /// What it said.
        errno: Errno,
    },
    /// `ip_queue` is loaded and has the packets.
    HandlerTaken,
    /// The transport speaks another protocol.
    WrongProtocol(Protocol),
    /// The kernel did not answer.
    NoAnswer {
        /// The number of the queue.
        queue: u16,
    },
}

impl From<Error> for ClaimError {
    fn from(error: Error) -> Self {
        Self::Transport(error)
    }
}

/// What to do without the capability.
const CAPABILITY: &str = "CAP_NET_ADMIN is missing: run as root, or inside unshare -Urn";

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::BindRefused { queue, errno } => {
                write!(f, "claiming queue {queue}: {errno}")?;
                match *errno {
                    Errno::EPERM => write!(f, "; {CAPABILITY}"),
                    _ => f.write_str("; is nfnetlink_queue there, or is its module missing?"),
                }
            }
            Self::QueueTaken { queue, owner: Some(owner) } => {
                write!(f, "claiming queue {queue}: it is taken by {owner}")
            }
            Self::QueueTaken { queue, owner: None } => write!(
                f,
                "claiming queue {queue}: it is taken by another program; root sees which one in \
                 /proc/net/netfilter/nfnetlink_queue"
            ),
            Self::OptionRefused { option, queue, errno } => {
                write!(f, "setting the option {option} of queue {queue}: {errno}")?;
                f.write_str(match *errno {
                    Errno::EOPNOTSUPP => "; this kernel does not have it",
                    _ => "",
                })
            }
            Self::HandlerTaken => f.write_str(
                "claiming a queue: ip_queue gets all queued packets of this kernel; use the transport ip_queue, or \
                 unload its module",
            ),
            Self::WrongProtocol(protocol) => write!(
                f,
                "claiming a queue of nfnetlink_queue: the transport speaks {protocol}"
            ),
            Self::NoAnswer { queue } => {
                write!(f, "configuring queue {queue}: no answer; is it a kernel that was asked?")
            }
        }
    }
}

impl core::error::Error for ClaimError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            _ => None,
        }
    }
}

/// Claims queues for a socket that has none yet and does not get packets therefore.
///
/// # Errors
///
/// If one of them cannot be had as it is wanted. Those before it belong to the socket then.
pub fn claim(transport: &mut dyn Transport, claim: &Claim<'_>) -> Result<(), ClaimError> {
    if transport.protocol() != Protocol::Netfilter {
        return Err(ClaimError::WrongProtocol(transport.protocol()));
    }
    let mut asker = Asker { transport, sequence: 0 };
    // Since Linux 3.8 there is nothing to bind, and any answer is as good. Before, a family that ip_queue has stays
    // with it, and a queue receives nothing of it.
    let (mut is_taken, mut may_configure) = (false, true);
    for &family in claim.families {
        let bound = asker.command(claim.first, Command::PF_BIND, address_family(family))?;
        is_taken |= bound == Err(Errno::EBUSY);
        may_configure &= bound != Err(Errno::EPERM);
    }
    for queue in claim.first..=claim.last {
        asker.bind(queue, may_configure)?;
        asker.set_options(queue, claim)?;
    }
    if is_taken { Err(ClaimError::HandlerTaken) } else { Ok(()) }
}

/// Gives a queue up again: what it holds is dropped, and what the socket has received of it so far is lost.
///
/// # Errors
///
/// If the kernel does not say that it is done.
#[doc(alias = "NFQNL_CFG_CMD_UNBIND")]
pub fn release(transport: &mut dyn Transport, queue: u16) -> Result<(), ClaimError> {
    let mut asker = Asker { transport, sequence: 0 };
    let released = asker.command(queue, Command::UNBIND, 0)?;
    released.map_err(|errno| ClaimError::BindRefused { queue, errno })
}

/// Makes requests one after the other.
struct Asker<'t> {
    transport: &'t mut dyn Transport,
    sequence: u32,
}

impl Asker<'_> {
    /// Claims a queue. Kernels say `EPERM` or, older ones, `EBUSY` when another socket has it.
    fn bind(&mut self, queue: u16, may_configure: bool) -> Result<(), ClaimError> {
        match self.command(queue, Command::BIND, 0)? {
            Ok(()) => Ok(()),
            Err(Errno::EPERM | Errno::EBUSY) if may_configure => {
                Err(ClaimError::QueueTaken { queue, owner: queue_owner(queue) })
            }
            Err(errno) => Err(ClaimError::BindRefused { queue, errno }),
        }
    }

    fn set_options(&mut self, queue: u16, claim: &Claim<'_>) -> Result<(), ClaimError> {
        let refused = |option| move |errno| ClaimError::OptionRefused { option, queue, errno };
        if let Some(packets) = claim.max_length {
            self.request(queue, Setting::MaxLength(packets))?.map_err(refused("maximum length"))?;
        }
        for &(flag, name) in claim.flags {
            self.request(queue, Setting::Flag(flag))?.map_err(refused(name))?;
        }
        Ok(())
    }

    fn command(
        &mut self,
        queue: u16,
        command: Command,
        family: u16,
    ) -> Result<Result<(), Errno>, ClaimError> {
        self.request(queue, Setting::Command(command, family))
    }

    fn request(&mut self, queue: u16, setting: Setting) -> Result<Result<(), Errno>, ClaimError> {
        self.sequence += 1;
        let flags = Flags::REQUEST.union(Flags::ACK);
        let header = Header::new(CONFIG, flags, self.sequence, self.transport.port_id());
        let request = self.transport.data_model().with(Encode { header, queue, setting });
        let answer =
            ask(self.transport, &request, self.sequence, &mut [0; ANSWER_LEN], &mut |_, _| ())?;
        answer.ok_or(ClaimError::NoAnswer { queue })
    }
}

/// Something to be set of a queue.
#[derive(Clone, Copy)]
enum Setting {
    Command(Command, u16),
    MaxLength(u32),
    Flag(QueueFlags),
}

/// A request in the making.
struct Encode {
    header: Header,
    queue: u16,
    setting: Setting,
}

impl AbiVisitor for Encode {
    type Output = Vec<u8>;

    fn visit<A: Abi>(self) -> Vec<u8> {
        let Self { header, queue, setting } = self;
        match setting {
            Setting::Command(command, family) => {
                framed(header, CommandMsg::<A::Order>::new(queue, command, family))
            }
            Setting::MaxLength(packets) => {
                framed(header, MaxLengthMsg::<A::Order>::new(queue, packets))
            }
            Setting::Flag(flag) => framed(header, FlagsMsg::<A::Order>::new(queue, flag, flag)),
        }
    }
}

fn framed<B: Body + IntoBytes + Immutable>(header: Header, body: B) -> Vec<u8> {
    let framed = Framed::new(header, body, 0).expect("a few bytes have a length");
    framed.as_bytes().to_vec()
}

/// `AF_INET` or `AF_INET6`.
const fn address_family(family: Family) -> u16 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
    }
}
