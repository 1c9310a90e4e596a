//! One address of a host, with a TCP/IP stack behind it: [`Endpoint`].

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use ipq_proto::{Family, HardwareAddress};
use ipq_sys::Clock;
use slab::Slab;
use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress as SmoltcpHardware, IpCidr, IpProtocol};

use super::flow::Sink;
use super::port::Port;
use super::tcp::{Listener, Stream};
use crate::device::DeviceIndex;
use crate::fragment::{Added, Reassembly, fragments, longest};
use crate::headers::Headers;

/// The longest packet of TCP. Datagrams are as long as their senders make them, and are cut up on their way out.
const LONGEST_SEGMENT: usize = 0xffff;

/// The first port that is given out to who does not care.
const FIRST_PORT: u16 = 49_152;

/// Where an endpoint is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// On the host whose kernel is simulated.
    Here,
    /// On another one, at the other end of a device's link.
    Beyond {
        /// The device.
        device: DeviceIndex,
        /// Its link-layer address.
        address: HardwareAddress,
    },
}

/// One address, and everything that listens or talks there.
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) place: Place,
    /// Datagrams and ICMP, of any length.
    datagrams: Side,
    /// TCP, in segments as long as the link takes them.
    segments: Side,
    pub(super) streams: Slab<Stream>,
    pub(super) listeners: Slab<Listener>,
    pub(super) sinks: Vec<Sink>,
    /// The netfilter marks of what sockets for UDP send, by their ports.
    marks: BTreeMap<u16, u32>,
    reassembly: Reassembly<()>,
    seed: u64,
    next_port: u16,
    identification: u16,
    /// When it is looked at next.
    pub(crate) planned: Option<Clock>,
}

/// A stack: its interface, its sockets and its end of the link.
struct Side {
    interface: Interface,
    sockets: SocketSet<'static>,
    port: Port,
}

/// A packet that an endpoint sends.
#[derive(Debug)]
pub(crate) struct Emitted {
    pub(crate) data: Vec<u8>,
    pub(crate) mark: u32,
}

impl Side {
    fn new(address: IpAddr, mtu: usize, seed: u64) -> Self {
        let mut port = Port::new(mtu);
        let interface = interface(address, &mut port, seed);
        Self { interface, sockets: SocketSet::new(Vec::new()), port }
    }

    fn poll(&mut self, now: Instant) -> PollResult {
        self.interface.poll(now, &mut self.port, &mut self.sockets)
    }

    /// Takes in one packet.
    fn poll_one(&mut self, now: Instant) -> PollIngressSingleResult {
        self.interface.poll_ingress_single(now, &mut self.port, &mut self.sockets)
    }

    /// Sends what is to be sent.
    fn send(&mut self, now: Instant) {
        self.interface.poll_egress(now, &mut self.port, &mut self.sockets);
    }
}

/// An interface with one address, from which everything is reached directly: where it goes, the simulated network says.
fn interface(address: IpAddr, port: &mut Port, seed: u64) -> Interface {
    let mut config = Config::new(SmoltcpHardware::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, port, Instant::ZERO);
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(address.into(), 0)).expect("there is room for one address");
    });
    interface
}

impl Endpoint {
    pub(crate) fn new(address: IpAddr, place: Place, mtu: usize, seed: u64) -> Self {
        Self {
            address,
            place,
            datagrams: Side::new(address, longest(family_of(address)), seed),
            segments: Side::new(address, mtu.min(LONGEST_SEGMENT), seed),
            streams: Slab::new(),
            listeners: Slab::new(),
            sinks: Vec::new(),
            marks: BTreeMap::new(),
            reassembly: Reassembly::default(),
            seed,
            next_port: FIRST_PORT,
            identification: 0,
            planned: None,
        }
    }

    pub(crate) fn family(&self) -> Family {
        family_of(self.address)
    }

    /// Says how long a packet of TCP may be from now on.
    pub(crate) fn set_mtu(&mut self, mtu: usize) {
        let Side { interface: old, port, .. } = &mut self.segments;
        port.mtu = mtu.min(LONGEST_SEGMENT);
        // It keeps what it asked of its port when it was made.
        *old = interface(self.address, port, self.seed);
    }

    /// Takes in a packet that has arrived here.
    pub(crate) fn receive(&mut self, now: Clock, packet: &[u8]) {
        let headers = Headers::of(packet);
        let packet = if headers.is_fragment {
            match self.reassembly.add(now, packet, ()) {
                Added::Whole(packet, _) => packet,
                Added::Waits | Added::Refused(()) => return,
            }
        } else {
            packet.to_vec()
        };
        let is_tcp = Headers::of(&packet).protocol == Some(u8::from(IpProtocol::Tcp));
        let side = if is_tcp { &mut self.segments } else { &mut self.datagrams };
        side.port.received.push_back(packet);
    }

    /// Lets the stack do all it has to do now, and hands what it sends to `emit`.
    pub(crate) fn poll(&mut self, now: Clock, mut emit: impl FnMut(Emitted)) {
        let instant = instant(now);
        self.reassembly.expire(now);
        self.poll_datagrams(instant);
        loop {
            self.pump();
            if self.segments.poll(instant) == PollResult::None && !self.pump() {
                break;
            }
        }
        for data in self.datagrams.port.sent.drain(..) {
            let mark = if self.marks.is_empty() { 0 } else { mark_of(&self.marks, &data) };
            emit(Emitted { data, mark });
        }
        for data in self.segments.port.sent.drain(..) {
            emit(Emitted { data, mark: 0 });
        }
    }

    /// Lets the stack for datagrams do what it has to do. Sinks are emptied after each packet.
    fn poll_datagrams(&mut self, now: Instant) {
        if self.sinks.is_empty() {
            self.datagrams.poll(now);
            return;
        }
        loop {
            let processed = self.datagrams.poll_one(now);
            self.empty_sinks();
            self.datagrams.send(now);
            if processed == PollIngressSingleResult::None {
                break;
            }
        }
    }

    /// When the stack has something to do by itself.
    pub(crate) fn next_time(&mut self, now: Clock) -> Option<Clock> {
        let instant = instant(now);
        let sides = [&mut self.datagrams, &mut self.segments];
        let times = sides.map(|side| side.interface.poll_at(instant, &side.sockets));
        let next = times.into_iter().flatten().min()?;
        let micros = u64::try_from(next.total_micros()).unwrap_or(0);
        // A stack that wants to be looked at again and again must not stop the clock.
        Some(Clock::from_micros(micros).max(now.saturating_add(Clock::from_micros(1))))
    }

    /// Makes a packet that is too long for a link fit to be cut up: it gets an identification, and may be.
    pub(crate) fn prepare_fragmentation(&mut self, packet: &mut [u8]) {
        self.identification = self.identification.wrapping_add(1);
        if self.family() == Family::Ipv4 && packet.len() >= 20 {
            packet[4..6].copy_from_slice(&self.identification.to_be_bytes());
            packet[6] &= !0x40;
            if let Ok(slice) = etherparse::Ipv4HeaderSlice::from_slice(packet) {
                let checksum = slice.to_header().calc_header_checksum();
                packet[10..12].copy_from_slice(&checksum.to_be_bytes());
            }
        }
    }

    /// The packets that a packet becomes on a link, which a host of its own sends.
    pub(crate) fn fragment(&mut self, mut packet: Vec<u8>, mtu: usize) -> Vec<Vec<u8>> {
        if packet.len() <= mtu {
            return vec![packet];
        }
        self.prepare_fragmentation(&mut packet);
        let identification = self.identification.into();
        fragments(self.family(), &packet, mtu, identification, true).unwrap_or_default()
    }

    /// A port that nobody has been given yet.
    pub(super) fn free_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }

    /// This address and a port.
    pub(super) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// The sockets for datagrams.
    pub(super) fn datagram_sockets(&mut self) -> &mut SocketSet<'static> {
        &mut self.datagrams.sockets
    }

    /// The sockets for TCP.
    pub(super) fn tcp_sockets(&mut self) -> &mut SocketSet<'static> {
        &mut self.segments.sockets
    }

    /// The socket for TCP of a handle, and what it needs to connect.
    pub(super) fn connecting(
        &mut self,
        handle: SocketHandle,
    ) -> (&mut smoltcp::socket::tcp::Socket<'static>, &mut smoltcp::iface::Context) {
        let Side { interface, sockets, .. } = &mut self.segments;
        (sockets.get_mut(handle), interface.context())
    }

    /// Gives what the socket for UDP at `port` sends from now on a mark.
    pub(super) fn set_mark(&mut self, port: u16, mark: u32) {
        self.marks.insert(port, mark);
    }
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
}

/// The mark of what is sent by the socket that sent `packet`.
fn mark_of(marks: &BTreeMap<u16, u32>, packet: &[u8]) -> u32 {
    let ports = Headers::of(packet).ports;
    ports.and_then(|(source, _)| marks.get(&source)).copied().unwrap_or(0)
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// A time as the stack has it.
pub(super) fn instant(now: Clock) -> Instant {
    Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
