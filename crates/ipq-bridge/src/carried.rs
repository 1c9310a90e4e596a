//! Requests to `ip_queue` inside of requests to `nfnetlink_queue`, and out of the answers again.
//!
//! An error repeats the whole request that it is about. So a request goes down with the original in it, in attributes
//! that no kernel knows and every kernel passes over, and comes back with the error. An acknowledgement repeats only the
//! header; what is in that is chosen so that the original can be made out.
//!
//! | attribute | holds |
//! |---|---|
//! | [`ENVELOPE`] | [`RawEnvelope`], then the original header and the fixed part of its body |
//! | [`REST`], or the payload of a verdict | what follows, in pieces where it is too long for one attribute |

use ipq_proto::netlink::attribute::{self, attributes, cut_attribute};
use ipq_proto::netlink::{
    self, Body, Flags, Framed, Header, Message, MessageType, RawHeader, padding,
};
use ipq_proto::nfqueue::{self, Generic, MarkAttribute, ParamsMsg, VerdictMsg};
use ipq_proto::{Abi, CopyMode, Errno, Family, Verdict, ip_queue};
use zerocopy::byteorder::{U16, U32};
use zerocopy::{ByteOrder, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The type of the attribute that begins an original: far above those that kernels have.
const ENVELOPE: u16 = 0x3f00;

/// The type of the attributes that go on with it.
const REST: u16 = 0x3f01;

/// The type of the attribute with the replacement of a verdict.
#[doc(alias = "NFQA_PAYLOAD")]
const PAYLOAD: u16 = 10;

/// A message of the subsystem that there is not, so that every kernel answers it with an error.
const NO_SUCH_MESSAGE: MessageType = MessageType((nfqueue::SUBSYSTEM as u16) << 8 | 0xff);

/// What is set in the port id of a request that is for `ip6_queue`.
const IPV6: u32 = 1 << 31;

/// How much of an original goes into one attribute at most: what there is room for, aligned.
const PIECE_LEN: usize = nfqueue::MAX_PAYLOAD as usize & !(netlink::ALIGNMENT - 1);

/// What is to be known of a request when its answer comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Note {
    /// Why it is refused, whatever the kernel says; `None` where the kernel decides.
    pub(crate) refused: Option<Errno>,
    /// Whether it is refused before the sender's privileges count.
    pub(crate) is_before_privileges: bool,
    /// Whether its sender became the peer by it.
    pub(crate) claims: bool,
    /// The copy mode before it.
    pub(crate) prior_mode: CopyMode,
}

/// What the kernel is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// To set the copy mode of the queue.
    Mode(CopyMode),
    /// To decide on a packet, and perhaps to mark it; and whether what follows the original's fixed part is to replace
    /// it.
    Verdict { id: u32, verdict: Verdict, mark: Option<u32>, replaces: bool },
    /// To answer.
    Answer,
}

#[derive(Clone, Copy, Debug)]
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEnvelope<O: ByteOrder> {
    refused: U16<O>,
    marks: u8,
    prior_mode: u8,
    prior_range: U32<O>,
}

impl<O: ByteOrder> RawEnvelope<O> {
    const BEFORE_PRIVILEGES: u8 = 1;
    const CLAIMS: u8 = 2;

    fn new(note: &Note) -> Self {
        let Note { refused, is_before_privileges, claims, prior_mode } = *note;
        let mark = |is_set, mark| if is_set { mark } else { 0 };
        Self {
            refused: refused.map_or(0, |errno| u16::try_from(errno.0).unwrap_or(u16::MAX)).into(),
            marks: mark(is_before_privileges, Self::BEFORE_PRIVILEGES) | mark(claims, Self::CLAIMS),
            prior_mode: prior_mode.value(),
            prior_range: prior_mode.range().into(),
        }
    }

    fn note(self) -> Note {
        Note {
            refused: Some(Errno(self.refused.get().into())).filter(|errno| errno.0 != 0),
            is_before_privileges: self.marks & Self::BEFORE_PRIVILEGES != 0,
            claims: self.marks & Self::CLAIMS != 0,
            prior_mode: CopyMode::from_wire(self.prior_mode, self.prior_range.get().into())
                .unwrap_or_default(),
        }
    }
}

/// Appends a request to `queue` with `original` inside.
pub(crate) fn append<A: Abi>(
    out: &mut Vec<u8>,
    queue: u16,
    order: Order,
    original: &Message<'_>,
    note: &Note,
    family: Family,
) {
    let start = out.len();
    out.extend_from_slice(&[0; netlink::HEADER_LEN]);
    let claimed = original.header;
    let mut rest_kind = REST;
    let header = match order {
        Order::Mode(mode) => {
            out.extend_from_slice(ParamsMsg::<A::Order>::new(queue, mode).as_bytes());
            acknowledged(nfqueue::CONFIG, claimed, family)
        }
        Order::Verdict { id, verdict, mark, replaces } => {
            out.extend_from_slice(VerdictMsg::<A::Order>::new(queue, id, verdict).as_bytes());
            if let Some(mark) = mark {
                out.extend_from_slice(MarkAttribute::<A::Order>::new(mark).as_bytes());
            }
            if replaces {
                rest_kind = PAYLOAD;
            }
            acknowledged(nfqueue::VERDICT, claimed, family)
        }
        Order::Answer => {
            out.extend_from_slice(Generic::new(0, queue).as_bytes());
            Header { flags: Flags::REQUEST, ..acknowledged(NO_SUCH_MESSAGE, claimed, family) }
        }
    };
    let fixed_len = original.body.len().min(size_of::<ip_queue::VerdictMsg<A>>());
    let (fixed, rest) = original.body.split_at(fixed_len);
    let head = RawHeader::<A::Order>::from(claimed);
    let envelope = RawEnvelope::<A::Order>::new(note);
    put::<A::Order>(out, ENVELOPE, &[envelope.as_bytes(), head.as_bytes(), fixed]);
    let piece_len = if rest_kind == PAYLOAD { rest.len().max(1) } else { PIECE_LEN };
    for piece in rest.chunks(piece_len) {
        put::<A::Order>(out, rest_kind, &[piece]);
    }
    let len = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    let header = RawHeader::<A::Order>::from(Header { len, ..header });
    out[start..start + netlink::HEADER_LEN].copy_from_slice(header.as_bytes());
}

/// Appends a request of the bridge's own, which nobody waits for an answer to.
pub(crate) fn append_plain<B: Body + IntoBytes + Immutable>(
    out: &mut Vec<u8>,
    message_type: MessageType,
    body: B,
) {
    let header = Header::new(message_type, Flags::REQUEST, 0, 0);
    let framed = Framed::new(header, body, 0).expect("a few bytes have a length");
    out.extend_from_slice(framed.as_bytes());
}

/// The header of a request whose acknowledgement tells the header of the original: the same flags and number, and its
/// length where a port id would be, which the kernel repeats and does not look at. Nothing is so long that its length needs
/// the highest bit, which says whose request it is.
fn acknowledged(message_type: MessageType, original: Header, family: Family) -> Header {
    let owner = if family == Family::Ipv6 { IPV6 } else { 0 };
    Header::new(message_type, original.flags, original.sequence, original.len & !IPV6 | owner)
}

/// The family whose request has this header.
pub(crate) fn is_about(request: Header) -> Family {
    if request.port_id & IPV6 == 0 { Family::Ipv4 } else { Family::Ipv6 }
}

/// Appends an attribute with its padding. It is known to be short enough.
fn put<O: ByteOrder>(out: &mut Vec<u8>, kind: u16, parts: &[&[u8]]) {
    let len = parts.iter().map(|part| part.len()).sum();
    let header = attribute::header::<O>(kind, len).expect("pieces fit an attribute");
    out.extend_from_slice(&header);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(padding(len));
}

/// The header of the original whose acknowledgement repeats `acknowledged`, by the peer; `None` if it has no original.
pub(crate) fn original_header(acknowledged: Header, peer: u32) -> Option<Header> {
    let message_type = match acknowledged.message_type {
        nfqueue::CONFIG => ip_queue::MODE,
        nfqueue::VERDICT => ip_queue::VERDICT,
        _ => return None,
    };
    let Header { flags, sequence, port_id, .. } = acknowledged;
    Some(Header { len: port_id & !IPV6, message_type, flags, sequence, port_id: peer })
}

/// An original that came back with an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returned<'a> {
    pub(crate) note: Note,
    /// Its header.
    pub(crate) header: Header,
    /// The fixed part of its body, as far as it was there.
    pub(crate) fixed: &'a [u8],
    /// Attributes with the rest of it.
    rest: &'a [u8],
}

impl<'a> Returned<'a> {
    /// Out of the body of a request that the kernel repeats; `None` if there is no original in it.
    pub(crate) fn find<O: ByteOrder + 'a>(repeated: &'a [u8]) -> Option<Self> {
        let (_, rest) = Generic::split(repeated).ok()?;
        let mut within = attributes::<O>(rest).map_while(Result::ok);
        let envelope = within.find(|attribute| attribute.kind == ENVELOPE)?;
        let (raw, original) = RawEnvelope::<O>::ref_from_prefix(envelope.data).ok()?;
        let (header, fixed) = RawHeader::<O>::ref_from_prefix(original).ok()?;
        Some(Self { note: raw.note(), header: header.into(), fixed, rest })
    }

    /// The pieces of what follows the fixed part, in order.
    pub(crate) fn rest<O: ByteOrder + 'a>(&self) -> impl Iterator<Item = &'a [u8]> {
        let rest = self.rest;
        let whole = attributes::<O>(rest).map_while(Result::ok);
        let end = whole.clone().last().map_or(0, |attribute| attribute.end());
        let cut = rest.get(end..).and_then(cut_attribute::<O>).map(|(attribute, _)| attribute);
        let pieces = whole.chain(cut).filter(|piece| matches!(piece.kind, REST | PAYLOAD));
        pieces.map(|attribute| attribute.data)
    }
}
