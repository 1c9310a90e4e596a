//! Where packets go: [`Routes`].

use core::net::IpAddr;

use ipnet::IpNet;

use crate::device::DeviceIndex;

/// Which destinations are reached by which device. What no route says is this host's own.
#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<(IpNet, DeviceIndex)>);

impl Routes {
    /// Sends packets for `destination` out by `device`.
    pub(crate) fn add(&mut self, destination: IpNet, device: DeviceIndex) {
        self.0.push((destination, device));
    }

    /// The device of the most specific route to `destination`; `None` if it is this host.
    pub(crate) fn device(&self, destination: IpAddr) -> Option<DeviceIndex> {
        let routes = self.0.iter().filter(|(net, _)| net.contains(&destination));
        routes.max_by_key(|(net, _)| net.prefix_len()).map(|&(_, device)| device)
    }
}
