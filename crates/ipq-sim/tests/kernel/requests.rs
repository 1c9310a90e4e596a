//! "Receiving a datagram from user space": which requests are taken, refused and ignored, and in which order.

use ipq_proto::{CopyMode, Errno, Family, Verdict};
use ipq_sim::SocketOptions;
use ipq_sys::Transport;

use crate::common::{
    ACK, Heard, MODE, MODEL, MULTI, PACKET, Program, REQUEST, TRUNCATED, VERDICT, World, builder,
    everywhere, message, message_claiming, mode_body, verdict_body,
};

/// A request that would set a mode: valid but for what a test makes of it.
fn mode() -> Vec<u8> {
    mode_body(MODEL, 1, 0)
}

fn unprivileged() -> SocketOptions {
    SocketOptions { privileged: false, ..SocketOptions::default() }
}

#[test]
fn ignores_what_is_no_message() {
    everywhere(|model, family| {
        let mut world = World::of(builder().data_model(model), family, SocketOptions::default());
        let whole = message(model, MODE, REQUEST | ACK, 1, 4711, &mode_body(model, 1, 0));
        for len in 0..whole.len() {
            world.program.send(&whole[..len]);
        }
        for claimed in [0, 12, 15] {
            let body = mode_body(model, 1, 0);
            world.program.send(&message_claiming(
                model,
                claimed,
                MODE,
                REQUEST | ACK,
                1,
                4711,
                &body,
            ));
        }
        world.program.hears_nothing();
        assert_eq!(world.status().peer_port_id, 0, "{family}");
    });
}

#[test]
fn reads_only_the_first_message_of_a_datagram() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let (first, second) = (world.queued(b"1").id, world.queued(b"2").id);
        let port_id = world.program.port_id();
        let verdict = |id| verdict_body(MODEL, Verdict::Accept.0, id, 0);
        let both = [first, second]
            .map(|id| message(MODEL, VERDICT, REQUEST | ACK, 1, port_id, &verdict(id)));
        world.program.send(&both.concat());
        assert_eq!(world.program.answer(), None);
        world.program.hears_nothing();
        assert_eq!(world.delivered_payloads(), [b"1"]);
        assert_eq!(world.status().queue_length, 1);
    }
}

#[test]
fn reads_a_message_no_further_than_its_length() {
    let mut world = World::new(Family::Ipv4);
    let port_id = world.program.port_id();
    world.program.send(&message_claiming(MODEL, 30, MODE, REQUEST | ACK, 1, port_id, &mode()));
    let reply = world.program.reply();
    assert_eq!((reply.error, reply.header.len), (Some(Errno::EINVAL), 50));
    assert_eq!(reply.rest, mode()[..14]);
}

#[test]
fn refuses_port_id_zero_and_negative_before_all_else() {
    for family in Family::ALL {
        let mut world = World::of(builder(), family, unprivileged());
        for port_id in [0, 0x8000_0000, 0x8000_0001, u32::MAX] {
            // Without privilege, cut, and of a type that is otherwise ignored: this comes first.
            for (message_type, flags) in
                [(MODE, REQUEST), (MODE, REQUEST | TRUNCATED), (5, REQUEST)]
            {
                world.program.request_as(port_id, message_type, flags, &mode());
                assert_eq!(world.program.answer(), Some(Errno::EINVAL), "{port_id:#x}");
            }
        }
        assert_eq!(world.status().peer_port_id, 0);
    }
}

#[test]
fn refuses_what_is_no_request_or_one_of_several() {
    for family in Family::ALL {
        let mut world = World::of(builder(), family, unprivileged());
        for flags in [0, ACK, REQUEST | MULTI, MULTI, TRUNCATED, REQUEST | MULTI | TRUNCATED] {
            for message_type in [MODE, VERDICT, 5, 0x14] {
                world.program.request(message_type, flags, &mode());
                assert_eq!(world.program.answer(), Some(Errno::EINVAL), "flags {flags:#x}");
            }
        }
        assert_eq!(world.status().peer_port_id, 0);
    }
}

#[test]
fn refuses_a_request_that_says_it_was_cut() {
    for family in Family::ALL {
        let mut world = World::of(builder(), family, unprivileged());
        for message_type in [0, 5, MODE, 0x14] {
            world.program.request(message_type, REQUEST | TRUNCATED, &mode());
            assert_eq!(world.program.answer(), Some(Errno::ECOMM), "type {message_type:#x}");
        }
        assert_eq!(world.status().peer_port_id, 0);
    }
}

#[test]
fn takes_flags_that_mean_nothing_to_it() {
    for family in Family::ALL {
        let mut world = World::silent(family);
        for (flags, value) in [(REQUEST | 8, 1), (REQUEST | 0x300, 2), (REQUEST | 0xff18, 1)] {
            world.program.request(MODE, flags, &mode_body(MODEL, value, 0));
            world.program.hears_nothing();
            assert_eq!(world.status().copy_mode.value(), value);
        }
    }
}

#[test]
fn refuses_unknown_types_before_privilege_and_peer() {
    for family in Family::ALL {
        let mut owned = World::new(family);
        let mut other = Program::open(&owned.kernel, family, unprivileged());
        for message_type in [0, 0x14, 0x15, 0xffff] {
            other.request(message_type, REQUEST, &mode());
            assert_eq!(other.answer(), Some(Errno::EINVAL), "type {message_type:#x}");
            other.request(message_type, REQUEST, &[]);
            assert_eq!(other.answer(), Some(Errno::EINVAL), "type {message_type:#x}");
        }
        owned.program.hears_nothing();
    }
}

#[test]
fn ignores_netlinks_own_types_and_makes_nobody_the_peer() {
    for family in Family::ALL {
        let mut world = World::of(builder(), family, unprivileged());
        for message_type in 1..=0x10 {
            world.program.request(message_type, REQUEST | ACK, &mode());
        }
        world.program.hears_nothing();
        assert_eq!(world.status().peer_port_id, 0);
    }
}

#[test]
fn refuses_the_unprivileged_and_makes_them_not_the_peer() {
    for family in Family::ALL {
        let mut world = World::of(builder(), family, unprivileged());
        for message_type in [MODE, VERDICT, PACKET] {
            for body in [&mode()[..], &[]] {
                world.program.request(message_type, REQUEST, body);
                assert_eq!(world.program.answer(), Some(Errno::EPERM), "type {message_type:#x}");
            }
        }
        assert_eq!(world.status().peer_port_id, 0);
    }
}

#[test]
fn refuses_the_unprivileged_before_it_says_who_is_busy() {
    for family in Family::ALL {
        let world = World::new(family);
        let mut other = Program::open(&world.kernel, family, unprivileged());
        other.request(MODE, REQUEST, &mode());
        assert_eq!(other.answer(), Some(Errno::EPERM));
    }
}

#[test]
fn refuses_a_second_program_whatever_it_asks() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let mut second = Program::open(&world.kernel, family, SocketOptions::default());
        let bodies = [mode(), mode_body(MODEL, 9, 0), Vec::new()];
        for (message_type, body) in [MODE, VERDICT, PACKET]
            .into_iter()
            .flat_map(|kind| bodies.iter().map(move |b| (kind, b)))
        {
            second.request(message_type, REQUEST | ACK, body);
            assert_eq!(second.answer(), Some(Errno::EBUSY), "type {message_type:#x}");
        }
        world.program.hears_nothing();
        assert_eq!(world.status().peer_port_id, world.program.port_id());
        let still_served = world.queued(b"owner still served");
        world.program.verdict(still_served.id, Verdict::Accept);
        assert_eq!(world.delivered_payloads(), [b"owner still served"]);
    }
}

#[test]
fn takes_the_port_id_of_the_header_and_not_of_the_socket() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let owner = world.program.port_id();
        let mut third = Program::open(&world.kernel, family, SocketOptions::default());
        third.request_as(owner, MODE, REQUEST | ACK, &mode_body(MODEL, 2, 77));
        let reply = third.reply();
        assert_eq!((reply.error, reply.header.port_id), (None, third.port_id()));
        assert_eq!(reply.request.port_id, owner);
        assert_eq!(world.status().copy_mode, CopyMode::Packet { range: 77 });
        world.program.hears_nothing();
    }
}

#[test]
fn a_socket_with_a_negative_port_id_can_speak_for_another() {
    let mut world = World::new(Family::Ipv4);
    let options = SocketOptions { port_id: Some(4_294_963_199), ..SocketOptions::default() };
    let mut second = Program::open(&world.kernel, Family::Ipv4, options);
    second.request(MODE, REQUEST, &mode());
    assert_eq!(second.answer(), Some(Errno::EINVAL));
    second.request_as(world.program.port_id(), MODE, REQUEST | ACK, &mode());
    assert_eq!(second.reply().header.port_id, 4_294_963_199);
    world.program.hears_nothing();
    assert_eq!(world.status().copy_mode, CopyMode::Metadata);
}

#[test]
fn the_parts_of_a_datagram_are_one_message() {
    let mut world = World::silent(Family::Ipv4);
    let whole = message(MODEL, MODE, REQUEST | ACK, 9, 4711, &mode());
    let parts: Vec<_> = whole.chunks(7).map(std::io::IoSlice::new).collect();
    world.program.socket.send(&parts).unwrap();
    assert_eq!(world.program.reply().header.sequence, 9);
    assert_eq!(world.status().peer_port_id, 4711);
}

/// Nine steps in their order, restated, against every combination of what they look at.
#[test]
fn every_combination_is_answered_by_the_first_step_that_fails() {
    const SELF: u32 = 4711;
    let expected =
        |port_id: u32, flags: u16, kind: u16, body: usize, privileged: bool, peer: u32| {
            let refused = |errno| (Some(Some(errno)), false);
            if port_id == 0 || port_id > 0x7fff_ffff || flags & REQUEST == 0 || flags & MULTI != 0 {
                return refused(Errno::EINVAL);
            }
            match (flags & TRUNCATED, kind) {
                (TRUNCATED, _) => return refused(Errno::ECOMM),
                (_, 0 | 0x14..) => return refused(Errno::EINVAL),
                (_, 1..=0x10) => return (None, false),
                _ => (),
            }
            if !privileged {
                return refused(Errno::EPERM);
            }
            if peer != 0 && peer != port_id {
                return refused(Errno::EBUSY);
            }
            let error = match kind {
                _ if body < 3 * MODEL.word_len() => Some(Errno::EINVAL),
                MODE => None,
                VERDICT => Some(Errno::ENOENT),
                _ => Some(Errno::EINVAL),
            };
            (if error.is_none() && flags & ACK == 0 { None } else { Some(error) }, true)
        };
    let flag_sets = [0, REQUEST, ACK, 3, 5, 7, 0x21, 0x23, 0x25, 0x301, 0x20];
    let kinds = [0, 1, 2, 5, 0x10, MODE, VERDICT, PACKET, 0x14, 0xffff];
    for port_id in [0, SELF, 7777, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        for (flags, kind) in flag_sets.iter().flat_map(|&f| kinds.map(|kind| (f, kind))) {
            for (len, privileged) in [(0, true), (0, false), (23, true), (24, true), (24, false)] {
                for peer in [0, SELF, 7777] {
                    let options = SocketOptions {
                        port_id: Some(SELF),
                        privileged,
                        ..SocketOptions::default()
                    };
                    let mut world = World::of(builder(), Family::Ipv4, options);
                    if peer != 0 {
                        let mut owner =
                            Program::open(&world.kernel, Family::Ipv4, SocketOptions::default());
                        owner.request_as(peer, MODE, REQUEST, &mode());
                    }
                    let case = (port_id, flags, kind, len, privileged, peer);
                    let (reply, taken) = expected(port_id, flags, kind, len, privileged, peer);
                    world.program.request_as(port_id, kind, flags, &mode()[..len]);
                    let heard = world.program.hear().map(|heard| match heard {
                        Heard::Reply(answer) => answer.error,
                        other => panic!("{case:?}: {other:?}"),
                    });
                    assert_eq!(heard, reply, "{case:?}");
                    let peer = if taken { port_id } else { peer };
                    assert_eq!(world.status().peer_port_id, peer, "{case:?}");
                }
            }
        }
    }
}
