//! Messages of which only the beginning was received.

use ipq_proto::Problem;
use ipq_proto::nfqueue::{PACKET, Packet};

use crate::nfqueue_common::{ALL, Order, all};
use crate::{decode_cut, packet_message, spans};

#[test]
fn a_cut_message_keeps_the_id_and_the_beginning_of_the_payload() {
    for order in Order::BOTH {
        let bytes = packet_message(order, &all(order));
        let payload = ALL.payload.expect("there is one");
        let payload_at = spans(order, &bytes).last().expect("the payload").0 + 4;
        for len in 0..=bytes.len() {
            let Some(body) = bytes.get(16..len) else { continue };
            let what = format!("{order:?}, {len} bytes");
            let packet = match decode_cut(order, body) {
                Ok(packet) => packet,
                Err(error) => {
                    let (need, have) = if len < 20 { (4, len - 16) } else { (7, 0) };
                    assert!(len < 20 + 4 + 7, "{what}: the packet header is there");
                    assert_eq!(error.problem, Problem::TooShort { need, have });
                    continue;
                }
            };
            assert!(len >= 20 + 4 + 7, "{what}");
            assert_eq!(packet.id, ALL.id, "{what}");
            assert_eq!((packet.queue, packet.hook), (ALL.queue, ALL.hook), "{what}");
            let have = len.checked_sub(payload_at).map(|have| have.min(payload.len()));
            assert_eq!(packet.payload, have.map(|have| &payload[..have]), "{what}");
            if have.is_some() {
                assert_eq!(Packet { payload: ALL.payload, ..packet }, ALL, "{what}");
            }
        }
    }
}

#[test]
fn a_cut_message_has_the_length_that_the_packet_had() {
    for order in Order::BOTH {
        let payload = vec![0x45; 1000];
        let header = (1, vec![0; 7]);
        let bytes = packet_message(order, &[header.clone(), (10, payload.clone())]);
        for have in 0..=1000 {
            let cut = decode_cut(order, &bytes[16..36 + have]).expect("the id is there");
            assert_eq!(cut.payload.map(<[u8]>::len), Some(have));
            assert_eq!(cut.packet_len, (have < 1000).then_some(1000), "{order:?}, {have} bytes");
        }
        // What the kernel says of it goes before: it may have cut the payload as well.
        let said = (13, vec![0, 0, 0x23, 0x28]);
        let bytes = packet_message(order, &[header, said, (10, payload)]);
        let cut = decode_cut(order, &bytes[16..144]).expect("the id is there");
        assert_eq!(cut.packet_len, Some(9000));
    }
}

#[test]
fn a_payload_whose_length_is_no_length_is_not_a_cut_one() {
    for order in Order::BOTH {
        for claimed in 0..4 {
            let lie = [&order.u16(claimed)[..], &order.u16(10), &[0x45; 20]].concat();
            let bytes = [order.attribute(1, &[0; 7]), lie].concat();
            let message = order.message(PACKET, &bytes);
            let cut = decode_cut(order, &message[16..]).expect("the id is there");
            assert_eq!(cut.payload, None, "{order:?}, claims {claimed}");
        }
    }
}

#[test]
fn a_damaged_attribute_does_not_hide_the_id_of_a_cut_message() {
    for order in Order::BOTH {
        let header = (1, vec![0, 0, 0, 7, 8, 0, 3]);
        let bytes = packet_message(order, &[(3, vec![0; 2]), header, (4, vec![0; 15])]);
        assert!(order.decode(&bytes).is_err());
        let cut = decode_cut(order, &bytes[16..]).expect("the id is there");
        assert_eq!((cut.id, cut.mark, cut.timestamp), (7, None, None));
    }
}
