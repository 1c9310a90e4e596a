//! What a test asks of a kernel and of the network around it: [`Network`].

use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use ipq::{Error, Family, Hook, Options, Queue};
pub(crate) use ipq_tests::namespace::{Outcome, Skipped};

/// A kernel with its devices, rules and neighbours. It starts with `lo` up and nothing else.
///
/// Nothing here waits longer than some seconds, and what is sent never waits for a verdict.
pub(crate) trait Network {
    /// Opens these queues of `nfnetlink_queue`.
    fn open_queue(&self, numbers: RangeInclusive<u16>, options: Options) -> Result<Queue, Error>;

    /// Adds a rule behind those that are there.
    fn rule(&mut self, rule: Rule) -> Result<(), Skipped>;

    /// Adds another host, with a link of its own to this one, which forwards between them.
    fn add_host(&mut self) -> Result<Place, Skipped>;

    /// The device of this host by which it reaches another one.
    fn device_to(&self, place: Place) -> String;

    /// An address of a host: here the one that the last host that was added knows, or the loopback's.
    fn address(&self, place: Place, family: Family) -> IpAddr;

    /// Sets the longest packet that a device takes, and the other end of its link.
    fn set_mtu(&mut self, device: &str, bytes: u32) -> Result<(), Skipped>;

    /// Takes a device down.
    fn device_down(&mut self, device: &str) -> Result<(), Skipped>;

    /// Tags the frames between this host and another one with a VLAN: the device here, and the addresses here and
    /// there.
    fn add_vlan(&mut self, host: Place, vlan: u16) -> Result<(String, [IpAddr; 2]), Skipped>;

    /// Starts another program, which claims a queue and decides on none of its packets.
    fn start_peer(&mut self, number: u16) -> Result<Peer, Skipped>;

    /// Waits until it has read as many packets.
    fn peer_reads(&mut self, peer: &mut Peer, packets: usize);

    /// Kills it, without giving it a chance to say anything.
    fn kill_peer(&mut self, peer: Peer);

    /// A socket for UDP at a free port of this address.
    fn udp_at(&mut self, place: Place, address: IpAddr) -> Socket;

    /// The address of a socket.
    fn address_of(&self, socket: Socket) -> SocketAddr;

    /// Gives what a socket sends a netfilter mark.
    fn mark_socket(&mut self, socket: Socket, mark: u32);

    /// Sends a datagram. Whether a rule or a full queue drops it makes no difference here.
    fn send(&mut self, from: Socket, to: SocketAddr, payload: &[u8]);

    /// The next datagram that a socket gets; `None` if there is none for some seconds.
    fn received(&mut self, socket: Socket) -> Option<Vec<u8>>;

    /// Sends an echo request from a host.
    fn ping(&mut self, from: Place, to: IpAddr) -> Ping;

    /// Whether it is answered before some seconds are over.
    fn is_answered(&mut self, ping: &Ping) -> bool;

    /// Starts to send bytes over a TCP connection, which goes on by itself.
    fn start_transfer(
        &mut self,
        from: Place,
        to: Place,
        family: Family,
        bytes: Vec<u8>,
    ) -> Transfer;

    /// What has arrived, once all has.
    fn transferred(&mut self, transfer: Transfer) -> Option<Vec<u8>>;

    /// The user and group that the kernel says a socket of this test has.
    fn owner(&self) -> (u32, u32);

    /// That a read that waits can be ended by a descriptor.
    fn waits_for_descriptors(&self) -> Result<(), Skipped> {
        Ok(())
    }

    /// That devices take packets of TCP that are yet to be cut into segments.
    fn segments_in_hardware(&self) -> Result<(), Skipped> {
        Ok(())
    }

    // What follows has a meaning for every network.

    /// A socket for UDP at the loopback address.
    fn udp(&mut self, family: Family) -> Socket {
        let address = self.address(Place::Here, family);
        self.udp_at(Place::Here, address)
    }

    /// Opens one queue with the default options, for whole packets.
    fn queue(&self, number: u16) -> Queue {
        self.queue_with(number, Options::default())
    }

    /// Opens one queue for whole packets.
    fn queue_with(&self, number: u16, options: Options) -> Queue {
        let mut queue = self.open_queue(number..=number, options).unwrap();
        queue.set_mode(ipq::CopyMode::Packet { range: 0 }).unwrap();
        queue
    }
}

/// Where something happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// On the host whose kernel is tested.
    Here,
    /// On another one.
    Host(usize),
}

/// A socket for UDP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket(pub(crate) usize);

/// An echo request that was sent.
#[derive(Debug)]
pub(crate) struct Ping(pub(crate) usize);

/// A TCP connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer(pub(crate) usize);

/// Another program with a queue.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) number: usize,
    pub(crate) pid: u32,
}

/// The protocols that rules tell apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// ICMP, or that of IPv6.
    Icmp,
    Tcp,
    Udp,
}

/// The tables of rules, in the order that a packet passes them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Table {
    Mangle,
    Filter,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// `-j QUEUE`.
    Queue,
    /// `-j NFQUEUE`: to one queue, or to that of several which a packet's addresses choose.
    Nfqueue(u16, u16),
    /// The same, to one queue; without a program there, packets pass.
    NfqueueOrPass(u16),
    /// Sets the mark.
    Mark(u32),
    /// Discards.
    Drop,
}

/// A rule: packets that meet every condition, and what becomes of them.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) hook: Hook,
    pub(crate) table: Table,
    pub(crate) family: Family,
    pub(crate) protocol: Protocol,
    pub(crate) to_port: Option<u16>,
    pub(crate) mark: Option<u32>,
    pub(crate) not_mark: Option<u32>,
    pub(crate) input: Option<String>,
    pub(crate) target: Target,
}

impl Rule {
    /// For the packets of a protocol that this host sends, over IPv4.
    pub(crate) fn output(protocol: Protocol, target: Target) -> Self {
        Self {
            hook: Hook::LocalOut,
            table: Table::Filter,
            family: Family::Ipv4,
            protocol,
            to_port: None,
            mark: None,
            not_mark: None,
            input: None,
            target,
        }
    }

    /// For the datagrams to a socket, of its family.
    pub(crate) fn to(socket: SocketAddr, target: Target) -> Self {
        let family = if socket.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let to_port = Some(socket.port());
        Self { family, to_port, ..Self::output(Protocol::Udp, target) }
    }

    /// The same, into one queue.
    pub(crate) fn queue_to(socket: SocketAddr, number: u16) -> Self {
        Self::to(socket, Target::Nfqueue(number, number))
    }
}
