//! What a TCP/IP stack sends by and receives from: [`Port`].

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// A link without a link layer, of which the simulated network holds the other end.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) mtu: usize,
    /// What has come, and the stack has not yet seen.
    pub(super) received: VecDeque<Vec<u8>>,
    /// What the stack has sent, and the network has not yet fetched.
    pub(super) sent: Vec<Vec<u8>>,
}

impl Port {
    pub(super) fn new(mtu: usize) -> Self {
        Self { mtu, received: VecDeque::new(), sent: Vec::new() }
    }
}

impl Device for Port {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let data = self.received.pop_front()?;
        Some((Incoming(data), Outgoing(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// A packet on its way into the stack.
pub(super) struct Incoming(Vec<u8>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// Room for a packet on its way out of it.
pub(super) struct Outgoing<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut data = vec![0; len];
        let result = write(&mut data);
        self.0.push(data);
        result
    }
}
