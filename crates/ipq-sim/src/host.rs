//! Hosts with a TCP/IP stack, at the ends of the simulated network: [`Host`].

mod endpoint;
mod endpoints;
mod flow;
mod ping;
mod port;
mod tcp;
mod udp;

use core::net::IpAddr;
use std::sync::MutexGuard;

use ipq_proto::Family;

use crate::kernel::Kernel;
use crate::machine::Machine;

pub(crate) use endpoints::{EndpointIndex, Endpoints};
pub(crate) use flow::{Beat, Exchange, Flows};
pub use ping::Ping;
pub use tcp::{TcpListener, TcpStream, Transfer};
pub use udp::UdpSocket;

/// A host of the simulated network: the one whose kernel is simulated, or another one at the end of a device's link.
///
/// It has a real TCP/IP stack: what one host sends reaches the other as packets that pass the hooks of the kernel
/// between them, and the queue. It does nothing by itself but as the kernel runs.
///
/// ```
/// use core::net::SocketAddr;
/// use ipq_sim::{Device, Fate, Kernel};
///
/// let kernel = Kernel::builder()
///     .device(Device::ethernet("eth0").address("10.0.0.1/24".parse()?))
///     .device(Device::ethernet("eth1").address("10.0.1.1/24".parse()?))
///     .build();
/// let client = kernel.host("eth0", ["10.0.0.2".parse()?]);
/// let server = kernel.host("eth1", ["10.0.1.2".parse()?]);
/// let there = server.udp("10.0.1.2:53".parse()?);
/// client.udp("10.0.0.2:0".parse()?).send(there.address(), b"hello");
/// kernel.run();
/// let (text, from) = there.receive().expect("nothing holds it up");
/// assert_eq!((&text[..], from.ip()), (&b"hello"[..], "10.0.0.2".parse()?));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Host {
    kernel: Kernel,
    /// The addresses of another host; `None` for this one, whose devices have them.
    addresses: Option<Vec<IpAddr>>,
}

impl Kernel {
    /// Adds a host at the other end of a device's link. It reaches everything by this kernel, which forwards.
    ///
    /// Where no route leads to one of its addresses, one is added.
    ///
    /// # Panics
    ///
    /// If there is no such device, or another host has one of the addresses.
    pub fn host(&self, device: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Host {
        let addresses: Vec<_> = addresses.into_iter().collect();
        let mut machine = self.lock();
        let device = machine.devices.index(device);
        machine.add_host(device, &addresses);
        drop(machine);
        Host { kernel: self.clone(), addresses: Some(addresses) }
    }

    /// The host whose kernel this is: its sockets send by `LOCAL_OUT` and receive by `LOCAL_IN`.
    pub fn local_host(&self) -> Host {
        self.lock().endpoints.answer_here();
        Host { kernel: self.clone(), addresses: None }
    }
}

impl Host {
    /// Its addresses. Those of this kernel's host are those of its devices, `lo`'s last.
    pub fn addresses(&self) -> Vec<IpAddr> {
        if let Some(addresses) = &self.addresses {
            return addresses.clone();
        }
        let machine = self.kernel.lock();
        let mut addresses: Vec<_> = machine.devices.addresses().map(|net| net.addr()).collect();
        addresses.sort_by_key(IpAddr::is_loopback);
        addresses
    }

    /// Its first address of a family.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn address(&self, family: Family) -> IpAddr {
        let of_family = |address: &IpAddr| address.is_ipv4() == (family == Family::Ipv4);
        let address = self.addresses().into_iter().find(of_family);
        address.unwrap_or_else(|| panic!("the host has no address of {family}"))
    }

    /// Says whose its sockets are: the user and group that a queue may tell of packets made here. Root's, at first.
    #[doc(alias("NFQA_UID", "NFQA_GID"))]
    pub fn set_owner(&self, uid: u32, gid: u32) {
        self.kernel.lock().endpoints.set_owner(uid, gid);
    }

    /// The kernel, and the endpoint of one of this host's addresses.
    fn endpoint(&self, address: IpAddr) -> (Kernel, MutexGuard<'_, Machine>, EndpointIndex) {
        let mut machine = self.kernel.lock();
        let endpoint = match &self.addresses {
            None => machine.local_endpoint(address),
            Some(own) => machine.endpoints.find(address).filter(|_| own.contains(&address)),
        };
        let endpoint =
            endpoint.unwrap_or_else(|| panic!("{address} is none of this host's addresses"));
        (self.kernel.clone(), machine, endpoint)
    }

    /// The address from which this host talks to another one.
    pub(crate) fn address_towards(&self, to: IpAddr) -> IpAddr {
        let family = if to.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        match &self.addresses {
            Some(_) => self.address(family),
            None => self.kernel.lock().source_towards(to),
        }
    }
}
