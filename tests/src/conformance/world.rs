//! Where a conversation is replayed: [`World`].

use ipq_proto::{DeviceName, Errno, Family};
use ipq_sys::{IpQueueStatus, Protocol, Received};

/// A machine, with programs that have netlink sockets, a network, and files. Sockets are named by their port id.
pub(super) trait World {
    /// Opens a socket and binds it to a port id.
    fn open(&mut self, protocol: Protocol, port_id: u32, privileged: bool) -> Result<(), Errno>;

    /// Closes a socket.
    fn close(&mut self, protocol: Protocol, port_id: u32);

    /// The port ids of all sockets of a protocol.
    fn port_ids(&self, protocol: Protocol) -> Vec<u32>;

    /// Sends from the socket with a port id. Who was silent so far opens it now.
    fn send(&mut self, protocol: Protocol, port_id: u32, datagram: &[u8]) -> Result<(), String>;

    /// What is there to receive for the socket with a port id; an error text if there is no such socket.
    fn receive(
        &mut self,
        protocol: Protocol,
        port_id: u32,
        buffer: &mut [u8],
    ) -> Result<Received, String>;

    /// Sets the size of a socket's receive buffer, as the kernel counts.
    fn set_receive_buffer(
        &mut self,
        protocol: Protocol,
        port_id: u32,
        bytes: usize,
    ) -> Result<(), String>;

    /// Has a socket not report that its receive buffer was full.
    fn ignore_overruns(&mut self, protocol: Protocol, port_id: u32) -> Result<(), String>;

    /// Duplicates the descriptor of a socket and closes the first one.
    fn replace_descriptor(&mut self, protocol: Protocol, port_id: u32);

    /// What `/proc` says; `None` if there is no module.
    fn status(&mut self, family: Family) -> Option<IpQueueStatus>;

    /// Writes to the sysctl of the maximum length.
    fn set_max_length(&mut self, family: Family, packets: u32);

    /// What packets are sent and arrive in.
    fn network(&mut self) -> &mut dyn Network;
}

/// The network of a machine.
pub(super) trait Network {
    /// A conversation begins: `lo` is up, and what was delivered before is forgotten.
    fn begin(&mut self, family: Family);

    /// Lets happen what is to happen by itself.
    fn run(&mut self);

    /// Sends a UDP datagram to this host itself.
    fn transmit(&mut self, family: Family, data: &[u8]);

    /// The data of the next UDP datagram that arrived, which is `expected` or not.
    fn delivered(&mut self, family: Family, is_expected: bool) -> Option<Vec<u8>>;

    /// Takes a device down.
    fn device_down(&mut self, name: DeviceName);
}
