//! The network of the kernel that runs the tests: namespaces, veth pairs, iptables.

mod icmp;
mod peer;
mod tables;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};

use ipq::{Error, Family, Options, Queue};
use ipq_tests::host::{self, Host};
use ipq_tests::namespace::{self, tool};
use nix::sys::socket::{setsockopt, sockopt};

use crate::network::{Network, Outcome, Peer, Ping, Place, Rule, Skipped, Socket, Transfer};
use crate::support::PATIENCE;

/// Runs `body`, the whole of the test with this path, in a network of its own.
pub(crate) fn run(path: &str, body: impl FnOnce(&mut dyn Network) -> Outcome) {
    namespace::run(path, || Real::new().and_then(|mut network| body(&mut network)));
}

/// The real thing.
#[derive(Debug, Default)]
pub(crate) struct Real {
    hosts: Vec<Host>,
    sockets: Vec<UdpSocket>,
    peers: Vec<peer::Process>,
    pings: Vec<OwnedFd>,
    transfers: Vec<Option<JoinHandle<io::Result<Vec<u8>>>>>,
}

impl Real {
    /// Makes a network of the namespace that this process is in.
    fn new() -> Result<Self, Skipped> {
        let network = Self::default();
        tool("ip", &["link", "set", "lo", "up"])?;
        // A kernel without nfnetlink_queue has nothing to test.
        match network.open_queue(u16::MAX..=u16::MAX, Options::default()) {
            Ok(_) => Ok(network),
            Err(error) => Err(Skipped(error.to_string())),
        }
    }

    /// Does something on a host: what it makes there stays there.
    fn at<T: Send>(&self, place: Place, body: impl FnOnce() -> T + Send) -> T {
        match place {
            Place::Here => body(),
            Place::Host(number) => self.hosts[number].enter(body),
        }
    }
}

impl Network for Real {
    fn open_queue(&self, numbers: RangeInclusive<u16>, options: Options) -> Result<Queue, Error> {
        let (first, last) = numbers.into_inner();
        Queue::open(ipq::TransportName::Nfqueue { first, last }, options)
    }

    fn rule(&mut self, rule: Rule) -> Result<(), Skipped> {
        tables::add(&rule)
    }

    fn add_host(&mut self) -> Result<Place, Skipped> {
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            let path = format!("/proc/sys/net/{switch}");
            fs::write(&path, "1").map_err(|error| Skipped(format!("{path}: {error}")))?;
        }
        self.hosts.push(Host::add(self.hosts.len())?);
        Ok(Place::Host(self.hosts.len() - 1))
    }

    fn device_to(&self, place: Place) -> String {
        match place {
            Place::Here => "lo".to_owned(),
            Place::Host(number) => host::device(number),
        }
    }

    fn address(&self, place: Place, family: Family) -> IpAddr {
        match (place, self.hosts.len()) {
            (Place::Host(number), _) => host::address(number, family, true),
            (Place::Here, 0) => match family {
                Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
                Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
            },
            (Place::Here, hosts) => host::address(hosts - 1, family, false),
        }
    }

    fn set_mtu(&mut self, device: &str, bytes: u32) -> Result<(), Skipped> {
        let set = |device: &str| tool("ip", &["link", "set", device, "mtu", &bytes.to_string()]);
        set(device)?;
        let far = (0..self.hosts.len()).find(|&number| host::device(number) == device);
        far.map_or(Ok(()), |number| self.hosts[number].enter(|| set(host::FAR)))
    }

    fn device_down(&mut self, device: &str) -> Result<(), Skipped> {
        tool("ip", &["link", "set", device, "down"])
    }

    fn add_vlan(&mut self, host: Place, vlan: u16) -> Result<(String, [IpAddr; 2]), Skipped> {
        let id = vlan.to_string();
        let tag = |parent: &str, address: &str| {
            let name = format!("{parent}.{vlan}");
            let link = ["link", "add", "link", parent, "name", &name];
            tool("ip", &[&link[..], &["type", "vlan", "id", &id]].concat())?;
            tool("ip", &["addr", "add", &format!("{address}/24"), "dev", &name])?;
            tool("ip", &["link", "set", &name, "up"])?;
            Ok(name)
        };
        let ends = ["10.9.0.1", "10.9.0.2"];
        let name = tag(&self.device_to(host), ends[0])?;
        self.at(host, || tag(host::FAR, ends[1]))?;
        Ok((name, ends.map(|end| end.parse().unwrap())))
    }

    fn start_peer(&mut self, number: u16) -> Result<Peer, Skipped> {
        let process = peer::Process::start(number);
        let pid = process.pid();
        self.peers.push(process);
        Ok(Peer { number: self.peers.len() - 1, pid })
    }

    fn peer_reads(&mut self, peer: &mut Peer, packets: usize) {
        self.peers[peer.number].reads(packets);
    }

    fn kill_peer(&mut self, peer: Peer) {
        self.peers[peer.number].kill();
    }

    fn udp_at(&mut self, place: Place, address: IpAddr) -> Socket {
        let socket = self.at(place, || UdpSocket::bind((address, 0))).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        self.sockets.push(socket);
        Socket(self.sockets.len() - 1)
    }

    fn address_of(&self, socket: Socket) -> SocketAddr {
        self.sockets[socket.0].local_addr().unwrap()
    }

    fn mark_socket(&mut self, socket: Socket, mark: u32) {
        setsockopt(&self.sockets[socket.0], sockopt::Mark, &mark).unwrap();
    }

    fn send(&mut self, from: Socket, to: SocketAddr, payload: &[u8]) {
        use nix::libc::{ENOBUFS, EPERM, ESRCH};
        match self.sockets[from.0].send_to(payload, to) {
            Ok(sent) => assert_eq!(sent, payload.len()),
            // What netfilter drops on the way out is an error of the call.
            Err(error) if matches!(error.raw_os_error(), Some(EPERM | ENOBUFS | ESRCH)) => (),
            Err(error) => panic!("sending to {to}: {error}"),
        }
    }

    fn received(&mut self, socket: Socket) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        match self.sockets[socket.0].recv(&mut buffer) {
            Ok(len) => Some(buffer[..len].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("receiving: {error}"),
        }
    }

    fn ping(&mut self, from: Place, to: IpAddr) -> Ping {
        let number = self.pings.len();
        let socket = self.at(from, || icmp::request(to, u16::try_from(number).unwrap()));
        self.pings.push(socket);
        Ping(number)
    }

    fn is_answered(&mut self, ping: &Ping) -> bool {
        icmp::is_answered(&self.pings[ping.0], u16::try_from(ping.0).unwrap())
    }

    fn start_transfer(
        &mut self,
        from: Place,
        to: Place,
        family: Family,
        bytes: Vec<u8>,
    ) -> Transfer {
        let address = self.address(to, family);
        let listener = self.at(to, || TcpListener::bind((address, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut received = Vec::new();
            stream.read_to_end(&mut received)?;
            Ok(received)
        });
        self.transfers.push(Some(receiver));
        // Connecting waits for verdicts, so the thread has to be on the host itself.
        let namespace = match from {
            Place::Here => None,
            Place::Host(number) => Some(self.hosts[number].namespace()),
        };
        thread::spawn(move || {
            namespace.iter().for_each(host::go_to);
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // The connection is left to end in peace: its last packets are queued as well.
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = stream.read(&mut [0]);
        });
        Transfer(self.transfers.len() - 1)
    }

    fn transferred(&mut self, transfer: Transfer) -> Option<Vec<u8>> {
        let slot = &mut self.transfers[transfer.0];
        let done = slot.take_if(|thread| thread.is_finished())?;
        Some(done.join().unwrap().unwrap())
    }

    fn owner(&self) -> (u32, u32) {
        // The kernel tells the ids of its first namespace; root of this one is somebody there.
        let outside = |map: &str| {
            let map = fs::read_to_string(map).unwrap();
            map.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (outside("/proc/self/uid_map"), outside("/proc/self/gid_map"))
    }
}
