//! What the module sends, as bytes in the kernel's own layout.

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self, PacketMsg};
use ipq_proto::netlink::{Flags, Framed, Header, padding};
use ipq_proto::{Abi, CopyMode, DataModel};
use zerocopy::IntoBytes;

/// Writes the message that announces a packet to the end of `buffer`: header pid, seq and flags are 0, and its length
/// is a multiple of 4.
pub(crate) fn packet_message(
    model: DataModel,
    packet: &ip_queue::Packet<'_>,
    buffer: &mut Vec<u8>,
) {
    struct Encode<'p, 'b>(&'p ip_queue::Packet<'p>, &'b mut Vec<u8>);
    impl AbiVisitor for Encode<'_, '_> {
        type Output = ();

        fn visit<A: Abi>(self) {
            let Self(packet, buffer) = self;
            let pad = padding(packet.payload.len());
            let header = Header::new(ip_queue::PACKET, Flags::NONE, 0, 0);
            let message = PacketMsg::<A>::new(packet).expect("every number was made to fit");
            let framed = Framed::new(header, message, packet.payload.len() + pad.len());
            let framed = framed.expect("packets are far below 4 GiB");
            buffer.extend_from_slice(framed.as_bytes());
            buffer.extend_from_slice(packet.payload);
            buffer.extend_from_slice(pad);
        }
    }
    model.with(Encode(packet, buffer));
}

/// The bytes of a packet that a copy mode asks for.
pub(crate) fn copied(mode: CopyMode, data: &[u8]) -> &[u8] {
    match mode {
        CopyMode::None | CopyMode::Metadata => &[],
        CopyMode::Packet { range: 0 } => data,
        CopyMode::Packet { range } => data.get(..range as usize).unwrap_or(data),
    }
}
