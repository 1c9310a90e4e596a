//! Requests of programs, sound and unsound, written as bytes: [`Request`].

use arbitrary::{Arbitrary, Result, Unstructured};
use ipq_proto::Family;

use super::model::packet::{Content, Datagram, Flaw};
use super::model::wire::Layout;
use super::operation::{QUEUES, replacement};

/// A request, but for what depends on who sends it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    flags: u16,
    sender: Sender,
    what: What,
}

/// Whose port id is in the header.
#[derive(Clone, Copy, Debug)]
enum Sender {
    Oneself,
    Other(u32),
}

#[derive(Clone, Debug)]
enum What {
    Mode {
        mode: u8,
        range: u64,
    },
    Verdict {
        packet: Pick,
        verdict: u32,
        replacement: Option<Datagram>,
        claim: Claim,
    },
    Config {
        queue: u16,
        attributes: Vec<Attribute>,
    },
    Decision {
        queue: u16,
        packet: Pick,
        verdict: u32,
        is_batch: bool,
        rest: Vec<Attribute>,
    },
    /// Any message.
    Other {
        message_type: u16,
        body: Vec<u8>,
    },
    /// No message.
    Bytes(Vec<u8>),
}

/// Which packet a verdict is for.
#[derive(Clone, Copy, Debug)]
enum Pick {
    Waiting(u8),
    /// One that waits or has waited.
    Seen(u8),
    Guess(u32),
}

/// What a verdict says of the length of its replacement.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Claim {
    Truth,
    Nothing,
    OneMore,
}

/// An attribute of a request to `nfnetlink_queue`.
#[derive(Clone, Debug)]
enum Attribute {
    Command(u8, u16),
    Mode(u8, u32),
    Number(u16, u32),
    /// Options, and which of them are meant.
    Options(u32, u32),
    Replacement(Datagram),
    Any(u16, Vec<u8>),
    /// A header that says what it likes.
    Header(u16, u16),
}

/// What a request depends on.
pub(super) trait Context {
    fn layout(&self) -> Layout;
    /// The port id of who sends it.
    fn port_id(&self) -> u32;
    /// The ids of packets that wait for the sender's verdict, in that queue of `nfnetlink_queue`.
    fn waiting(&self, queue: u16) -> Vec<u64>;
    /// All ids that there have been.
    fn seen(&self) -> &[u64];
    /// The family of a packet that waits there, or any one.
    fn family(&self, queue: u16, id: u64) -> Family;
}

const MODE: u16 = 0x11;
const VERDICT: u16 = 0x12;
const DECISION: u16 = 0x301;
const CONFIG: u16 = 0x302;
const BATCH: u16 = 0x303;

const RANGES: [u64; 9] = [0, 0, 21, 40, 100, 0xffff, 0x1_0000, 0xffff_ffff, 0xffff_ffff_0000_0010];
const VERDICTS: [u32; 13] = [0, 1, 1, 1, 3, 4, 5, 2, 6, 0x1_0003, 0x11_8003, 0x1_0001, 0x1_0004];
const FLAGS: [u16; 9] = [5, 5, 5, 1, 1, 0, 3, 0x21, 4];
const TYPES: [u16; 12] = [0, 1, 2, 0x10, MODE, VERDICT, 0x13, 0x14, 0x300, CONFIG, 0x304, 0x400];

/// Bytes that are no message are fewer than a verdict with a replacement has.
const MOST_BYTES: usize = 35;

impl Request {
    /// The binding of a queue of `nfnetlink_queue` by a program that wants whole packets: a short queue, perhaps, and one
    /// that lets packets pass when it is full.
    pub(super) fn bind(queue: u16, is_short: bool, fails_open: bool) -> Self {
        let mut attributes = vec![Attribute::Command(1, 0), Attribute::Mode(2, 0)];
        attributes.extend(is_short.then_some(Attribute::Number(3, 2)));
        attributes.extend(fails_open.then_some(Attribute::Options(1, 1)));
        Self { flags: 5, sender: Sender::Oneself, what: What::Config { queue, attributes } }
    }

    /// The first request of a program to `ip_queue` that wants whole packets.
    pub(super) fn mode() -> Self {
        Self { flags: 5, sender: Sender::Oneself, what: What::Mode { mode: 2, range: 0 } }
    }

    /// One to `ip_queue`, or one to `nfnetlink_queue`.
    pub(super) fn draw(u: &mut Unstructured<'_>, is_ip_queue: bool) -> Result<Self> {
        let flags = if u.ratio(1, 16)? { u16::arbitrary(u)? } else { *u.choose(&FLAGS)? };
        let sender = match u.int_in_range(0..=31)? {
            0 => Sender::Other(*u.choose(&[0, u32::MAX, 4242])?),
            1 => Sender::Other(*u.choose(&[29, 1000, 1001])?),
            _ => Sender::Oneself,
        };
        Ok(Self { flags, sender, what: What::draw(u, is_ip_queue)? })
    }

    /// Whether there is a packet in it that must not be changed, since it would not be known any more.
    pub(super) fn has_replacement(&self) -> bool {
        !self.replacements().is_empty()
    }

    /// The packets in it, for packets of either family.
    pub(super) fn replacements(&self) -> Vec<Content> {
        let datagrams: Vec<_> = match &self.what {
            What::Verdict { replacement, .. } => replacement.iter().collect(),
            What::Decision { rest, .. } => {
                let replacements = rest.iter().filter_map(|attribute| match attribute {
                    Attribute::Replacement(datagram) => Some(datagram),
                    _ => None,
                });
                replacements.collect()
            }
            _ => Vec::new(),
        };
        let of =
            |datagram: &Datagram, family| Content::Known(Datagram { family, ..datagram.clone() });
        datagrams.into_iter().flat_map(|data| Family::ALL.map(|family| of(data, family))).collect()
    }

    /// The request as its sender writes it, with this number.
    pub(super) fn write(&self, context: &impl Context, sequence: u32) -> Vec<u8> {
        let layout = context.layout();
        let (message_type, body) = match &self.what {
            What::Bytes(bytes) => return bytes.clone(),
            What::Other { message_type, body } => (*message_type, body.clone()),
            What::Mode { mode, range } => {
                let mut body = vec![*mode];
                body.resize(layout.word_len, 0xaa);
                layout.put_word(*range, &mut body);
                layout.put_word(0, &mut body);
                (MODE, body)
            }
            What::Verdict { packet, verdict, replacement, claim } => {
                let id = packet.id(context, 0);
                let family = context.family(0, id);
                let data = replacement.as_ref().map(|data| replacing(data, family));
                let data = data.unwrap_or_default();
                let claimed = match claim {
                    Claim::Truth => data.len(),
                    Claim::Nothing => 0,
                    Claim::OneMore => data.len() + 1,
                };
                let mut body = Vec::new();
                layout.put(4, (*verdict).into(), &mut body);
                body.resize(layout.word_len, 0xaa);
                layout.put_word(id, &mut body);
                layout.put_word(claimed as u64, &mut body);
                body.extend(data);
                (VERDICT, body)
            }
            What::Config { queue, attributes } => {
                let family = Family::Ipv4;
                (CONFIG, netfilter_body((layout, family), *queue, attributes.iter()))
            }
            What::Decision { queue, packet, verdict, is_batch, rest } => {
                let id = packet.id(context, *queue);
                let family = context.family(*queue, id);
                let [.., a, b, c, d] = id.to_be_bytes();
                let decision = [verdict.to_be_bytes(), [a, b, c, d]].concat();
                let decision = Attribute::Any(2, decision);
                let attributes = core::iter::once(&decision).chain(rest);
                let message_type = if *is_batch { BATCH } else { DECISION };
                (message_type, netfilter_body((layout, family), *queue, attributes))
            }
        };
        let port_id = match self.sender {
            Sender::Oneself => context.port_id(),
            Sender::Other(port_id) => port_id,
        };
        let mut message = Vec::new();
        let header = (message_type, self.flags, sequence, port_id);
        layout.put_header(header, body.len(), &mut message);
        message.extend(body);
        message
    }
}

fn netfilter_body<'a>(
    of: (Layout, Family),
    queue: u16,
    attributes: impl Iterator<Item = &'a Attribute>,
) -> Vec<u8> {
    let [high, low] = queue.to_be_bytes();
    let mut body = vec![0, 0, high, low];
    attributes.for_each(|attribute| attribute.write(of, &mut body));
    body
}

impl What {
    fn draw(u: &mut Unstructured<'_>, is_ip_queue: bool) -> Result<Self> {
        let queue = *u.choose(&QUEUES)?;
        let verdict = *u.choose(&VERDICTS)?;
        Ok(match (u.int_in_range(0..=19)?, is_ip_queue) {
            (18, _) => {
                let message_type = *u.choose(&TYPES)?;
                Self::Other { message_type, body: bytes(u, 27)? }
            }
            (19, _) => Self::Bytes(bytes(u, MOST_BYTES)?),
            (0..=3, true) => Self::Mode {
                mode: *u.choose(&[2, 2, 2, 2, 2, 1, 1, 0, 3, 9])?,
                range: *u.choose(&RANGES)?,
            },
            (_, true) => {
                let replacement =
                    if u.ratio(1, 3)? { Some(replacement(u, Family::Ipv4)?) } else { None };
                let claim = if u.ratio(4, 5)? { Claim::Truth } else { Claim::arbitrary(u)? };
                Self::Verdict { packet: Pick::draw(u)?, verdict, replacement, claim }
            }
            (0..=3, false) => {
                let count = u.int_in_range(0..=3)?;
                let attributes = (0..count).map(|_| Attribute::draw(u)).collect::<Result<_>>()?;
                Self::Config { queue, attributes }
            }
            (_, false) => {
                let count = u.int_in_range(0..=2)?;
                let rest = (0..count).map(|_| Attribute::draw_for_verdict(u));
                let rest = rest.collect::<Result<_>>()?;
                let is_batch = u.ratio(1, 3)?;
                Self::Decision { queue, packet: Pick::draw(u)?, verdict, is_batch, rest }
            }
        })
    }
}

fn bytes(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let len = u.int_in_range(0..=most)?;
    Ok(u.bytes(len.min(u.len()))?.to_vec())
}

impl Pick {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=9)? {
            0 => Self::Guess(u.int_in_range(0..=9)?),
            1 => Self::Seen(u8::arbitrary(u)?),
            _ => Self::Waiting(u8::arbitrary(u)?),
        })
    }

    fn id(self, context: &impl Context, queue: u16) -> u64 {
        let choose = |ids: &[u64], pick: u8| {
            let at = usize::from(pick).checked_rem(ids.len());
            at.map_or(0, |at| ids[at])
        };
        match self {
            Self::Waiting(pick) => choose(&context.waiting(queue), pick),
            Self::Seen(pick) => choose(context.seen(), pick),
            Self::Guess(id) => id.into(),
        }
    }
}

impl Attribute {
    /// One that a configuration has, or should not have.
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let number = *u.choose(&[0, 1, 2, 3, 8, 9, 31, 32, 1024, u32::MAX])?;
        Ok(match u.int_in_range(0..=15)? {
            0..=5 => {
                Self::Command(*u.choose(&[1, 1, 1, 1, 1, 2, 0, 3, 4, 9])?, *u.choose(&[2, 10, 0])?)
            }
            6..=9 => {
                let range = *u.choose(&[0, 0, 21, 65_531, 65_532, u32::MAX])?;
                Self::Mode(*u.choose(&[2, 2, 2, 2, 1, 1, 0, 3])?, range)
            }
            10 => Self::Number(3, *u.choose(&[0, 1, 2, 3, 1024, u32::MAX])?),
            11 => Self::Number(*u.choose(&[4, 5])?, number),
            12 | 13 => Self::Options(
                *u.choose(&[1, 1, 9, 8, 0, 31, 2, 32])?,
                *u.choose(&[1, 9, 31, number])?,
            ),
            14 => Self::Any(u.int_in_range(0..=24)?, bytes(u, 12)?),
            _ => Self::Header(u.int_in_range(0..=30)?, u.int_in_range(0..=24)?),
        })
    }

    fn draw_for_verdict(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=9)? {
            0..=2 => Self::Number(3, u.int_in_range(0..=2)?),
            3 => Self::Number(21, u.int_in_range(0..=2)?),
            4..=7 => {
                let datagram = replacement(u, Family::Ipv4)?;
                // An attribute has no room for a packet that is too long.
                let flaw =
                    if datagram.flaw == Flaw::Huge { Flaw::Nonsense(99) } else { datagram.flaw };
                Self::Replacement(Datagram { flaw, ..datagram })
            }
            8 => {
                // A second verdict might be for a packet of another family than its replacement.
                let kind = u.int_in_range(0..=24)?;
                Self::Any(if kind == 2 { 0 } else { kind }, bytes(u, 12)?)
            }
            _ => Self::Header(u.int_in_range(0..=8)?, u.int_in_range(11..=24)?),
        })
    }

    fn write(&self, (layout, family): (Layout, Family), body: &mut Vec<u8>) {
        let (kind, data) = match self {
            Self::Header(len, kind) => {
                layout.put(2, (*len).into(), body);
                layout.put(2, (*kind).into(), body);
                return;
            }
            Self::Options(flags, mask) => {
                Self::Number(5, *flags).write((layout, family), body);
                Self::Number(4, *mask).write((layout, family), body);
                return;
            }
            Self::Command(command, family) => {
                let [high, low] = family.to_be_bytes();
                (1, vec![*command, 0, high, low])
            }
            Self::Mode(mode, range) => (2, [&range.to_be_bytes()[..], &[*mode]].concat()),
            Self::Number(kind, number) => (*kind, number.to_be_bytes().to_vec()),
            Self::Replacement(datagram) => (10, replacing(datagram, family)),
            Self::Any(kind, data) => (*kind, data.clone()),
        };
        layout.put(2, (4 + data.len()) as u64, body);
        layout.put(2, kind.into(), body);
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
    }
}

/// A datagram that is to take the place of a packet of this family.
fn replacing(datagram: &Datagram, family: Family) -> Vec<u8> {
    Content::Known(Datagram { family, ..datagram.clone() }).bytes()
}
