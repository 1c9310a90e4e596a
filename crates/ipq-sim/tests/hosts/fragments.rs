//! Packets that are longer than a link takes.

use core::net::SocketAddr;

use ipq_proto::{Family, Hook};
use ipq_sim::{Fate, Kernel, Match, Reason, Target};

use crate::network::{FAMILIES, Network, assert_all_accounted, noise};

/// Sends `len` bytes from the client to the server, and returns what arrives.
fn carry(network: &Network, family: Family, len: usize) -> Option<Vec<u8>> {
    let (from, to) = (&network.client, &network.server);
    let to = to.udp(SocketAddr::new(to.address(family), 0));
    let from = from.udp(SocketAddr::new(from.address(family), 0));
    assert!(from.send(to.address(), &noise(len)));
    network.kernel.run();
    assert_all_accounted(&network.kernel);
    to.receive().map(|(text, _)| text)
}

#[test]
fn long_datagrams_arrive_whole() {
    for family in FAMILIES {
        for len in [1473, 1480, 4000, 9000, 65_000] {
            let network = Network::new();
            assert_eq!(carry(&network, family, len), Some(noise(len)), "{family} {len}");
            assert!(network.kernel.totals().entered > 1, "in fragments");
        }
    }
}

#[test]
fn this_host_sends_and_receives_long_datagrams() {
    for family in FAMILIES {
        let network = Network::new();
        let here = network.kernel.local_host();
        let own = if family == Family::Ipv4 { "10.0.1.1" } else { "fd00:1::1" };
        let socket = here.udp(SocketAddr::new(own.parse().unwrap(), 0));
        let there = network.server.udp(SocketAddr::new(network.server.address(family), 0));
        socket.send(there.address(), &noise(5000));
        network.kernel.run();
        assert_eq!(there.receive().map(|(text, _)| text), Some(noise(5000)), "{family}");
        assert_eq!(network.kernel.totals().fragmented, 1, "behind the last hook");
        there.send(socket.address(), &noise(6000));
        network.kernel.run();
        assert_eq!(socket.receive().map(|(text, _)| text), Some(noise(6000)), "{family}");
        assert_eq!(network.kernel.totals().reassembled, 4, "for this host");
        assert_all_accounted(&network.kernel);
    }
}

#[test]
fn fragments_pass_the_hooks_as_they_come() {
    let network = Network::new();
    // Of three fragments the last one is short: only that one is let through.
    network.kernel.rule(Hook::Forward, Match::any(), Target::Accept);
    assert_eq!(carry(&network, Family::Ipv4, 4000), Some(noise(4000)));
    let lens: Vec<_> =
        network.kernel.delivered().iter().map(|outcome| outcome.data.len()).collect();
    assert_eq!(lens, [1500, 1500, 1068]);
}

#[test]
fn a_forwarded_packet_is_cut_up_where_it_may_be() {
    let network = Network::with(Kernel::builder(), 600);
    // What hosts send unfragmented must not be cut up.
    assert_eq!(carry(&network, Family::Ipv4, 1000), None);
    let outcomes = network.kernel.take_outcomes();
    assert_eq!(outcomes[0].fate, Fate::Dropped(Reason::TooLong));
    // A fragment may be.
    assert_eq!(carry(&network, Family::Ipv4, 3000), Some(noise(3000)));
    assert_eq!(network.kernel.totals().fragmented, 2);
    assert_eq!(carry(&network, Family::Ipv6, 3000), None, "routers do not, for IPv6");
}

#[test]
fn a_fragment_that_is_lost_loses_the_packet() {
    let network = Network::new();
    let here = network.kernel.local_host();
    let own = SocketAddr::new("10.0.0.1".parse().unwrap(), 0);
    let to = here.udp(own);
    network.kernel.rule(
        Hook::PreRouting,
        Match::any().destination_port(to.address().port()),
        Target::Drop,
    );
    let from = network.client.udp(SocketAddr::new(network.client.address(Family::Ipv4), 0));
    from.send(to.address(), &noise(4000));
    network.kernel.run();
    assert_eq!(to.receive(), None);
    let fates: Vec<_> = network.kernel.take_outcomes().iter().map(|outcome| outcome.fate).collect();
    let late = Fate::Dropped(Reason::ReassemblyTimeout);
    assert_eq!(fates, [Fate::Dropped(Reason::Rule(Hook::PreRouting)), late, late]);
    assert_eq!(network.kernel.now().as_secs(), 30);
}
