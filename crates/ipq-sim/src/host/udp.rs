//! UDP between simulated hosts: [`UdpSocket`].

use core::net::SocketAddr;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};

use super::{EndpointIndex, Host};
use crate::kernel::Kernel;

/// Datagrams that may wait in either direction, and how many bytes.
const DATAGRAMS: usize = 4096;
const BYTES: usize = 1 << 20;

/// A socket for UDP on a simulated host, from [`Host::udp`]. Nothing here waits: datagrams travel as the kernel runs.
#[derive(Clone, Debug)]
pub struct UdpSocket {
    kernel: Kernel,
    endpoint: EndpointIndex,
    handle: SocketHandle,
    address: SocketAddr,
}

impl Host {
    /// A socket for UDP at `address`, one of this host's; at a free port, if its port is 0.
    ///
    /// # Panics
    ///
    /// If it is none of this host's addresses.
    pub fn udp(&self, address: SocketAddr) -> UdpSocket {
        let (kernel, mut machine, endpoint) = self.endpoint(address.ip());
        let here = machine.endpoints.get(endpoint);
        let port = if address.port() == 0 { here.free_port() } else { address.port() };
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; DATAGRAMS], vec![0; BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        let address = here.at(port);
        socket.bind(address).expect("a new socket can be bound to any port but 0");
        let handle = here.datagram_sockets().add(socket);
        UdpSocket { kernel, endpoint, handle, address }
    }
}

impl UdpSocket {
    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives what it sends a netfilter mark. It has a meaning on the host whose kernel is simulated.
    #[doc(alias = "SO_MARK")]
    pub fn set_mark(&self, mark: u32) {
        let mut machine = self.kernel.lock();
        machine.endpoints.get(self.endpoint).set_mark(self.address.port(), mark);
    }

    /// Sends a datagram; says whether there was room for it.
    pub fn send(&self, to: SocketAddr, payload: &[u8]) -> bool {
        let mut machine = self.kernel.lock();
        let endpoint = machine.endpoints.get(self.endpoint);
        let socket = endpoint.datagram_sockets().get_mut::<Socket<'_>>(self.handle);
        let sent = socket.send_slice(payload, to).is_ok();
        machine.plan_poll(self.endpoint);
        sent
    }

    /// Takes the next datagram that has come, and who sent it.
    pub fn receive(&self) -> Option<(Vec<u8>, SocketAddr)> {
        let mut machine = self.kernel.lock();
        let endpoint = machine.endpoints.get(self.endpoint);
        let socket = endpoint.datagram_sockets().get_mut::<Socket<'_>>(self.handle);
        let (payload, from) = socket.recv().ok()?;
        Some((payload.to_vec(), SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port)))
    }
}
