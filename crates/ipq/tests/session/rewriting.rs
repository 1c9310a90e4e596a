//! Packets that are rewritten: every protocol, every kind of header, and what cannot be done.

use etherparse::{
    IpFragOffset, IpNumber, Ipv4Extensions, Ipv6FragmentHeader, Ipv6RawExtHeader, PacketBuilder,
    SlicedPacket,
};
use ipq::{
    CopyMode, DefaultVerdict, Family, Hook, Queue, Rewrite, RewriteError, SharedQueue, Verdict,
    repair,
};
use ipq_sim::{Fate, Kernel, Match, Target};
use proptest::prelude::*;

use crate::common::WHOLE;

const V4: [u8; 4] = [127, 0, 0, 1];
const V6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// The kinds of packets that can be rewritten.
const KINDS: [&str; 9] = [
    "udp4",
    "udp4 with options",
    "tcp4",
    "icmp4",
    "udp6",
    "tcp6",
    "icmp6",
    "udp6 with extensions",
    "tcp6 with an atomic fragment",
];

/// A packet of a kind that carries `payload`.
fn packet(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let v4 = || PacketBuilder::ipv4(V4, V4, 64);
    let v6 = || PacketBuilder::ipv6(V6, V6, 64);
    match kind {
        "udp4" => v4().udp(40_000, 9999).write(&mut out, payload),
        "udp4 with options" => {
            let header = etherparse::Ipv4Header {
                options: [1, 1, 1, 1, 1, 1, 1, 0].into(),
                time_to_live: 64,
                source: V4,
                destination: V4,
                ..Default::default()
            };
            let ip = etherparse::IpHeaders::Ipv4(header, Ipv4Extensions::default());
            PacketBuilder::ip(ip).udp(1, 2).write(&mut out, payload)
        }
        "tcp4" => v4().tcp(1, 2, 3, 4).options_raw(&[1; 8]).unwrap().write(&mut out, payload),
        "icmp4" => v4().icmpv4_echo_request(1, 2).write(&mut out, payload),
        "udp6" => v6().udp(40_000, 9999).write(&mut out, payload),
        "tcp6" => v6().tcp(1, 2, 3, 4).write(&mut out, payload),
        "icmp6" => v6().icmpv6_echo_request(1, 2).write(&mut out, payload),
        "udp6 with extensions" => {
            let options = Ipv6RawExtHeader::new_raw(IpNumber::UDP, &[1, 4, 0, 0, 0, 0]).unwrap();
            ipv6_with(&options.to_bytes(), 60, &udp6(payload), &mut out);
            Ok(())
        }
        "tcp6 with an atomic fragment" => {
            let fragment = Ipv6FragmentHeader::new(IpNumber::TCP, IpFragOffset::ZERO, false, 7);
            let mut whole = Vec::new();
            v6().tcp(1, 2, 3, 4).write(&mut whole, payload).unwrap();
            ipv6_with(&fragment.to_bytes(), 44, &whole[40..], &mut out);
            Ok(())
        }
        other => unreachable!("{other}"),
    }
    .unwrap();
    out
}

fn udp6(payload: &[u8]) -> Vec<u8> {
    packet("udp6", payload).split_off(40)
}

/// An IPv6 packet with an extension header in front of what it carries.
fn ipv6_with(extension: &[u8], number: u8, carried: &[u8], out: &mut Vec<u8>) {
    out.extend([0x60, 0, 0, 0]);
    out.extend(u16::try_from(extension.len() + carried.len()).unwrap().to_be_bytes());
    out.extend([number, 64]);
    out.extend([V6, V6].concat());
    out.extend_from_slice(extension);
    out.extend_from_slice(carried);
}

#[test]
fn what_is_rewritten_is_what_would_have_been_made() {
    for kind in KINDS {
        for (old, new) in [("", "new"), ("old", ""), ("odd", "even"), ("same", "size")] {
            let original = packet(kind, old.as_bytes());
            let mut rewrite = Rewrite::of(&original).unwrap();
            assert_eq!(rewrite.payload(), old.as_bytes(), "{kind}");
            *rewrite.payload_mut() = new.as_bytes().to_vec();
            assert_eq!(rewrite.finish().unwrap(), packet(kind, new.as_bytes()), "{kind}");
        }
    }
}

#[test]
fn lengths_and_checksums_are_repaired_wherever_they_are_wrong() {
    for kind in KINDS {
        let right = packet(kind, b"some text");
        let headers = Rewrite::of(&right).unwrap().headers().len();
        let mut wrong = right.clone();
        // The total length, and every checksum.
        let length_at = if right[0] >> 4 == 4 { 2 } else { 4 };
        wrong[length_at..length_at + 2].fill(0xff);
        if right[0] >> 4 == 4 {
            wrong[10] ^= 0xff;
        }
        let (back, also) = match kind {
            kind if kind.starts_with("tcp") => (right[headers - 8..].len(), None),
            kind if kind.starts_with("udp") => (2 + 9, Some(4 + 9)),
            _ => (6 + 9, None),
        };
        let at = if kind == "tcp4" { headers - 28 + 16 } else { right.len() - back };
        wrong[if kind.starts_with("tcp6") { headers - 4 } else { at }] ^= 0x5a;
        if let Some(also) = also {
            let at = right.len() - also;
            wrong[at] ^= 0x5a;
        }
        assert_ne!(wrong, right);
        repair(&mut wrong).unwrap();
        assert_eq!(wrong, right, "{kind}");
    }
}

#[test]
fn udp_may_be_without_a_checksum_over_ipv4_only() {
    let mut plain = packet("udp4", b"x");
    plain[26..28].fill(0);
    let mut rewrite = Rewrite::of(&plain).unwrap();
    rewrite.payload_mut().push(b'y');
    assert_eq!(rewrite.finish().unwrap()[26..28], [0, 0]);
    let mut plain = packet("udp6", b"x");
    plain[46..48].fill(0);
    repair(&mut plain).unwrap();
    assert_eq!(plain, packet("udp6", b"x"));
}

#[test]
fn a_udp_checksum_that_is_zero_is_written_as_ones() {
    for kind in ["udp4", "udp6"] {
        let at = if kind == "udp4" { 26 } else { 46 };
        let mut ones = packet(kind, &[0, 0]);
        let checksum = u16::from_be_bytes(ones[at..at + 2].try_into().unwrap());
        // What is added to the sum makes its complement 0.
        let end = ones.len();
        ones[end - 2..].copy_from_slice(&checksum.to_be_bytes());
        repair(&mut ones).unwrap();
        assert_eq!(ones[at..at + 2], [0xff, 0xff], "{kind}");
    }
}

#[test]
fn headers_may_be_changed_too() {
    let mut rewrite = Rewrite::of(&packet("udp4", b"x")).unwrap();
    rewrite.headers_mut()[16..20].copy_from_slice(&[127, 0, 0, 2]);
    rewrite.headers_mut()[22..24].copy_from_slice(&53_u16.to_be_bytes());
    let mut expected = Vec::new();
    let builder = PacketBuilder::ipv4(V4, [127, 0, 0, 2], 64).udp(40_000, 53);
    builder.write(&mut expected, b"x").unwrap();
    assert_eq!(rewrite.finish().unwrap(), expected);
    let mut rewrite = Rewrite::of(&packet("udp4", b"x")).unwrap();
    rewrite.headers_mut()[0] = 0x4f;
    assert_eq!(rewrite.finish(), Err(RewriteError::Malformed));
}

#[test]
fn what_lies_behind_the_end_is_left_out() {
    let mut padded = packet("udp4", b"x");
    padded.extend([0xa5; 17]);
    assert_eq!(Rewrite::of(&padded).unwrap().finish().unwrap(), packet("udp4", b"x"));
    // Bytes that belong to IP, but not to UDP.
    let mut padded = packet("udp4", b"x");
    padded[2..4].copy_from_slice(&31_u16.to_be_bytes());
    padded.extend([0xa5; 2]);
    assert_eq!(Rewrite::of(&padded).unwrap().finish().unwrap(), packet("udp4", b"x"));
}

#[test]
fn what_cannot_work_is_refused_with_the_reason() {
    let check = |packet: &[u8], error: RewriteError, word: &str| {
        assert_eq!(Rewrite::of(packet).unwrap_err(), error);
        assert!(error.to_string().contains(word), "{error}");
    };
    let whole = packet("udp4", b"text");
    let truncated = RewriteError::Truncated { have_len: 31, packet_len: 32 };
    check(&whole[..31], truncated, "copy range");
    for (at, value) in [(6, 0x20), (7, 1)] {
        let mut fragment = whole.clone();
        fragment[at] = value;
        check(&fragment, RewriteError::Fragment, "fragment");
    }
    let mut sctp = whole.clone();
    sctp[9] = 132;
    check(&sctp, RewriteError::Protocol(132), "protocol 132");
    for malformed in [
        &[][..],
        &[0x45],
        &[0x75; 40],
        &[0x41, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        check(malformed, RewriteError::Malformed, "make no sense");
    }
    let mut udp_lies = whole.clone();
    udp_lies[24..26].copy_from_slice(&5_u16.to_be_bytes());
    check(&udp_lies, RewriteError::Malformed, "make no sense");
    let v6 = |extension: &[u8], number| {
        let mut out = Vec::new();
        ipv6_with(extension, number, &udp6(b"x"), &mut out);
        out
    };
    let fragment = Ipv6FragmentHeader::new(IpNumber::UDP, IpFragOffset::ZERO, true, 7);
    check(&v6(&fragment.to_bytes(), 44), RewriteError::Fragment, "fragment");
    check(
        &v6(&[17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0], 51),
        RewriteError::Authenticated,
        "authentication",
    );
    check(&v6(&[17, 0, 4, 1, 0, 0, 0, 0], 43), RewriteError::Routed, "routing");
    Rewrite::of(&v6(&[17, 0, 4, 0, 0, 0, 0, 0], 43)).unwrap();
    check(&v6(&[17, 0, 0, 0, 0, 0, 0, 0], 135), RewriteError::Protocol(135), "135");
    let mut rewrite = Rewrite::of(&whole).unwrap();
    rewrite.payload_mut().resize(65_536 - 28, 0);
    assert_eq!(rewrite.finish(), Err(RewriteError::TooLong { len: 65_536 }));
}

#[test]
fn what_is_repaired_arrives() {
    for kind in KINDS {
        for replacement in [&b"shorter"[..], b"something longer than before", &[b'x'; 3000]] {
            let family = if kind.contains('4') { Family::Ipv4 } else { Family::Ipv6 };
            let kernel = Kernel::builder().build();
            kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(0));
            kernel.send(family, &packet(kind, b"original text"));
            let mut queue = Queue::with_nfqueue(kernel.nfqueue_socket(), 0..=0, family).unwrap();
            queue.set_mode(WHOLE).unwrap();
            let queue = SharedQueue::new(queue, DefaultVerdict::Drop).unwrap();
            let held = queue.next(None).unwrap().unwrap();
            held.rewrite(|rewrite| *rewrite.payload_mut() = replacement.to_vec()).unwrap();
            kernel.run();
            let outcome = kernel.take_outcomes().pop().unwrap();
            assert_eq!((outcome.fate, kind), (Fate::Delivered, kind));
            assert_eq!(outcome.data, packet(kind, replacement), "{kind}");
        }
    }
}

#[test]
fn without_repair_it_does_not() {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(0));
    kernel.send(Family::Ipv4, &packet("udp4", b"original"));
    let mut queue = Queue::with_nfqueue(kernel.nfqueue_socket(), 0..=0, Family::Ipv4).unwrap();
    queue.set_mode(WHOLE).unwrap();
    let queue = SharedQueue::new(queue, DefaultVerdict::Drop).unwrap();
    let held = queue.next(None).unwrap().unwrap();
    let mut changed = held.packet().payload().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    held.replace(Verdict::Accept, &changed).unwrap();
    kernel.run();
    assert_ne!(kernel.take_outcomes().pop().unwrap().fate, Fate::Delivered);
}

#[test]
fn metadata_alone_cannot_be_rewritten() {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    kernel.send(Family::Ipv4, &packet("udp4", b"x"));
    let mut queue = Queue::with(kernel.socket(Family::Ipv4)).unwrap();
    queue.set_mode(CopyMode::Metadata).unwrap();
    let queue = SharedQueue::new(queue, DefaultVerdict::Accept).unwrap();
    let error = queue.next(None).unwrap().unwrap().rewrite(|_| ()).unwrap_err();
    assert!(error.to_string().contains("nothing but its metadata"), "{error}");
}

proptest! {
    #[test]
    fn no_packet_makes_it_panic(packet in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(rewrite) = Rewrite::of(&packet) {
            let _ = rewrite.finish();
        }
        let _ = repair(&mut packet.clone());
    }

    #[test]
    fn no_damage_makes_it_panic(
        kind in prop::sample::select(&KINDS[..]),
        damage in prop::collection::vec((0..90_usize, any::<u8>()), 1..4),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut packet = packet(kind, b"some text");
        for (at, byte) in damage {
            if let Some(damaged) = packet.get_mut(at) {
                *damaged = byte;
            }
        }
        if let Ok(mut rewrite) = Rewrite::of(&packet) {
            *rewrite.payload_mut() = payload;
            if let Ok(rewritten) = rewrite.finish() {
                prop_assert!(SlicedPacket::from_ip(&rewritten).is_ok());
                let mut again = rewritten.clone();
                repair(&mut again).unwrap();
                prop_assert_eq!(again, rewritten);
            }
        }
    }
}
