//! Packets that are changed and repaired.

use arbitrary::Arbitrary;
use ipq_sys::fuzzing::{Bytes, in_words, structure};

use crate::{Rewrite, repair};

/// A packet, and how it is changed.
#[derive(Arbitrary, Debug)]
struct Input {
    payload: Option<Bytes>,
    /// Places in the headers and what is put there.
    edits: Vec<(u8, u8)>,
    packet: Bytes,
}

/// Has a packet changed and repaired.
///
/// # Panics
///
/// If what was repaired is repaired to something else, if it carries another payload than it was given, or if its
/// checksums are wrong by a second count.
pub fn rewriting(data: &[u8]) {
    let Some(input) = structure::<Input>(data) else { return };
    let mut repaired = input.packet.to_vec();
    if repair(&mut repaired).is_ok() {
        check(&repaired);
    }
    let Ok(mut rewrite) = Rewrite::of(&input.packet) else { return };
    assert!(input.packet.starts_with(&[rewrite.headers(), rewrite.payload()].concat()));
    if let Some(payload) = &input.payload {
        rewrite.payload_mut().clone_from(&payload.0);
    }
    let headers = rewrite.headers_mut();
    for (at, byte) in &input.edits {
        if let Some(place) = headers.get_mut(usize::from(*at)) {
            *place = *byte;
        }
    }
    let payload = rewrite.payload().to_vec();
    if let Ok(packet) = rewrite.finish() {
        // Who changes the headers may make part of the payload one.
        assert!(!input.edits.is_empty() || packet.ends_with(&payload));
        check(&packet);
    }
}

/// The input in words.
pub fn rewriting_in_words(data: &[u8]) -> Option<Vec<String>> {
    let Input { payload, edits, packet } = structure(data)?;
    Some(in_words(format!("payload: {payload:?}, packet: {packet:?}"), &edits))
}

/// A packet that was repaired has nothing to repair, and its checksums are right.
fn check(packet: &[u8]) {
    let mut again = packet.to_vec();
    repair(&mut again).expect("it was repaired before");
    assert_eq!(again, packet);
    if packet[0] >> 4 == 4 {
        let header_len = usize::from(packet[0] & 0xf) * 4;
        assert_eq!(sum(&packet[..header_len]), 0xffff, "the sum of the header");
        let addresses = &packet[12..20];
        check_transport(packet[9], addresses, &packet[header_len..], true);
    } else if matches!(packet[6], 6 | 17 | 58) {
        // Without extension headers; those are another count's business.
        check_transport(packet[6], &packet[8..40], &packet[40..], false);
    }
}

/// The checksum of what IP carries, with the pseudo-header of RFC 768, 793 and 8200.
fn check_transport(protocol: u8, addresses: &[u8], datagram: &[u8], is_ipv4: bool) {
    if protocol == 17 && is_ipv4 && datagram[6..8] == [0, 0] {
        return;
    }
    let len = u16::try_from(datagram.len()).expect("IP has 16 bits for it").to_be_bytes();
    let pseudo_header = [addresses, &[0, protocol], &len].concat();
    let pseudo_header = if protocol == 1 { &[][..] } else { &pseudo_header };
    assert_eq!(sum(&[pseudo_header, datagram].concat()), 0xffff, "the sum of protocol {protocol}");
}

/// The sum of 16-bit words in ones' complement; a last byte counts as the upper half of a word.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|word| {
        let word = [word[0], word.get(1).copied().unwrap_or(0)];
        u64::from(u16::from_be_bytes(word))
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}
