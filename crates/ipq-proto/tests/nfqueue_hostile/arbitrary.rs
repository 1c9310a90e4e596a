//! Any bytes, and messages that are nearly right; and ids that wrap around.

use ipq_proto::netlink::attribute::attributes;
use ipq_proto::netlink::{self, MessageType, messages};
use ipq_proto::nfqueue::{ConfigRequest, Message, Packet, VerdictRequest, is_not_later};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::nfqueue_common::{Order, all, with};
use crate::packet_message;

#[test]
fn ids_that_wrap_around_keep_their_order() {
    let ids = [0, 1, 2, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX - 1, u32::MAX];
    for id in ids {
        assert!(is_not_later(id, id), "{id:#x} itself");
        for further in [1, 2, 1024, 0x7fff_ffff] {
            let later = id.wrapping_add(further);
            assert!(is_not_later(id, later), "{id:#x}, {later:#x}");
            assert!(!is_not_later(later, id), "{later:#x}, {id:#x}");
        }
    }
    assert!(is_not_later(u32::MAX, 1), "the first id after the last one");
    assert!(!is_not_later(1, u32::MAX));
}

/// Decodes `bytes` as everything there is, and prints it.
fn look_at(order: Order, bytes: &[u8]) {
    with!(order, O => {
        for message in messages::<O>(bytes) {
            let Ok(message) = message else { break };
            match Message::decode::<O>(&message) {
                Ok(decoded) => {
                    let line = format!("{message:?} {decoded} {decoded:?}");
                    assert!(!line.contains('\n'), "{line}");
                }
                Err(error) => {
                    assert!(error.offset <= bytes.len(), "{error}");
                    assert!(!error.to_string().contains('\n'));
                }
            }
        }
        if let Ok(cut) = netlink::Message::decode_cut::<O>(bytes) {
            let _ = Message::decode::<O>(&cut).map(|message| message.to_string());
        }
        for attribute in attributes::<O>(bytes) {
            match attribute {
                Ok(attribute) => assert!(format!("{attribute:?}").starts_with("Attribute(")),
                Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
            }
        }
        let whole = Packet::decode::<O>(bytes);
        let cut = Packet::decode_cut::<O>(bytes);
        if let Ok(packet) = whole {
            assert_eq!(cut, Ok(packet), "what is whole is not cut");
        }
        if let Ok(packet) = cut {
            let _ = format!("{packet} {packet:?}");
        }
        let _ = VerdictRequest::decode::<O>(bytes).map(|request| format!("{request:?}"));
        let _ = ConfigRequest::decode::<O>(bytes).map(|request| format!("{request} {request:?}"));
    });
}

/// Attributes that are mostly right: a type that may be known, data, and a length that may lie.
fn nearly_attributes(order: Order) -> impl Strategy<Value = Vec<u8>> {
    let lie = prop_oneof![9 => Just(None), 1 => any::<u16>().prop_map(Some)];
    let attribute = (0_u16..24, vec(any::<u8>(), 0..24), lie, any::<[bool; 2]>());
    vec(attribute, 0..12).prop_map(move |attributes| {
        let bytes = attributes.into_iter().flat_map(|(kind, data, lie, [nested, unpadded])| {
            let kind = if nested { kind | 0x8000 } else { kind };
            let mut bytes = order.attribute(kind, &data);
            if let Some(len) = lie {
                bytes[..2].copy_from_slice(&order.u16(len));
            }
            if unpadded {
                bytes.truncate(4 + data.len());
            }
            bytes
        });
        bytes.collect()
    })
}

fn orders() -> impl Strategy<Value = Order> {
    prop::sample::select(Order::BOTH.to_vec())
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_an_error_or_a_value(
        order in orders(), bytes in vec(any::<u8>(), 0..300),
    ) {
        look_at(order, &bytes);
    }

    #[test]
    fn messages_that_are_nearly_right_are_an_error_or_a_value(
        (order, bytes) in orders().prop_flat_map(|order| (Just(order), nearly_attributes(order))),
        message in 0_u16..5, cut in 0_usize..64,
    ) {
        let datagram = order.message(MessageType(0x0300 + message), &bytes);
        look_at(order, &datagram);
        look_at(order, &datagram[..datagram.len().saturating_sub(cut)]);
        look_at(order, &datagram[16..]);
    }

    #[test]
    fn a_byte_that_changed_is_an_error_or_a_value(
        order in orders(), at in 0_usize..400, byte: u8,
    ) {
        let mut bytes = packet_message(order, &all(order));
        let at = at % bytes.len();
        bytes[at] = byte;
        look_at(order, &bytes);
        look_at(order, &bytes[16..]);
    }

    #[test]
    fn of_ids_half_way_round_neither_is_later(id: u32) {
        let opposite = id ^ 0x8000_0000;
        prop_assert!(is_not_later(id, opposite) && is_not_later(opposite, id));
    }

    #[test]
    fn ids_up_to_half_way_round_are_later(id: u32, further in 1_u32..0x8000_0000) {
        prop_assert!(is_not_later(id, id.wrapping_add(further)));
        prop_assert!(!is_not_later(id.wrapping_add(further), id));
    }
}
