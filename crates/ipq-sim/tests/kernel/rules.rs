//! Rules: each condition, conditions together, the order of rules and of tables.

use core::net::IpAddr;

use ipq_proto::{Family, Hook};
use ipq_sim::{Fate, Kernel, Match, Protocol, Reason, Table, Target};

use crate::common::{
    Way, echo_on, fragment_on, here, inbound, router, tcp_on, through, udp, udp_on, way,
};

const DROPPED: Fate = Fate::Dropped(Reason::Rule(Hook::PreRouting));

/// Whether a rule is for a packet that comes in by `eth0`.
#[track_caller]
fn matches(condition: Match, family: Family, data: &[u8]) -> bool {
    let kernel = router().build();
    kernel.rule(Hook::PreRouting, condition, Target::Drop);
    kernel.receive("eth0", family, data);
    kernel.run();
    match kernel.take_outcomes()[0].fate {
        DROPPED => true,
        Fate::Delivered => false,
        other => panic!("{other}"),
    }
}

fn net(address: IpAddr) -> ipnet::IpNet {
    ipnet::IpNet::from(address)
}

#[test]
fn any_is_for_everything() {
    for family in Family::ALL {
        let way = inbound(family);
        for data in [udp_on(way, b""), tcp_on(way, b""), echo_on(way, b"")] {
            assert!(matches(Match::any(), family, &data));
            assert!(matches(Match::default(), family, &data));
        }
    }
}

#[test]
fn a_family_is_for_its_own() {
    for family in Family::ALL {
        for other in Family::ALL {
            let data = udp_on(inbound(family), b"");
            assert_eq!(matches(Match::any().family(other), family, &data), family == other);
        }
    }
}

#[test]
fn a_protocol_is_for_its_own() {
    for family in Family::ALL {
        let way = inbound(family);
        let icmp = if family == Family::Ipv4 { Protocol::ICMP } else { Protocol::ICMPV6 };
        let packets = [
            (Protocol::UDP, udp_on(way, b"")),
            (Protocol::TCP, tcp_on(way, b"")),
            (icmp, echo_on(way, b"")),
        ];
        for (protocol, data) in &packets {
            for wanted in [Protocol::UDP, Protocol::TCP, Protocol::ICMP, Protocol::ICMPV6] {
                let expected = wanted == *protocol;
                assert_eq!(matches(Match::protocol(wanted), family, data), expected);
            }
        }
    }
}

#[test]
fn addresses_are_for_their_network() {
    for family in Family::ALL {
        let way = inbound(family);
        let data = udp_on(way, b"");
        let elsewhere = through(family).to;
        let wide: ipnet::IpNet =
            if family == Family::Ipv4 { "10.0.0.0/8" } else { "fd00::/16" }.parse().unwrap();
        let all: ipnet::IpNet =
            if family == Family::Ipv4 { "0.0.0.0/0" } else { "::/0" }.parse().unwrap();
        let other: ipnet::IpNet =
            if family == Family::Ipv4 { "::/0" } else { "0.0.0.0/0" }.parse().unwrap();
        for (addresses, source, destination) in [
            (net(way.from), true, false),
            (net(way.to), false, true),
            (net(elsewhere), false, false),
            (wide, true, true),
            (all, true, true),
            (other, false, false),
        ] {
            assert_eq!(matches(Match::any().source(addresses), family, &data), source);
            assert_eq!(matches(Match::any().destination(addresses), family, &data), destination);
        }
    }
}

#[test]
fn ports_are_for_tcp_and_udp() {
    for family in Family::ALL {
        let way = Way { ports: (1024, 53), ..inbound(family) };
        for (data, has_ports) in
            [(udp_on(way, b""), true), (tcp_on(way, b""), true), (echo_on(way, b"1234"), false)]
        {
            for (condition, expected) in [
                (Match::any().source_port(1024), true),
                (Match::any().source_port(53), false),
                (Match::any().destination_port(53), true),
                (Match::any().destination_port(1024), false),
                (Match::any().source_ports(0..=u16::MAX), true),
                (Match::any().source_ports(1000..=1024), true),
                (Match::any().source_ports(1024..=1024), true),
                (Match::any().source_ports(1025..=2000), false),
                (Match::any().destination_ports(53..=54), true),
                (Match::any().destination_ports(54..=60), false),
                (Match::any().destination_ports(0..=52), false),
            ] {
                let found = matches(condition.clone(), family, &data);
                assert_eq!(found, expected && has_ports, "{family} {condition:?}");
            }
        }
    }
}

#[test]
fn only_the_first_fragment_has_ports() {
    for family in Family::ALL {
        let first = fragment_on(through(family), 0, true, &[0x41; 64]);
        let later = fragment_on(through(family), 9, true, &[0x41; 64]);
        let condition = Match::protocol(Protocol::UDP).destination_port(9999);
        assert!(matches(condition.clone(), family, &first), "{family}");
        assert!(matches(Match::any().source_ports(40_000..=40_000), family, &first), "{family}");
        assert!(!matches(condition, family, &later), "{family}");
        assert!(!matches(Match::any().source_ports(0..=u16::MAX), family, &later), "{family}");
        assert!(matches(Match::protocol(Protocol::UDP), family, &later), "{family}");
    }
}

#[test]
fn devices_are_for_what_comes_in_and_goes_out_by_them() {
    for family in Family::ALL {
        for (hook, input, output) in [
            (Hook::PreRouting, "eth0", ""),
            (Hook::Forward, "eth0", "eth1"),
            (Hook::PostRouting, "", "eth1"),
        ] {
            for device in ["eth0", "eth1", "lo", "eth", "eth00", "tun0"] {
                for (condition, expected) in [
                    (Match::any().input_device(device), input == device),
                    (Match::any().output_device(device), output == device),
                ] {
                    let kernel = router().build();
                    kernel.rule(hook, condition, Target::Drop);
                    kernel.receive("eth0", family, &udp_on(through(family), b"x"));
                    kernel.run();
                    let dropped = kernel.take_outcomes()[0].fate != Fate::Delivered;
                    assert_eq!(dropped, expected, "{hook} {device}");
                }
            }
        }
    }
}

#[test]
fn a_mark_is_for_its_own() {
    for family in Family::ALL {
        for (mark, wanted) in [(0, 0), (0, 1), (7, 7), (7, 0), (u32::MAX, u32::MAX), (1, 3)] {
            let kernel = router().build();
            kernel.rule(Hook::LocalOut, Match::any().mark(wanted), Target::Drop);
            kernel.send_marked(family, &udp(family, b"x"), mark);
            kernel.run();
            let dropped = kernel.take_outcomes()[0].fate != Fate::Delivered;
            assert_eq!(dropped, mark == wanted, "{mark} {wanted}");
        }
    }
}

#[test]
fn all_conditions_given_must_hold() {
    for family in Family::ALL {
        let way = inbound(family);
        let data = udp_on(way, b"x");
        let elsewhere = through(family).to;
        let other = Family::ALL.into_iter().find(|&other| other != family).unwrap();
        let all = || {
            Match::protocol(Protocol::UDP)
                .family(family)
                .source(net(way.from))
                .destination(net(way.to))
                .source_port(40_000)
                .destination_port(9999)
                .input_device("eth0")
                .output_device("")
                .mark(0)
        };
        assert!(matches(all(), family, &data));
        for but_one in [
            all().family(other),
            all().source(net(elsewhere)),
            all().destination(net(elsewhere)),
            all().source_port(1),
            all().destination_port(1),
            all().input_device("eth1"),
            all().output_device("eth1"),
            all().mark(1),
        ] {
            assert!(!matches(but_one.clone(), family, &data), "{but_one:?}");
        }
        assert!(!matches(all(), family, &tcp_on(way, b"x")), "the protocol");
    }
}

#[test]
fn a_later_condition_of_the_same_kind_replaces_the_earlier() {
    let data = udp_on(inbound(Family::Ipv4), b"x");
    let condition = Match::any().destination_port(1).destination_port(9999);
    assert!(matches(condition, Family::Ipv4, &data));
}

#[test]
fn conditions_on_headers_never_hold_for_what_has_none() {
    let kernel = router().build();
    let conditions = [
        Match::protocol(Protocol(0)),
        Match::any().source("0.0.0.0/0".parse().unwrap()),
        Match::any().destination("::/0".parse().unwrap()),
        Match::any().source_ports(0..=u16::MAX),
    ];
    for condition in conditions {
        kernel.rule(Hook::LocalOut, condition, Target::Drop);
    }
    kernel.send(Family::Ipv4, b"nonsense");
    kernel.run();
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::Malformed));
}

fn sent(kernel: &Kernel, family: Family) -> Fate {
    kernel.send(family, &udp(family, b"x"));
    kernel.run();
    kernel.take_outcomes()[0].fate
}

#[test]
fn the_first_rule_that_matches_counts() {
    for family in Family::ALL {
        let kernel = router().build();
        kernel.rule(Hook::LocalOut, Match::any().destination_port(1), Target::Drop);
        kernel.rule(Hook::LocalOut, Match::any().destination_port(9999), Target::Accept);
        kernel.rule(Hook::LocalOut, Match::any(), Target::Drop);
        assert_eq!(sent(&kernel, family), Fate::Delivered);
        let way = Way { ports: (1, 2), ..here(family) };
        kernel.send(family, &udp_on(way, b"x"));
        kernel.run();
        assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::Rule(Hook::LocalOut)));
    }
}

#[test]
fn a_packet_that_no_rule_matches_passes() {
    for family in Family::ALL {
        let kernel = router().build();
        assert_eq!(sent(&kernel, family), Fate::Delivered);
        kernel.rule(Hook::LocalOut, Match::any().mark(1), Target::Drop);
        assert_eq!(sent(&kernel, family), Fate::Delivered);
    }
}

#[test]
fn a_rule_is_for_its_hook() {
    for family in Family::ALL {
        for (hook, passed) in [
            (Hook::PreRouting, true),
            (Hook::LocalIn, true),
            (Hook::Forward, false),
            (Hook::LocalOut, true),
            (Hook::PostRouting, true),
        ] {
            let kernel = router().build();
            kernel.rule(hook, Match::any(), Target::Drop);
            let expected = if passed { Fate::Dropped(Reason::Rule(hook)) } else { Fate::Delivered };
            assert_eq!(sent(&kernel, family), expected);
        }
    }
}

/// Accept passes its own table only; the tables come in the order raw, mangle, filter.
#[test]
fn tables_are_passed_in_order() {
    let queued = Fate::Dropped(Reason::NoPeer);
    let dropped = Fate::Dropped(Reason::Rule(Hook::LocalOut));
    for (rules, expected) in [
        (&[(Table::Filter, Target::Drop), (Table::Raw, Target::Accept)][..], dropped),
        (&[(Table::Filter, Target::Drop), (Table::Raw, Target::Queue)], queued),
        (&[(Table::Mangle, Target::Queue), (Table::Raw, Target::Drop)], dropped),
        (&[(Table::Filter, Target::Queue), (Table::Mangle, Target::Drop)], dropped),
        (&[(Table::Raw, Target::Accept), (Table::Raw, Target::Drop)], Fate::Delivered),
    ] {
        for family in Family::ALL {
            let kernel = router().build();
            for &(table, target) in rules {
                kernel.rule_in(table, Hook::LocalOut, Match::any(), target);
            }
            assert_eq!(sent(&kernel, family), expected, "{rules:?}");
        }
    }
}

#[test]
fn a_rule_without_a_table_is_in_filter() {
    let kernel = router().build();
    kernel.rule_in(Table::default(), Hook::LocalOut, Match::any(), Target::Accept);
    kernel.rule(Hook::LocalOut, Match::any(), Target::Drop);
    assert_eq!(Table::default(), Table::Filter);
    assert_eq!(sent(&kernel, Family::Ipv4), Fate::Delivered);
}

#[test]
fn a_rule_added_later_is_for_packets_that_come_later() {
    let kernel = router().build();
    assert_eq!(sent(&kernel, Family::Ipv4), Fate::Delivered);
    kernel.rule(Hook::LocalOut, Match::any(), Target::Drop);
    assert_eq!(sent(&kernel, Family::Ipv4), Fate::Dropped(Reason::Rule(Hook::LocalOut)));
}

#[test]
fn extension_headers_hide_no_protocol() {
    let mut data = Vec::new();
    let way = way("fd00:7::9", "fd00:7::1");
    let mut headers = crate::common::ip_headers(way);
    if let etherparse::IpHeaders::Ipv6(_, extensions) = &mut headers {
        let options = [1, 4, 0, 0, 0, 0];
        let next = etherparse::IpNumber::UDP;
        extensions.hop_by_hop_options =
            Some(etherparse::Ipv6RawExtHeader::new_raw(next, &options).unwrap());
    }
    let step = etherparse::PacketBuilder::ip(headers).udp(5, 53);
    step.write(&mut data, b"x").unwrap();
    let condition = Match::protocol(Protocol::UDP).destination_port(53);
    assert!(matches(condition, Family::Ipv6, &data));
}
