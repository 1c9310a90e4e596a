//! All addresses that something listens or talks at: [`Endpoints`], and how packets get there and away.

use core::net::IpAddr;

use ipnet::IpNet;
use ipq_proto::HardwareAddress;
use ipq_sys::Clock;

use super::endpoint::{Emitted, Endpoint, Place};
use crate::device::{DeviceIndex, LOOPBACK};
use crate::machine::{Event, Machine};
use crate::packet::Packet;

/// Names an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EndpointIndex(usize);

/// The endpoints of a simulated network. They stay for as long as it does.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    all: Vec<Endpoint>,
    /// Whether the addresses of this host answer, although nothing may listen there yet.
    answers_here: bool,
    /// User and group of the sockets of this host: root, unless it is said.
    owner: (u32, u32),
    hosts: u32,
}

impl Endpoints {
    pub(crate) fn get(&mut self, index: EndpointIndex) -> &mut Endpoint {
        &mut self.all[index.0]
    }

    /// The endpoint of an address.
    pub(crate) fn find(&self, address: IpAddr) -> Option<EndpointIndex> {
        self.all.iter().position(|endpoint| endpoint.address == address).map(EndpointIndex)
    }

    pub(crate) fn answer_here(&mut self) {
        self.answers_here = true;
    }

    pub(crate) fn set_owner(&mut self, uid: u32, gid: u32) {
        self.owner = (uid, gid);
    }

    /// Whether nobody is there to receive anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && !self.answers_here
    }

    /// Whether an endpoint is to be looked at at this time, and not, as was planned since, at another.
    pub(crate) fn is_due(&self, index: EndpointIndex, time: Clock) -> bool {
        self.all[index.0].planned == Some(time)
    }

    fn add(&mut self, endpoint: Endpoint) -> EndpointIndex {
        self.all.push(endpoint);
        EndpointIndex(self.all.len() - 1)
    }
}

impl Machine {
    /// Adds a host with these addresses at the other end of a device's link.
    pub(crate) fn add_host(&mut self, device: DeviceIndex, addresses: &[IpAddr]) {
        self.endpoints.hosts += 1;
        let number = self.endpoints.hosts.to_be_bytes();
        // An address that is administered locally (the bit of 2), with the number of the host.
        let [a, b, c, d] = number;
        let hardware = HardwareAddress::from_wire(6, [2, 0, a, b, c, d, 0, 0]);
        let mtu = self.devices.mtu(device);
        for &address in addresses {
            assert!(self.endpoints.find(address).is_none(), "there is a host {address} already");
            if self.routes.device(address) != Some(device) {
                self.routes.add(IpNet::from(address), device);
            }
            let place = Place::Beyond { device, address: hardware };
            self.endpoints.add(Endpoint::new(address, place, mtu, self.seed));
        }
    }

    /// The endpoint of an address of this host, made when it is first asked for; `None` if it is none.
    pub(crate) fn local_endpoint(&mut self, address: IpAddr) -> Option<EndpointIndex> {
        let device = self.devices.of_address(address)?;
        Some(self.endpoints.find(address).unwrap_or_else(|| {
            let mtu = self.devices.mtu(device);
            self.endpoints.add(Endpoint::new(address, Place::Here, mtu, self.seed))
        }))
    }

    /// The address of this host from which it talks to `destination`: that of the device it goes out by.
    pub(crate) fn source_towards(&self, destination: IpAddr) -> IpAddr {
        let device = self.routes.device(destination).unwrap_or(LOOPBACK);
        if device == LOOPBACK && self.devices.of_address(destination).is_some() {
            return destination;
        }
        // Where that device has none, any other's will do: `lo` has one of each family.
        let source = self.devices.address(device, destination);
        source.unwrap_or_else(|| {
            let others = self.devices.addresses().map(|net| net.addr());
            let same = others.filter(|address| address.is_ipv4() == destination.is_ipv4());
            same.min_by_key(IpAddr::is_loopback).unwrap_or(destination)
        })
    }

    /// A packet has been received by this host: hands it to the endpoint there, if there is one.
    pub(crate) fn arrive_here(&mut self, packet: &Packet, destination: IpAddr) {
        if self.endpoints.answers_here
            && let Some(endpoint) = self.local_endpoint(destination)
        {
            self.arrive(endpoint, packet.data(), Clock::ZERO);
        }
    }

    /// A packet has left by a device: hands it to the host at the other end, if there is one.
    pub(crate) fn arrive_beyond(
        &mut self,
        packet: &Packet,
        device: DeviceIndex,
        destination: IpAddr,
    ) {
        let Some(index) = self.endpoints.find(destination) else { return };
        match self.endpoints.get(index).place {
            Place::Beyond { device: its, .. } if its == device => {
                self.arrive(index, packet.data(), self.devices.latency(device));
            }
            _ => (),
        }
    }

    fn arrive(&mut self, index: EndpointIndex, data: &[u8], latency: Clock) {
        let now = self.now();
        self.endpoints.get(index).receive(now, data);
        self.plan_poll_at(index, now.saturating_add(latency));
    }

    /// Has an endpoint looked at now: there is something for it to do.
    pub(crate) fn plan_poll(&mut self, index: EndpointIndex) {
        self.plan_poll_at(index, self.now());
    }

    fn plan_poll_at(&mut self, index: EndpointIndex, time: Clock) {
        let endpoint = self.endpoints.get(index);
        if endpoint.planned.is_none_or(|planned| time < planned) {
            endpoint.planned = Some(time);
            self.plan(time, Event::Poll(index));
        }
    }

    /// Lets the stack of an endpoint do what it has to do, and sends what it sends.
    pub(crate) fn poll(&mut self, index: EndpointIndex) {
        let now = self.now();
        let endpoint = self.endpoints.get(index);
        endpoint.planned = None;
        let mut emitted = Vec::new();
        endpoint.poll(now, |packet| emitted.push(packet));
        for packet in emitted {
            self.emit(index, packet);
        }
        if let Some(time) = self.endpoints.get(index).next_time(now) {
            self.plan_poll_at(index, time);
        }
    }

    fn emit(&mut self, index: EndpointIndex, Emitted { mut data, mark }: Emitted) {
        let owner = self.endpoints.owner;
        let endpoint = self.endpoints.get(index);
        let family = endpoint.family();
        match endpoint.place {
            Place::Here => {
                let device = self.routes.out(&data);
                if data.len() > self.devices.mtu(device) {
                    self.endpoints.get(index).prepare_fragmentation(&mut data);
                }
                let mut packet = self.new_packet(family, &data);
                packet.mark = mark;
                packet.owner = Some(owner);
                self.note_entered(&packet, None);
                self.send_packet(packet);
            }
            Place::Beyond { device, address } => {
                let (mtu, latency) = (self.devices.mtu(device), self.devices.latency(device));
                for fragment in self.endpoints.get(index).fragment(data, mtu) {
                    let mut packet = self.new_packet(family, &fragment);
                    packet.link = self.devices.link(device, address);
                    let time = self.now().saturating_add(latency);
                    self.plan(time, Event::Receive(packet, device));
                }
            }
        }
    }

    /// Sets the longest packet that a device takes, and the hosts on its link.
    pub(crate) fn set_mtu(&mut self, device: DeviceIndex, bytes: usize) {
        self.devices.set_mtu(device, bytes);
        for endpoint in &mut self.endpoints.all {
            let its = match endpoint.place {
                Place::Beyond { device, .. } => Some(device),
                Place::Here => self.devices.of_address(endpoint.address),
            };
            if its == Some(device) {
                endpoint.set_mtu(bytes);
            }
        }
    }
}
