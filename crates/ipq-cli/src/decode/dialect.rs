//! Which protocol, word size and byte order a datagram is in: [`Dialect`], told or guessed.

use core::fmt;
use core::ops::ControlFlow;

use ipq_proto::abi::AbiVisitor;
use ipq_proto::netlink::{self, Header, MessageType, Reply};
use ipq_proto::{Abi, DataModel, DecodeError, ip_queue, nfqueue};

/// Whose messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    /// `ip_queue` and `ip6_queue`.
    IpQueue,
    /// `nfnetlink_queue`.
    Nfqueue,
}

impl Protocol {
    /// By its netlink protocol.
    pub(super) fn of_netlink(number: u16) -> Option<Self> {
        match i32::from(number) {
            ip_queue::NETLINK_FIREWALL | ip_queue::NETLINK_IP6_FW => Some(Self::IpQueue),
            nfqueue::NETLINK_NETFILTER => Some(Self::Nfqueue),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::IpQueue => "ip_queue",
            Self::Nfqueue => "nfqueue",
        })
    }
}

/// A protocol, in the words and the byte order of a kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Dialect {
    pub(super) protocol: Protocol,
    pub(super) model: DataModel,
}

/// `ip_queue LP64 little-endian`, or `nfqueue little-endian`: word size plays no part there.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, self.model.is_big_endian()) {
            (Protocol::IpQueue, _) => write!(f, "ip_queue {}", self.model),
            (Protocol::Nfqueue, true) => f.write_str("nfqueue big-endian"),
            (Protocol::Nfqueue, false) => f.write_str("nfqueue little-endian"),
        }
    }
}

/// What is known before looking at a datagram.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) protocol: Option<Protocol>,
    /// In bytes.
    pub(super) word_len: Option<usize>,
    pub(super) big_endian: Option<bool>,
}

/// What one message says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning<'a> {
    IpQueue(ip_queue::Message<'a>),
    Nfqueue(nfqueue::Message<'a>),
}

/// A message and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded<'a> {
    pub(super) header: Header,
    pub(super) offset: usize,
    pub(super) body_len: usize,
    pub(super) meaning: Meaning<'a>,
}

/// A message that makes no sense; the header does, if it is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrong {
    pub(super) header: Option<Header>,
    pub(super) error: DecodeError,
}

/// A message or what is wrong with it.
pub(super) type Item<'a> = Result<Decoded<'a>, Wrong>;

impl Dialect {
    /// The dialect that a datagram most likely is in.
    pub(super) fn guess(told: Told, datagram: &[u8]) -> Self {
        let mut best = None;
        for candidate in Self::candidates(told) {
            let score = candidate.plausibility(datagram);
            // The first of equals: it is the likelier one.
            if best.is_none_or(|(_, most)| score > most) {
                best = Some((candidate, score));
            }
        }
        let (protocol, model) = (Protocol::IpQueue, DataModel::NATIVE);
        best.map_or(Self { protocol, model }, |(dialect, _)| dialect)
    }

    /// All that it may be, the likeliest first.
    fn candidates(told: Told) -> impl Iterator<Item = Self> {
        let native = DataModel::NATIVE;
        let mut models = DataModel::ALL;
        models.sort_by_key(|model| {
            let is_other_order = model.is_big_endian() != native.is_big_endian();
            (is_other_order, model.word_len() != native.word_len())
        });
        let fits = move |dialect: &Self| {
            told.protocol.is_none_or(|protocol| protocol == dialect.protocol)
                && told.big_endian.is_none_or(|big| big == dialect.model.is_big_endian())
                && told.word_len.is_none_or(|len| len == dialect.model.word_len())
        };
        let both = move |model| {
            [Protocol::IpQueue, Protocol::Nfqueue].map(|protocol| Self { protocol, model })
        };
        models.into_iter().flat_map(both).filter(fits)
    }

    /// How much speaks for it, by the first messages of a datagram.
    fn plausibility(self, datagram: &[u8]) -> u32 {
        const LOOKED_AT: usize = 32;
        let (mut score, mut seen) = (0, 0);
        let _ = self.decode(datagram, |item| {
            score += self.speaks_for(&item);
            seen += 1;
            if seen < LOOKED_AT { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        score
    }

    /// How much one message speaks for it: a type that is known, and lengths that fit to the byte.
    fn speaks_for(self, item: &Item<'_>) -> u32 {
        const NOTHING: u32 = 0;
        const READABLE: u32 = 1;
        const KNOWN: u32 = 2;
        const EXACT: u32 = 4;
        let decoded = match item {
            Ok(decoded) => decoded,
            Err(Wrong { header: Some(header), .. }) if self.is_known(header.message_type) => {
                return KNOWN;
            }
            Err(_) => return NOTHING,
        };
        let word = self.model.word_len();
        let fits = |len: usize| {
            decoded.body_len == len || decoded.body_len == len + netlink::padding(len).len()
        };
        let is_exact = match &decoded.meaning {
            Meaning::IpQueue(ip_queue::Message::Packet(packet)) => {
                packet.hook.name().is_some() && fits(6 * word + 48 + packet.payload.len())
            }
            // libipq's own mode requests have a header's length too much.
            Meaning::IpQueue(ip_queue::Message::Mode(_)) => {
                fits(3 * word) || fits(3 * word + netlink::HEADER_LEN)
            }
            Meaning::IpQueue(ip_queue::Message::Verdict(verdict)) => {
                fits(3 * word + verdict.data.len())
                    && usize::try_from(verdict.data_len) == Ok(verdict.data.len())
            }
            Meaning::IpQueue(ip_queue::Message::Reply(reply))
            | Meaning::Nfqueue(nfqueue::Message::Reply(reply)) => self.is_answer(reply),
            Meaning::Nfqueue(nfqueue::Message::Other(..)) | Meaning::IpQueue(_) => false,
            Meaning::Nfqueue(_) => true,
        };
        if is_exact { EXACT } else { READABLE }
    }

    /// Whether a reply may be one to a request of this protocol.
    fn is_answer(self, reply: &Reply<'_>) -> bool {
        const MAX_ERRNO: i32 = 4095;
        let is_code = (-MAX_ERRNO..=0).contains(&reply.code);
        is_code && self.is_known(reply.request.message_type)
    }

    /// Whether messages of the protocol have this type.
    fn is_known(self, message_type: MessageType) -> bool {
        match self.protocol {
            Protocol::IpQueue => (ip_queue::MODE..ip_queue::MAX).contains(&message_type),
            Protocol::Nfqueue => (nfqueue::PACKET..=nfqueue::VERDICT_BATCH).contains(&message_type),
        }
    }

    /// Hands each message of a datagram to `each`. One whose length makes no sense is the last, since nobody knows where
    /// the next begins.
    pub(super) fn decode<'a, B>(
        self,
        datagram: &'a [u8],
        each: impl FnMut(Item<'a>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.model.with(Decode { protocol: self.protocol, datagram, each })
    }
}

/// Decodes in a data model that is known only at run time.
struct Decode<'a, F> {
    protocol: Protocol,
    datagram: &'a [u8],
    each: F,
}

impl<'a, B, F: FnMut(Item<'a>) -> ControlFlow<B>> AbiVisitor for Decode<'a, F> {
    type Output = ControlFlow<B>;

    fn visit<A: Abi>(mut self) -> ControlFlow<B> {
        for message in netlink::messages::<OrderOf<A>>(self.datagram) {
            let item = message.map_err(|error| Wrong { header: None, error }).and_then(|message| {
                let meaning = match self.protocol {
                    Protocol::IpQueue => {
                        ip_queue::Message::decode::<A>(&message).map(Meaning::IpQueue)
                    }
                    Protocol::Nfqueue => {
                        nfqueue::Message::decode::<OrderOf<A>>(&message).map(Meaning::Nfqueue)
                    }
                };
                let (header, offset, body_len) =
                    (message.header, message.offset, message.body.len());
                let wrong = |error| Wrong { header: Some(header), error };
                meaning.map(|meaning| Decoded { header, offset, body_len, meaning }).map_err(wrong)
            });
            (self.each)(item)?;
        }
        ControlFlow::Continue(())
    }
}

/// The byte order of a data model.
type OrderOf<A> = <A as Abi>::Order;
