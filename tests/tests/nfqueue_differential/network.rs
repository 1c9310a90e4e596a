//! Packets and rules, in both kernels: [`Network`].

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::{Deref, DerefMut};
use std::fs;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};

use etherparse::PacketBuilder;
use ipq_proto::{Family, Hook};
use ipq_sim::{Extras, Fate, Match, Table, Target};
use ipq_tests::namespace::{Outcome, Skipped, tool};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, setsockopt,
    socket, sockopt,
};

use crate::arrival_times;
use crate::kernels::{Kernels, PATIENCE};

/// Both kernels, whose `lo` is up, with an application that receives datagrams at a port of each family.
#[derive(Debug)]
pub(crate) struct Network {
    kernels: Kernels,
    receivers: [UdpSocket; 2],
    /// They stay open: a packet is its socket's for as long as there is one.
    senders: [OwnedFd; 2],
    /// It has the real kernel note when packets arrive.
    _clock: UdpSocket,
}

/// What is sent besides the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub(crate) mark: u32,
    pub(crate) priority: u32,
}

impl Deref for Network {
    type Target = Kernels;

    fn deref(&self) -> &Kernels {
        &self.kernels
    }
}

impl DerefMut for Network {
    fn deref_mut(&mut self) -> &mut Kernels {
        &mut self.kernels
    }
}

impl Network {
    /// With sockets to `nfnetlink_queue`.
    pub(crate) fn new(sockets: usize) -> Result<Self, Skipped> {
        let kernels = Kernels::new(sockets)?;
        let receivers = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let receivers = receivers.map(|address: IpAddr| UdpSocket::bind((address, 0)).unwrap());
        for receiver in &receivers {
            receiver.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        let senders = [AddressFamily::Inet, AddressFamily::Inet6].map(|family| {
            socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw).unwrap()
        });
        let clock = arrival_times::noted()?;
        Ok(Self { kernels, receivers, senders, _clock: clock })
    }

    /// Adds a rule for all datagrams of UDP, or for those without `not_mark`.
    pub(crate) fn rule(
        &self,
        table: Table,
        hook: Hook,
        not_mark: Option<u32>,
        target: Target,
    ) -> Outcome {
        let matching = Match::protocol(ipq_sim::Protocol::UDP);
        let matching = match not_mark {
            Some(mark) => matching.not_mark(mark),
            None => matching,
        };
        self.simulated.rule_in(table, hook, matching, target);
        let mut arguments = vec!["-t", table_name(table), "-A", chain(hook), "-p", "udp"];
        let mark = not_mark.map(|mark| mark.to_string());
        if let Some(mark) = &mark {
            arguments.extend(["-m", "mark", "!", "--mark", mark]);
        }
        let target = target_arguments(target);
        arguments.extend(target.iter().map(String::as_str));
        Family::ALL.into_iter().try_for_each(|family| iptables(family, &arguments))
    }

    /// The same in the table `filter`, to one queue.
    pub(crate) fn queue_at(&self, hook: Hook, number: u16) -> Outcome {
        self.rule(Table::Filter, hook, None, Target::nfqueue(number))
    }

    /// A datagram to the application, as a packet.
    pub(crate) fn packet(&self, family: Family, payload: &[u8]) -> Vec<u8> {
        let to = self.receivers[index(family)].local_addr().unwrap();
        let builder = match to {
            SocketAddr::V4(to) => PacketBuilder::ipv4(to.ip().octets(), to.ip().octets(), 64),
            SocketAddr::V6(to) => PacketBuilder::ipv6(to.ip().octets(), to.ip().octets(), 64),
        };
        let mut packet = Vec::new();
        builder.udp(40_000, to.port()).write(&mut packet, payload).unwrap();
        if family == Family::Ipv4 {
            identify(&mut packet);
        }
        packet
    }

    /// Has both kernels send `packet`; both say the same of it.
    #[track_caller]
    pub(crate) fn send(&mut self, packet: &[u8], options: Options) {
        self.send_with(packet, options);
        self.listen_all("after a packet");
    }

    /// Has both kernels send `packet`, and does not listen to what they say of it.
    pub(crate) fn send_unheard(&mut self, packet: &[u8]) {
        self.send_with(packet, Options::default());
    }

    fn send_with(&mut self, packet: &[u8], options: Options) {
        let family = Family::of_packet(packet).unwrap();
        let Options { mark, priority } = options;
        let extras = Extras { mark, priority, owner: Some(owner()), ..Extras::default() };
        self.send_really(packet, options);
        self.simulated.send_with(family, packet, extras);
        self.simulated.run();
    }

    /// Sends a packet as it is, whatever the kernel's rules then do with it.
    fn send_really(&self, packet: &[u8], options: Options) {
        let family = Family::of_packet(packet).unwrap();
        let to: SocketAddr = match family {
            Family::Ipv4 => (Ipv4Addr::LOCALHOST, 0).into(),
            Family::Ipv6 => (Ipv6Addr::LOCALHOST, 0).into(),
        };
        let sender = &self.senders[index(family)];
        setsockopt(sender, sockopt::Mark, &options.mark).unwrap();
        setsockopt(sender, sockopt::Priority, &options.priority.cast_signed()).unwrap();
        let to = SockaddrStorage::from(to);
        // That a rule or a queue dropped it is told to the sender, who has nothing to say about that here.
        let _ = sendto(sender.as_raw_fd(), packet, &to, MsgFlags::empty());
    }

    /// The same with a datagram to the application.
    #[track_caller]
    pub(crate) fn send_text(&mut self, family: Family, payload: &[u8]) {
        let packet = self.packet(family, payload);
        self.send(&packet, Options::default());
    }

    /// What the application has received since the last call: the same in both kernels.
    #[track_caller]
    pub(crate) fn delivered(&self) -> Vec<Vec<u8>> {
        let outcomes = self.simulated.take_outcomes();
        let delivered = outcomes.iter().filter(|outcome| outcome.fate == Fate::Delivered);
        let mut texts = Vec::new();
        for outcome in delivered {
            let text = outcome.data[outcome.family.header_len() + 8..].to_vec();
            let receiver = &self.receivers[index(outcome.family)];
            assert_eq!(Some(&text), receive(receiver).as_ref(), "simulated and real");
            texts.push(text);
        }
        for receiver in &self.receivers {
            receiver.set_nonblocking(true).unwrap();
            assert_eq!(receive(receiver), None, "in the real kernel alone, after {texts:?}");
            receiver.set_nonblocking(false).unwrap();
        }
        texts
    }
}

fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 1 << 16];
    let len = socket.recv(&mut buffer).ok()?;
    Some(buffer[..len].to_vec())
}

fn index(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}

/// A header without an identification gets one of the kernel's.
pub(crate) fn identify(packet: &mut [u8]) {
    packet[4..6].copy_from_slice(&[0x12, 0x34]);
    packet[10..12].fill(0);
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.ones_complement().to_ne_bytes());
}

/// The user and the group that this process is to the kernel's first namespace.
fn owner() -> (u32, u32) {
    let outside = |map: &str| {
        let map = fs::read_to_string(map).unwrap();
        map.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (outside("/proc/self/uid_map"), outside("/proc/self/gid_map"))
}

/// Runs the family's iptables: that which writes nftables, or the older one where there is no other.
pub(crate) fn iptables(family: Family, arguments: &[&str]) -> Outcome {
    let [nft, legacy] = match family {
        Family::Ipv4 => ["iptables-nft", "iptables-legacy"],
        Family::Ipv6 => ["ip6tables-nft", "ip6tables-legacy"],
    };
    tool(nft, arguments).or_else(|reason| tool(legacy, arguments).map_err(|_| reason))
}

fn table_name(table: Table) -> &'static str {
    match table {
        Table::Raw => "raw",
        Table::Mangle => "mangle",
        Table::Filter => "filter",
    }
}

fn chain(hook: Hook) -> &'static str {
    match hook {
        Hook::PreRouting => "PREROUTING",
        Hook::LocalIn => "INPUT",
        Hook::LocalOut => "OUTPUT",
        Hook::PostRouting => "POSTROUTING",
        other => panic!("no packet of these tests passes {other}"),
    }
}

fn target_arguments(target: Target) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    match target {
        Target::Accept => words(&["-j", "ACCEPT"]),
        Target::Drop => words(&["-j", "DROP"]),
        Target::Mark(mark) => words(&["-j", "MARK", "--set-mark", &mark.to_string()]),
        Target::Nfqueue { first, last, bypass } => {
            let balance = format!("{first}:{last}");
            let mut arguments: Vec<_> = words(&["-j", "NFQUEUE", "--queue-balance", &balance]);
            if first == last {
                arguments = words(&["-j", "NFQUEUE", "--queue-num", &first.to_string()]);
            }
            if bypass {
                arguments.push("--queue-bypass".to_owned());
            }
            arguments
        }
        Target::Queue => panic!("only the older iptables has this target"),
    }
}
