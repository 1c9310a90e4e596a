//! Where packets go: [`Routes`].

use core::net::IpAddr;

use ipnet::IpNet;

use crate::device::{DeviceIndex, LOOPBACK};
use crate::headers::Headers;

/// Which destinations are reached by which device. What no route says is this host's own.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    routes: Vec<(IpNet, DeviceIndex)>,
    /// This host's addresses, which are inside the networks that its devices reach.
    own: Vec<IpAddr>,
}

impl Routes {
    /// Sends packets for `destination` out by `device`.
    pub(crate) fn add(&mut self, destination: IpNet, device: DeviceIndex) {
        self.routes.push((destination, device));
    }

    /// Gives this host an address, whose network a device reaches.
    pub(crate) fn add_address(&mut self, address: IpNet, device: DeviceIndex) {
        self.own.push(address.addr());
        self.add(address.trunc(), device);
    }

    /// The device by which a packet goes out: that of a route, or else `lo`.
    pub(crate) fn out(&self, packet: &[u8]) -> DeviceIndex {
        self.out_to(Headers::of(packet).destination)
    }

    /// The same, of a packet for `destination`.
    pub(crate) fn out_to(&self, destination: Option<IpAddr>) -> DeviceIndex {
        destination.and_then(|to| self.device(to)).unwrap_or(LOOPBACK)
    }

    /// The device of the most specific route to `destination`; `None` if it is this host.
    pub(crate) fn device(&self, destination: IpAddr) -> Option<DeviceIndex> {
        if self.own.contains(&destination) {
            return None;
        }
        let routes = self.routes.iter().filter(|(net, _)| net.contains(&destination));
        routes.max_by_key(|(net, _)| net.prefix_len()).map(|&(_, device)| device)
    }
}
