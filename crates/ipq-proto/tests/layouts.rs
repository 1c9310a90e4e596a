//! Messages of both protocols in every layout, sound and damaged, through the bodies of the fuzz targets: what is decoded
//! in one layout is encoded in every other one and means the same there.

use ipq_proto::fuzzing::{decode_any, netlink_framing, round_trip};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The word size and byte order that a message is written in.
#[derive(Clone, Copy, Debug)]
struct Layout {
    word_len: usize,
    is_big_endian: bool,
}

impl Layout {
    fn number(self, number: u64, len: usize) -> Vec<u8> {
        let mut bytes = number.to_le_bytes()[..len].to_vec();
        if self.is_big_endian {
            bytes.reverse();
        }
        bytes
    }

    fn message(self, message_type: u16, numbers: [u32; 3], body: &[u8]) -> Vec<u8> {
        let [flags, sequence, port_id] = numbers.map(u64::from);
        let mut message = self.number(16 + body.len() as u64, 4);
        message.extend(self.number(message_type.into(), 2));
        message.extend(self.number(flags, 2));
        message.extend(self.number(sequence, 4));
        message.extend(self.number(port_id, 4));
        message.extend(body);
        message
    }
}

fn layouts() -> impl Strategy<Value = Layout> {
    (select(vec![4, 8]), any::<bool>())
        .prop_map(|(word_len, is_big_endian)| Layout { word_len, is_big_endian })
}

/// A message of `ip_queue`: the length of what follows its fixed part is right.
fn ip_queue(layout: Layout) -> impl Strategy<Value = (u16, Vec<u8>)> {
    let words = layout.word_len;
    // Bytes before the length; the mode has none and an answer neither.
    let packet = if words == 8 { 88 } else { 68 };
    let kinds = select(vec![
        (0x11, 3 * words, 0),
        (0x12, 2 * words, words),
        (0x13, packet, words),
        (2, 20, 0),
    ]);
    (kinds, vec(any::<u8>(), 100), vec(any::<u8>(), 0..80)).prop_map(
        move |((message_type, fixed, len), bytes, data)| {
            let mut body = bytes[..fixed].to_vec();
            body.extend(layout.number(data.len() as u64, len));
            body.extend(data);
            (message_type, body)
        },
    )
}

/// A message of `nfnetlink_queue`: the headers of packets and of verdicts, and attributes of any type, most of them as long
/// as any type wants.
fn nfqueue(layout: Layout) -> impl Strategy<Value = (u16, Vec<u8>)> {
    let data = prop_oneof![6 => vec(any::<u8>(), 12..24), 1 => vec(any::<u8>(), 0..12)];
    let headers = (vec(any::<u8>(), 7), vec(any::<u8>(), 8));
    let parts = (any::<[u8; 4]>(), headers, vec((0..24_u16, data), 0..6));
    (0x300..0x304_u16, parts).prop_map(move |(message_type, (generic, headers, mut attributes))| {
        attributes.extend([(1, headers.0), (2, headers.1)]);
        let mut body = generic.to_vec();
        for (kind, data) in attributes {
            body.extend(layout.number(4 + data.len() as u64, 2));
            body.extend(layout.number(kind.into(), 2));
            body.extend(&data);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        (message_type, body)
    })
}

/// One or several messages.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let message = |layout: Layout| {
        let said = prop_oneof![ip_queue(layout), nfqueue(layout)];
        (any::<[u32; 3]>(), said)
            .prop_map(move |(numbers, (kind, body))| layout.message(kind, numbers, &body))
    };
    layouts().prop_flat_map(move |layout| vec(message(layout), 1..4)).prop_map(|messages| {
        messages.into_iter().fold(Vec::new(), |mut datagram: Vec<u8>, message| {
            datagram.resize(datagram.len().next_multiple_of(4), 0);
            datagram.extend(message);
            datagram
        })
    })
}

fn check(datagram: &[u8]) {
    decode_any(datagram);
    netlink_framing(datagram);
    round_trip(datagram);
}

proptest! {
    #[test]
    fn what_one_layout_says_every_other_one_can_say(datagram in datagrams()) {
        check(&datagram);
    }

    #[test]
    fn damage_makes_an_error_or_another_meaning(
        datagram in datagrams(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let mut datagram = datagram;
        for (at, byte) in damage {
            *at.get_mut(&mut datagram) = byte;
        }
        check(&datagram);
        datagram.truncate(cut.index(datagram.len()));
        check(&datagram);
    }
}
