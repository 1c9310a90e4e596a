//! UDP.

use core::net::SocketAddr;

use ipq_proto::{Family, Hook};
use ipq_sim::{Kernel, Match, Target};

use crate::network::{FAMILIES, Network, assert_all_accounted};

#[test]
fn datagrams_go_both_ways() {
    for family in FAMILIES {
        let network = Network::new();
        let server = network.server.udp(SocketAddr::new(network.server.address(family), 53));
        let client = network.client.udp(SocketAddr::new(network.client.address(family), 0));
        assert!(client.send(server.address(), b"question"));
        network.kernel.run();
        let (text, from) = server.receive().unwrap();
        assert_eq!((&text[..], from), (&b"question"[..], client.address()));
        assert!(server.send(from, b"answer"));
        network.kernel.run();
        assert_eq!(client.receive(), Some((b"answer".to_vec(), server.address())));
        assert_eq!(client.receive(), None);
        assert_all_accounted(&network.kernel);
    }
}

#[test]
fn every_address_of_the_loopback_has_a_host_behind_it() {
    let kernel = Kernel::builder().build();
    let here = kernel.local_host();
    let to = here.udp("127.0.0.1:0".parse().unwrap());
    for last in 1..=40 {
        let from = here.udp(SocketAddr::new([127, 0, 0, last].into(), 0));
        from.send(to.address(), &[last]);
        kernel.run();
        assert_eq!(to.receive(), Some((vec![last], from.address())));
    }
}

#[test]
fn a_mark_is_on_what_its_socket_sends_and_on_nothing_else() {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any().mark(7), Target::Drop);
    let here = kernel.local_host();
    let [plain, marked, to] = [(); 3].map(|()| here.udp("127.0.0.1:0".parse().unwrap()));
    marked.set_mark(7);
    marked.send(to.address(), b"marked");
    plain.send(to.address(), b"plain");
    kernel.run();
    assert_eq!(to.receive(), Some((b"plain".to_vec(), plain.address())));
    assert_eq!(to.receive(), None);
    marked.set_mark(8);
    marked.send(to.address(), b"another mark");
    kernel.run();
    assert_eq!(to.receive().unwrap().0, b"another mark");
}

#[test]
fn datagrams_take_as_long_as_their_links() {
    let builder = Kernel::builder();
    let link = |name| ipq_sim::Device::ethernet(name).latency(core::time::Duration::from_millis(3));
    let kernel = builder
        .device(link("eth0").address("10.0.0.1/24".parse().unwrap()))
        .device(link("eth1").address("10.0.1.1/24".parse().unwrap()))
        .build();
    let from = kernel.host("eth0", ["10.0.0.2".parse().unwrap()]);
    let to = kernel.host("eth1", ["10.0.1.2".parse().unwrap()]);
    let there = to.udp("10.0.1.2:9".parse().unwrap());
    from.udp("10.0.0.2:0".parse().unwrap()).send(there.address(), b"slow");
    kernel.advance(core::time::Duration::from_millis(5));
    assert_eq!(there.receive(), None);
    kernel.advance(core::time::Duration::from_millis(1));
    assert!(there.receive().is_some());
}

#[test]
#[should_panic(expected = "192.0.2.1 is none of this host's addresses")]
fn a_host_has_no_socket_at_the_address_of_another() {
    let network = Network::new();
    network.client.udp("192.0.2.1:0".parse().unwrap());
}

#[test]
fn an_unreachable_port_is_told_and_does_no_harm() {
    let network = Network::new();
    let from = network.client.udp(SocketAddr::new(network.client.address(Family::Ipv4), 0));
    from.send(SocketAddr::new(network.server.address(Family::Ipv4), 9), b"nobody listens");
    network.kernel.run();
    assert_eq!(
        network.kernel.totals().entered,
        2,
        "the datagram, and what says that nobody listens"
    );
    assert_eq!(from.receive(), None);
}
