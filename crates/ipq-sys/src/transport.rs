//! What a session needs from a kernel, real or simulated: [`Transport`].

use core::fmt;
use core::time::Duration;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::time::SystemTime;

use ipq_proto::ip_queue::{NETLINK_FIREWALL, NETLINK_IP6_FW, Timestamp};
use ipq_proto::{DataModel, DeviceName, Family, HardwareType};

use crate::{Batch, Error, KernelStatus};

/// A netlink socket, or what behaves like one: it moves datagrams, and knows nothing of what they say.
///
/// `Send`, so that a session can move to another thread; a call never runs beside another one.
pub trait Transport: fmt::Debug + Send {
    /// Sends one datagram, given in parts, to the kernel.
    ///
    /// A request that the kernel refuses is no error here: the refusal comes back as a message.
    ///
    /// # Errors
    ///
    /// If the kernel does not take it at all, for example `ECONNREFUSED` when its module has been unloaded, or
    /// `EAGAIN` when there is no room; a later try may succeed.
    fn send(&mut self, datagram: &[IoSlice<'_>]) -> Result<(), Error>;

    /// Sends the datagrams in order and returns how many were sent: fewer than all if one failed after the
    /// first. The next call reports that failure.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), if not even the first one was sent.
    fn send_many(&mut self, datagrams: &[IoSlice<'_>]) -> Result<usize, Error> {
        send_each(self, datagrams)
    }

    /// Receives one datagram into `buffer`, waiting for it until `deadline`.
    ///
    /// # Errors
    ///
    /// If the socket is of no more use. All that a session can survive is in [`Received`].
    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error>;

    /// Receives what is there, waiting for the first datagram until `deadline` and for no other.
    ///
    /// `batch` is emptied first. On success it holds at least one outcome; only as the sole one can it hold
    /// [`TimedOut`](Received::TimedOut), [`Interrupted`](Received::Interrupted) or [`Ended`](Received::Ended).
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), if nothing was received before it.
    fn receive_many(&mut self, batch: &mut Batch, deadline: Deadline) -> Result<(), Error> {
        batch.fill(deadline, |buffer, deadline| self.receive(buffer, deadline))
    }

    /// A descriptor that becomes readable when a datagram waits, for poll(2) and its kin. A simulated kernel in
    /// this process has none: it runs only while somebody waits, see [`step`](Self::step).
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Lets the kernel behind a transport without descriptor do one thing, unless nothing happens before
    /// `deadline`. A kernel with descriptors runs by itself, and has nothing to do here.
    ///
    /// # Errors
    ///
    /// If the kernel is gone.
    fn step(&mut self, deadline: Deadline) -> Result<Stepped, Error> {
        let _ = deadline;
        Ok(Stepped::Ended)
    }

    /// When a kernel behind a transport without descriptor next has something to do; `None` if it never has.
    fn upcoming(&self) -> Option<Clock> {
        None
    }

    /// Whether nothing can come any more, as far as the last attempt to receive said. The descriptor of such a transport is
    /// readable all the same, so that who waits for it learns of the end.
    fn has_ended(&self) -> bool {
        false
    }

    /// When this transport next hands out something that it keeps back itself, so that a wait for its descriptor has to
    /// end by then. `None` if it keeps back nothing, as a socket never does.
    fn due(&self) -> Option<Clock> {
        None
    }

    /// What the kernel calls its device number `index`; `None` if it has none, or does not say.
    #[doc(alias = "if_indextoname")]
    fn device(&self, index: u32) -> Option<DeviceInfo> {
        let _ = index;
        None
    }

    /// What the kernel says of its queues; nothing unless the transport knows.
    #[doc(alias("/proc/net/ip_queue", "/proc/net/netfilter/nfnetlink_queue"))]
    fn kernel_status(&self) -> KernelStatus {
        KernelStatus::default()
    }

    /// Asks for a receive buffer of this many bytes, as the kernel counts them, with its own overhead. It may grant
    /// less: an unprivileged program gets no more than the system's limit. A transport without one does nothing.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    #[doc(alias("SO_RCVBUF", "SO_RCVBUFFORCE"))]
    fn set_receive_buffer(&mut self, bytes: usize) -> Result<(), Error> {
        let _ = bytes;
        Ok(())
    }

    /// Chooses whether a full receive buffer is reported as [`Received::Overrun`], as it is at first.
    ///
    /// # Errors
    ///
    /// If the kernel refuses: one before Linux 2.6.30 does not have the option.
    #[doc(alias = "NETLINK_NO_ENOBUFS")]
    fn report_overruns(&mut self, report: bool) -> Result<(), Error> {
        let _ = report;
        Ok(())
    }

    /// Which netlink protocol it speaks.
    fn protocol(&self) -> Protocol;

    /// The port id by which the kernel knows this socket: what requests carry in their header.
    fn port_id(&self) -> u32;

    /// Word size and byte order of the kernel on the other side.
    fn data_model(&self) -> DataModel {
        DataModel::NATIVE
    }

    /// The clock that this transport's deadlines are measured by: monotonic, and simulated in a simulated kernel.
    fn now(&self) -> Clock;

    /// The time of day where the kernel is.
    fn wall_clock(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since_epoch.map_or(Timestamp::NONE, |time| Timestamp {
            seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            microseconds: time.subsec_micros().into(),
        })
    }
}

/// [`Transport::send_many`] with one call for each datagram.
pub(crate) fn send_each<T: Transport + ?Sized>(
    transport: &mut T,
    datagrams: &[IoSlice<'_>],
) -> Result<usize, Error> {
    for (sent, datagram) in datagrams.iter().enumerate() {
        match transport.send(&[*datagram]) {
            Ok(()) => (),
            Err(error) if sent == 0 => return Err(error),
            Err(_) => return Ok(sent),
        }
    }
    Ok(datagrams.len())
}

/// What a kernel knows of one of its network devices.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DeviceInfo {
    /// Its name.
    pub name: DeviceName,
    /// The type of its link layer.
    pub hw_type: HardwareType,
}

/// A point on a transport's clock: the time since some moment that stays the same for all transports of a kernel.
pub type Clock = Duration;

/// Until when to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deadline {
    /// Not at all: look at what is there. A simulated kernel does not run meanwhile.
    Immediate,
    /// Until the transport's clock shows this.
    At(Clock),
    /// For as long as anything can still come.
    Never,
}

impl Deadline {
    /// The end of a timeout that starts `now`: `None` waits for ever. Zero takes what is due now, which a simulated
    /// kernel may yet have to do.
    #[inline]
    pub fn after(now: Clock, timeout: Option<Duration>) -> Self {
        timeout.and_then(|timeout| now.checked_add(timeout)).map_or(Self::Never, Self::At)
    }

    /// The same, or `time` if that is earlier.
    #[must_use]
    pub fn at_latest(self, time: Option<Clock>) -> Self {
        match (self, time) {
            (Self::Never, Some(time)) => Self::At(time),
            (Self::At(end), Some(time)) => Self::At(end.min(time)),
            (deadline, _) => deadline,
        }
    }
}

/// What came of an attempt to receive. A session can go on after each of these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Received {
    /// A datagram from the kernel: the first `len` bytes of the buffer.
    Datagram {
        /// Its length in bytes.
        len: usize,
    },
    /// A datagram from the kernel that was longer than the buffer. The rest of it is lost; the packet it
    /// announced still waits for its verdict.
    #[doc(alias = "MSG_TRUNC")]
    Truncated {
        /// The bytes of it that are in the buffer.
        len: usize,
        /// The length it had.
        datagram_len: usize,
    },
    /// The receive buffer was full and messages were lost. Those that did fit are still to be read.
    #[doc(alias = "ENOBUFS")]
    Overrun,
    /// A datagram that a process sent and not the kernel. It was discarded.
    Foreign {
        /// The port id of the sender.
        port_id: u32,
    },
    /// A signal came before anything else.
    #[doc(alias = "EINTR")]
    Interrupted,
    /// The deadline passed.
    TimedOut,
    /// Nothing can come any more: a simulated kernel has nothing left to do.
    Ended,
}

impl Received {
    /// Bytes that were put into the buffer.
    pub const fn len_in_buffer(self) -> usize {
        match self {
            Self::Datagram { len } | Self::Truncated { len, .. } => len,
            _ => 0,
        }
    }
}

/// What a simulated kernel did in one [step](Transport::step).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stepped {
    /// Something happened; there may be a message now.
    Progressed,
    /// Nothing happened before the deadline.
    TimedOut,
    /// Nothing will happen any more.
    Ended,
}

/// The netlink protocols that carry queued packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// `ip_queue`, IPv4.
    #[doc(alias = "NETLINK_FIREWALL")]
    Firewall,
    /// `ip6_queue`, IPv6.
    #[doc(alias = "NETLINK_IP6_FW")]
    Ip6Firewall,
    /// `nfnetlink_queue` and the other subsystems of netfilter.
    #[doc(alias = "NETLINK_NETFILTER")]
    Netfilter,
}

impl Protocol {
    /// The protocol of the `ip_queue` of `family`.
    pub const fn ip_queue(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::Firewall,
            Family::Ipv6 => Self::Ip6Firewall,
        }
    }

    /// The family whose `ip_queue` this is; `None` for [`Netfilter`](Self::Netfilter), which carries both.
    pub const fn family(self) -> Option<Family> {
        match self {
            Self::Firewall => Some(Family::Ipv4),
            Self::Ip6Firewall => Some(Family::Ipv6),
            Self::Netfilter => None,
        }
    }

    /// The protocol that socket(2) takes this number for, if it is one of these.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            NETLINK_FIREWALL => Some(Self::Firewall),
            NETLINK_IP6_FW => Some(Self::Ip6Firewall),
            libc::NETLINK_NETFILTER => Some(Self::Netfilter),
            _ => None,
        }
    }

    /// The number that socket(2) takes.
    pub const fn number(self) -> i32 {
        match self {
            Self::Firewall => NETLINK_FIREWALL,
            Self::Ip6Firewall => NETLINK_IP6_FW,
            Self::Netfilter => libc::NETLINK_NETFILTER,
        }
    }
}

/// `ip_queue (netlink protocol 3)`.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Firewall => "ip_queue",
            Self::Ip6Firewall => "ip6_queue",
            Self::Netfilter => "nfnetlink_queue",
        };
        write!(f, "{name} (netlink protocol {})", self.number())
    }
}
