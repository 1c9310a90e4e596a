//! What the module sends, as bytes in the kernel's own layout.

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self, PacketMsg};
use ipq_proto::netlink::{ErrorMsg, Flags, Framed, Header, Message, MessageType, padding};
use ipq_proto::{Abi, CopyMode, DataModel, Errno};
use zerocopy::IntoBytes;

/// The message that announces a packet: header pid, seq and flags are 0, and its length is a multiple of 4.
pub(crate) fn packet_message(model: DataModel, packet: &ip_queue::Packet<'_>) -> Vec<u8> {
    struct Encode<'p>(&'p ip_queue::Packet<'p>);
    impl AbiVisitor for Encode<'_> {
        type Output = Vec<u8>;

        fn visit<A: Abi>(self) -> Vec<u8> {
            let payload = self.0.payload;
            let pad = padding(payload.len());
            let header = Header::new(ip_queue::PACKET, Flags::NONE, 0, 0);
            let message = PacketMsg::<A>::new(self.0).expect("every number was made to fit");
            let framed = Framed::new(header, message, payload.len() + pad.len());
            let framed = framed.expect("packets are far below 4 GiB");
            [framed.as_bytes(), payload, pad].concat()
        }
    }
    model.with(Encode(packet))
}

/// A number of seconds as the kernel's `long` holds it: cut to 32 bits where words have 32.
pub(crate) fn word_sized(model: DataModel, seconds: i64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "what C does to a long of 32 bits")]
    match model.word_len() {
        4 => i64::from(seconds as i32),
        _ => seconds,
    }
}

/// The bytes of a packet that a copy mode asks for.
pub(crate) fn copied(mode: CopyMode, data: &[u8]) -> &[u8] {
    match mode {
        CopyMode::None | CopyMode::Metadata => &[],
        CopyMode::Packet { range: 0 } => data,
        CopyMode::Packet { range } => data.get(..range as usize).unwrap_or(data),
    }
}

/// The answer to `request`: an error, with all of the request, or an acknowledgement, with its header.
///
/// The header gives the length without padding; the datagram is padded to 4 all the same.
pub(crate) fn error_message(
    model: DataModel,
    socket_port_id: u32,
    request: &Message<'_>,
    error: Option<Errno>,
) -> Vec<u8> {
    struct Encode<'m> {
        header: Header,
        request: &'m Message<'m>,
        error: Option<Errno>,
    }
    impl AbiVisitor for Encode<'_> {
        type Output = Vec<u8>;

        fn visit<A: Abi>(self) -> Vec<u8> {
            let code = self.error.map_or(0, |errno| -errno.0);
            let rest = self.error.map_or(&[][..], |_| self.request.body);
            let body = ErrorMsg::<A::Order>::new(code, self.request.header);
            let framed = Framed::new(self.header, body, rest.len());
            let framed = framed.expect("a request is far below 4 GiB");
            [framed.as_bytes(), rest, padding(rest.len())].concat()
        }
    }
    let sequence = request.header.sequence;
    let header = Header::new(MessageType::ERROR, Flags::NONE, sequence, socket_port_id);
    model.with(Encode { header, request, error })
}
