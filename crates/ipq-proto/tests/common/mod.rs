//! Values to bytes, for every test that goes both ways: [`encode`] is the one encoder of the tests.

use ipq_proto::ip_queue::{Message, ModeMsg, PacketMsg, VerdictMsg};
use ipq_proto::netlink::{Body, ErrorMsg, Framed, Header, RawHeader};
use ipq_proto::{Abi, DataModel, EncodeError, abi::AbiVisitor};
use zerocopy::IntoBytes;

/// What a buffer holds before something is emitted into it, so that a byte that was not written shows.
const DIRT: u8 = 0xa5;

/// The datagram that is `header` and `message` in the layout `model`; the header's length is computed.
///
/// `after` goes behind the message and counts in its length, as a kernel counts the padding of a packet. Emits into a
/// dirty buffer that is longer than needed, and insists that nothing behind the message is touched.
pub(crate) fn encode(
    model: DataModel,
    header: Header,
    message: &Message<'_>,
    after: &[u8],
) -> Result<Vec<u8>, EncodeError> {
    model.with(Encode { header, message, after })
}

struct Encode<'a> {
    header: Header,
    message: &'a Message<'a>,
    after: &'a [u8],
}

impl AbiVisitor for Encode<'_> {
    type Output = Result<Vec<u8>, EncodeError>;

    fn visit<A: Abi>(self) -> Self::Output {
        let header = self.header;
        match self.message {
            Message::Reply(reply) => {
                self.framed(ErrorMsg::<A::Order>::new(reply.code, reply.request), reply.rest)
            }
            Message::Mode(mode) => {
                self.framed(ModeMsg::<A>::from_raw(mode.value, mode.range)?, &[])
            }
            Message::Verdict(verdict) => {
                let body = VerdictMsg::<A>::new(verdict.id, verdict.verdict, verdict.data_len)?;
                self.framed(body, verdict.data)
            }
            Message::Packet(packet) => self.framed(PacketMsg::<A>::new(packet)?, packet.payload),
            Message::Other(message_type, body) => {
                let len = u32::try_from(16 + body.len() + self.after.len()).expect("a short body");
                let header = Header { len, message_type: *message_type, ..header };
                let raw = RawHeader::<A::Order>::from(header);
                Ok([raw.as_bytes(), body, self.after].concat())
            }
            other => panic!("a kind of message that the tests do not know: {other}"),
        }
    }
}

impl Encode<'_> {
    fn framed<B: Body>(&self, body: B, trailing: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let head = Framed::new(self.header, body, trailing.len() + self.after.len())?;
        let mut buffer = vec![DIRT; size_of_val(&head) + 8];
        head.write_to_prefix(&mut buffer).expect("the buffer has room for it");
        let (emitted, behind) = buffer.split_at(size_of_val(&head));
        assert!(behind.iter().all(|&byte| byte == DIRT), "wrote behind the message");
        Ok([emitted, trailing, self.after].concat())
    }
}
