//! What was decoded, encoded and decoded again.

use ipq_proto::ip_queue::{Message, ModeMsg, PacketMsg, VerdictMsg, datagram};
use ipq_proto::netlink::{Body, ErrorMsg, Framed, Header};
use ipq_proto::{Abi, DataModel, EncodeError, abi::AbiVisitor};
use zerocopy::{Immutable, IntoBytes};

/// Decodes `data` as each kind of kernel would have it, and encodes what it says for each kind of kernel.
///
/// # Panics
///
/// If decoding that gives anything else, or the layout it came from has no room for it.
pub fn round_trip(data: &[u8]) {
    for from in DataModel::ALL {
        let Ok((header, message)) = datagram(from, data) else { continue };
        for to in DataModel::ALL {
            check(header, message, from, to);
        }
    }
}

/// One message from one layout to another and back to its meaning.
fn check(header: Header, message: Message<'_>, from: DataModel, to: DataModel) {
    let bytes = match to.with(Encode { header, message }) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return,
        Err(error) => {
            assert!(to.word_len() < from.word_len(), "{from} to {to}: {error}");
            return;
        }
    };
    let (again, meaning) = match datagram(to, &bytes) {
        Ok(decoded) => decoded,
        Err(error) => panic!("{from} to {to}: {message} encodes to what does not decode: {error}"),
    };
    assert_eq!(meaning, message, "{from} to {to}");
    // The length is the one field that may differ: of the layout, and of padding that was counted in.
    assert_eq!(Header { len: header.len, ..again }, header, "{from} to {to}");
    assert_eq!(usize::try_from(again.len), Ok(bytes.len()), "{from} to {to}");
}

/// Encodes a message in the layout it is called with; `None` for a type that has no encoder.
struct Encode<'a> {
    header: Header,
    message: Message<'a>,
}

impl AbiVisitor for Encode<'_> {
    type Output = Result<Option<Vec<u8>>, EncodeError>;

    fn visit<A: Abi>(self) -> Self::Output {
        let header = self.header;
        Ok(Some(match self.message {
            Message::Reply(reply) => {
                let body = ErrorMsg::<A::Order>::new(reply.code, reply.request);
                framed(header, body, reply.rest)?
            }
            Message::Mode(mode) => {
                framed(header, ModeMsg::<A>::from_raw(mode.value, mode.range)?, &[])?
            }
            Message::Verdict(verdict) => {
                let body = VerdictMsg::<A>::new(verdict.id, verdict.verdict, verdict.data_len)?;
                framed(header, body, verdict.data)?
            }
            Message::Packet(packet) => {
                framed(header, PacketMsg::<A>::new(&packet)?, packet.payload)?
            }
            _ => return Ok(None),
        }))
    }
}

/// A whole message: header, fixed part and what follows it.
fn framed<B: Body>(header: Header, body: B, trailing: &[u8]) -> Result<Vec<u8>, EncodeError>
where
    Framed<B>: IntoBytes + Immutable,
{
    let fixed = Framed::new(header, body, trailing.len())?;
    Ok([fixed.as_bytes(), trailing].concat())
}
