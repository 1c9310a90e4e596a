//! Privileges that are given up, and sockets that come from somebody else. Only a real kernel has either.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;

use caps::{CapSet, Capability, CapsHashSet};
use ipq::{
    CopyMode, DefaultVerdict, Errno, Event, Families, NetlinkSocket, Queue, SharedQueue,
    TransportName, Verdict,
};
use ipq_sys::{Protocol, SocketOptions, Transport};
use ipq_tests::namespace::{self, tool};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::support::{PATIENCE, decide, refused};

const WHOLE: CopyMode = CopyMode::Packet { range: 0 };

/// Runs `body`, the whole of the test of this name, in a network of its own, with a socket whose datagrams to itself wait
/// in queue 0.
fn run(test: &str, body: impl FnOnce(&UdpSocket)) {
    namespace::run(&format!("{}::{test}", module_path!()), || {
        tool("ip", &["link", "set", "lo", "up"])?;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = socket.local_addr().unwrap();
        let port = address.port().to_string();
        let rule = ["-A", "OUTPUT", "-p", "udp", "--dport", &port, "-j", "NFQUEUE"];
        tool("iptables-nft", &rule).or_else(|_| tool("iptables-legacy", &rule))?;
        socket.connect(address).unwrap();
        body(&socket);
        Ok(())
    });
}

fn open() -> Queue {
    let name = TransportName::Nfqueue { first: 0, last: 0 };
    let mut queue = Queue::open(name, Families::Both).unwrap();
    queue.set_mode(WHOLE).unwrap();
    queue
}

fn assert_receives(socket: &UdpSocket, text: &[u8]) {
    let mut buffer = [0; 100];
    let len = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], text);
}

/// Gives up all capabilities of this thread but these.
fn keep(kept: &[Capability]) {
    let kept: CapsHashSet = kept.iter().copied().collect();
    caps::set(None, CapSet::Effective, &kept).unwrap();
    caps::set(None, CapSet::Permitted, &kept).unwrap();
    assert_eq!(caps::read(None, CapSet::Effective).unwrap(), kept);
}

#[test]
fn with_one_capability_all_goes_on() {
    run("with_one_capability_all_goes_on", |socket| {
        let mut queue = open();
        keep(&[Capability::CAP_NET_ADMIN]);
        socket.send(b"a").unwrap();
        decide(&mut queue, Verdict::Accept);
        assert_receives(socket, b"a");
        queue.set_mode(CopyMode::Metadata).unwrap();
    });
}

#[test]
fn without_any_packets_are_read_and_verdicts_refused() {
    run("without_any_packets_are_read_and_verdicts_refused", |socket| {
        let mut queue = open();
        keep(&[]);
        socket.send(b"a").unwrap();
        let seen = decide(&mut queue, Verdict::Accept);
        // The kernel looks at the sender of each request, verdicts among them, and not only at who opened the socket.
        let refusal = refused(&mut queue);
        assert_eq!((refusal.errno, refusal.packet), (Errno::EPERM, Some(seen.id)));
        assert!(refusal.to_string().contains("CAP_NET_ADMIN is missing"), "{refusal}");
        let error = queue.set_mode(CopyMode::Metadata).unwrap_err();
        assert!(error.to_string().contains("CAP_NET_ADMIN is missing"), "{error}");
        // To end is everybody's right: the kernel drops what it still has.
        SharedQueue::new(queue, DefaultVerdict::Drop).unwrap().close().unwrap();
    });
}

#[test]
fn a_socket_that_was_opened_elsewhere_is_taken() {
    run("a_socket_that_was_opened_elsewhere_is_taken", |socket| {
        let opened = NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default()).unwrap();
        let port_id = opened.port_id();
        let adopted = NetlinkSocket::from_descriptor(OwnedFd::from(opened)).unwrap();
        assert_eq!(adopted.port_id(), port_id);
        let mut queue = Queue::with_nfqueue(adopted, 0..=0, Families::Both).unwrap();
        queue.set_mode(WHOLE).unwrap();
        socket.send(b"a").unwrap();
        decide(&mut queue, Verdict::Accept);
        assert_receives(socket, b"a");
    });
}

#[test]
fn a_socket_without_port_id_gets_one() {
    run("a_socket_without_port_id_gets_one", |_| {
        let raw = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        );
        let adopted = NetlinkSocket::from_descriptor(raw.unwrap()).unwrap();
        assert_ne!(adopted.port_id(), 0);
        Queue::with_nfqueue(adopted, 0..=0, Families::Both).unwrap();
    });
}

#[test]
fn a_queue_that_was_configured_elsewhere_is_used() {
    run("a_queue_that_was_configured_elsewhere_is_used", |socket| {
        // A duplicate, as one that came by SCM_RIGHTS or was inherited.
        let configured = open();
        let passed = configured.descriptors().next().unwrap().try_clone_to_owned().unwrap();
        drop(configured);
        let adopted = NetlinkSocket::from_descriptor(passed).unwrap();
        keep(&[Capability::CAP_NET_ADMIN]);
        let mut queue = Queue::with_configured(adopted, 0..=0, WHOLE, Families::Both);
        socket.send(b"a").unwrap();
        let mut buffer = vec![0; queue.buffer_len()];
        match queue.read(&mut buffer, Some(PATIENCE)).unwrap() {
            Some(Event::Packet(packet)) => queue.verdict(packet.id(), Verdict::Accept).unwrap(),
            other => panic!("{other:?}"),
        }
        assert_receives(socket, b"a");
    });
}

#[test]
fn what_is_no_queues_socket_is_refused() {
    let refused = |descriptor: OwnedFd| NetlinkSocket::from_descriptor(descriptor).unwrap_err();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(refused(udp.into()).errno.0, nix::libc::EAFNOSUPPORT);
    let file = std::fs::File::open("/proc/self/comm").unwrap();
    let error = refused(file.into());
    assert_eq!(error.errno.0, nix::libc::ENOTSOCK);
    assert!(error.to_string().contains("has to be a netlink socket"), "{error}");
    let flags = SockFlag::SOCK_CLOEXEC;
    let route = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute);
    assert_eq!(refused(route.unwrap()).errno, Errno::EPROTONOSUPPORT);
}
