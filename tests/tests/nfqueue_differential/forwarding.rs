//! Packets from one host to another, which this one forwards.

use core::net::IpAddr;
use std::fs;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};

use etherparse::PacketBuilder;
use ipq_proto::{Family, HardwareAddress, Hook};
use ipq_sim::{Device, Extras, Kernel, Match, Table, Target};
use ipq_tests::host::{self, FAR, Host};
use ipq_tests::namespace::{Outcome, Skipped};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};

use crate::arrival_times;
use crate::kernels::Kernels;
use crate::network::{identify, iptables};
use crate::request::{REQUEST, Request};

in_own_networks!(to_this_host_and_through_it);

const HOOKS: [(Hook, &str); 4] = [
    (Hook::PreRouting, "PREROUTING"),
    (Hook::LocalIn, "INPUT"),
    (Hook::Forward, "FORWARD"),
    (Hook::PostRouting, "POSTROUTING"),
];
const ACCEPT: u32 = 1;

/// Both kernels as a router between two hosts, with a queue at each hook: 1 to 4.
fn router() -> Result<(Kernels, [Host; 2], UdpSocket), Skipped> {
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        let path = format!("/proc/sys/net/{switch}");
        fs::write(&path, "1").map_err(|error| Skipped(format!("{path}: {error}")))?;
    }
    let hosts = [Host::add(0)?, Host::add(1)?];
    let mut kernels = Kernels::of(with_devices(), 1)?;
    let clock = arrival_times::noted()?;
    for (number, (hook, chain)) in (1..).zip(HOOKS) {
        let udp = Match::protocol(ipq_sim::Protocol::UDP);
        kernels.simulated.rule_in(Table::Mangle, hook, udp, Target::nfqueue(number));
        let number_text = number.to_string();
        let rule = ["-t", "mangle", "-A", chain, "-p", "udp", "-j", "NFQUEUE", "--queue-num"];
        for family in Family::ALL {
            iptables(family, &[&rule[..], &[&number_text]].concat())?;
        }
        kernels.tell(0, &Request::config(number).bind().mode(2, 0));
    }
    Ok((kernels, hosts, clock))
}

/// Devices of the same names and indices as the real ones, and the route to the second host.
fn with_devices() -> ipq_sim::Builder {
    let [first, second] = [0, 1].map(|number| {
        let name = host::device(number);
        (if_nametoindex(name.as_str()).unwrap(), name)
    });
    let mut builder = Kernel::builder();
    for index in 2..=second.0.max(first.0) {
        let name = [&first, &second].into_iter().find(|(at, _)| *at == index);
        let name = name.map_or_else(|| format!("gap{index}"), |(_, name)| name.clone());
        builder = builder.device(Device::ethernet(&name));
    }
    for family in Family::ALL {
        let route = ipnet::IpNet::from(host::address(1, family, true));
        builder = builder.route(route, &second.1);
    }
    builder
}

/// The link-layer address of a host's device.
fn link_address(host: &Host) -> HardwareAddress {
    let address = host.enter(|| {
        let devices = getifaddrs().unwrap().filter(|device| device.interface_name == FAR);
        let mut addresses = devices.filter_map(|device| device.address);
        addresses.find_map(|address| address.as_link_addr()?.addr()).unwrap()
    });
    HardwareAddress::new(&address).unwrap()
}

fn packet(from: IpAddr, to: IpAddr, service: u8, hops: u8) -> Vec<u8> {
    let mut packet = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let builder = PacketBuilder::ipv4(from.octets(), to.octets(), hops);
            builder.udp(7, 8).write(&mut packet, b"hello").unwrap();
            packet[1] = service;
            identify(&mut packet);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let builder = PacketBuilder::ipv6(from.octets(), to.octets(), hops);
            builder.udp(7, 8).write(&mut packet, b"hello").unwrap();
            packet[0] |= service >> 4;
        }
        mixed => panic!("{mixed:?}"),
    }
    packet
}

/// Has a host send a packet as it is.
fn send(host: &Host, packet: &[u8], to: IpAddr) {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    host.enter(|| {
        let raw: OwnedFd =
            socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw).unwrap();
        let to = SockaddrStorage::from(core::net::SocketAddr::from((to, 0)));
        sendto(raw.as_raw_fd(), packet, &to, MsgFlags::empty()).unwrap();
    });
}

fn to_this_host_and_through_it() -> Outcome {
    let (mut kernels, hosts, _clock) = router()?;
    let sender = link_address(&hosts[0]);
    let mut id = 0;
    for family in Family::ALL {
        let from = host::address(0, family, true);
        let ends = [host::address(0, family, false), host::address(1, family, true)];
        for to in ends {
            for (service, hops) in [(0, 64), (0x10, 64), (0x08, 255), (0x18, 2), (0, 1)] {
                id += 1;
                let packet = packet(from, to, service, hops);
                send(&hosts[0], &packet, to);
                let extras = Extras { sender, ..Extras::default() };
                kernels.simulated.receive_with(&host::device(0), family, &packet, extras);
                kernels.simulated.run();
                kernels.listen(0, "after a packet");
                for number in 1..5 {
                    let request = Request::batch(number, ACCEPT, id).flags(REQUEST);
                    kernels.tell(0, &request);
                    kernels.status();
                }
            }
        }
    }
    Ok(())
}
