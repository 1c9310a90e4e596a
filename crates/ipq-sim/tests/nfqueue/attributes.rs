//! What the message of a packet tells.

use ipq_proto::nfqueue::{Packet, QueueFlags, SkbInfo, Timestamp, Vlan};
use ipq_proto::{CopyMode, EtherType, Family, HardwareAddress, Hook};
use ipq_sim::{Builder, Extras, Kernel, Match, Target};

use super::program::{Announced, Program};
use crate::common::{inbound, router, through, udp, udp_on};

const ALL_HOOKS: [Hook; 5] =
    [Hook::PreRouting, Hook::LocalIn, Hook::Forward, Hook::LocalOut, Hook::PostRouting];

/// A router that queues at each hook what then goes on, and the program that is told.
fn watched(builder: Builder, flags: QueueFlags) -> (Kernel, Program) {
    let kernel = builder.build();
    for hook in ALL_HOOKS {
        kernel.rule(hook, Match::any(), Target::nfqueue(1));
    }
    let mut program = Program::open(&kernel);
    program.bind(1);
    program.set_mode(1, CopyMode::Packet { range: 0 });
    assert_eq!(program.set_flags(1, flags), None);
    (kernel, program)
}

/// What is told at each hook of the packet that is on its way now, which passes them all.
fn story(kernel: &Kernel, program: &mut Program) -> Vec<Announced> {
    kernel.run();
    let mut story = Vec::new();
    while let Some(super::program::Heard::Packet(packet)) = program.hear() {
        program.verdict(1, packet.id(), ipq_proto::Verdict::Accept);
        kernel.run();
        story.push(packet);
    }
    story
}

/// Everything that a packet can bring along.
fn everything() -> Extras {
    Extras {
        mark: 7,
        priority: 3,
        sender: HardwareAddress::from_wire(6, [2, 0, 0, 0, 0, 9, 0, 0]),
        owner: Some((1000, 100)),
        security_context: Some(b"system_u:object_r:unlabeled_t".to_vec()),
        conntrack: Some((vec![8, 0, 1, 0, 1, 2, 3, 4], 2)),
        bridge_input: Some("eth1".to_owned()),
        bridge_output: Some("tun0".to_owned()),
        vlan: Some(Vlan { protocol: EtherType(0x8100), tci: 0x2005 }),
        link_header: Some(b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x08\0".to_vec()),
    }
}

#[test]
fn of_a_packet_that_brings_nothing_along_only_what_each_has() {
    for family in Family::ALL {
        let (kernel, mut program) = watched(router().without_arrival_times(), QueueFlags(0x1d));
        let data = udp_on(inbound(family), b"x");
        kernel.receive("tun0", family, &data);
        let [routed, delivered] = &story(&kernel, &mut program)[..] else { panic!() };
        let expected = Packet {
            family: if family == Family::Ipv4 { 2 } else { 10 },
            queue: 1,
            id: 1,
            hw_protocol: family.ether_type(),
            hook: Hook::PreRouting,
            input_device: Some(4),
            skb_info: Some(SkbInfo::CHECKSUM_NOT_VERIFIED),
            payload: Some(&data),
            ..Packet::default()
        };
        assert_eq!(routed.packet(), expected);
        let expected = Packet { id: 2, hook: Hook::LocalIn, ..expected };
        assert_eq!(delivered.packet(), expected);
    }
}

#[test]
fn everything_that_a_packet_brings_along() {
    let all = QueueFlags(0x1f);
    let (kernel, mut program) = watched(router().with_conntrack(), all);
    let extras = everything();
    let data = udp_on(inbound(Family::Ipv4), b"x");
    kernel.receive_with("eth0", Family::Ipv4, &data, extras.clone());
    let story = story(&kernel, &mut program);
    assert_eq!(story.len(), 2);
    for (id, told) in (1..).zip(&story) {
        let (conntrack, state) = extras.conntrack.as_ref().unwrap();
        let expected = Packet {
            family: 2,
            queue: 1,
            id,
            hw_protocol: EtherType(0x0800),
            hook: if id == 1 { Hook::PreRouting } else { Hook::LocalIn },
            mark: Some(7),
            timestamp: Some(Timestamp { seconds: 0, microseconds: 0 }),
            input_device: Some(2),
            output_device: None,
            physical_input_device: Some(3),
            physical_output_device: Some(4),
            hw_address: Some(extras.sender),
            packet_len: None,
            skb_info: Some(SkbInfo::CHECKSUM_NOT_VERIFIED),
            uid: Some(1000),
            gid: Some(100),
            security_context: extras.security_context.as_deref(),
            conntrack: Some(conntrack),
            conntrack_info: Some(*state),
            vlan: extras.vlan,
            link_header: extras.link_header.as_deref(),
            priority: Some(3),
            payload: Some(&data),
        };
        assert_eq!(told.packet(), expected);
    }
}

#[test]
fn what_must_be_asked_for_is_not_told_otherwise() {
    let asked = [
        (QueueFlags(0), [false; 3]),
        (QueueFlags::UID_GID, [true, false, false]),
        (QueueFlags::SECURITY_CONTEXT, [false, true, false]),
        (QueueFlags::CONNTRACK, [false, false, true]),
    ];
    for (flags, expected) in asked {
        let (kernel, mut program) = watched(router().with_conntrack(), flags);
        kernel.send_with(Family::Ipv4, &udp(Family::Ipv4, b"x"), everything());
        let story = story(&kernel, &mut program);
        let told = story[0].packet();
        assert_eq!(told.uid.is_some(), told.gid.is_some());
        assert_eq!(told.conntrack.is_some(), told.conntrack_info.is_some());
        let told = [told.uid.is_some(), told.security_context.is_some(), told.conntrack.is_some()];
        assert_eq!(told, expected, "{flags:?}");
    }
}

#[test]
fn what_is_received_from_lo_is_no_sockets_any_more() {
    let (kernel, mut program) = watched(router(), QueueFlags(0x1d));
    kernel.send_with(Family::Ipv6, &udp(Family::Ipv6, b"x"), everything());
    let story = story(&kernel, &mut program);
    let hooks: Vec<_> = story.iter().map(|told| told.packet().hook).collect();
    assert_eq!(hooks, [Hook::LocalOut, Hook::PostRouting, Hook::PreRouting, Hook::LocalIn]);
    for told in &story {
        let packet = told.packet();
        let is_sent = packet.input_device.is_none();
        assert_eq!((packet.mark, packet.priority), (Some(7), Some(3)));
        assert_eq!((packet.uid.is_some(), packet.vlan.is_some()), (is_sent, is_sent));
        assert_eq!((packet.timestamp.is_none(), packet.hw_address.is_none()), (is_sent, is_sent));
    }
}

#[test]
fn forwarding_makes_the_priority_of_the_service_and_forgets_the_arrival() {
    let services = [(0, None), (0x08, Some(2)), (0x10, Some(6)), (0x18, Some(4)), (0xe4, None)];
    for (service, priority) in services {
        let (kernel, mut program) = watched(router(), QueueFlags(0));
        let mut data = udp_on(through(Family::Ipv4), b"x");
        data[1] = service;
        crate::common::fix_header(&mut data);
        kernel.receive("eth0", Family::Ipv4, &data);
        let story = story(&kernel, &mut program);
        let told: Vec<_> = story.iter().map(Announced::packet).collect();
        let told: Vec<_> =
            told.iter().map(|told| (told.hook, told.priority, told.timestamp.is_some())).collect();
        let expected = [
            (Hook::PreRouting, None, true),
            (Hook::Forward, priority, true),
            (Hook::PostRouting, priority, false),
        ];
        assert_eq!(told, expected, "{service:#x}");
    }
    let (kernel, mut program) = watched(router(), QueueFlags(0));
    let mut data = udp_on(through(Family::Ipv6), b"x");
    data[0] = 0x61;
    kernel.receive("eth0", Family::Ipv6, &data);
    let story = story(&kernel, &mut program);
    assert!(story.iter().all(|told| told.packet().priority.is_none()), "{story:?}");
}

#[test]
fn a_cut_packet_says_how_long_it_is() {
    let (kernel, mut program) = watched(router(), QueueFlags(0));
    let data = udp_on(inbound(Family::Ipv4), &[7; 100]);
    let whole = u32::try_from(data.len()).unwrap();
    for (range, cut) in
        [(1, 1), (whole - 1, whole - 1), (whole, whole), (0, whole), (70_000, whole)]
    {
        program.set_mode(1, CopyMode::Packet { range });
        kernel.receive("eth0", Family::Ipv4, &data);
        for told in story(&kernel, &mut program) {
            let told = told.packet();
            assert_eq!(told.payload.unwrap(), &data[..cut as usize]);
            assert_eq!(told.packet_len, (cut < whole).then_some(whole));
        }
    }
    program.set_mode(1, CopyMode::Metadata);
    kernel.receive("eth0", Family::Ipv4, &data);
    let story = story(&kernel, &mut program);
    let told = story[0].packet();
    assert_eq!((told.payload, told.packet_len), (None, None));
}

#[test]
#[should_panic(expected = "65532 bytes do not fit into an attribute")]
fn what_no_message_can_hold_is_refused() {
    let kernel = router().build();
    let extras = Extras { link_header: Some(vec![0; 65_532]), ..Extras::default() };
    kernel.send_with(Family::Ipv4, &udp(Family::Ipv4, b"x"), extras);
}
