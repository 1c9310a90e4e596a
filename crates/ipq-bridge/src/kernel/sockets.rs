//! The sockets that programs have: port ids, options, and what waits to be received.

use std::collections::VecDeque;

use ipq_proto::{Errno, Family};
use ipq_sys::unix::{Datagram, Opener, SocketId};
use slab::Slab;

/// The size of a receive buffer unless another is asked for, in bytes: `net.core.rmem_default`.
pub(super) const DEFAULT_RECEIVE_BUFFER: u32 = 212_992;

/// How many datagrams of other programs may wait in a socket.
const MOST_FOREIGN: usize = 256;

/// All sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets(Slab<Socket>);

/// A socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) family: Family,
    /// 0 as long as it is not bound.
    pub(super) port_id: u32,
    pub(super) privileged: bool,
    pub(super) receive_buffer: u32,
    pub(super) ignores_overruns: bool,
    process: u32,
    has_overrun: bool,
    waiting: VecDeque<Waiting>,
}

/// A datagram that waits.
#[derive(Debug)]
struct Waiting {
    sender: u32,
    bytes: Vec<u8>,
}

impl Socket {
    pub(super) fn is_readable(&self) -> bool {
        self.has_overrun || !self.waiting.is_empty()
    }

    /// Whether a full receive buffer is to be reported. It then was.
    pub(super) fn take_overrun(&mut self) -> bool {
        core::mem::take(&mut self.has_overrun)
    }

    pub(super) fn overrun(&mut self) {
        self.has_overrun = !self.ignores_overruns;
    }

    /// Lets a datagram of the kernel wait.
    pub(super) fn deliver(&mut self, bytes: Vec<u8>) {
        self.waiting.push_back(Waiting { sender: 0, bytes });
    }
}

impl Sockets {
    pub(super) fn open(&mut self, family: Family, opener: Opener) -> SocketId {
        SocketId(self.0.insert(Socket {
            family,
            port_id: 0,
            privileged: opener.privileged,
            receive_buffer: DEFAULT_RECEIVE_BUFFER,
            ignores_overruns: false,
            process: opener.process,
            has_overrun: false,
            waiting: VecDeque::new(),
        }))
    }

    pub(super) fn close(&mut self, SocketId(socket): SocketId) -> Option<Socket> {
        self.0.try_remove(socket)
    }

    pub(super) fn get(&self, SocketId(socket): SocketId) -> Option<&Socket> {
        self.0.get(socket)
    }

    pub(super) fn get_mut(&mut self, SocketId(socket): SocketId) -> Option<&mut Socket> {
        self.0.get_mut(socket)
    }

    /// The socket that is bound to a port id.
    pub(super) fn at_port(&mut self, family: Family, port_id: u32) -> Option<&mut Socket> {
        let mut sockets = self.0.iter_mut().map(|(_, socket)| socket);
        sockets.find(|socket| socket.family == family && socket.port_id == port_id)
    }

    /// Binds a socket to a port id.
    pub(super) fn bind(&mut self, socket: SocketId, port_id: u32) -> Result<(), Errno> {
        let &Socket { family, port_id: bound, .. } = self.get(socket).ok_or(Errno::EBADF)?;
        match bound {
            _ if bound == port_id => Ok(()),
            0 if self.at_port(family, port_id).is_some() => Err(Errno::EADDRINUSE),
            0 => {
                self.0[socket.0].port_id = port_id;
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Gives a socket that has no port id one, as the kernel does by itself: the process id, or else a negative number.
    pub(super) fn bind_by_itself(&mut self, socket: SocketId) -> Result<(), Errno> {
        const LAST_NEGATIVE: u32 = 4096_u32.wrapping_neg();
        const FIRST_NEGATIVE: u32 = i32::MIN.cast_unsigned();
        let &Socket { family, port_id, process, .. } = self.get(socket).ok_or(Errno::EBADF)?;
        if port_id != 0 {
            return Ok(());
        }
        let own = Some(process).filter(|&process| process != 0);
        let mut candidates = own.into_iter().chain((FIRST_NEGATIVE..LAST_NEGATIVE).rev());
        let free = candidates.find(|&candidate| self.at_port(family, candidate).is_none());
        self.bind(socket, free.ok_or(Errno::EADDRINUSE)?)
    }

    /// Sends from a socket to another one.
    pub(super) fn send(
        &mut self,
        from: SocketId,
        port_id: u32,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        let &Socket { family, port_id: sender, privileged, .. } =
            self.get(from).ok_or(Errno::EBADF)?;
        if !privileged {
            return Err(Errno::EPERM);
        }
        let to = self.at_port(family, port_id).ok_or(Errno::ECONNREFUSED)?;
        if to.waiting.len() >= MOST_FOREIGN {
            return Err(Errno::EAGAIN);
        }
        to.waiting.push_back(Waiting { sender, bytes: datagram.to_vec() });
        Ok(())
    }

    /// Takes the next datagram of a socket into `buffer`, or shows it.
    pub(super) fn receive(
        &mut self,
        socket: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<Datagram, Errno> {
        let socket = self.get_mut(socket).ok_or(Errno::EBADF)?;
        if socket.take_overrun() {
            return Err(Errno::ENOBUFS);
        }
        let next = socket.waiting.front().ok_or(Errno::EAGAIN)?;
        let (datagram_len, port_id) = (next.bytes.len(), next.sender);
        let len = datagram_len.min(buffer.len());
        buffer[..len].copy_from_slice(&next.bytes[..len]);
        if !peek {
            socket.waiting.pop_front();
        }
        Ok(Datagram { len, datagram_len, port_id })
    }
}
