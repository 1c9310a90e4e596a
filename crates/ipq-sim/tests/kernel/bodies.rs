//! "Receiving a datagram from user space", its end: the bodies of modes and verdicts, and what is answered.

use ipq_proto::{CopyMode, Errno, Family, Verdict};
use ipq_sim::{Fate, Reason, SocketOptions};

use crate::common::{
    ACK, Announced, MODE, MODEL, PACKET, Program, REQUEST, VERDICT, World, builder, everywhere,
    mode_body, verdict_body,
};

/// A request that would set a mode: valid but for what a test makes of it.
fn mode() -> Vec<u8> {
    mode_body(MODEL, 1, 0)
}

#[test]
fn a_mode_above_two_is_refused_and_changes_nothing() {
    for family in Family::ALL {
        let mut world = World::new(family);
        for value in 3..=u8::MAX {
            world.program.request(MODE, REQUEST, &mode_body(MODEL, value, 7));
            assert_eq!(world.program.answer(), Some(Errno::EINVAL), "mode {value}");
        }
        assert_eq!(world.status().copy_mode, CopyMode::Packet { range: 0 });
    }
}

/// Mode and range as asked for, and as they are then.
#[test]
fn the_range_is_cut_to_32_bits_and_then_to_65535() {
    let wide: &[(u8, u64, CopyMode)] = &[
        (2, 0x1_0000_0000, CopyMode::Packet { range: 0 }),
        (2, 0xffff_ffff_0000_0010, CopyMode::Packet { range: 16 }),
        (2, 0xffff_ffff_0001_0000, CopyMode::Packet { range: 0xffff }),
        (2, u64::MAX, CopyMode::Packet { range: 0xffff }),
    ];
    let any: &[(u8, u64, CopyMode)] = &[
        (0, 0, CopyMode::None),
        (0, 5, CopyMode::None),
        (1, 99, CopyMode::Metadata),
        (2, 0, CopyMode::Packet { range: 0 }),
        (2, 3, CopyMode::Packet { range: 3 }),
        (2, 0xffff, CopyMode::Packet { range: 0xffff }),
        (2, 0x1_0000, CopyMode::Packet { range: 0xffff }),
        (2, 0x1_2345, CopyMode::Packet { range: 0xffff }),
        (2, 0xffff_ffff, CopyMode::Packet { range: 0xffff }),
    ];
    everywhere(|model, family| {
        let mut world = World::of(builder().data_model(model), family, SocketOptions::default());
        let wide = if model.word_len() == 8 { wide } else { &[] };
        for &(value, range, expected) in any.iter().chain(wide) {
            world.program.request(MODE, REQUEST, &mode_body(model, value, range));
            assert_eq!(world.status().copy_mode, expected, "{model}: {value} {range:#x}");
        }
        world.program.hears_nothing();
    });
}

#[test]
fn success_is_acknowledged_only_when_asked_for() {
    everywhere(|model, family| {
        let mut world = World::of(builder().data_model(model), family, SocketOptions::default());
        world.program.request(MODE, REQUEST, &mode_body(model, 1, 0));
        world.program.hears_nothing();
        world.program.request(MODE, REQUEST | ACK, &mode_body(model, 1, 0));
        let reply = world.program.reply();
        assert_eq!((reply.error, reply.header.len), (None, 36));
        assert_eq!(reply.datagram.len(), 36);
        assert_eq!(reply.header.sequence, 2);
        assert_eq!(reply.header.flags.0, 0);
        assert_eq!(reply.header.port_id, world.program.port_id());
        assert_eq!(reply.request.flags.0, REQUEST | ACK);
    });
}

#[test]
fn an_error_repeats_the_request_and_is_padded_though_its_length_is_not() {
    everywhere(|model, family| {
        let mut world = World::of(builder().data_model(model), family, SocketOptions::default());
        for extra in 0..9 {
            let body = [mode_body(model, 9, 0), (1..=extra).collect()].concat();
            world.program.request(MODE, REQUEST, &body);
            let reply = world.program.reply();
            assert_eq!(reply.error, Some(Errno::EINVAL));
            assert_eq!(reply.rest, body, "{model}");
            let len = 16 + body.len() + 20;
            assert_eq!(reply.header.len as usize, len);
            assert_eq!(reply.datagram.len(), len.next_multiple_of(4));
            assert_eq!(reply.request.len as usize, 16 + body.len());
        }
    });
}

#[test]
fn an_error_goes_to_the_socket_that_sent_the_request() {
    let mut world = World::new(Family::Ipv6);
    let owner = world.program.port_id();
    let mut third = Program::open(&world.kernel, Family::Ipv6, SocketOptions::default());
    third.request_as(owner, VERDICT, REQUEST, &verdict_body(MODEL, 1, 1, 0));
    let reply = third.reply();
    assert_eq!(reply.error, Some(Errno::ENOENT));
    assert_eq!((reply.header.port_id, reply.request.port_id), (third.port_id(), owner));
    world.program.hears_nothing();
}

#[test]
fn a_verdict_before_any_mode_makes_the_sender_a_peer_without_packets() {
    for family in Family::ALL {
        let mut world = World::silent(family);
        world.program.verdict(1, Verdict::Accept);
        assert_eq!(world.program.answer(), Some(Errno::ENOENT));
        world.send(b"dropped");
        assert_eq!(world.fates(), [Fate::Dropped(Reason::CopyModeNone)]);
        // The same program may still set one.
        world.program.set_mode(CopyMode::Metadata);
        let Announced { payload, .. } = world.queued(b"queued");
        assert_eq!(payload, b"");
    }
}

#[test]
fn refuses_a_body_shorter_than_the_union() {
    everywhere(|model, family| {
        let mut world = World::of(builder().data_model(model), family, SocketOptions::default());
        let whole = mode_body(model, 1, 0);
        assert_eq!(whole.len(), 3 * model.word_len());
        for message_type in [MODE, VERDICT, PACKET] {
            for len in 0..whole.len() {
                world.program.request(message_type, REQUEST, &whole[..len]);
                assert_eq!(world.program.answer(), Some(Errno::EINVAL), "{model}, {len} bytes");
            }
        }
        world.program.request(MODE, REQUEST | ACK, &whole);
        assert_eq!(world.program.answer(), None, "{model}");
    });
}

#[test]
fn takes_a_body_longer_than_the_union() {
    let mut world = World::silent(Family::Ipv4);
    let body = [mode_body(MODEL, 2, 9), vec![0xa5; 100]].concat();
    world.program.request(MODE, REQUEST | ACK, &body);
    assert_eq!(world.program.answer(), None);
    assert_eq!(world.status().copy_mode, CopyMode::Packet { range: 9 });
}

/// Each of these fails, and yet its sender is the peer afterwards.
#[test]
fn whoever_is_refused_late_is_the_peer() {
    let requests: [(u16, Vec<u8>, Errno); 7] = [
        (MODE, Vec::new(), Errno::EINVAL),
        (MODE, mode()[..16].to_vec(), Errno::EINVAL),
        (MODE, mode_body(MODEL, 9, 0), Errno::EINVAL),
        (VERDICT, mode()[..23].to_vec(), Errno::EINVAL),
        (VERDICT, verdict_body(MODEL, 1, 0xdead_beef, 0), Errno::ENOENT),
        (VERDICT, verdict_body(MODEL, 77, 1, 0), Errno::EINVAL),
        (PACKET, mode(), Errno::EINVAL),
    ];
    for family in Family::ALL {
        for (message_type, body, errno) in &requests {
            let mut world = World::silent(family);
            world.program.request(*message_type, REQUEST, body);
            assert_eq!(world.program.answer(), Some(*errno), "type {message_type:#x}");
            let status = world.status();
            assert_eq!(status.peer_port_id, world.program.port_id());
            assert_eq!(status.copy_mode, CopyMode::None);
            // It is the peer, and has not set a mode.
            world.send(b"dropped");
            world.program.hears_nothing();
            assert_eq!(world.fates(), [Fate::Dropped(Reason::CopyModeNone)]);
        }
    }
}
