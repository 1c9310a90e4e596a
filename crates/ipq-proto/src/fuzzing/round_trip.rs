//! What was decoded, encoded and decoded again.

use std::vec;
use std::vec::Vec;

use zerocopy::{BigEndian, ByteOrder, Immutable, IntoBytes, LittleEndian};

use super::requests::{config, verdict};
use crate::ip_queue::{Message, ModeMsg, PacketMsg, VerdictMsg, datagram};
use crate::netlink::{Body, ErrorMsg, Framed, Header, messages};
use crate::{Abi, DataModel, EncodeError, abi::AbiVisitor, nfqueue};

/// Decodes `data` as each kind of kernel would have it, in either protocol, and encodes what it says for each kind of
/// kernel.
///
/// # Panics
///
/// If decoding that gives anything else, or the layout it came from has no room for it.
pub fn round_trip(data: &[u8]) {
    for from in DataModel::ALL {
        let Ok((header, message)) = datagram(from, data) else { continue };
        for to in DataModel::ALL {
            check_ip_queue(header, message, from, to);
        }
    }
    for message in messages::<LittleEndian>(data).map_while(Result::ok) {
        let Ok(meaning) = nfqueue::Message::decode::<LittleEndian>(&message) else { continue };
        check_nfqueue::<LittleEndian>(message.header, meaning);
        check_nfqueue::<BigEndian>(message.header, meaning);
    }
    for message in messages::<BigEndian>(data).map_while(Result::ok) {
        let Ok(meaning) = nfqueue::Message::decode::<BigEndian>(&message) else { continue };
        check_nfqueue::<LittleEndian>(message.header, meaning);
        check_nfqueue::<BigEndian>(message.header, meaning);
    }
}

/// One message of `ip_queue` from one layout to another and back to its meaning.
fn check_ip_queue(header: Header, message: Message<'_>, from: DataModel, to: DataModel) {
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
            Message::Other(..) => return Ok(None),
        }))
    }
}

/// One message of `nfnetlink_queue`, written in the byte order `O` and read back. Where the writers have no way to say
/// all of it, several messages say it.
fn check_nfqueue<O: ByteOrder + 'static>(header: Header, message: nfqueue::Message<'_>) {
    use nfqueue::Message;
    match message {
        Message::Packet(packet) => {
            // Room for the attributes, which are all there once at most.
            let data = [packet.payload, packet.conntrack, packet.link_header];
            let data = data.into_iter().chain([packet.security_context]).flatten();
            let mut buffer = vec![0xa5; 512 + data.map(<[u8]>::len).sum::<usize>()];
            let len = packet.encode::<O>(&mut buffer).expect("what was read has room");
            assert_eq!(decoded::<O>(&buffer[..len]), Message::Packet(packet));
        }
        Message::Config(request) => config::<O>(header, request),
        Message::Verdict(request) | Message::VerdictBatch(request) => {
            let written = verdict::<O>(header, request);
            assert_eq!(decoded::<O>(&written), message);
        }
        Message::Reply(reply) => {
            let body = ErrorMsg::<O>::new(reply.code, reply.request);
            let written = framed(header, body, reply.rest).expect("a datagram is short");
            assert_eq!(decoded::<O>(&written), message);
        }
        Message::Other(..) => (),
    }
}

/// The one message in `bytes`.
pub(super) fn decoded<O: ByteOrder + 'static>(bytes: &[u8]) -> nfqueue::Message<'_> {
    let mut all = messages::<O>(bytes);
    let message = all.next().expect("a message").expect("a whole one");
    assert!(all.next().is_none(), "a second message");
    nfqueue::Message::decode::<O>(&message).expect("what was written can be read")
}

/// A whole message: header, fixed part and what follows it.
pub(super) fn framed<B: Body>(
    header: Header,
    body: B,
    trailing: &[u8],
) -> Result<Vec<u8>, EncodeError>
where
    Framed<B>: IntoBytes + Immutable,
{
    let fixed = Framed::new(header, body, trailing.len())?;
    Ok([fixed.as_bytes(), trailing].concat())
}
