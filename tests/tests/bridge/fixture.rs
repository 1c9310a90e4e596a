//! A program with a bridge, and a network where rules queue what it sends.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use ipq_bridge::{Bridge, Options};
use ipq_proto::ip_queue::{self, MODE, Message, ModeMsg, VERDICT, VerdictMsg};
use ipq_proto::netlink::{Body, Flags, Framed, Header, MessageType};
use ipq_proto::{CopyMode, DataModel, Family, Verdict};
use ipq_sys::{Deadline, NetlinkSocket, Received, Transport};
use ipq_tests::namespace::{Outcome, Skipped, tool};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use zerocopy::{Immutable, IntoBytes};

/// How long to wait for what must come. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes tests of these functions, each in a network of its own.
macro_rules! in_own_networks {
    ($($body:ident),+ $(,)?) => {
        mod in_a_network_of_its_own {
            $(
                #[test]
                fn $body() {
                    let name = concat!(module_path!(), "::", stringify!($body));
                    ipq_tests::namespace::run(name, super::$body);
                }
            )+
        }
    };
}
pub(crate) use in_own_networks;

/// The program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) bridge: Bridge<NetlinkSocket>,
    sequence: u32,
}

/// What this host sends to itself on port 9999 goes to `queue` first.
pub(crate) fn queue_output(family: Family, queue: u16) -> Outcome {
    tool("ip", &["link", "set", "lo", "up"])?;
    let iptables = match family {
        Family::Ipv4 => "iptables-nft",
        Family::Ipv6 => "ip6tables-nft",
    };
    let queue = queue.to_string();
    let rule = ["-A", "OUTPUT", "-p", "udp", "--dport", "9999", "-j", "NFQUEUE", "--queue-num"];
    tool(iptables, &[&rule[..], &[&queue]].concat())
}

impl Program {
    pub(crate) fn open(queue: u16, family: Family) -> Result<Self, Skipped> {
        match ipq_bridge::open(queue, family, Options::default()) {
            Ok(bridge) => Ok(Self { bridge, sequence: 0 }),
            Err(error) => Err(Skipped(error.to_string())),
        }
    }

    fn request<B: Body + IntoBytes + Immutable>(
        &mut self,
        message_type: MessageType,
        flags: Flags,
        body: B,
        data: &[u8],
    ) {
        self.sequence += 1;
        let header = Header::new(message_type, flags, self.sequence, self.bridge.port_id());
        let framed = Framed::new(header, body, data.len()).unwrap();
        self.bridge.send(&[IoSlice::new(framed.as_bytes()), IoSlice::new(data)]).unwrap();
    }

    pub(crate) fn set_mode(&mut self, mode: CopyMode, flags: Flags) {
        self.request(MODE, flags, ModeMsg::<ipq_proto::Native>::new(mode), &[]);
    }

    pub(crate) fn decide(&mut self, id: u64, verdict: Verdict, flags: Flags, data: &[u8]) {
        let message = VerdictMsg::<ipq_proto::Native>::new(id, verdict, data.len() as u64).unwrap();
        self.request(VERDICT, flags, message, data);
    }

    /// Sends a verdict that no `ip_queue` knows, with a mark.
    pub(crate) fn decide_marked(&mut self, id: u64, verdict: Verdict, mark: u32) {
        self.sequence += 1;
        let header = Header::new(VERDICT, Flags::REQUEST, self.sequence, self.bridge.port_id());
        let body = VerdictMsg::<ipq_proto::Native>::new(id, verdict, 0).unwrap();
        let framed = Framed::new(header, body, 0).unwrap();
        self.bridge.send_marked(&[IoSlice::new(framed.as_bytes())], mark).unwrap();
    }

    /// The next message; panics if none comes.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let mut buffer = vec![0xa5; 1 << 17];
        let deadline = Deadline::after(self.bridge.now(), Some(PATIENCE));
        match self.bridge.receive(&mut buffer, deadline) {
            Ok(Received::Datagram { len }) => buffer[..len].to_vec(),
            other => panic!("no datagram but {other:?}"),
        }
    }

    /// The next message, which announces a packet: its id and payload.
    pub(crate) fn packet(&mut self) -> (u64, Vec<u8>) {
        let bytes = self.receive();
        match ip_queue::datagram(DataModel::NATIVE, &bytes) {
            Ok((_, Message::Packet(packet))) => (packet.id, packet.payload.to_vec()),
            other => panic!("no packet but {other:?}"),
        }
    }

    /// Whether poll(2) says that there is something to receive.
    pub(crate) fn is_readable(&self) -> bool {
        let descriptor = self.bridge.descriptor().unwrap();
        let mut polled = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::ZERO).unwrap() > 0
    }
}

/// Two sockets of this host: what the first one sends, the second one gets, if it is let.
pub(crate) fn datagram_pair(family: Family) -> (UdpSocket, UdpSocket) {
    let here: IpAddr = match family {
        Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    };
    let to = UdpSocket::bind((here, 9999)).unwrap();
    let from = UdpSocket::bind((here, 0)).unwrap();
    from.connect((here, 9999)).unwrap();
    to.set_read_timeout(Some(PATIENCE)).unwrap();
    (from, to)
}
