//! Echo requests and their answers, over raw sockets.

use core::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type};
use etherparse::{Icmpv6Header, LaxSlicedPacket, TransportSlice};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::support::PATIENCE;

/// What all requests have in common.
const ID: u16 = 0x1b90;

/// Sends a request with this number; returns the socket that the answer comes to.
pub(super) fn request(to: IpAddr, number: u16) -> OwnedFd {
    let echo = IcmpEchoHeader { id: ID, seq: number };
    let (family, protocol, message) = match to {
        IpAddr::V4(_) => {
            let header = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), b"ping");
            (AddressFamily::Inet, SockProtocol::Icmp, header.to_bytes().to_vec())
        }
        IpAddr::V6(_) => {
            // The kernel fills in the checksum.
            let header = Icmpv6Header::new(Icmpv6Type::EchoRequest(echo));
            (AddressFamily::Inet6, SockProtocol::IcmpV6, header.to_bytes().to_vec())
        }
    };
    let message = [&message[..], b"ping"].concat();
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap();
    let patience = TimeVal::milliseconds(i64::try_from(PATIENCE.as_millis()).unwrap());
    setsockopt(&socket, sockopt::ReceiveTimeout, &patience).unwrap();
    let to = SockaddrStorage::from(SocketAddr::new(to, 0));
    sendto(socket.as_raw_fd(), &message, &to, MsgFlags::empty()).unwrap();
    socket
}

/// Whether the request with this number is answered.
pub(super) fn is_answered(socket: &OwnedFd, number: u16) -> bool {
    let mut buffer = [0; 2048];
    while let Ok(len) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        // IPv4 brings its header along, IPv6 does not.
        let message = &buffer[..len];
        let ipv4 = LaxSlicedPacket::from_ip(message).ok().filter(|_| message[0] >> 4 == 4);
        let echo = match ipv4.and_then(|packet| packet.transport) {
            Some(TransportSlice::Icmpv4(icmp)) => echo_v4(&icmp),
            _ => Icmpv6Slice::from_slice(message).ok().and_then(|icmp| echo_v6(&icmp)),
        };
        if echo.is_some_and(|echo| (echo.id, echo.seq) == (ID, number)) {
            return true;
        }
    }
    false
}

fn echo_v4(icmp: &Icmpv4Slice<'_>) -> Option<IcmpEchoHeader> {
    match icmp.icmp_type() {
        Icmpv4Type::EchoReply(echo) => Some(echo),
        _ => None,
    }
}

fn echo_v6(icmp: &Icmpv6Slice<'_>) -> Option<IcmpEchoHeader> {
    match icmp.icmp_type() {
        Icmpv6Type::EchoReply(echo) => Some(echo),
        _ => None,
    }
}
