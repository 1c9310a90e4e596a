//! "A packet hits the QUEUE target": who gets it, when it is dropped, and what is counted.

use ipq_proto::{CopyMode, Family, Hook, Verdict};
use ipq_sim::{Fate, Match, Reason, SocketOptions, Target};
use ipq_sys::{Deadline, Received, Transport};

use crate::common::{
    ACK, Heard, MODE, MODEL, PACKET, Program, REQUEST, World, builder, everywhere, here, mode_body,
    udp, udp_on,
};

const SMALL_BUFFER: usize = 2240;

fn small_buffer(ignores_overrun: bool) -> SocketOptions {
    SocketOptions { receive_buffer: SMALL_BUFFER, ignores_overrun, ..SocketOptions::default() }
}

#[test]
fn drops_without_a_peer() {
    for family in Family::ALL {
        let mut world = World::silent(family);
        world.send(b"nobody home");
        world.program.hears_nothing();
        assert_eq!(world.fates(), [Fate::Dropped(Reason::NoPeer)]);
        let status = world.status();
        assert_eq!((status.queue_dropped, status.netlink_dropped), (0, 0));
    }
}

#[test]
fn drops_in_mode_none_and_counts_it_nowhere() {
    for family in Family::ALL {
        let mut world = World::new(family);
        world.program.set_mode(CopyMode::None);
        world.send(b"dropped");
        world.program.hears_nothing();
        assert_eq!(world.fates(), [Fate::Dropped(Reason::CopyModeNone)]);
        let status = world.status();
        assert_eq!((status.queue_dropped, status.netlink_dropped), (0, 0));
    }
}

#[test]
fn drops_without_the_module() {
    for family in Family::ALL {
        let kernel = builder().without_ip_queue(family).without_nfqueue().build();
        kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
        kernel.send(family, &udp(family, b"x"));
        kernel.run();
        assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::NoQueue));
    }
}

#[test]
fn mode_none_keeps_what_is_outstanding() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let first = world.queued(b"none-1");
        world.program.request(MODE, REQUEST | ACK, &mode_body(MODEL, 0, 5));
        assert_eq!(world.program.answer(), None);
        assert_eq!(world.status().queue_length, 1);
        world.send(b"none-2");
        world.program.hears_nothing();
        world.program.verdict(first.id, Verdict::Accept);
        assert_eq!(world.delivered_payloads(), [b"none-1"]);
        assert_eq!(world.status().queue_length, 0);
    }
}

#[test]
fn the_announcement_has_an_empty_header_and_is_padded() {
    everywhere(|model, family| {
        let mut world = World::of(builder().data_model(model), family, SocketOptions::default());
        world.program.set_mode(CopyMode::Packet { range: 0 });
        for len in 0..9 {
            let packet = world.queued(&vec![0x41; len]);
            assert_eq!(packet.payload, udp(family, &vec![0x41; len]), "{model}");
            let header = packet.header;
            assert_eq!((header.port_id, header.sequence, header.flags.0), (0, 0, 0));
            assert_eq!(header.message_type.0, PACKET);
            let least = 16 + 6 * model.word_len() + 48 + packet.payload.len();
            assert_eq!(header.len as usize, least.next_multiple_of(4), "{model}");
            assert_eq!(packet.datagram.len(), header.len as usize);
        }
    });
}

#[test]
fn a_copy_mode_says_how_much_of_the_packet_comes() {
    for family in Family::ALL {
        let whole = udp(family, &[0x41; 300]);
        let modes = [
            (CopyMode::Metadata, 0),
            (CopyMode::Packet { range: 0 }, whole.len()),
            (CopyMode::Packet { range: 1 }, 1),
            (CopyMode::Packet { range: 64 }, 64),
            (CopyMode::Packet { range: 0xffff }, whole.len()),
            (CopyMode::Packet { range: u32::try_from(whole.len()).unwrap() }, whole.len()),
        ];
        for (mode, len) in modes {
            let mut world = World::silent(family);
            world.program.set_mode(mode);
            assert_eq!(world.queued(&[0x41; 300]).payload, whole[..len], "{mode}");
        }
    }
}

#[test]
fn packets_wait_in_the_order_they_came() {
    for family in Family::ALL {
        let mut world = World::new(family);
        for number in 0..20 {
            world.send(&[number]);
        }
        let last_bytes = world.program.packets().into_iter().map(|p| *p.payload.last().unwrap());
        assert!(last_bytes.eq(0..20));
        assert_eq!(world.status().queue_length, 20);
    }
}

#[test]
fn a_full_queue_drops_and_counts() {
    for family in Family::ALL {
        let mut world = World::new(family);
        world.kernel.set_queue_max_length(family, 4);
        for number in 0..7 {
            world.send(&[number]);
        }
        let status = world.status();
        assert_eq!((status.queue_length, status.queue_max_length), (4, 4));
        assert_eq!((status.queue_dropped, status.netlink_dropped), (3, 0));
        assert_eq!(world.fates(), [Fate::Dropped(Reason::QueueFull); 3]);
        let ids: Vec<_> = world.program.packets().iter().map(|packet| packet.id).collect();
        assert_eq!(ids.len(), 4);
        world.program.verdict(ids[2], Verdict::Accept);
        world.queued(b"there is room again");
        assert_eq!(world.status().queue_dropped, 3);
    }
}

#[test]
fn the_maximum_length_is_1024_unless_set() {
    for family in Family::ALL {
        let options = SocketOptions { receive_buffer: 1 << 24, ..SocketOptions::default() };
        let mut world = World::of(builder(), family, options);
        world.program.set_mode(CopyMode::Metadata);
        for _ in 0..1030 {
            world.send(b"x");
        }
        let status = world.status();
        assert_eq!((status.queue_length, status.queue_max_length), (1024, 1024));
        assert_eq!(status.queue_dropped, 6);
    }
}

#[test]
fn maximum_length_zero_drops_everything_and_minus_one_is_no_limit() {
    for family in Family::ALL {
        let mut world = World::new(family);
        world.kernel.set_queue_max_length(family, 0);
        world.send(b"maxlen0");
        world.program.hears_nothing();
        assert_eq!(world.fates(), [Fate::Dropped(Reason::QueueFull)]);
        assert_eq!(world.status().queue_dropped, 1);
        world.kernel.set_queue_max_length(family, u32::MAX);
        world.queued(b"maxlen-1");
        let status = world.status();
        assert_eq!((status.queue_length, status.queue_max_length), (1, u32::MAX));
        assert_eq!(status.queue_dropped, 1);
    }
}

#[test]
fn a_lower_maximum_keeps_what_is_queued() {
    let mut world = World::new(Family::Ipv4);
    world.send(b"1");
    world.send(b"2");
    world.kernel.set_queue_max_length(Family::Ipv4, 1);
    world.send(b"3");
    assert_eq!(world.status().queue_length, 2);
    let ids: Vec<_> = world.program.packets().iter().map(|packet| packet.id).collect();
    world.program.verdict(ids[0], Verdict::Accept);
    world.send(b"4");
    assert_eq!(world.status().queue_length, 1, "one waits, and one is the maximum");
    assert_eq!(world.status().queue_dropped, 2);
}

#[test]
fn a_full_receive_buffer_drops_is_counted_and_reported_once() {
    for family in Family::ALL {
        let mut world = World::of(builder(), family, small_buffer(false));
        world.program.set_mode(CopyMode::Metadata);
        for number in 0..12 {
            world.send(&[number]);
        }
        let status = world.status();
        assert_eq!((status.queue_length, status.netlink_dropped), (4, 8));
        assert_eq!(status.queue_dropped, 0);
        assert_eq!(world.fates(), [Fate::Dropped(Reason::ReceiveBufferFull); 8]);

        assert_eq!(world.program.hear(), Some(Heard::Overrun));
        let packets = world.program.packets();
        assert_eq!(packets.len(), 4);
        assert!(packets.iter().all(|packet| packet.datagram.len() == 112));
        for packet in packets {
            world.program.verdict(packet.id, Verdict::Accept);
        }
        assert_eq!(world.delivered_payloads(), [[0], [1], [2], [3]]);
        let after = world.queued(b"after");
        world.program.verdict(after.id, Verdict::Accept);
        assert_eq!(world.delivered_payloads(), [b"after"]);
        assert_eq!(world.status().netlink_dropped, 8);
    }
}

#[test]
fn without_reports_of_overrun_only_the_messages_come() {
    for family in Family::ALL {
        let mut world = World::of(builder(), family, small_buffer(true));
        world.program.set_mode(CopyMode::Metadata);
        for number in 0..12 {
            world.send(&[number]);
        }
        assert_eq!(world.status().netlink_dropped, 8);
        assert_eq!(world.program.packets().len(), 4);
        world.program.hears_nothing();
    }
}

#[test]
fn reading_makes_room() {
    let mut world = World::of(builder(), Family::Ipv4, small_buffer(false));
    world.program.set_mode(CopyMode::Metadata);
    for number in 0..4 {
        world.send(&[number]);
    }
    world.program.packet();
    world.send(b"fits");
    assert_eq!(world.status().netlink_dropped, 0);
    assert_eq!(world.program.packets().len(), 4);
}

#[test]
fn a_buffer_that_is_not_yet_full_takes_one_more_however_large() {
    let options = SocketOptions { receive_buffer: 0, ..SocketOptions::default() };
    let mut world = World::of(builder(), Family::Ipv4, options);
    world.program.set_mode(CopyMode::Packet { range: 0 });
    world.send(&[0x41; 16_000]);
    world.send(b"too much");
    assert_eq!(world.status().netlink_dropped, 1);
    assert_eq!(world.program.hear(), Some(Heard::Overrun));
    assert_eq!(world.program.packets().len(), 1);
}

#[test]
fn a_reply_that_does_not_fit_is_lost_and_reported_but_no_dropped_packet() {
    let mut world = World::of(builder(), Family::Ipv4, small_buffer(false));
    world.program.set_mode(CopyMode::Metadata);
    for number in 0..4 {
        world.send(&[number]);
    }
    world.program.request(MODE, REQUEST | ACK, &mode_body(MODEL, 2, 0));
    assert_eq!(world.status().copy_mode, CopyMode::Packet { range: 0 }, "it took effect");
    assert_eq!(world.status().netlink_dropped, 0);
    assert_eq!(world.program.hear(), Some(Heard::Overrun));
    assert_eq!(world.program.packets().len(), 4);
}

#[test]
fn a_message_longer_than_the_buffer_is_cut_and_the_rest_lost() {
    for family in Family::ALL {
        let mut world = World::new(family);
        world.send(b"truncate me");
        world.send(b"next");
        let mut buffer = [0xa5; 64];
        let received = world.program.socket.receive(&mut buffer[..32], Deadline::Immediate);
        let len = 16 + 96 + udp(family, b"truncate me").len();
        let datagram_len = len.next_multiple_of(4);
        assert_eq!(received, Ok(Received::Truncated { len: 32, datagram_len }));
        assert_eq!(buffer[32..], [0xa5; 32]);
        // The packet waits all the same, under the id that did fit.
        let id = u64::from_le_bytes(buffer[16..24].try_into().unwrap());
        world.program.verdict(id, Verdict::Accept);
        assert_eq!(world.delivered_payloads(), [b"truncate me"]);
        assert!(world.program.packet().payload.ends_with(b"next"));
        world.program.hears_nothing();
    }
}

#[test]
fn a_message_as_long_as_the_buffer_is_not_cut() {
    let mut world = World::silent(Family::Ipv4);
    world.program.set_mode(CopyMode::Metadata);
    world.send(b"x");
    world.send(b"x");
    let mut buffer = [0; 112];
    let mut receive = |len| world.program.socket.receive(&mut buffer[..len], Deadline::Immediate);
    assert_eq!(receive(112), Ok(Received::Datagram { len: 112 }));
    assert_eq!(receive(111), Ok(Received::Truncated { len: 111, datagram_len: 112 }));
}

#[test]
fn the_two_families_have_queues_of_their_own() {
    let kernel = builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    let mut programs =
        Family::ALL.map(|family| Program::open(&kernel, family, SocketOptions::default()));
    programs[0].set_mode(CopyMode::Metadata);
    programs[1].set_mode(CopyMode::Packet { range: 0 });
    kernel.set_queue_max_length(Family::Ipv6, 1);
    for family in [Family::Ipv6, Family::Ipv4, Family::Ipv6, Family::Ipv4] {
        kernel.send(family, &udp_on(here(family), b"x"));
    }
    kernel.run();
    let [v4, v6] = Family::ALL.map(|family| kernel.ip_queue_status(family).unwrap());
    assert_eq!((v4.queue_length, v4.queue_dropped), (2, 0));
    assert_eq!((v6.queue_length, v6.queue_dropped), (1, 1));
    let [v4, v6] = programs.each_mut().map(Program::packets);
    assert_eq!(v4.len(), 2);
    assert_eq!(v6.len(), 1);
    let mut ids = v4.iter().map(|packet| packet.id);
    assert!(ids.all(|id| id != v6[0].id), "an id of one family means nothing in the other");
    // A verdict on the wrong socket finds nothing.
    programs[0].verdict(v6[0].id, Verdict::Accept);
    assert_eq!(programs[0].answer(), Some(ipq_proto::Errno::ENOENT));
    assert_eq!(kernel.totals().queued, 3);
}

#[test]
fn ids_look_like_addresses_of_the_kernels_word_size() {
    everywhere(|model, family| {
        let mut world = World::of(builder().data_model(model), family, SocketOptions::default());
        world.program.set_mode(CopyMode::Metadata);
        for _ in 0..10 {
            let id = world.queued(b"x").id;
            match model.word_len() {
                4 => assert!((0xc000_0000..0xffff_ffff).contains(&id), "{id:#x}"),
                _ => assert!(id >= 0xffff_8800_0000_0000, "{id:#x}"),
            }
        }
    });
}
