//! What a kernel can do that is served to other processes: [`ServedKernel`].

use std::os::fd::BorrowedFd;

use ipq_proto::Errno;

use super::{Datagram, KernelInfo, SocketOption};
use crate::{Clock, Deadline, DeviceInfo, Protocol, Stepped};

/// Names a netlink socket of a served kernel, as long as it is open.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SocketId(pub usize);

/// Who opens a netlink socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opener {
    /// The process id: the port id that the socket gets if it sends before it is bound, and if that is free.
    pub process: u32,
    /// Whether the program has `CAP_NET_ADMIN`.
    #[doc(alias = "CAP_NET_ADMIN")]
    pub privileged: bool,
}

impl SocketOption {
    /// The size in bytes that a receive buffer gets when this option asks for `bytes`: twice as many, since the kernel counts
    /// its own overhead.
    ///
    /// # Errors
    ///
    /// `EPERM` if it is [forced](Self::RECEIVE_BUFFER_FORCE) without privileges, `ENOPROTOOPT` if this is another option.
    pub fn granted_buffer(self, bytes: u32, privileged: bool) -> Result<u32, Errno> {
        /// What `SO_RCVBUF` gives at most: `net.core.rmem_max`.
        const LARGEST: u32 = 212_992;
        const LARGEST_FORCED: u32 = i32::MAX.cast_unsigned() / 2;
        /// `SOCK_MIN_RCVBUF`.
        const SMALLEST: u32 = 2304;
        let granted = match self {
            Self::RECEIVE_BUFFER => bytes.min(LARGEST),
            Self::RECEIVE_BUFFER_FORCE if privileged => bytes.min(LARGEST_FORCED),
            Self::RECEIVE_BUFFER_FORCE => return Err(Errno::EPERM),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok((granted * 2).max(SMALLEST))
    }
}

/// A kernel that a [`Server`](super::Server) has: netlink sockets, some files, and time.
///
/// No call waits for anything. What a [`SocketId`] names is open; a kernel hands out none twice while it is.
pub trait ServedKernel {
    /// Opens a netlink socket, not bound to a port id.
    ///
    /// # Errors
    ///
    /// As socket(2): `EPROTONOSUPPORT` if the kernel does not have the protocol.
    fn open(&mut self, protocol: Protocol, opener: Opener) -> Result<SocketId, Errno>;

    /// Closes a socket: the last descriptor of it is closed, or its program has died.
    fn close(&mut self, socket: SocketId);

    /// The port id of a socket; 0 as long as it is not bound.
    fn port_id(&self, socket: SocketId) -> u32;

    /// Binds a socket to a port id, or to a free one if that is 0; returns which.
    ///
    /// # Errors
    ///
    /// As bind(2): `EADDRINUSE` if another socket has it, `EINVAL` if this one has another one.
    fn bind(&mut self, socket: SocketId, port_id: u32) -> Result<u32, Errno>;

    /// Takes a datagram that a program sends to a port id: 0 is the kernel.
    ///
    /// # Errors
    ///
    /// As sendmsg(2). What the kernel refuses it answers with a message.
    fn send(&mut self, socket: SocketId, port_id: u32, datagram: &[u8]) -> Result<(), Errno>;

    /// Takes the next message of a socket into `buffer`; if it is only to `peek`, the message stays.
    ///
    /// # Errors
    ///
    /// As recvmsg(2): `EAGAIN` if nothing is there, `ENOBUFS` once if the receive buffer was full.
    fn receive(
        &mut self,
        socket: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<Datagram, Errno>;

    /// How long the next message of a socket is, 0 if there is none; `None` if the kernel cannot tell. Takes no notice of
    /// an error that comes before it.
    fn next_len(&mut self, socket: SocketId) -> Option<usize> {
        let _ = socket;
        None
    }

    /// Whether [`receive`](Self::receive) would say anything else than `EAGAIN`.
    fn is_readable(&mut self, socket: SocketId) -> bool;

    /// The value of an option.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` if there is no such option.
    fn option(&mut self, socket: SocketId, option: SocketOption) -> Result<u32, Errno>;

    /// Sets an option.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` if there is no such option, `EPERM` if the program may not.
    fn set_option(
        &mut self,
        socket: SocketId,
        option: SocketOption,
        value: u32,
    ) -> Result<(), Errno>;

    /// The contents of a file.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none of this name.
    fn read_file(&mut self, name: &str) -> Result<Vec<u8>, Errno>;

    /// Writes to a file, as one write(2) does.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none of this name, `EACCES` if it is not to be written, `EINVAL` if it does not take this.
    fn write_file(&mut self, name: &str, contents: &[u8]) -> Result<(), Errno>;

    /// The device of this index; `None` if there is none.
    fn device(&self, index: u32) -> Option<DeviceInfo>;

    /// Whether a file may be written.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none of this name, `EACCES` if it is not to be written.
    fn check_writable(&mut self, name: &str) -> Result<(), Errno>;

    /// What clients are told of it when they connect.
    fn info(&self) -> KernelInfo;

    /// A descriptor that becomes readable when a socket of a kernel that runs by itself may have become so. It is polled
    /// while the socket is not [readable](Self::is_readable).
    fn descriptor(&self, socket: SocketId) -> Option<BorrowedFd<'_>> {
        let _ = socket;
        None
    }

    /// Lets the next thing happen, unless nothing does before `deadline`. A kernel that runs by itself has nothing to do
    /// here.
    fn step(&mut self, deadline: Deadline) -> Stepped {
        let _ = deadline;
        Stepped::Ended
    }

    /// The time by its own clock, which begins at 0.
    fn now(&self) -> Clock {
        Clock::ZERO
    }

    /// When the next thing is to happen by itself; `None` if nothing is.
    fn next_event(&mut self) -> Option<Clock> {
        None
    }

    /// Whether a program has said that it wants packets.
    fn has_program(&self) -> bool {
        true
    }

    /// Whether anything can still come to one of these sockets, which are all that a program has: something is to happen,
    /// or another program has yet to decide on packets. A kernel that runs by itself never knows that nothing can.
    fn may_come(&mut self, sockets: &[SocketId]) -> bool {
        let _ = sockets;
        true
    }
}
