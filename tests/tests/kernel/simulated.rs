//! The network of a simulated kernel: its hosts, links and rules, in this process.

use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use std::io::{self, Write};

use ipq::{CopyMode, Error, Event, Family, Options, Queue};
use ipq_sim::{
    Action, Device, Host, Kernel, Match, Ping as SimulatedPing, SocketOptions, Transfer as Flow,
    UdpSocket,
};
use ipq_sys::{Protocol as Netlink, Transport};

use crate::network::{
    Network, Outcome, Peer, Ping, Place, Protocol, Rule, Skipped, Socket, Table, Target, Transfer,
};
use crate::support::PATIENCE;

/// A receive buffer that never fills, where a test does not ask for one.
const LARGE: usize = 32 << 20;

/// A simulated kernel and what is around it.
#[derive(Debug)]
pub(crate) struct Simulated {
    kernel: Kernel,
    here: Host,
    hosts: Vec<Host>,
    sockets: Vec<UdpSocket>,
    peers: Vec<Queue>,
    pings: Vec<SimulatedPing>,
    transfers: Vec<Flow>,
}

/// Runs `body` on a simulated kernel.
pub(crate) fn run(path: &str, body: impl FnOnce(&mut dyn Network) -> Outcome) {
    let kernel = Kernel::builder().seed(7).build();
    let here = kernel.local_host();
    here.set_owner(1000, 100);
    let mut network = Simulated {
        kernel,
        here,
        hosts: Vec::new(),
        sockets: Vec::new(),
        peers: Vec::new(),
        pings: Vec::new(),
        transfers: Vec::new(),
    };
    if let Err(reason) = body(&mut network) {
        let _ = writeln!(io::stderr(), "skipped: {path}: {reason}");
    }
}

/// The device that leads to host `number`.
fn device(number: usize) -> String {
    format!("to{number}")
}

/// An address on the link to host `number`: its own, or that of this end.
fn address(number: usize, family: Family, is_far: bool) -> IpAddr {
    let end = if is_far { 2 } else { 1 };
    let text = match family {
        Family::Ipv4 => format!("10.0.{number}.{end}"),
        Family::Ipv6 => format!("fd00:0:0:{number}::{end}"),
    };
    text.parse().unwrap()
}

impl Simulated {
    fn host(&self, place: Place) -> &Host {
        match place {
            Place::Here => &self.here,
            Place::Host(number) => &self.hosts[number],
        }
    }

    /// Lets happen what is due, as a real kernel does while a program sends.
    fn settle(&self) {
        self.kernel.advance(core::time::Duration::ZERO);
    }

    /// Lets the kernel run until `look` finds something; `None` if that is not before some seconds are over.
    fn wait<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        let end = self.kernel.now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return Some(found);
            }
            if self.kernel.now() >= end || self.kernel.step() != ipq_sys::Stepped::Progressed {
                return None;
            }
        }
    }
}

impl Network for Simulated {
    fn open_queue(&self, numbers: RangeInclusive<u16>, options: Options) -> Result<Queue, Error> {
        let socket_options = SocketOptions {
            receive_buffer: options.receive_buffer.unwrap_or(LARGE),
            ..SocketOptions::default()
        };
        let mut socket = self.kernel.open_socket_for(Netlink::Netfilter, socket_options)?;
        socket.report_overruns(!options.ignore_overruns)?;
        Queue::with_nfqueue(socket, numbers, options)
    }

    fn rule(&mut self, rule: Rule) -> Result<(), Skipped> {
        let protocol = match (rule.protocol, rule.family) {
            (Protocol::Icmp, Family::Ipv4) => ipq_sim::Protocol::ICMP,
            (Protocol::Icmp, Family::Ipv6) => ipq_sim::Protocol::ICMPV6,
            (Protocol::Tcp, _) => ipq_sim::Protocol::TCP,
            (Protocol::Udp, _) => ipq_sim::Protocol::UDP,
        };
        let mut condition = Match::protocol(protocol).family(rule.family);
        if let Some(port) = rule.to_port {
            condition = condition.destination_port(port);
        }
        if let Some(mark) = rule.mark {
            condition = condition.mark(mark);
        }
        if let Some(mark) = rule.not_mark {
            condition = condition.not_mark(mark);
        }
        if let Some(device) = rule.input {
            condition = condition.input_device(&device);
        }
        let target = match rule.target {
            Target::Queue => ipq_sim::Target::Queue,
            Target::Nfqueue(first, last) => ipq_sim::Target::Nfqueue { first, last, bypass: false },
            Target::NfqueueOrPass(number) => {
                ipq_sim::Target::Nfqueue { first: number, last: number, bypass: true }
            }
            Target::Mark(mark) => ipq_sim::Target::Mark(mark),
            Target::Drop => ipq_sim::Target::Drop,
        };
        let table = match rule.table {
            Table::Mangle => ipq_sim::Table::Mangle,
            Table::Filter => ipq_sim::Table::Filter,
        };
        self.kernel.rule_in(table, rule.hook, condition, target);
        Ok(())
    }

    fn add_host(&mut self) -> Result<Place, Skipped> {
        let number = self.hosts.len();
        let mut link = Device::ethernet(&device(number));
        for (family, len) in [(Family::Ipv4, 24), (Family::Ipv6, 64)] {
            let net = format!("{}/{len}", address(number, family, false));
            link = link.address(net.parse().unwrap());
        }
        self.kernel.add_device(link);
        let addresses = Family::ALL.map(|family| address(number, family, true));
        self.hosts.push(self.kernel.host(&device(number), addresses));
        Ok(Place::Host(number))
    }

    fn device_to(&self, place: Place) -> String {
        match place {
            Place::Here => "lo".to_owned(),
            Place::Host(number) => device(number),
        }
    }

    fn address(&self, place: Place, family: Family) -> IpAddr {
        match (place, self.hosts.len()) {
            (Place::Host(number), _) => address(number, family, true),
            (Place::Here, 0) => self.here.address(family),
            (Place::Here, hosts) => address(hosts - 1, family, false),
        }
    }

    fn set_mtu(&mut self, device: &str, bytes: u32) -> Result<(), Skipped> {
        self.kernel.set_mtu(device, bytes as usize);
        Ok(())
    }

    fn device_down(&mut self, device: &str) -> Result<(), Skipped> {
        self.kernel.device_down(device);
        Ok(())
    }

    fn add_vlan(&mut self, _: Place, _: u16) -> Result<(String, [IpAddr; 2]), Skipped> {
        Err(Skipped("the simulated network has no VLANs".to_owned()))
    }

    fn start_peer(&mut self, number: u16) -> Result<Peer, Skipped> {
        let pid = 4000 + u32::try_from(self.peers.len()).unwrap();
        let options = SocketOptions { port_id: Some(pid), ..SocketOptions::default() };
        let socket = self.kernel.open_socket_for(Netlink::Netfilter, options).unwrap();
        let mut queue = Queue::with_nfqueue(socket, number..=number, Options::default()).unwrap();
        queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
        self.peers.push(queue);
        Ok(Peer { number: self.peers.len() - 1, pid })
    }

    fn peer_reads(&mut self, peer: &mut Peer, packets: usize) {
        let queue = &mut self.peers[peer.number];
        let mut buffer = vec![0; queue.buffer_len()];
        for _ in 0..packets {
            let event = queue.read(&mut buffer, Some(PATIENCE)).unwrap();
            assert!(matches!(event, Some(Event::Packet(_))), "{event:?}");
        }
    }

    fn kill_peer(&mut self, peer: Peer) {
        self.kernel.act(&Action::Kill(peer.pid));
    }

    fn udp_at(&mut self, place: Place, address: IpAddr) -> Socket {
        let socket = self.host(place).udp(SocketAddr::new(address, 0));
        self.sockets.push(socket);
        Socket(self.sockets.len() - 1)
    }

    fn address_of(&self, socket: Socket) -> SocketAddr {
        self.sockets[socket.0].address()
    }

    fn mark_socket(&mut self, socket: Socket, mark: u32) {
        self.sockets[socket.0].set_mark(mark);
    }

    fn send(&mut self, from: Socket, to: SocketAddr, payload: &[u8]) {
        assert!(self.sockets[from.0].send(to, payload), "sending to {to}");
        self.settle();
    }

    fn received(&mut self, socket: Socket) -> Option<Vec<u8>> {
        self.wait(|network| network.sockets[socket.0].receive()).map(|(payload, _)| payload)
    }

    fn ping(&mut self, from: Place, to: IpAddr) -> Ping {
        let ping = self.host(from).ping(to);
        self.pings.push(ping);
        self.settle();
        Ping(self.pings.len() - 1)
    }

    fn is_answered(&mut self, ping: &Ping) -> bool {
        self.wait(|network| network.pings[ping.0].is_answered().then_some(())).is_some()
    }

    fn start_transfer(
        &mut self,
        from: Place,
        to: Place,
        family: Family,
        bytes: Vec<u8>,
    ) -> Transfer {
        let address = self.address(to, family);
        let transfer = self.host(from).transfer(self.host(to), address, &bytes);
        self.transfers.push(transfer);
        self.settle();
        Transfer(self.transfers.len() - 1)
    }

    fn transferred(&mut self, transfer: Transfer) -> Option<Vec<u8>> {
        self.transfers[transfer.0].received()
    }

    fn owner(&self) -> (u32, u32) {
        (1000, 100)
    }

    fn waits_for_descriptors(&self) -> Result<(), Skipped> {
        Err(Skipped("a simulated kernel in the same process never waits".to_owned()))
    }

    fn segments_in_hardware(&self) -> Result<(), Skipped> {
        Err(Skipped("the simulated network has no segmentation offload".to_owned()))
    }
}
