//! The netlink socket of a real kernel: [`NetlinkSocket`].

use core::time::Duration;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ipq_proto::Errno;
use nix::sys::socket::{MsgFlags, NetlinkAddr, bind, recvmsg, sendmsg, setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};

use crate::syscall::{self, KERNEL, outcome};
use crate::wait::{Polled, Waited};
use crate::{Batch, Clock, Deadline, Error, Operation, Protocol, Received, Transport};

/// How many port ids are tried before giving up. The first is the process id.
const PORT_IDS: u32 = 256;

/// Process ids are below 2^22 on every Linux; the ids tried after them lie above.
const PORT_ID_STEP: u32 = 1 << 22;

/// A netlink socket of the kernel that this program runs on.
///
/// Closed when dropped: the kernel then drops what is still queued.
#[derive(Debug)]
pub struct NetlinkSocket {
    descriptor: OwnedFd,
    protocol: Protocol,
    port_id: u32,
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
        if let Some(bytes) = options.receive_buffer {
            // The privileged way goes beyond the system's limit; the other one stops there, without an error.
            setsockopt(&descriptor, sockopt::RcvBufForce, &bytes)
                .or_else(|_| setsockopt(&descriptor, sockopt::RcvBuf, &bytes))
                .map_err(failed(Operation::Configure))?;
        }
        let port_id = bind_to_own_port(descriptor.as_fd()).map_err(failed(Operation::Bind))?;
        Ok(Self { descriptor, protocol, port_id })
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
        let mut sent = 0;
        while let Some(rest) = datagrams.get(sent..).filter(|rest| !rest.is_empty()) {
            match syscall::send_many(self.descriptor.as_fd(), rest) {
                Ok(count) => sent += count,
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
        batch.clear();
        loop {
            let nothing = match syscall::receive_many(self.descriptor.as_fd(), batch) {
                Ok(()) => return Ok(()),
                Err(errno) => self.without_message(errno)?,
            };
            let nothing = match nothing {
                None if deadline == Deadline::Immediate => Some(Received::TimedOut),
                None => self.wait(deadline)?,
                some => some,
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

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn port_id(&self) -> u32 {
        self.port_id
    }

    fn now(&self) -> Clock {
        clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
    }
}

/// Binds to the first free port id of those that are tried, and returns it.
fn bind_to_own_port(socket: BorrowedFd<'_>) -> nix::Result<u32> {
    let process = std::process::id();
    for attempt in 0..PORT_IDS {
        let port_id = process + attempt * PORT_ID_STEP;
        match bind(socket.as_raw_fd(), &NetlinkAddr::new(port_id, 0)) {
            Ok(()) => return Ok(port_id),
            Err(nix::errno::Errno::EADDRINUSE) => (),
            Err(errno) => return Err(errno),
        }
    }
    Err(nix::errno::Errno::EADDRINUSE)
}
