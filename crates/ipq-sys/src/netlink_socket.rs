//! The netlink socket of a real kernel: [`NetlinkSocket`].

use core::time::Duration;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ipq_proto::Errno;
use nix::sys::socket::{
    MsgFlags, NetlinkAddr, bind, getsockname, recvmsg, sendmsg, setsockopt, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime};

use crate::syscall::{self, AT_ONCE, FEW, KERNEL, outcome};
use crate::transport::send_each;
use crate::wait::{Polled, Waited};
use crate::{
    Batch, Clock, Deadline, DeviceInfo, Error, KernelStatus, Operation, Protocol, Received,
    Transport,
};

/// How many port ids are tried before giving up. The first is the process id.
const PORT_IDS: u32 = 256;

/// Process ids are below 2^22 on every Linux; the ids tried after them lie above.
const PORT_ID_STEP: u32 = 1 << 22;

/// How long a system call waits at most, in seconds: a day. Then it is made again.
const LONGEST_CALL: i64 = 24 * 60 * 60;

/// The largest receive buffer to ask for: the kernel doubles it, in an `int`.
const LARGEST_BUFFER: usize = (1 << 30) - 1;

/// A netlink socket of the kernel that this program runs on.
///
/// Closed when dropped: the kernel then drops what is still queued.
#[derive(Debug)]
pub struct NetlinkSocket {
    descriptor: OwnedFd,
    protocol: Protocol,
    port_id: u32,
    /// Whether the kernel has recvmmsg(2) and sendmmsg(2), as far as is known.
    has_recvmmsg: bool,
    has_sendmmsg: bool,
    /// How many datagrams the last batch had: the next one will be much the same.
    last_batch: usize,
}

/// What can be chosen when a [`NetlinkSocket`] is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOptions {
    /// Size of the receive buffer in bytes, as the kernel counts them (with its own overhead); `None` leaves
    /// the system's default.
    #[doc(alias = "SO_RCVBUF")]
    pub receive_buffer: Option<usize>,
}

impl NetlinkSocket {
    /// Opens a socket for `protocol` and binds it to a port id of its own.
    ///
    /// The port id is the process id where that is free, as libipq has it, and else another positive number:
    /// `ip_queue` refuses a negative one, and those that the kernel itself chooses are.
    ///
    /// # Errors
    ///
    /// If the kernel does not have the protocol ([`Error::is_unsupported`]), does not allow it, or is out of
    /// descriptors or memory.
    pub fn open(protocol: Protocol, options: SocketOptions) -> Result<Self, Error> {
        let failed = |operation| {
            move |errno: nix::errno::Errno| Error {
                operation,
                protocol,
                errno: Errno(errno as i32),
            }
        };
        let descriptor =
            syscall::netlink_socket(protocol.number()).map_err(failed(Operation::Open))?;
        // With any time-out, a signal ends a system call that waits, also where its handler asks for the call to be
        // restarted (signal(7)).
        setsockopt(&descriptor, sockopt::ReceiveTimeout, &TimeVal::seconds(LONGEST_CALL))
            .map_err(failed(Operation::Configure))?;
        if let Some(bytes) = options.receive_buffer {
            set_receive_buffer(&descriptor, bytes).map_err(failed(Operation::Configure))?;
        }
        let port_id = bind_to_own_port(&descriptor, protocol)?;
        Ok(Self::new(descriptor, protocol, port_id))
    }

    /// Takes a socket that was opened elsewhere: inherited, or received from a more privileged process. One that has no
    /// port id yet is bound to one of its own.
    ///
    /// That it is a netlink socket and which protocol it speaks is asked of the kernel. What cannot be known: in whose
    /// network namespace it was opened, which is the one whose queues it has; whether a queue is configured on it; and
    /// whether somebody else still reads from it, who would take packets away.
    ///
    /// # Errors
    ///
    /// `EAFNOSUPPORT` if it is no netlink socket, `EPROTONOSUPPORT` if no queue speaks its protocol, `ENOTSOCK` if it is no
    /// socket at all; and as [`open`](Self::open).
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, Error> {
        let number = syscall::netlink_protocol(descriptor.as_fd());
        let unknown = |errno: nix::errno::Errno| Error {
            operation: Operation::Adopt,
            // Nothing is known of it, and this is what most are.
            protocol: Protocol::Netfilter,
            errno: Errno(errno as i32),
        };
        let protocol = number
            .and_then(|number| {
                Protocol::from_number(number).ok_or(nix::errno::Errno::EPROTONOSUPPORT)
            })
            .map_err(unknown)?;
        let failed = |operation| {
            move |errno: nix::errno::Errno| Error {
                operation,
                protocol,
                errno: Errno(errno as i32),
            }
        };
        setsockopt(&descriptor, sockopt::ReceiveTimeout, &TimeVal::seconds(LONGEST_CALL))
            .map_err(failed(Operation::Configure))?;
        let bound = getsockname::<NetlinkAddr>(descriptor.as_raw_fd()).map(|address| address.pid());
        let port_id = match bound.map_err(failed(Operation::Adopt))? {
            KERNEL => bind_to_own_port(&descriptor, protocol)?,
            port_id => port_id,
        };
        Ok(Self::new(descriptor, protocol, port_id))
    }

    fn new(descriptor: OwnedFd, protocol: Protocol, port_id: u32) -> Self {
        let (has_recvmmsg, has_sendmmsg) = (true, true);
        Self { descriptor, protocol, port_id, has_recvmmsg, has_sendmmsg, last_batch: 0 }
    }

    fn error(&self, operation: Operation, errno: nix::errno::Errno) -> Error {
        Error { operation, protocol: self.protocol, errno: Errno(errno as i32) }
    }

    /// Receives without waiting: `None` if nothing is there.
    fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, Error> {
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        match recvmsg::<NetlinkAddr>(self.descriptor.as_raw_fd(), &mut parts, None, flags) {
            Ok(message) => {
                let sender = message.address.map(|address| address.pid());
                let datagram_len = message.bytes;
                Ok(Some(outcome(sender, datagram_len, buffer.len())))
            }
            Err(errno) => self.without_message(errno),
        }
    }

    /// Receives what is there, with one system call, which waits for the first datagram if the batch has none and the
    /// deadline never comes; returns how many it were, and how many it could have been.
    fn receive_some(
        &mut self,
        batch: &mut Batch,
        deadline: Deadline,
    ) -> nix::Result<(usize, usize)> {
        let socket = self.descriptor.as_fd();
        let waits = batch.is_empty() && deadline == Deadline::Never;
        let (received, prepared) = if self.last_batch <= FEW / 2 && batch.is_empty() {
            (syscall::receive_many::<FEW>(socket, batch, waits)?, FEW)
        } else {
            (syscall::receive_many::<AT_ONCE>(socket, batch, waits)?, AT_ONCE)
        };
        self.last_batch = batch.len();
        Ok((received, prepared))
    }

    /// What an error number means for a receiver that can go on; `None` if nothing is there.
    fn without_message(&self, errno: nix::errno::Errno) -> Result<Option<Received>, Error> {
        match errno {
            nix::errno::Errno::EAGAIN => Ok(None),
            nix::errno::Errno::ENOBUFS => Ok(Some(Received::Overrun)),
            nix::errno::Errno::EINTR => Ok(Some(Received::Interrupted)),
            errno => Err(self.error(Operation::Receive, errno)),
        }
    }

    /// Waits until `deadline`: `None` if there may be something to receive.
    fn wait(&self, deadline: Deadline) -> Result<Option<Received>, Error> {
        let waited = Polled::one(self.descriptor.as_fd())
            .wait(self.now(), deadline)
            .map_err(|errno| self.error(Operation::Wait, errno))?;
        Ok(match waited {
            Waited::Ready => None,
            Waited::Interrupted => Some(Received::Interrupted),
            Waited::TimedOut | Waited::Ended => Some(Received::TimedOut),
        })
    }
}

impl Transport for NetlinkSocket {
    fn send(&mut self, datagram: &[IoSlice<'_>]) -> Result<(), Error> {
        let kernel = NetlinkAddr::new(KERNEL, 0);
        // netlink takes a datagram whole or not at all, so the length it returns says nothing.
        sendmsg(self.descriptor.as_raw_fd(), datagram, &[], MsgFlags::empty(), Some(&kernel))
            .map(|_| ())
            .map_err(|errno| self.error(Operation::Send, errno))
    }

    fn send_many(&mut self, datagrams: &[IoSlice<'_>]) -> Result<usize, Error> {
        if !self.has_sendmmsg {
            return send_each(self, datagrams);
        }
        let mut sent = 0;
        while let Some(rest) = datagrams.get(sent..).filter(|rest| !rest.is_empty()) {
            match syscall::send_many(self.descriptor.as_fd(), rest) {
                Ok(count) => sent += count,
                Err(errno) if sent == 0 && syscall::is_missing(errno) => {
                    self.has_sendmmsg = false;
                    return send_each(self, datagrams);
                }
                Err(errno) if sent == 0 => return Err(self.error(Operation::Send, errno)),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        loop {
            if let Some(received) = self.try_receive(buffer)? {
                return Ok(received);
            }
            if deadline == Deadline::Immediate {
                return Ok(Received::TimedOut);
            }
            if let Some(nothing) = self.wait(deadline)? {
                return Ok(nothing);
            }
        }
    }

    fn receive_many(&mut self, batch: &mut Batch, deadline: Deadline) -> Result<(), Error> {
        if !self.has_recvmmsg {
            return batch.fill(deadline, |buffer, deadline| self.receive(buffer, deadline));
        }
        batch.clear();
        loop {
            let nothing = match self.receive_some(batch, deadline) {
                // As many as one call brings: there may be more.
                Ok((received, prepared)) if received == prepared && batch.len() < batch.slots() => {
                    continue;
                }
                Ok(_) => return Ok(()),
                Err(errno) if batch.is_empty() && syscall::is_missing(errno) => {
                    self.has_recvmmsg = false;
                    return batch.fill(deadline, |buffer, deadline| self.receive(buffer, deadline));
                }
                Err(errno) => self.without_message(errno),
            };
            let nothing = match nothing {
                Ok(Some(Received::Overrun)) => Some(Received::Overrun),
                // As in `Batch::fill`: only messages and `Overrun` come after messages.
                _ if !batch.is_empty() => return Ok(()),
                Ok(None) if deadline == Deadline::Immediate => Some(Received::TimedOut),
                Ok(None) => self.wait(deadline)?,
                Ok(some) => some,
                Err(error) => return Err(error),
            };
            if let Some(nothing) = nothing {
                batch.push(nothing);
                return Ok(());
            }
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.descriptor.as_fd())
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        syscall::device(self.descriptor.as_fd(), index).ok()
    }

    /// In the network namespace of this process, wherever the socket was opened.
    fn kernel_status(&self) -> KernelStatus {
        KernelStatus::read()
    }

    fn set_receive_buffer(&mut self, bytes: usize) -> Result<(), Error> {
        set_receive_buffer(&self.descriptor, bytes)
            .map_err(|errno| self.error(Operation::Configure, errno))
    }

    fn report_overruns(&mut self, report: bool) -> Result<(), Error> {
        syscall::set_no_enobufs(self.descriptor.as_fd(), !report)
            .map_err(|errno| self.error(Operation::Configure, errno))
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn port_id(&self) -> u32 {
        self.port_id
    }

    fn now(&self) -> Clock {
        monotonic()
    }
}

/// What the monotonic clock shows.
pub(crate) fn monotonic() -> Clock {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Asks for a receive buffer the privileged way, which goes beyond the system's limit, and else the other one, which
/// stops there without an error.
fn set_receive_buffer(socket: &OwnedFd, bytes: usize) -> nix::Result<()> {
    let bytes = bytes.min(LARGEST_BUFFER);
    setsockopt(socket, sockopt::RcvBufForce, &bytes)
        .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &bytes))
}

/// The first of the port ids that are tried which `bind` finds free.
pub(crate) fn first_free(mut bind: impl FnMut(u32) -> Result<(), Errno>) -> Result<u32, Errno> {
    let process = std::process::id();
    let port_ids = (0..PORT_IDS).map(|attempt| process + attempt * PORT_ID_STEP);
    for port_id in port_ids {
        match bind(port_id) {
            Ok(()) => return Ok(port_id),
            Err(Errno::EADDRINUSE) => (),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EADDRINUSE)
}

/// To hand it over: see [`NetlinkSocket::from_descriptor`].
impl From<NetlinkSocket> for OwnedFd {
    fn from(socket: NetlinkSocket) -> Self {
        socket.descriptor
    }
}

/// Binds to the first free port id of those that are tried, and returns it.
fn bind_to_own_port(socket: &OwnedFd, protocol: Protocol) -> Result<u32, Error> {
    let bound = first_free(|port_id| {
        let bound = bind(socket.as_raw_fd(), &NetlinkAddr::new(port_id, 0));
        bound.map_err(|errno| Errno(errno as i32))
    });
    bound.map_err(|errno| Error { operation: Operation::Bind, protocol, errno })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NLMSG_NOOP` with `NLM_F_REQUEST | NLM_F_ACK`: nfnetlink does nothing but answer, with 36 bytes.
    fn request(sequence: u8) -> Vec<u8> {
        let kind_and_flags = [1_u16, 5].map(u16::to_ne_bytes).concat();
        let [len, sequence, port_id] = [16, sequence.into(), 0].map(u32::to_ne_bytes);
        [&len[..], &kind_and_flags, &sequence, &port_id].concat()
    }

    #[test]
    fn moves_datagrams_one_by_one_where_the_kernel_can_do_no_better() {
        for (has_recvmmsg, has_sendmmsg) in
            [(true, true), (false, true), (true, false), (false, false)]
        {
            let mut socket =
                NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default()).unwrap();
            socket.has_recvmmsg = has_recvmmsg;
            socket.has_sendmmsg = has_sendmmsg;
            let requests: Vec<_> = (0..40).map(request).collect();
            let datagrams: Vec<_> = requests.iter().map(|request| IoSlice::new(request)).collect();
            assert_eq!(socket.send_many(&datagrams), Ok(40));

            let mut batch = Batch::new(64, 36);
            socket.receive_many(&mut batch, Deadline::Never).unwrap();
            let expected =
                requests.iter().map(|request| (Received::Datagram { len: 36 }, &request[8..12]));
            assert!(batch.iter().map(|(received, bytes)| (received, &bytes[8..12])).eq(expected));

            socket.receive_many(&mut batch, Deadline::Immediate).unwrap();
            assert!(batch.iter().eq([(Received::TimedOut, &[][..])]));
            assert_eq!((socket.has_recvmmsg, socket.has_sendmmsg), (has_recvmmsg, has_sendmmsg));
        }
    }

    #[test]
    fn goes_on_after_what_a_receiver_survives() {
        use nix::errno::Errno as Number;
        let socket = NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default()).unwrap();
        assert_eq!(socket.without_message(Number::EAGAIN), Ok(None));
        assert_eq!(socket.without_message(Number::ENOBUFS), Ok(Some(Received::Overrun)));
        assert_eq!(socket.without_message(Number::EINTR), Ok(Some(Received::Interrupted)));
        let error = socket.without_message(Number::EBADF).unwrap_err();
        assert_eq!((error.operation, error.errno), (Operation::Receive, Errno(9)));
    }

    #[test]
    fn has_only_positive_port_ids_to_try() {
        let largest_process_id = PORT_ID_STEP;
        let last = largest_process_id.checked_add((PORT_IDS - 1) * PORT_ID_STEP).unwrap();
        assert!(i32::try_from(last).is_ok());
    }
}
