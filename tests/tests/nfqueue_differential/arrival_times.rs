//! Times of arrival: the real kernel notes them only while somebody wants to know.

use core::net::Ipv4Addr;
use core::ops::Range;
use std::io::IoSlice;
use std::net::UdpSocket;

use ipq_proto::Family;
use ipq_proto::netlink::attribute::{self, attributes};
use ipq_proto::netlink::{HEADER_LEN, Message};
use ipq_proto::nfqueue::{Generic, PACKET};
use ipq_sys::{Deadline, NetlinkSocket, Protocol, Received, SocketOptions, Transport};
use ipq_tests::namespace::{Outcome, Skipped};
use nix::sys::socket::{setsockopt, sockopt};
use zerocopy::NativeEndian;

use crate::kernels::PATIENCE;
use crate::network::iptables;
use crate::request::Request;

/// A queue that no test has, and a port that packets to it have.
const NUMBER: u16 = 65_000;
const PORT: u16 = 9;

/// Has the real kernel note when packets arrive, for as long as the socket is there. That begins a while after it was
/// asked for.
pub(crate) fn noted() -> Result<UdpSocket, Skipped> {
    let asks = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    setsockopt(&asks, sockopt::ReceiveTimestamp, &true).unwrap();
    let queue = NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default());
    let mut queue = queue.map_err(|error| Skipped(error.to_string()))?;
    let bind = Request::config(NUMBER).flags(1).bind().mode(1, 0).bytes(1);
    queue.send(&[IoSlice::new(&bind)]).unwrap();
    rule("-A")?;
    let end = queue.now() + PATIENCE;
    let mut buffer = [0; 1024];
    loop {
        asks.send_to(b"", (Ipv4Addr::LOCALHOST, PORT)).unwrap();
        let received = queue.receive(&mut buffer, Deadline::At(end)).unwrap();
        let Received::Datagram { len } = received else {
            panic!("the real kernel never notes arrival times: {received:?}");
        };
        if place(&buffer[..len]).is_some() {
            rule("-D")?;
            return Ok(asks);
        }
    }
}

/// Adds or deletes the rule to the queue.
fn rule(action: &str) -> Outcome {
    let (number, port) = (NUMBER.to_string(), PORT.to_string());
    let condition = ["-t", "raw", action, "PREROUTING", "-p", "udp", "--dport", &port];
    let target = ["-j", "NFQUEUE", "--queue-num", &number];
    iptables(Family::Ipv4, &[&condition[..], &target].concat())
}

/// Where the time of arrival is in the message of a packet. It is nobody's but the one kernel's.
pub(crate) fn place(message: &[u8]) -> Option<Range<usize>> {
    const TIMESTAMP: u16 = 4;
    const HEADERS: usize = HEADER_LEN + size_of::<Generic>();
    let (message, _) = Message::decode::<NativeEndian>(message).ok()?;
    if message.header.message_type != PACKET {
        return None;
    }
    let mut attributes = attributes::<NativeEndian>(message.body.get(size_of::<Generic>()..)?);
    let time = attributes.find_map(|attribute| attribute.ok().filter(|at| at.kind == TIMESTAMP))?;
    let start = HEADERS + time.offset + attribute::HEADER_LEN;
    Some(start..start + time.data.len())
}
