//! Echo requests between simulated hosts: [`Ping`].

use core::net::IpAddr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp::{Endpoint as Bound, PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{
    Icmpv4Message, Icmpv4Packet, Icmpv4Repr, Icmpv6Message, Icmpv6Packet, Icmpv6Repr,
};

use super::{EndpointIndex, Host};
use crate::kernel::Kernel;

/// Room for one answer, in bytes, its data included.
pub(super) const ROOM: usize = 1 << 16;

/// Bytes of an echo request before its data.
pub(super) const HEADER_LEN: usize = 8;

/// An echo request that was sent, from [`Host::ping`].
#[derive(Clone, Debug)]
pub struct Ping {
    kernel: Kernel,
    endpoint: EndpointIndex,
    /// Where its answer arrives.
    sink: usize,
}

impl Host {
    /// Sends an echo request with 56 bytes of data, as ping(8) does.
    ///
    /// # Panics
    ///
    /// If this host has no address of that family.
    #[doc(alias("ICMP_ECHO", "ICMPV6_ECHO_REQUEST"))]
    pub fn ping(&self, to: IpAddr) -> Ping {
        self.ping_with(to, &[0x2a; 56])
    }

    /// Sends an echo request with this data, at most 65,400 bytes.
    ///
    /// # Panics
    ///
    /// If this host has no address of that family, or the data are longer.
    pub fn ping_with(&self, to: IpAddr, data: &[u8]) -> Ping {
        let from = self.address_towards(to);
        let (kernel, mut machine, endpoint) = self.endpoint(from);
        let here = machine.endpoints.get(endpoint);
        let ident = here.free_port();
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 4], vec![0; ROOM]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.bind(Bound::Ident(ident)).expect("a new socket can be bound");
        let request = request(from, to, (ident, 1), data);
        socket.send_slice(&request, to.into()).expect("an echo request fits into an empty buffer");
        let handle = here.datagram_sockets().add(socket);
        let sink = here.sink_of_pings(handle, data);
        machine.plan_poll(endpoint);
        Ping { kernel, endpoint, sink }
    }
}

/// An echo request. The stack fills in its checksum.
pub(super) fn request(
    from: IpAddr,
    to: IpAddr,
    (ident, seq_no): (u16, u16),
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN + data.len()];
    let checksums = ChecksumCapabilities::default();
    if let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) {
        let request = Icmpv6Repr::EchoRequest { ident, seq_no, data };
        request.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(&mut bytes), &checksums);
    } else {
        let request = Icmpv4Repr::EchoRequest { ident, seq_no, data };
        request.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes), &checksums);
    }
    bytes
}

/// Whether a message of ICMP is an echo reply.
pub(super) fn is_reply(message: &[u8]) -> bool {
    let types = [Icmpv4Message::EchoReply.into(), Icmpv6Message::EchoReply.into()];
    // No type of one family is a reply in the other.
    message.first().is_some_and(|first| types.contains(first))
}

impl Ping {
    /// Whether the answer has come.
    pub fn is_answered(&self) -> bool {
        self.kernel.lock().endpoints.get(self.endpoint).sink_counts(self.sink).received > 0
    }
}
