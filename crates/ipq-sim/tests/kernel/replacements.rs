//! Replacements: when one is taken, when it is ignored, and what becomes of one that is wrong.

use ipq_proto::{CopyMode, Family, Hook, Verdict};
use ipq_sim::{Fate, Match, Reason, SocketOptions, Target};

use crate::common::{
    Program, World, builder, fix_header, fragment_on, here, set_ip_len, transport_offset, udp,
};

/// The packet that is queued, and what is delivered when a verdict of that kind comes for it.
#[track_caller]
fn outcome_of(family: Family, verdict: Verdict, data_len: u64, data: &[u8]) -> (Fate, Vec<u8>) {
    let mut world = World::new(family);
    let id = world.queued(b"original").id;
    world.program.verdict_claiming(id, verdict, data_len, data);
    assert_eq!(world.program.answer(), None, "a bad replacement is never reported");
    world.program.hears_nothing();
    assert_eq!(world.status().queue_length, 0);
    let outcome = world.outcome();
    (outcome.fate, outcome.data)
}

#[track_caller]
fn is_replaced_by(family: Family, replacement: &[u8]) -> (Fate, Vec<u8>) {
    outcome_of(family, Verdict::Accept, replacement.len() as u64, replacement)
}

#[test]
fn a_replacement_of_any_length_is_delivered() {
    for family in Family::ALL {
        for len in [0, 1, 2, 8, 37, 1400, 16_000, 65_000] {
            let replacement = udp(family, &vec![0x42; len]);
            let delivered = is_replaced_by(family, &replacement);
            assert_eq!(delivered, (Fate::Delivered, replacement), "{family}, {len} bytes");
        }
    }
}

#[test]
fn a_length_that_is_not_that_of_what_follows_is_no_replacement() {
    for family in Family::ALL {
        let original = udp(family, b"original");
        let data = udp(family, b"replacement");
        let len = data.len() as u64;
        let cases: [(u64, &[u8]); 9] = [
            (len + 1, &data),
            (len - 1, &data),
            (len, &[]),
            (0, &data),
            (0, &[]),
            (1, &[]),
            (u64::MAX, &data),
            (len + (1 << 32), &data),
            (len, &data[..data.len() - 1]),
        ];
        for (claimed, data) in cases {
            let accepted = outcome_of(family, Verdict::Accept, claimed, data);
            assert_eq!(accepted, (Fate::Delivered, original.clone()), "{family}, {claimed}");
            let (fate, _) = outcome_of(family, Verdict::Drop, claimed, data);
            assert_eq!(fate, Fate::Dropped(Reason::Verdict), "the verdict holds");
        }
    }
}

#[test]
fn a_replacement_shorter_than_an_ip_header_is_ignored() {
    for family in Family::ALL {
        let original = udp(family, b"original");
        for len in 1..family.header_len() {
            let short = &original[..len];
            let (fate, data) = is_replaced_by(family, short);
            assert_eq!((fate, data), (Fate::Delivered, original.clone()), "{family}, {len} bytes");
        }
        // A header alone is a replacement. The length in it is wrong here, and in IPv6 right for no payload.
        let (fate, data) = is_replaced_by(family, &original[..family.header_len()]);
        assert_eq!((fate, data.len()), (Fate::Dropped(Reason::Short), family.header_len()));
    }
}

#[test]
fn a_packet_that_grows_beyond_65535_bytes_is_dropped_whatever_the_verdict() {
    for family in Family::ALL {
        let original = udp(family, b"original");
        for verdict in
            [Verdict::Accept, Verdict::Drop, Verdict::Queue, Verdict::Repeat, Verdict::Stop]
        {
            for len in [65_536, 65_537, 100_000] {
                let mut long = original.clone();
                long.resize(len, 0x42);
                let (fate, data) = outcome_of(family, verdict, len as u64, &long);
                assert_eq!(fate, Fate::Dropped(Reason::ReplacementTooLong), "{family}, {len}");
                assert_eq!(data, original, "it was not replaced before");
            }
        }
        // 65,535 bytes are not too many. What lies behind the length in the header is cut off.
        let mut longest = original.clone();
        longest.resize(65_535, 0x42);
        assert_eq!(is_replaced_by(family, &longest), (Fate::Delivered, original));
    }
}

#[test]
fn drop_with_a_replacement_drops() {
    for family in Family::ALL {
        let data = udp(family, b"replacement");
        let (fate, _) = outcome_of(family, Verdict::Drop, data.len() as u64, &data);
        assert_eq!(fate, Fate::Dropped(Reason::Verdict));
    }
}

#[test]
fn stop_takes_a_replacement_too() {
    for family in Family::ALL {
        let data = udp(family, b"replacement");
        let outcome = outcome_of(family, Verdict::Stop, data.len() as u64, &data);
        assert_eq!(outcome, (Fate::Delivered, data));
    }
}

#[test]
fn queued_again_a_packet_is_announced_as_it_was_replaced() {
    for family in Family::ALL {
        for verdict in [Verdict::Queue, Verdict::Repeat] {
            let mut world = World::new(family);
            let id = world.queued(b"original").id;
            let data = udp(family, b"replaced");
            world.program.verdict_claiming(id, verdict, data.len() as u64, &data);
            assert_eq!(world.program.packet().payload, data);
            assert_eq!(world.program.answer(), None);
        }
    }
}

#[test]
fn a_replacement_is_taken_in_mode_metadata() {
    for family in Family::ALL {
        let mut world = World::new(family);
        let id = world.queued(b"meta-mangle").id;
        world.program.set_mode(CopyMode::Metadata);
        world.program.verdict_with(id, Verdict::Accept, &udp(family, b"META-MANGLED"));
        assert_eq!(world.delivered_payloads(), [b"META-MANGLED"]);
    }
}

#[test]
fn a_wrong_ip_checksum_ends_it_silently() {
    let mut data = udp(Family::Ipv4, b"replaced");
    data[10] ^= 1;
    let (fate, _) = is_replaced_by(Family::Ipv4, &data);
    assert_eq!(fate, Fate::Dropped(Reason::IpChecksum));
}

#[test]
fn a_wrong_udp_checksum_ends_it_silently() {
    for family in Family::ALL {
        let mut data = udp(family, b"replaced");
        data[transport_offset(family) + 6] ^= 1;
        let (fate, _) = is_replaced_by(family, &data);
        assert_eq!(fate, Fate::Dropped(Reason::TransportChecksum));
    }
}

#[test]
fn payload_changed_without_its_checksum_ends_it_silently() {
    for family in Family::ALL {
        let mut data = udp(family, b"replaced");
        *data.last_mut().unwrap() ^= 0x20;
        let (fate, _) = is_replaced_by(family, &data);
        assert_eq!(fate, Fate::Dropped(Reason::TransportChecksum));
    }
}

#[test]
fn nothing_but_zeros_is_no_packet() {
    for family in Family::ALL {
        let zeros = vec![0; family.header_len() + 13];
        assert_eq!(is_replaced_by(family, &zeros).0, Fate::Dropped(Reason::Malformed));
    }
}

#[test]
fn a_packet_of_the_other_family_is_no_packet() {
    for (family, other) in [(Family::Ipv4, Family::Ipv6), (Family::Ipv6, Family::Ipv4)] {
        let data = udp(other, b"twenty bytes or more of it");
        assert_eq!(is_replaced_by(family, &data).0, Fate::Dropped(Reason::Malformed));
    }
}

#[test]
fn a_length_field_smaller_than_what_was_sent_is_believed() {
    for family in Family::ALL {
        let whole = udp(family, b"lenfield");
        let padded = [&whole[..], b" and nine"].concat();
        assert_eq!(is_replaced_by(family, &padded), (Fate::Delivered, whole));
    }
}

#[test]
fn a_length_field_larger_than_what_was_sent_ends_it() {
    for family in Family::ALL {
        let mut data = udp(family, b"too long");
        let claimed = match family {
            Family::Ipv4 => data.len() + 1,
            Family::Ipv6 => data.len() - 40 + 1,
        };
        set_ip_len(&mut data, u16::try_from(claimed).unwrap());
        assert_eq!(is_replaced_by(family, &data).0, Fate::Dropped(Reason::Short));
    }
}

#[test]
fn a_time_to_live_may_change_if_the_checksum_does() {
    for family in Family::ALL {
        let mut data = udp(family, b"replaced");
        let ttl = if family == Family::Ipv4 { 8 } else { 7 };
        data[ttl] -= 1;
        fix_header(&mut data);
        assert_eq!(is_replaced_by(family, &data), (Fate::Delivered, data));
    }
}

/// IPv4 is put together in front of `LOCAL_IN`, IPv6 behind it.
#[test]
fn made_a_fragment_at_local_in_a_packet_of_ipv4_is_not_put_together() {
    for family in Family::ALL {
        let kernel = builder().build();
        kernel.rule(Hook::LocalIn, Match::any(), Target::Queue);
        let mut program = Program::open(&kernel, family, SocketOptions::default());
        program.set_mode(CopyMode::Packet { range: 0 });
        kernel.send(family, &udp(family, b"original"));
        kernel.run();
        let id = program.packet().id;
        program.verdict_with(id, Verdict::Accept, &fragment_on(here(family), 6, false, b"the end"));
        let fates: Vec<_> = kernel.take_outcomes().iter().map(|outcome| outcome.fate).collect();
        match family {
            Family::Ipv4 => assert_eq!(fates, [Fate::Delivered]),
            Family::Ipv6 => assert_eq!(fates, [], "it waits for the others"),
        }
    }
}
