//! The way of a packet through the hooks, and what is said of it at each.

use ipq_proto::ip_queue::Timestamp as WireTime;
use ipq_proto::{
    CopyMode, DataModel, EtherType, Family, HardwareAddress, HardwareType, Hook, Verdict,
};
use ipq_sim::capture::Timestamp;
use ipq_sim::{Builder, Device, Kernel, Match, Outcome, SocketOptions, Target};

use crate::common::{
    Announced, Heard, MODEL, Program, builder, fragment_on, here, inbound, router, through, udp_on,
};

const NOW: (i64, u32) = (1_795_429_884, 481_597_999);
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 0xbb];

/// What is said of a packet, as a line.
fn describe(packet: &Announced) -> String {
    let Announced { hook, input, output, hw_protocol, hw_type, hw_address, timestamp, .. } = packet;
    format!(
        "{hook} in '{input}' out '{output}' {hw_protocol} {} '{hw_address}' {timestamp}",
        hw_type.0
    )
}

/// Lets one packet pass all hooks, each with a queue; gives what was said at each, and its end.
fn trace(builder: Builder, family: Family, enter: impl Fn(&Kernel)) -> (Vec<String>, Outcome) {
    let start = Timestamp::new(NOW.0, NOW.1).unwrap();
    let kernel = builder.start_time(start).build();
    for hook in Hook::ALL {
        kernel.rule(hook, Match::any(), Target::Queue);
    }
    let mut program = Program::open(&kernel, family, SocketOptions::default());
    program.set_mode(CopyMode::Packet { range: 0 });
    enter(&kernel);
    kernel.run();
    let mut said = Vec::new();
    while let Some(Heard::Packet(packet)) = program.hear() {
        said.push(describe(&packet));
        program.verdict(packet.id, Verdict::Accept);
    }
    // A fragment that lacks the others ends some time later.
    kernel.run();
    let mut outcomes = kernel.take_outcomes();
    assert_eq!(outcomes.len(), 1);
    (said, outcomes.remove(0))
}

fn ether(family: Family) -> EtherType {
    family.ether_type()
}

#[test]
fn a_packet_for_this_host_passes_pre_routing_and_local_in() {
    for family in Family::ALL {
        let sender = HardwareAddress::new(&SENDER).unwrap();
        let data = udp_on(inbound(family), b"hello");
        let (said, outcome) = trace(router(), family, |kernel| {
            kernel.receive_from("eth0", sender, family, &data);
        });
        let protocol = ether(family);
        let rest = format!("{protocol} 1 '02:00:00:00:00:bb' 1795429884.481597");
        assert_eq!(
            said,
            [
                format!("PRE_ROUTING in 'eth0' out '' {rest}"),
                format!("LOCAL_IN in 'eth0' out '' {rest}"),
            ]
        );
        assert_eq!(outcome.input_device.to_string(), "eth0");
        assert!(outcome.output_device.is_empty());
        assert_eq!(outcome.timestamp, Timestamp::new(NOW.0, NOW.1));
        assert_eq!(outcome.data, data);
    }
}

#[test]
fn a_forwarded_packet_loses_its_input_device_at_post_routing() {
    for family in Family::ALL {
        let sender = HardwareAddress::new(&SENDER).unwrap();
        let (said, outcome) = trace(router(), family, |kernel| {
            kernel.receive_from("eth0", sender, family, &udp_on(through(family), b"hello"));
        });
        let protocol = ether(family);
        let from = "1 '02:00:00:00:00:bb' 1795429884.481597";
        assert_eq!(
            said,
            [
                format!("PRE_ROUTING in 'eth0' out '' {protocol} {from}"),
                format!("FORWARD in 'eth0' out 'eth1' {protocol} {from}"),
                format!("POST_ROUTING in '' out 'eth1' {protocol} 0 '' 1795429884.481597"),
            ]
        );
        assert_eq!(outcome.input_device.to_string(), "eth0");
        assert_eq!(outcome.output_device.to_string(), "eth1");
        assert_eq!(outcome.timestamp, Timestamp::new(NOW.0, NOW.1));
    }
}

#[test]
fn a_packet_to_this_host_passes_four_hooks_and_lo() {
    for family in Family::ALL {
        let (said, outcome) = trace(builder(), family, |kernel| {
            kernel.send(family, &udp_on(here(family), b"hello"));
        });
        let protocol = ether(family);
        let by_lo = format!("{protocol} 772 '00:00:00:00:00:00' 1795429884.481597");
        assert_eq!(
            said,
            [
                "LOCAL_OUT in '' out 'lo' 0x0000 0 '' 0.000000".to_owned(),
                format!("POST_ROUTING in '' out 'lo' {protocol} 0 '' 0.000000"),
                format!("PRE_ROUTING in 'lo' out '' {by_lo}"),
                format!("LOCAL_IN in 'lo' out '' {by_lo}"),
            ]
        );
        assert_eq!(outcome.input_device.to_string(), "lo");
    }
}

#[test]
fn a_packet_to_another_host_leaves_without_arrival_time() {
    for family in Family::ALL {
        let (said, outcome) = trace(router(), family, |kernel| {
            kernel.send(family, &udp_on(through(family), b"hello"));
        });
        let protocol = ether(family);
        assert_eq!(
            said,
            [
                "LOCAL_OUT in '' out 'eth1' 0x0000 0 '' 0.000000".to_owned(),
                format!("POST_ROUTING in '' out 'eth1' {protocol} 0 '' 0.000000"),
            ]
        );
        assert_eq!(outcome.output_device.to_string(), "eth1");
        assert_eq!(outcome.timestamp, None);
    }
}

#[test]
fn a_fragment_made_here_has_its_protocol_at_local_out_already() {
    for family in Family::ALL {
        for (offset, more) in [(0, true), (8, true), (16, false)] {
            let (said, _) = trace(builder(), family, |kernel| {
                kernel.send(family, &fragment_on(here(family), offset, more, &[0x41; 64]));
            });
            let expected = format!("LOCAL_OUT in '' out 'lo' {} 0 '' 0.000000", ether(family));
            assert_eq!(said[0], expected);
        }
    }
}

#[test]
fn a_device_without_link_layer_has_no_type_and_no_address() {
    for family in Family::ALL {
        let sender = HardwareAddress::new(&SENDER).unwrap();
        let (said, _) = trace(router(), family, |kernel| {
            kernel.receive_from("tun0", sender, family, &udp_on(inbound(family), b"hello"));
        });
        let protocol = ether(family);
        let expected = format!("PRE_ROUTING in 'tun0' out '' {protocol} 0 '' 1795429884.481597");
        assert_eq!(said[0], expected);
    }
}

#[test]
fn a_device_says_its_own_hardware_type() {
    let device = Device::with_hardware_type("ib0", HardwareType(32));
    let long = HardwareAddress::new(&[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let (said, _) = trace(builder().device(device), Family::Ipv4, |kernel| {
        kernel.receive_from("ib0", long, Family::Ipv4, &udp_on(inbound(Family::Ipv4), b"x"));
    });
    let expected =
        "PRE_ROUTING in 'ib0' out '' 0x0800 32 '01:02:03:04:05:06:07:08' 1795429884.481597";
    assert_eq!(said[0], expected);
}

#[test]
fn without_a_senders_address_there_is_a_type_and_no_address() {
    let (said, _) = trace(router(), Family::Ipv4, |kernel| {
        kernel.receive("eth0", Family::Ipv4, &udp_on(inbound(Family::Ipv4), b"x"));
    });
    assert!(said[0].ends_with("0x0800 1 '' 1795429884.481597"), "{}", said[0]);
}

#[test]
fn the_mark_goes_all_the_way_even_over_lo() {
    for family in Family::ALL {
        let kernel = builder().build();
        for hook in [Hook::LocalOut, Hook::LocalIn] {
            kernel.rule(hook, Match::any(), Target::Queue);
        }
        let mut program = Program::open(&kernel, family, SocketOptions::default());
        program.set_mode(CopyMode::Metadata);
        kernel.send_marked(family, &udp_on(here(family), b"x"), 0xabcd);
        kernel.run();
        for hook in [Hook::LocalOut, Hook::LocalIn] {
            let packet = program.packet();
            assert_eq!((packet.hook, packet.mark), (hook, 0xabcd));
            program.verdict(packet.id, Verdict::Accept);
        }
        assert_eq!(kernel.take_outcomes()[0].mark, 0xabcd);
    }
}

#[test]
fn a_packet_arrives_only_once_it_is_accepted_at_the_end() {
    let mut rest = Hook::ALL.to_vec();
    rest.retain(|&hook| hook != Hook::Forward && hook != Hook::LocalOut);
    let kernel = router().build();
    for hook in rest {
        kernel.rule(hook, Match::any(), Target::Drop);
    }
    kernel.receive("eth0", Family::Ipv4, &udp_on(inbound(Family::Ipv4), b"x"));
    kernel.send(Family::Ipv4, &udp_on(here(Family::Ipv4), b"x"));
    kernel.run();
    let fates: Vec<String> =
        kernel.take_outcomes().iter().map(|outcome| outcome.fate.to_string()).collect();
    assert_eq!(fates, ["dropped: by a rule at PRE_ROUTING", "dropped: by a rule at POST_ROUTING"]);
}

#[test]
fn the_most_specific_route_counts() {
    let builder = router().route("10.9.7.0/24".parse().unwrap(), "eth0");
    let kernel = builder.route("fd00:9::7/128".parse().unwrap(), "tun0").build();
    for (to, device) in [
        ("10.9.0.2", "eth1"),
        ("10.9.7.2", "eth0"),
        ("10.10.0.1", "lo"),
        ("fd00:9::2", "eth1"),
        ("fd00:9::7", "tun0"),
        ("fd00:a::1", "lo"),
    ] {
        let family = if to.contains(':') { Family::Ipv6 } else { Family::Ipv4 };
        let from = if family == Family::Ipv6 { "fd00:7::1" } else { "10.7.0.1" };
        kernel.rule(Hook::LocalOut, Match::any().output_device(device).mark(1), Target::Drop);
        kernel.send_marked(family, &udp_on(crate::common::way(from, to), b"x"), 1);
        kernel.run();
        assert_eq!(kernel.take_outcomes()[0].output_device.to_string(), device, "to {to}");
    }
}

#[test]
fn a_replacement_at_pre_routing_is_routed_by_its_own_destination() {
    for family in Family::ALL {
        let kernel = router().build();
        kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
        let mut program = Program::open(&kernel, family, SocketOptions::default());
        program.set_mode(CopyMode::Packet { range: 0 });
        kernel.receive("eth0", family, &udp_on(inbound(family), b"for us"));
        kernel.run();
        let id = program.packet().id;
        program.verdict_with(id, Verdict::Accept, &udp_on(through(family), b"for another"));
        assert_eq!(kernel.take_outcomes()[0].output_device.to_string(), "eth1");
    }
}

#[test]
fn seconds_are_cut_to_the_word() {
    let start = Timestamp::new((1 << 33) + 7, 999_999_999).unwrap();
    for (model, seconds) in [
        (DataModel::Ilp32Little, 7),
        (DataModel::Ilp32Big, 7),
        (DataModel::Lp64Little, (1 << 33) + 7),
        (DataModel::Lp64Big, (1 << 33) + 7),
    ] {
        let kernel =
            builder().data_model(model).device(Device::ethernet("eth0")).start_time(start).build();
        kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
        let mut program = Program::open(&kernel, Family::Ipv4, SocketOptions::default());
        program.set_mode(CopyMode::Metadata);
        kernel.receive("eth0", Family::Ipv4, &udp_on(inbound(Family::Ipv4), b"x"));
        kernel.run();
        let expected = WireTime { seconds, microseconds: 999_999 };
        assert_eq!(program.packet().timestamp, expected, "{model}");
    }
}

#[test]
fn a_kernel_has_the_word_size_it_was_given() {
    assert_eq!(builder().build().data_model(), MODEL);
    assert_eq!(Kernel::builder().build().data_model(), DataModel::NATIVE);
}

#[test]
#[should_panic(expected = "there is no device \"eth9\"")]
fn a_device_that_is_not_there_is_the_callers_mistake() {
    builder().build().receive("eth9", Family::Ipv4, &[]);
}

#[test]
#[should_panic(expected = "there is a device eth0 already")]
fn a_device_is_added_once() {
    router().device(Device::ethernet("eth0")).build();
}

#[test]
#[should_panic(expected = "leads back here")]
fn a_route_by_lo_leads_nowhere() {
    builder().route("10.0.0.0/8".parse().unwrap(), "lo").build();
}
