//! "A verdict takes effect": every value, in any order, at any hook.

use ipq_proto::{CopyMode, Errno, Family, Hook, Verdict};
use ipq_sim::{Fate, Match, Reason, SocketOptions, Table, Target};

use crate::common::{
    ACK, Heard, MODEL, Program, REQUEST, VERDICT, Way, World, builder, here, udp, udp_on,
    verdict_body,
};

#[test]
fn accept_lets_it_go_on() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let packet = world.queued(b"v");
        world.program.verdict(packet.id, Verdict::Accept);
        world.program.hears_nothing();
        let outcome = world.outcome();
        assert_eq!((outcome.fate, outcome.data), (Fate::Delivered, udp(family, b"v")));
        assert_eq!(world.status().queue_length, 0);
    }
}

#[test]
fn drop_ends_it() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let packet = world.queued(b"v");
        world.program.verdict(packet.id, Verdict::Drop);
        world.program.hears_nothing();
        assert_eq!(world.fates(), [Fate::Dropped(Reason::Verdict)]);
        assert_eq!(world.status().queue_length, 0);
    }
}

#[test]
fn stolen_and_values_above_five_are_refused_and_the_packet_stays() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let packet = world.queued(b"v77");
        for value in [2, 6, 7, 77, 0x1_0001, 0x1_0003, 0x8000_0001, u32::MAX] {
            for id in [packet.id, 1] {
                let body = verdict_body(MODEL, value, id, 0);
                world.program.request(VERDICT, REQUEST, &body);
                assert_eq!(world.program.answer(), Some(Errno::EINVAL), "value {value:#x}");
            }
            assert_eq!(world.status().queue_length, 1);
        }
        world.program.verdict(packet.id, Verdict::Accept);
        assert_eq!(world.delivered_payloads(), [b"v77"]);
    }
}

#[test]
fn an_unknown_id_is_refused() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let known = world.queued(b"known").id;
        for id in [0, 1, known - 1, known + 1, known - 96, known + 96, known ^ (1 << 63), u64::MAX]
        {
            world.program.verdict(id, Verdict::Accept);
            assert_eq!(world.program.answer(), Some(Errno::ENOENT), "id {id:#x}");
        }
        assert_eq!(world.status().queue_length, 1);
    }
}

#[test]
fn a_second_verdict_finds_nothing() {
    for family in Family::ALL {
        for first in [Verdict::Accept, Verdict::Drop, Verdict::Stop] {
            let mut world = World::new(family);
            let id = world.queued(b"once").id;
            world.program.verdict(id, first);
            world.program.verdict(id, Verdict::Accept);
            assert_eq!(world.program.answer(), Some(Errno::ENOENT));
            assert_eq!(world.fates().len(), 1, "it ended once");
        }
    }
}

#[test]
fn queue_and_repeat_queue_it_again_under_a_new_id_before_the_acknowledgement() {
    for family in Family::ALL {
        for verdict in [Verdict::Queue, Verdict::Repeat] {
            let mut world = World::new(family);
            let first = world.queued(b"again");
            let body = verdict_body(MODEL, verdict.0, first.id, 0);
            world.program.request(VERDICT, REQUEST | ACK, &body);
            let second = world.program.packet();
            assert_eq!(world.program.answer(), None, "the acknowledgement comes after the packet");
            world.program.hears_nothing();
            assert_ne!(second.id, first.id, "{verdict}");
            assert_eq!(second.payload, first.payload);
            assert_eq!((second.hook, second.output), (first.hook, first.output));
            assert_eq!(world.status().queue_length, 1);

            world.program.verdict(first.id, Verdict::Accept);
            assert_eq!(world.program.answer(), Some(Errno::ENOENT), "the old id is gone");
            world.program.verdict(second.id, Verdict::Accept);
            assert_eq!(world.delivered_payloads(), [b"again"]);
        }
    }
}

#[test]
fn the_id_of_a_released_packet_is_used_again_at_once() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let first = world.queued(b"1").id;
        world.program.verdict(first, Verdict::Accept);
        let second = world.queued(b"2").id;
        assert_eq!(second, first);
        // Queued again, it gets another; and the next packet the one that it gave back.
        world.program.verdict(second, Verdict::Queue);
        let third = world.program.packet().id;
        assert_ne!(third, second);
        assert_eq!(world.queued(b"3").id, second);
    }
}

#[test]
fn queue_puts_it_at_the_end_without_asking_the_rules() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let first = world.queued(b"1").id;
        world.send(b"2");
        world.kernel.rule_in(Table::Raw, Hook::LocalOut, Match::any(), Target::Drop);
        world.program.verdict(first, Verdict::Queue);
        let payloads: Vec<u8> =
            world.program.packets().iter().map(|packet| *packet.payload.last().unwrap()).collect();
        assert_eq!(payloads, b"21");
        // The peer goes: what waits is dropped in the order it was queued.
        let World { kernel, program, .. } = world;
        drop(program);
        let order: Vec<u64> = kernel.take_outcomes().iter().map(|o| o.number).collect();
        assert_eq!(order, [2, 1]);
    }
}

#[test]
fn repeat_asks_the_rules_of_the_same_hook_again() {
    for family in Family::ALL {
        let kernel = builder().build();
        kernel.rule(Hook::LocalOut, Match::any().destination_port(1111), Target::Drop);
        kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
        for (verdict, fate) in [
            (Verdict::Accept, Fate::Delivered),
            (Verdict::Repeat, Fate::Dropped(Reason::Rule(Hook::LocalOut))),
        ] {
            let mut program = Program::open(&kernel, family, SocketOptions::default());
            program.set_mode(CopyMode::Packet { range: 0 });
            kernel.send(family, &udp(family, b"v"));
            kernel.run();
            let way = Way { ports: (40_000, 1111), ..here(family) };
            let id = program.packet().id;
            program.verdict_with(id, verdict, &udp_on(way, b"elsewhere"));
            assert_eq!(kernel.take_outcomes()[0].fate, fate, "{verdict}");
        }
    }
}

#[test]
fn queued_again_with_a_full_queue_it_is_dropped() {
    for verdict in [Verdict::Queue, Verdict::Repeat] {
        let mut world = World::new(Family::Ipv4);
        world.send(b"1");
        world.send(b"2");
        let ids: Vec<_> = world.program.packets().iter().map(|packet| packet.id).collect();
        world.kernel.set_queue_max_length(Family::Ipv4, 1);
        let body = verdict_body(MODEL, verdict.0, ids[0], 0);
        world.program.request(VERDICT, REQUEST | ACK, &body);
        assert_eq!(world.program.answer(), None, "the verdict itself is no failure");
        assert_eq!(world.fates(), [Fate::Dropped(Reason::QueueFull)]);
        assert_eq!(world.status().queue_dropped, 1);
        // The place that it leaves counts as free: alone, it is queued again.
        world.program.verdict(ids[1], verdict);
        assert_eq!(world.status().queue_length, 1);
    }
}

#[test]
fn queued_again_in_mode_none_it_is_dropped() {
    for verdict in [Verdict::Queue, Verdict::Repeat] {
        let mut world = World::new(Family::Ipv6);
        let id = world.queued(b"v").id;
        world.program.set_mode(CopyMode::None);
        world.program.verdict(id, verdict);
        world.program.hears_nothing();
        assert_eq!(world.fates(), [Fate::Dropped(Reason::CopyModeNone)]);
    }
}

#[test]
fn accept_goes_on_with_the_next_table_and_stop_with_the_next_hook() {
    for family in Family::ALL {
        for (verdict, hooks) in [
            (Verdict::Accept, &["raw", "mangle", "filter", "post"][..]),
            (Verdict::Stop, &["raw", "post"]),
        ] {
            let kernel = builder().build();
            for table in [Table::Raw, Table::Mangle, Table::Filter] {
                kernel.rule_in(table, Hook::LocalOut, Match::any(), Target::Queue);
            }
            kernel.rule(Hook::PostRouting, Match::any(), Target::Queue);
            let mut program = Program::open(&kernel, family, SocketOptions::default());
            program.set_mode(CopyMode::Metadata);
            kernel.send(family, &udp(family, b"v"));
            kernel.run();
            // Stop leaves LOCAL_OUT at once; POST_ROUTING has one function, where both verdicts do the same.
            for expected in hooks {
                let packet = program.packet();
                let hook = if *expected == "post" { Hook::PostRouting } else { Hook::LocalOut };
                assert_eq!(packet.hook, hook, "{verdict}");
                program.verdict(packet.id, verdict);
            }
            program.hears_nothing();
            assert_eq!(kernel.delivered().len(), 1, "{verdict}");
        }
    }
}

#[test]
fn accept_meets_a_drop_in_a_later_table_and_stop_does_not() {
    for (verdict, fate) in [
        (Verdict::Accept, Fate::Dropped(Reason::Rule(Hook::LocalOut))),
        (Verdict::Stop, Fate::Delivered),
    ] {
        for family in Family::ALL {
            let kernel = builder().build();
            kernel.rule_in(Table::Mangle, Hook::LocalOut, Match::any(), Target::Queue);
            kernel.rule_in(Table::Filter, Hook::LocalOut, Match::any(), Target::Drop);
            let mut program = Program::open(&kernel, family, SocketOptions::default());
            program.set_mode(CopyMode::Metadata);
            kernel.send(family, &udp(family, b"v"));
            kernel.run();
            let id = program.packet().id;
            program.verdict(id, verdict);
            assert_eq!(kernel.take_outcomes()[0].fate, fate, "{verdict}");
        }
    }
}

#[test]
fn verdicts_may_come_in_any_order() {
    for family in Family::ALL {
        let orders: [[usize; 4]; 4] = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
        for order in orders {
            let mut world = World::new(family);
            for number in 0..4 {
                world.send(&[number]);
            }
            let packets = world.program.packets();
            for index in order {
                world.program.verdict(packets[index].id, Verdict::Accept);
            }
            world.program.hears_nothing();
            let numbers: Vec<u64> =
                world.kernel.take_outcomes().iter().map(|outcome| outcome.number - 1).collect();
            assert_eq!(numbers, order.map(|index| index as u64));
        }
    }
}

#[test]
fn a_packet_can_be_queued_at_every_hook_of_its_way() {
    for family in Family::ALL {
        let kernel = builder().build();
        for hook in Hook::ALL {
            kernel.rule(hook, Match::any(), Target::Queue);
        }
        let mut program = Program::open(&kernel, family, SocketOptions::default());
        program.set_mode(CopyMode::Metadata);
        kernel.send(family, &udp(family, b"v"));
        kernel.run();
        let mut hooks = Vec::new();
        while let Some(Heard::Packet(packet)) = program.hear() {
            hooks.push(packet.hook);
            program.verdict(packet.id, Verdict::Accept);
        }
        let way = [Hook::LocalOut, Hook::PostRouting, Hook::PreRouting, Hook::LocalIn];
        assert_eq!(hooks, way);
        assert_eq!(kernel.delivered().len(), 1);
    }
}
