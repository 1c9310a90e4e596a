//! The bridge, over `nfnetlink_queue` of a simulated kernel or of the real one: [`Bridged`].

use std::collections::BTreeMap;
use std::net::UdpSocket;

use ipq_bridge::{BridgedKernel, Options};
use ipq_proto::ip_queue::{MODE, ModeMsg};
use ipq_proto::netlink::{Flags, Framed, Header};
use ipq_proto::{CopyMode, DataModel, DeviceName, Errno, Family, Hook};
use ipq_sim::{Kernel, Match, Socket, SocketOptions, Target};
use ipq_sys::unix::{Opener, ServedKernel, SocketId, SocketOption};
use ipq_sys::{IpQueueStatus, KernelStatus, NetlinkSocket, Protocol, Received, Transport};
use zerocopy::IntoBytes;

use super::simulated::SimulatedNetwork;
use super::traffic::{PATIENCE, PORT, loopback};
use super::world::{Network, World};
use super::{MODEL, Model};
use crate::namespace::{Outcome, Skipped, tool};

/// The queue for IPv4, and that for IPv6. Not the first ones, so that a forgotten number shows.
const QUEUES: [u16; 2] = [4, 6];

/// Programs with sockets of a bridge, and a network below it.
#[derive(Debug)]
pub(super) struct Bridged<T, N> {
    kernel: BridgedKernel<T>,
    network: N,
    /// By protocol number and port id.
    sockets: BTreeMap<(i32, u32), SocketId>,
    /// What a message costs in a receive buffer, in bytes.
    price: usize,
}

/// What a message cost in a receive buffer of the recorded kernel, in bytes: four had room in 2240.
const RECORDED_PRICE: usize = 500;

/// That of the network namespace which this process is in.
#[derive(Debug)]
pub(super) struct RealNetwork {
    /// IPv4, then IPv6: who sends, and who receives.
    sockets: [(UdpSocket, UdpSocket); 2],
}

impl Bridged<Socket, SimulatedNetwork> {
    /// Over a simulated kernel of today.
    pub(super) fn simulated() -> Self {
        let kernel = Kernel::builder().data_model(MODEL).build();
        for family in Family::ALL {
            let condition = Match::any().family(family);
            kernel.rule(Hook::LocalOut, condition, Target::nfqueue(queue(family)));
        }
        let own = kernel.clone();
        let open = move |family| {
            let socket = own.open_socket_for(Protocol::Netfilter, SocketOptions::default())?;
            Ok((socket, queue(family), Options::default()))
        };
        let network = SimulatedNetwork::new(kernel);
        // Its buffers are counted as those of the recorded kernel, and half of what a real kernel would grant.
        Self::new(BridgedKernel::new(MODEL, open), network, 2 * RECORDED_PRICE)
    }
}

impl Bridged<NetlinkSocket, RealNetwork> {
    /// Over the kernel that this program runs on, whose network must be one of its own.
    pub(super) fn real() -> Result<Self, Skipped> {
        if DataModel::NATIVE != MODEL {
            return Err(Skipped(format!("the recordings are of {MODEL} kernels")));
        }
        let network = RealNetwork::new()?;
        let kernel = || BridgedKernel::on_this_kernel(QUEUES, Options::default());
        let mut world = Self::new(kernel(), network, RECORDED_PRICE);
        // A kernel that has no such queue shows now.
        if let Err(errno) = world.open(Protocol::Firewall, 1, true) {
            let problems = world.kernel.problems().iter().map(ToString::to_string);
            let problems: Vec<_> = problems.chain([errno.to_string()]).collect();
            return Err(Skipped(problems.join("; ")));
        }
        // Without its counters half of what is to be compared is missing.
        if let Some(problem) = KernelStatus::read().problems.pop() {
            return Err(Skipped(problem));
        }
        let price = world.measured_price();
        Ok(Self::new(kernel(), world.network, price))
    }

    /// What a message about a packet costs in a receive buffer of this kernel, by how many fill one.
    fn measured_price(&mut self) -> usize {
        const BUFFER_LEN: usize = 1 << 16;
        const MORE_THAN_FIT: usize = 400;
        let mode = ModeMsg::<Model>::new(CopyMode::Metadata);
        let header = Header::new(MODE, Flags::REQUEST, 0, 1);
        let request = Framed::new(header, mode, 0).expect("a few bytes have a length");
        self.set_receive_buffer(Protocol::Firewall, 1, BUFFER_LEN).expect("the socket is open");
        self.send(Protocol::Firewall, 1, request.as_bytes()).expect("the socket is open");
        for _ in 0..MORE_THAN_FIT {
            self.network.transmit(Family::Ipv4, b"");
        }
        let status = self.status(Family::Ipv4);
        let fitting = status.and_then(|status| usize::try_from(status.queue_length).ok());
        BUFFER_LEN / fitting.unwrap_or_default().clamp(1, MORE_THAN_FIT)
    }
}

impl<T: Transport, N: Network> Bridged<T, N> {
    fn new(kernel: BridgedKernel<T>, network: N, price: usize) -> Self {
        Self { kernel, network, sockets: BTreeMap::new(), price }
    }

    fn socket(&self, protocol: Protocol, port_id: u32) -> Result<SocketId, String> {
        let socket = self.sockets.get(&(protocol.number(), port_id));
        socket.copied().ok_or_else(|| format!("no socket {port_id}"))
    }

    fn set_option(
        &mut self,
        (protocol, port_id): (Protocol, u32),
        option: SocketOption,
        value: u32,
    ) -> Result<(), String> {
        let socket = self.socket(protocol, port_id)?;
        self.kernel.set_option(socket, option, value).map_err(|errno| errno.to_string())
    }
}

impl<T: Transport, N: Network> World for Bridged<T, N> {
    fn open(&mut self, protocol: Protocol, port_id: u32, privileged: bool) -> Result<(), Errno> {
        let socket = self.kernel.open(protocol, Opener { process: port_id, privileged })?;
        if let Err(errno) = self.kernel.bind(socket, port_id) {
            self.kernel.close(socket);
            return Err(errno);
        }
        self.sockets.insert((protocol.number(), port_id), socket);
        Ok(())
    }

    fn close(&mut self, protocol: Protocol, port_id: u32) {
        if let Some(socket) = self.sockets.remove(&(protocol.number(), port_id)) {
            self.kernel.close(socket);
        }
    }

    fn port_ids(&self, protocol: Protocol) -> Vec<u32> {
        let own = self.sockets.keys().filter(|(number, _)| *number == protocol.number());
        own.map(|&(_, port_id)| port_id).collect()
    }

    fn send(&mut self, protocol: Protocol, port_id: u32, datagram: &[u8]) -> Result<(), String> {
        if self.socket(protocol, port_id).is_err() {
            self.open(protocol, port_id, true).map_err(|errno| errno.to_string())?;
        }
        let sent = self.kernel.send(self.socket(protocol, port_id)?, 0, datagram);
        self.network.run();
        sent.map_err(|errno| errno.to_string())
    }

    fn receive(
        &mut self,
        protocol: Protocol,
        port_id: u32,
        buffer: &mut [u8],
    ) -> Result<Received, String> {
        let socket = self.socket(protocol, port_id)?;
        // poll(2) tells no lies.
        let is_readable = self.kernel.is_readable(socket);
        let received = self.kernel.receive(socket, buffer, false);
        assert_eq!(is_readable, received != Err(Errno::EAGAIN));
        match received {
            Ok(datagram) if datagram.port_id != 0 => {
                Ok(Received::Foreign { port_id: datagram.port_id })
            }
            Ok(datagram) if datagram.len < datagram.datagram_len => {
                Ok(Received::Truncated { len: datagram.len, datagram_len: datagram.datagram_len })
            }
            Ok(datagram) => Ok(Received::Datagram { len: datagram.len }),
            Err(Errno::EAGAIN) => Ok(Received::TimedOut),
            Err(Errno::ENOBUFS) => Ok(Received::Overrun),
            Err(errno) => Err(errno.to_string()),
        }
    }

    fn set_receive_buffer(
        &mut self,
        protocol: Protocol,
        port_id: u32,
        bytes: usize,
    ) -> Result<(), String> {
        // There is to be room for as many messages. Twice of what is asked for is granted.
        let asked = bytes * self.price / RECORDED_PRICE / 2;
        let asked = u32::try_from(asked).unwrap_or(u32::MAX);
        self.set_option((protocol, port_id), SocketOption::RECEIVE_BUFFER, asked)
    }

    fn ignore_overruns(&mut self, protocol: Protocol, port_id: u32) -> Result<(), String> {
        self.set_option((protocol, port_id), SocketOption::IGNORE_OVERRUNS, 1)
    }

    /// The server that has the kernel closes a socket with the last of its descriptors.
    fn replace_descriptor(&mut self, _: Protocol, _: u32) {}

    fn status(&mut self, family: Family) -> Option<IpQueueStatus> {
        let name = match family {
            Family::Ipv4 => "/proc/net/ip_queue",
            Family::Ipv6 => "/proc/net/ip6_queue",
        };
        let text = self.kernel.read_file(name).ok()?;
        IpQueueStatus::parse(family, core::str::from_utf8(&text).ok()?).ok()
    }

    fn set_max_length(&mut self, family: Family, packets: u32) {
        let name = match family {
            Family::Ipv4 => "/proc/sys/net/ipv4/ip_queue_maxlen",
            Family::Ipv6 => "/proc/sys/net/ipv6/ip6_queue_maxlen",
        };
        let text = format!("{}\n", packets.cast_signed());
        self.kernel.write_file(name, text.as_bytes()).expect("the sysctl takes an int");
    }

    fn network(&mut self) -> &mut dyn Network {
        &mut self.network
    }
}

impl RealNetwork {
    fn new() -> Result<Self, Skipped> {
        tool("ip", &["link", "set", "lo", "up"])?;
        let port = PORT.to_string();
        for (family, number) in Family::ALL.into_iter().zip(QUEUES) {
            let [nft, legacy] = match family {
                Family::Ipv4 => ["iptables-nft", "iptables-legacy"],
                Family::Ipv6 => ["ip6tables-nft", "ip6tables-legacy"],
            };
            let number = number.to_string();
            let rule = ["-A", "OUTPUT", "-p", "udp", "--dport", &port, "-j", "NFQUEUE"];
            let rule = [&rule[..], &["--queue-num", &number]].concat();
            tool(nft, &rule).or_else(|reason| tool(legacy, &rule).map_err(|_| reason))?;
        }
        let [v4, v6] = Family::ALL.map(pair);
        Ok(Self { sockets: [v4?, v6?] })
    }

    fn pair(&self, family: Family) -> &(UdpSocket, UdpSocket) {
        &self.sockets[usize::from(family == Family::Ipv6)]
    }
}

/// Who sends, and who receives.
fn pair(family: Family) -> Result<(UdpSocket, UdpSocket), Skipped> {
    let here = loopback(family);
    let made = UdpSocket::bind((here, PORT)).and_then(|to| {
        to.set_read_timeout(Some(PATIENCE))?;
        let from = UdpSocket::bind((here, 0))?;
        from.connect((here, PORT))?;
        Ok((from, to))
    });
    made.map_err(|error| Skipped(format!("UDP sockets at {here}: {error}")))
}

impl Network for RealNetwork {
    fn begin(&mut self, family: Family) {
        up().expect("lo was up before");
        while self.delivered(family, false).is_some() {}
    }

    fn run(&mut self) {}

    fn transmit(&mut self, family: Family, data: &[u8]) {
        // Where the packet is dropped at once, sendto(2) says EPERM.
        let _ = self.pair(family).0.send(data);
    }

    fn delivered(&mut self, family: Family, is_expected: bool) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        let (_, to) = self.pair(family);
        to.set_nonblocking(!is_expected).expect("a socket option");
        let len = to.recv(&mut buffer).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }

    fn device_down(&mut self, name: DeviceName) {
        let name = name.to_str().unwrap_or_default();
        tool("ip", &["link", "set", name, "down"]).expect("it was up");
    }
}

/// Brings `lo` up, with the address that IPv6 loses when it goes down.
fn up() -> Outcome {
    tool("ip", &["link", "set", "lo", "up"])
}

/// The number of the queue for `family`.
const fn queue(family: Family) -> u16 {
    match family {
        Family::Ipv4 => QUEUES[0],
        Family::Ipv6 => QUEUES[1],
    }
}
