//! The programs of a conversation with one protocol, and their sockets: [`Programs`].

use std::collections::BTreeMap;
use std::io::IoSlice;

use ipq_sim::{Kernel, Socket, SocketOptions};
use ipq_sys::{Deadline, Error, Protocol, Received, Transport};

/// Everybody who has a socket of the protocol, by its port id.
#[derive(Debug)]
pub(super) struct Programs {
    kernel: Kernel,
    protocol: Protocol,
    sockets: BTreeMap<u32, Socket>,
}

impl Programs {
    pub(super) fn new(kernel: &Kernel, protocol: Protocol) -> Self {
        Self { kernel: kernel.clone(), protocol, sockets: BTreeMap::new() }
    }

    /// Opens another socket.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, for example because the port id is taken.
    pub(super) fn open(&mut self, port_id: u32, privileged: bool) -> Result<(), Error> {
        let options =
            SocketOptions { port_id: Some(port_id), privileged, ..SocketOptions::default() };
        let socket = self.kernel.open_socket_for(self.protocol, options)?;
        self.sockets.insert(port_id, socket);
        Ok(())
    }

    /// The socket with a port id, if it is open.
    pub(super) fn socket(&mut self, port_id: u32) -> Option<&mut Socket> {
        self.sockets.get_mut(&port_id)
    }

    /// Sends from the socket with a port id. Who was silent so far opens it now.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or sending fails.
    pub(super) fn send(&mut self, port_id: u32, datagram: &[u8]) -> Result<(), Error> {
        if !self.sockets.contains_key(&port_id) {
            self.open(port_id, true)?;
        }
        self.socket(port_id).map_or(Ok(()), |socket| socket.send(&[IoSlice::new(datagram)]))
    }

    /// What is there to receive for the socket with a port id; an error text if there is no such socket.
    pub(super) fn receive(&mut self, port_id: u32, buffer: &mut [u8]) -> Result<Received, String> {
        let socket = self.socket(port_id).ok_or_else(|| format!("no socket {port_id}"))?;
        socket.receive(buffer, Deadline::Immediate).map_err(|error| error.to_string())
    }

    /// The port ids of all sockets.
    pub(super) fn port_ids(&self) -> Vec<u32> {
        self.sockets.keys().copied().collect()
    }

    /// Duplicates the descriptor of a socket and closes the first one.
    pub(super) fn replace_descriptor(&mut self, port_id: u32) {
        if let Some(socket) = self.sockets.get_mut(&port_id) {
            *socket = socket.duplicate();
        }
    }

    /// Closes a socket.
    pub(super) fn close(&mut self, port_id: u32) {
        self.sockets.remove(&port_id);
    }

    /// Closes all sockets.
    pub(super) fn exit(&mut self) {
        self.sockets.clear();
    }
}
