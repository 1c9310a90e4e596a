//! What faults do to the bytes of messages, and the messages that nobody sent.

use ipq_proto::abi::AbiVisitor;
use ipq_proto::netlink::{Flags, HEADER_LEN, Header, Message};
use ipq_proto::{Abi, DataModel, Errno, Verdict, ip_queue, nfqueue};
use ipq_sys::{Protocol, Transport};
use zerocopy::IntoBytes;

use super::schedule::Generator;
use crate::reply::{self, Answer, Manner};

/// In whose words the messages of a transport are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Language {
    model: DataModel,
    pub(super) protocol: Protocol,
    port_id: u32,
}

impl Language {
    pub(super) fn of(transport: &impl Transport) -> Self {
        let (model, protocol) = (transport.data_model(), transport.protocol());
        Self { model, protocol, port_id: transport.port_id() }
    }

    /// The byte of a verdict for one packet, and its bit, that make the id one that no packet has. `None` for any other
    /// message.
    pub(super) fn id_bit(self, datagram: &[u8]) -> Option<(usize, u8)> {
        match self.protocol {
            // Ids are addresses of kernel objects, and never odd.
            Protocol::Firewall | Protocol::Ip6Firewall => {
                let id = self.model.with(IpQueueId(datagram))?;
                let word = self.model.word_len();
                let last = if self.model.is_big_endian() { word - 1 } else { 0 };
                (id & 1 == 0).then_some((HEADER_LEN + word + last, 1))
            }
            // Ids count up, so half of them away there is none. Programs put the id where all of them put it.
            Protocol::Netfilter => {
                const AT: usize = HEADER_LEN + size_of::<[u32; 3]>();
                let id = self.model.with(NfqueueId(datagram))?;
                datagram.get(AT..)?.starts_with(&id.to_be_bytes()).then_some((AT, 0x80))
            }
        }
    }

    /// An `NLMSG_ERROR` about a verdict for a packet that there is not.
    pub(super) fn spurious_error(self, errno: Errno) -> Vec<u8> {
        let (message_type, body) = match self.protocol {
            Protocol::Firewall | Protocol::Ip6Firewall => {
                (ip_queue::VERDICT, self.model.with(IpQueueVerdict))
            }
            Protocol::Netfilter => (nfqueue::VERDICT, self.model.with(NfqueueVerdict)),
        };
        let header = Header::new(message_type, Flags::REQUEST, NEVER_SENT, self.port_id);
        let len = u32::try_from(HEADER_LEN + body.len()).expect("a verdict is short");
        let request = Message { header: Header { len, ..header }, body: &body, offset: 0 };
        let mut reply = Vec::new();
        let (request, port_id, error) = (&request, self.port_id, Some(errno));
        let answer = Answer { request, port_id, error, manner: Manner::OLD };
        reply::write(self.model, answer, &mut reply);
        reply
    }
}

/// The sequence number of a request that nobody sent, and the id in it: far from those that are counted up.
const NEVER_SENT: u32 = u32::MAX;

/// The id in an `IPQM_VERDICT`.
struct IpQueueId<'d>(&'d [u8]);

impl AbiVisitor for IpQueueId<'_> {
    type Output = Option<u64>;

    fn visit<A: Abi>(self) -> Option<u64> {
        let (message, _) = Message::decode::<A::Order>(self.0).ok()?;
        let is_verdict = message.header.message_type == ip_queue::VERDICT;
        let request = ip_queue::VerdictRequest::decode::<A>(message.body).ok()?;
        is_verdict.then_some(request.id)
    }
}

/// The id in an `NFQNL_MSG_VERDICT`.
struct NfqueueId<'d>(&'d [u8]);

impl AbiVisitor for NfqueueId<'_> {
    type Output = Option<u32>;

    fn visit<A: Abi>(self) -> Option<u32> {
        let (message, _) = Message::decode::<A::Order>(self.0).ok()?;
        let is_verdict = message.header.message_type == nfqueue::VERDICT;
        let request = nfqueue::VerdictRequest::decode::<A::Order>(message.body).ok()??;
        is_verdict.then_some(request.id)
    }
}

/// The body of an `IPQM_VERDICT` that was never sent.
struct IpQueueVerdict;

impl AbiVisitor for IpQueueVerdict {
    type Output = Vec<u8>;

    fn visit<A: Abi>(self) -> Vec<u8> {
        let body = ip_queue::VerdictMsg::<A>::new(NEVER_SENT.into(), Verdict::Accept, 0);
        body.expect("32 bits have room in every word").as_bytes().to_vec()
    }
}

/// The body of an `NFQNL_MSG_VERDICT` that was never sent.
struct NfqueueVerdict;

impl AbiVisitor for NfqueueVerdict {
    type Output = Vec<u8>;

    fn visit<A: Abi>(self) -> Vec<u8> {
        nfqueue::VerdictMsg::<A::Order>::new(0, NEVER_SENT, Verdict::Accept).as_bytes().to_vec()
    }
}

/// Flips a bit in each of as many bytes.
pub(super) fn corrupt(datagram: &mut [u8], bytes: usize, generator: &mut Generator) {
    for _ in 0..bytes {
        let at = generator.below(datagram.len());
        datagram[at] ^= 1 << generator.below(8);
    }
}
