//! The network of the kernel that runs the tests: a namespace for each test, in which UDP to the loopback device is queued
//! by `nfnetlink_queue`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::net::UdpSocket;

use ipq::{Options, Queue};
use ipq_proto::Family;
use ipq_tests::namespace::{self, Outcome, Skipped, tool};

use crate::network::Network;

/// How long nothing has to come for there to be nothing: what comes over the loopback device is there at once.
const QUIET: Duration = Duration::from_millis(200);

/// Runs `body`, the whole of the test with this path, in a network of its own.
pub(crate) fn run(path: &str, body: impl FnOnce(&mut dyn Network) -> Outcome) {
    // What is built is built here, and not in a child that has another user.
    if let Err(Skipped(reason)) = ipq_tests::programs::prefix() {
        eprintln!("skipped: {path}: {reason}");
        return;
    }
    namespace::run(path, || body(&mut Real::new()?));
}

/// The real thing.
struct Real {
    from: [UdpSocket; 2],
    to: [UdpSocket; 2],
}

impl Real {
    fn new() -> Result<Self, Skipped> {
        tool("ip", &["link", "set", "lo", "up"])?;
        let open =
            Queue::open(ipq::TransportName::Nfqueue { first: 0, last: 0 }, Options::default());
        open.map_err(|error| Skipped(error.to_string()))?;
        for command in ["iptables", "ip6tables"] {
            let rule = ["-A", "OUTPUT", "-p", "udp", "-j", "NFQUEUE", "--queue-num", "0"];
            tool(command, &rule)?;
        }
        let bound = || Family::ALL.map(|family| UdpSocket::bind((loopback(family), 0)).unwrap());
        let (from, to) = (bound(), bound());
        for socket in &to {
            socket.set_nonblocking(true).unwrap();
        }
        Ok(Self { from, to })
    }
}

fn loopback(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    }
}

impl Network for Real {
    fn transport(&self) -> String {
        "auto".to_owned()
    }

    fn send(&mut self, family: Family, text: &str) {
        let to = self.to[family as usize].local_addr().unwrap();
        self.from[family as usize].send_to(text.as_bytes(), to).unwrap();
    }

    fn receive(&mut self) -> Option<String> {
        use nix::poll::{PollFd, PollFlags, poll};
        use std::os::fd::AsFd;
        let mut buffer = [0; 2048];
        let polled =
            self.to.each_ref().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        poll(&mut { polled }, u16::try_from(QUIET.as_millis()).unwrap()).unwrap();
        let len = self.to.iter().find_map(|socket| socket.recv(&mut buffer).ok())?;
        Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
    }

    fn has_marks(&self) -> bool {
        true
    }

    fn has_receive_buffer(&self) -> bool {
        true
    }
}
