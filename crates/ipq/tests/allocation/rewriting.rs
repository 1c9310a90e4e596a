//! Packets that are changed. One whose length may change has to own its bytes; one that is repaired in its place has not.

use etherparse::PacketBuilder;
use ipq::{Rewrite, repair};

fn packet() -> Vec<u8> {
    let mut packet = Vec::new();
    let ip = PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64);
    ip.udp(40_000, 9999).write(&mut packet, &[7; 1000]).unwrap();
    packet
}

#[test]
fn repairing_a_packet_in_its_place_allocates_nothing() {
    let mut packet = packet();
    let info = allocation_counter::measure(|| {
        for round in 0..100 {
            packet[100] = round;
            repair(&mut packet).unwrap();
        }
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn rewriting_allocates_the_payload_and_the_new_packet() {
    let packet = packet();
    let info = allocation_counter::measure(|| {
        for round in 0..100 {
            let mut rewrite = Rewrite::of(&packet).unwrap();
            rewrite.payload_mut()[100] = round;
            assert_eq!(rewrite.finish().unwrap().len(), packet.len());
        }
    });
    assert_eq!(info.count_total, 2 * 100, "{info:?}");
}
