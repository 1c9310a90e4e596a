//! TCP.

use core::net::SocketAddr;

use ipq_proto::{Family, Hook};
use ipq_sim::{Kernel, Match, Target};

use crate::network::{FAMILIES, Network, assert_all_accounted, noise};

#[test]
fn a_conversation_goes_both_ways() {
    for family in FAMILIES {
        let network = Network::new();
        let listener = network.server.listen(SocketAddr::new(network.server.address(family), 80));
        let client = network.client.connect(listener.address());
        client.send(b"question");
        network.kernel.run();
        let server = listener.accept().unwrap();
        assert!(listener.accept().is_none());
        assert_eq!(server.receive(), b"question");
        server.send(b"answer");
        server.close();
        network.kernel.run();
        assert_eq!(client.receive(), b"answer");
        assert!(client.is_finished());
        client.close();
        network.kernel.run();
        assert!(server.is_finished());
        assert_all_accounted(&network.kernel);
    }
}

#[test]
fn ten_megabytes_arrive() {
    let network = Network::new();
    let bytes = noise(10_000_000);
    let to = network.server.address(Family::Ipv4);
    let mut transfer = network.client.transfer(&network.server, to, &bytes);
    assert_eq!(transfer.received(), None);
    network.kernel.run();
    assert!(transfer.received() == Some(bytes), "{} bytes", transfer.received_len());
    assert_all_accounted(&network.kernel);
}

#[test]
fn this_host_takes_part() {
    for family in FAMILIES {
        let network = Network::new();
        let here = network.kernel.local_host();
        let bytes = noise(300_000);
        let to = network.server.address(family);
        let mut out = here.transfer(&network.server, to, &bytes);
        let mut back = network.server.transfer(&here, here.address(family), &bytes);
        let lo = if family == Family::Ipv4 { "127.0.0.1" } else { "::1" };
        let mut round = here.transfer(&here, lo.parse().unwrap(), &bytes);
        network.kernel.run();
        for transfer in [&mut out, &mut back, &mut round] {
            assert!(
                transfer.received().as_ref() == Some(&bytes),
                "{} bytes",
                transfer.received_len()
            );
        }
    }
}

#[test]
fn nobody_listens() {
    let network = Network::new();
    let to = SocketAddr::new(network.server.address(Family::Ipv4), 81);
    let client = network.client.connect(to);
    network.kernel.run();
    assert!(client.is_finished());
    assert!(!client.is_open());
}

#[test]
fn a_connection_that_nobody_answers_is_given_up() {
    let network = Network::new();
    network.kernel.rule(Hook::Forward, Match::any(), Target::Drop);
    let to = network.server.address(Family::Ipv4);
    let mut transfer = network.client.transfer(&network.server, to, b"never");
    network.kernel.run();
    assert_eq!((transfer.received(), transfer.received_len()), (None, 0));
    assert!(!transfer.sender().is_open());
    assert!((100..200).contains(&network.kernel.now().as_secs()), "{:?}", network.kernel.now());
}

#[test]
fn two_runs_are_the_same() {
    let run = |seed| {
        let network = Network::with(Kernel::builder().seed(seed).trace(), 1400);
        let bytes = noise(100_000);
        network.client.ping(network.server.address(Family::Ipv6));
        let to = network.server.address(Family::Ipv4);
        network.client.transfer(&network.server, to, &bytes);
        network.kernel.run();
        (network.kernel.take_trace(), network.kernel.take_outcomes())
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3).1, run(4).1, "sequence numbers are drawn from the seed");
}
