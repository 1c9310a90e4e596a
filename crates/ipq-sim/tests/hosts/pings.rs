//! Echo requests.

use ipq_proto::{Family, Hook};
use ipq_sim::{Match, Protocol, Target};

use crate::network::{FAMILIES, Network, assert_all_accounted};

#[test]
fn each_host_answers_every_other() {
    for family in FAMILIES {
        let network = Network::new();
        let here = network.kernel.local_host();
        let hosts = [&network.client, &network.server, &here];
        for (from, to) in hosts.iter().flat_map(|from| hosts.map(|to| (*from, to))) {
            if from.addresses() == to.addresses() && from.addresses() != here.addresses() {
                continue;
            }
            let ping = from.ping(to.address(family));
            assert!(!ping.is_answered(), "the kernel has not run yet");
            network.kernel.run();
            assert!(ping.is_answered(), "{from:?} to {to:?}");
        }
        assert_all_accounted(&network.kernel);
    }
}

#[test]
fn what_a_rule_drops_is_not_answered() {
    let network = Network::new();
    let icmp = Match::protocol(Protocol::ICMP).input_device("eth1");
    network.kernel.rule(Hook::Forward, icmp, Target::Drop);
    let ping = network.client.ping(network.server.address(Family::Ipv4));
    network.kernel.run();
    assert!(!ping.is_answered(), "the answer is dropped");
    let ping = network.client.ping(network.server.address(Family::Ipv6));
    network.kernel.run();
    assert!(ping.is_answered());
}

#[test]
fn nobody_answers_for_an_address_that_no_host_has() {
    let network = Network::new();
    let ping = network.client.ping("10.0.1.77".parse().unwrap());
    network.kernel.run();
    assert!(!ping.is_answered());
    assert_all_accounted(&network.kernel);
}

#[test]
fn a_device_that_is_down_carries_nothing() {
    let network = Network::new();
    network.kernel.device_down("eth1");
    let ping = network.client.ping(network.server.address(Family::Ipv4));
    network.kernel.run();
    assert!(!ping.is_answered());
    network.kernel.device_up("eth1");
    let ping = network.client.ping(network.server.address(Family::Ipv4));
    network.kernel.run();
    assert!(ping.is_answered());
}

#[test]
fn a_request_to_oneself_is_no_answer() {
    for family in FAMILIES {
        let network = Network::new();
        let here = network.kernel.local_host();
        let ping = here.ping(here.address(family));
        network.kernel.step();
        assert_eq!(network.kernel.totals().delivered, 1, "the request is there");
        network.kernel.rule(Hook::LocalOut, Match::any(), Target::Drop);
        network.kernel.run();
        assert_eq!(network.kernel.totals().dropped, 1, "the answer is not");
        assert!(!ping.is_answered());
    }
}
