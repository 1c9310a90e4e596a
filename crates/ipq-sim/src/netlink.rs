//! Netlink sockets as the kernel sees them: port ids, receive buffers and what is lost when one is full.

use std::collections::VecDeque;

use ipq_proto::Errno;
use ipq_sys::unix::Datagram;
use ipq_sys::{Protocol, Received};
use slab::Slab;

use crate::memory::Buffers;

/// The size of a receive buffer unless another is asked for, in bytes: `net.core.rmem_default`.
pub(crate) const DEFAULT_RECEIVE_BUFFER: usize = 212_992;

/// The port id of a socket that is not bound, which is that of the kernel.
pub(crate) const UNBOUND: u32 = 0;

/// Names a socket inside the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SocketKey(usize);

/// All sockets of a kernel.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Slab<Socket>);

/// A netlink socket.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a state of its own")]
pub(crate) struct Socket {
    pub(crate) protocol: Protocol,
    pub(crate) port_id: u32,
    /// Whether its owner has `CAP_NET_ADMIN`.
    pub(crate) privileged: bool,
    pub(crate) receive_buffer: usize,
    /// `NETLINK_NO_ENOBUFS`.
    pub(crate) ignores_overrun: bool,
    /// Whether its program is gone, although a descriptor is left. Its port id is free again.
    pub(crate) is_detached: bool,
    /// Descriptors that refer to it.
    descriptors: usize,
    waiting: VecDeque<Message>,
    charged: usize,
    overrun: bool,
}

/// A message that waits to be received.
#[derive(Debug)]
struct Message {
    /// The port id of who sent it: 0 is the kernel.
    sender: u32,
    bytes: Vec<u8>,
}

/// What a message costs in a receive buffer, in bytes: the memory that holds it, in powers of two, and the
/// kernel's own record of it. Fitted to the recording: four messages of 112 bytes go into a buffer of 2240.
fn charge(message_len: usize) -> usize {
    const SHARED_INFO: usize = 320;
    const RECORD: usize = 192;
    (message_len + SHARED_INFO).next_power_of_two() + RECORD
}

impl Socket {
    /// Puts a message into the receive buffer; returns it if there is no room for it.
    ///
    /// A buffer that is not yet over its size takes one more message, however large.
    pub(crate) fn deliver(&mut self, sender: u32, bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        if !self.has_room() {
            self.overrun = !self.ignores_overrun;
            return Err(bytes);
        }
        self.charged += charge(bytes.len());
        self.waiting.push_back(Message { sender, bytes });
        Ok(())
    }

    /// Whether a message fits in.
    pub(crate) fn has_room(&self) -> bool {
        self.charged <= self.receive_buffer
    }

    /// Takes out the messages that were not read.
    pub(crate) fn take_messages(&mut self) -> impl Iterator<Item = Vec<u8>> + use<> {
        self.charged = 0;
        core::mem::take(&mut self.waiting).into_iter().map(|message| message.bytes)
    }

    /// Takes the report of a full buffer that is due, if there is one.
    pub(crate) fn take_overrun(&mut self) -> bool {
        core::mem::take(&mut self.overrun)
    }

    /// Whether there is something to receive.
    pub(crate) fn is_readable(&self) -> bool {
        self.overrun || !self.waiting.is_empty()
    }

    /// Takes the next message into `buffer`; `None` if nothing waits. A full buffer is reported once, before the
    /// messages that did fit. The memory of the message goes to `spare`.
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8], spare: &mut Buffers) -> Option<Received> {
        if self.take_overrun() {
            return Some(Received::Overrun);
        }
        if self.waiting.is_empty() {
            return None;
        }
        let Datagram { len, datagram_len, port_id } = self.take(buffer, spare)?;
        Some(match port_id {
            0 if len == datagram_len => Received::Datagram { len },
            0 => Received::Truncated { len, datagram_len },
            port_id => Received::Foreign { port_id },
        })
    }

    /// Takes the next message into `buffer`, whoever sent it; `None` if none waits.
    pub(crate) fn take(&mut self, buffer: &mut [u8], spare: &mut Buffers) -> Option<Datagram> {
        let message = self.waiting.pop_front()?;
        self.charged -= charge(message.bytes.len());
        let datagram = message.copy_to(buffer);
        spare.give(message.bytes);
        Some(datagram)
    }

    /// Copies the next message into `buffer` and leaves it; `None` if none waits.
    pub(crate) fn peek(&mut self, buffer: &mut [u8]) -> Option<Datagram> {
        Some(self.waiting.front()?.copy_to(buffer))
    }
}

impl Message {
    /// Copies as much of it as there is room for.
    fn copy_to(&self, buffer: &mut [u8]) -> Datagram {
        let Self { sender, bytes } = self;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Datagram { len, datagram_len: bytes.len(), port_id: *sender }
    }
}

impl Sockets {
    /// Opens a socket and binds it to `port_id`, or for none and 0 to the first free one above all pids of init
    /// scripts.
    pub(crate) fn open(
        &mut self,
        protocol: Protocol,
        port_id: Option<u32>,
        privileged: bool,
    ) -> Result<SocketKey, Errno> {
        const FIRST_PORT_ID: u32 = 1000;
        const LAST_PORT_ID: u32 = i32::MAX as u32;
        let key = self.open_unbound(protocol, privileged);
        let bound = match port_id.filter(|&port_id| port_id != 0) {
            Some(port_id) => self.bind(key, port_id),
            None => self.bind_first(key, FIRST_PORT_ID..=LAST_PORT_ID),
        };
        if let Err(errno) = bound {
            self.close(key);
            return Err(errno);
        }
        Ok(key)
    }

    /// Opens a socket without a port id.
    pub(crate) fn open_unbound(&mut self, protocol: Protocol, privileged: bool) -> SocketKey {
        SocketKey(self.0.insert(Socket {
            protocol,
            port_id: UNBOUND,
            privileged,
            receive_buffer: DEFAULT_RECEIVE_BUFFER,
            ignores_overrun: false,
            is_detached: false,
            descriptors: 1,
            waiting: VecDeque::new(),
            charged: 0,
            overrun: false,
        }))
    }

    /// Binds a socket to a port id.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` if another one has it, `EINVAL` if this one has another one.
    pub(crate) fn bind(&mut self, key: SocketKey, port_id: u32) -> Result<(), Errno> {
        let Socket { protocol, port_id: bound, .. } = self.0[key.0];
        match bound {
            _ if bound == port_id => Ok(()),
            UNBOUND if self.find(protocol, port_id).is_some() => Err(Errno::EADDRINUSE),
            UNBOUND => {
                self.0[key.0].port_id = port_id;
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Binds a socket to the first of these port ids that is free.
    pub(crate) fn bind_first(
        &mut self,
        key: SocketKey,
        port_ids: impl IntoIterator<Item = u32>,
    ) -> Result<(), Errno> {
        let protocol = self.0[key.0].protocol;
        let mut port_ids = port_ids.into_iter();
        let free = port_ids.find(|&port_id| self.find(protocol, port_id).is_none());
        free.map_or(Err(Errno::EADDRINUSE), |port_id| self.bind(key, port_id))
    }

    /// Adds a descriptor to a socket, as dup(2) does.
    pub(crate) fn duplicate(&mut self, key: SocketKey) {
        self.0[key.0].descriptors += 1;
    }

    /// Whether a socket goes with the next descriptor that is closed.
    pub(crate) fn is_last_descriptor(&self, key: SocketKey) -> bool {
        self.0[key.0].descriptors == 1
    }

    /// Closes one descriptor; with the last one the socket goes.
    pub(crate) fn close(&mut self, key: SocketKey) {
        let socket = &mut self.0[key.0];
        socket.descriptors -= 1;
        if socket.descriptors == 0 {
            self.0.remove(key.0);
        }
    }

    /// Whether a key still names the socket with this port id, and its program is there.
    pub(crate) fn is_open(&self, key: SocketKey, port_id: u32) -> bool {
        self.0.get(key.0).is_some_and(|socket| !socket.is_detached && socket.port_id == port_id)
    }

    /// The sockets in use whose port id `is_wanted`.
    pub(crate) fn open_ones(&self, is_wanted: impl Fn(u32) -> bool) -> Vec<SocketKey> {
        let sockets = self.0.iter().filter(|(_, socket)| !socket.is_detached);
        let wanted = sockets.filter(|(_, socket)| is_wanted(socket.port_id));
        wanted.map(|(key, _)| SocketKey(key)).collect()
    }

    /// The socket of an open descriptor.
    pub(crate) fn get(&mut self, key: SocketKey) -> &mut Socket {
        &mut self.0[key.0]
    }

    /// The socket that is bound to a port id.
    pub(crate) fn find(&self, protocol: Protocol, port_id: u32) -> Option<SocketKey> {
        let mut sockets = self.0.iter().filter(|(_, socket)| socket.has(protocol, port_id));
        sockets.next().map(|(key, _)| SocketKey(key))
    }
}

impl Socket {
    fn has(&self, protocol: Protocol, port_id: u32) -> bool {
        let is_it = self.protocol == protocol && self.port_id == port_id;
        is_it && port_id != UNBOUND && !self.is_detached
    }
}
