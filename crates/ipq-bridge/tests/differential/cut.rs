//! Messages that are longer than what they are received into: the same one by one and many at once.

use std::io::IoSlice;

use etherparse::PacketBuilder;
use ipq_bridge::{Bridge, Options};
use ipq_proto::ip_queue::{MODE, ModeMsg};
use ipq_proto::netlink::{Flags, Framed, Header};
use ipq_proto::{CopyMode, Family, Hook, Native};
use ipq_sim::{Kernel, Match, Socket, Target};
use ipq_sys::{Batch, Deadline, Received, Transport};
use zerocopy::IntoBytes;

/// A bridge with an acknowledgement, packets of several lengths, and the refusal of a long request to be received.
fn full_bridge() -> Bridge<Socket> {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(1));
    let below = kernel.nfqueue_socket();
    let mut bridge = Bridge::claim(below, 1, Family::Ipv4, Options::default()).unwrap();
    let header = Header::new(MODE, Flags::REQUEST.union(Flags::ACK), 1, bridge.port_id());
    let mode = ModeMsg::<Native>::new(CopyMode::Packet { range: 0 });
    let request = Framed::new(header, mode, 0).unwrap();
    bridge.send(&[IoSlice::new(request.as_bytes())]).unwrap();
    for len in [0, 1, 700, 5000] {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(1, 2);
        builder.write(&mut packet, &vec![b'x'; len]).unwrap();
        kernel.send(Family::Ipv4, &packet);
        kernel.run();
    }
    let data = (0..=u8::MAX).cycle().take(80_001).collect::<Vec<_>>();
    let header = Header::new(MODE, Flags::NONE, 2, bridge.port_id());
    let request = Framed::new(header, mode, data.len()).unwrap();
    bridge.send(&[IoSlice::new(request.as_bytes()), IoSlice::new(&data)]).unwrap();
    bridge
}

#[test]
fn many_at_once_are_cut_as_one_by_one() {
    for len in [1, 16, 36, 50, 112, 113, 140, 141, 2000, 5140, 70_000, 90_000] {
        let (mut one_by_one, mut many) = (full_bridge(), full_bridge());
        let mut batch = Batch::new(8, len);
        many.receive_many(&mut batch, Deadline::Immediate).unwrap();
        let mut found = batch.iter();
        for _ in 0..6 {
            let mut buffer = vec![0; len];
            let received = one_by_one.receive(&mut buffer, Deadline::Immediate).unwrap();
            let expected = (received, &buffer[..received.len_in_buffer()]);
            assert_eq!(found.next(), Some(expected), "a buffer of {len} bytes");
            if let Received::Truncated { len: cut, datagram_len } = received {
                assert!(cut == len && datagram_len > len);
            }
        }
        assert_eq!(found.next(), None);
    }
}
