//! Attributes whose parts are missing, or claim what cannot be.

use ipq_proto::nfqueue::Vlan;
use ipq_proto::{DecodeError, HardwareAddress, Problem};

use crate::nfqueue_common::{ALL, Order, all};
use crate::{attribute_error, decode_cut, packet, packet_message};

/// Decodes a packet with a VLAN attribute of these attributes.
fn vlan(order: Order, inner: &[(u16, &[u8])]) -> Result<Option<Vlan>, DecodeError> {
    let inner: Vec<_> = inner.iter().map(|(kind, data)| order.attribute(*kind, data)).collect();
    let bytes = packet_message(order, &[(1, vec![0; 7]), (0x8013, inner.concat())]);
    let message = order.decode(&bytes);
    assert_eq!(message.is_err(), message.as_ref().is_err_and(|error| error.offset >= 36));
    message.map(|message| packet(Ok(message)).vlan)
}

#[test]
fn a_vlan_tag_has_both_of_its_members_or_is_none() {
    let [protocol, tci] = [(1, &[0x88, 0xa8][..]), (2, &[0xe1, 0xe2])];
    for order in Order::BOTH {
        assert_eq!(vlan(order, &[]), Ok(None));
        assert_eq!(vlan(order, &[protocol]), Ok(None));
        assert_eq!(vlan(order, &[tci]), Ok(None));
        assert_eq!(vlan(order, &[tci, protocol]), Ok(ALL.vlan), "in either order");
        let more = [(3, &[][..]), protocol, (0, &[1, 2, 3, 4, 5]), tci, (0x3fff, &[1])];
        assert_eq!(vlan(order, &more), Ok(ALL.vlan), "with more");
        assert_eq!(vlan(order, &[(1, &[0, 0]), tci, protocol]), Ok(ALL.vlan), "the last counts");
        let longer = [(1, &[0x88, 0xa8, 1][..]), (2, &[0xe1, 0xe2, 0, 0])];
        assert_eq!(vlan(order, &longer), Ok(ALL.vlan), "longer");
    }
}

#[test]
fn an_error_inside_a_vlan_tag_is_found_where_it_is() {
    // After the headers, the packet header's attribute, and the header of the VLAN attribute.
    let inside = 20 + 12 + 4;
    for order in Order::BOTH {
        for (kind, what) in [(1, "VLAN protocol"), (2, "VLAN tag")] {
            for have in 0..2 {
                let error = vlan(order, &[(7, &[]), (kind, &[0, 0][..have])]);
                let problem = Problem::TooShort { need: 2, have };
                assert_eq!(error, Err(DecodeError { what, offset: inside + 4 + 4, problem }));
            }
        }
        for claimed in [0_u16, 3, 9, 0xffff] {
            let inner = [&order.u16(claimed)[..], &order.u16(1), &[0x88, 0xa8, 0, 0]].concat();
            let bytes = packet_message(order, &[(1, vec![0; 7]), (19, inner)]);
            let problem = match claimed {
                0..4 => Problem::ClaimsTooLittle { claimed: claimed.into(), least: 4 },
                _ => Problem::ClaimsTooMuch { claimed: claimed.into(), have: 8 },
            };
            assert_eq!(order.decode(&bytes), Err(attribute_error(inside, problem)), "{order:?}");
            let cut = decode_cut(order, &bytes[16..]).expect("the rest of it is there");
            assert_eq!(cut.vlan, None);
        }
    }
}

#[test]
fn a_hardware_address_is_never_longer_than_its_field() {
    let field = [1, 2, 3, 4, 5, 6, 7, 8];
    for order in Order::BOTH {
        for (claimed, kept, len) in [
            (0_u16, 0, 0),
            (6, 6, 6),
            (8, 8, 8),
            (9, 9, 8),
            (255, 255, 8),
            (256, 255, 8),
            (0xffff, 255, 8),
        ] {
            let data = [&claimed.to_be_bytes()[..], &[0xee; 2], &field].concat();
            let bytes = packet_message(order, &[(1, vec![0; 7]), (9, data)]);
            let message = order.decode(&bytes);
            let address = packet(message).hw_address.expect("it is there");
            assert_eq!(address, HardwareAddress::from_wire(kept, field));
            assert_eq!(address.as_bytes(), &field[..len], "claims {claimed}");
            let line = packet(message).to_string();
            assert!(!line.contains("  "), "nothing where something should be: {line}");
        }
    }
}

#[test]
fn a_packet_without_its_header_is_none() {
    for order in Order::BOTH {
        let without = &all(order)[1..];
        let bytes = packet_message(order, without);
        let problem = Problem::TooShort { need: 7, have: 0 };
        let what = "packet header";
        let error = DecodeError { what, offset: bytes.len(), problem };
        assert_eq!(order.decode(&bytes), Err(error));
        let error = DecodeError { offset: bytes.len() - 16, ..error };
        assert_eq!(decode_cut(order, &bytes[16..]), Err(error));

        // It may be the last, though.
        let last = [without, &all(order)[..1]].concat();
        assert_eq!(packet(order.decode(&packet_message(order, &last))), ALL);
    }
}
