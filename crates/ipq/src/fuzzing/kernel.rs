//! The kernel that a session talks to, as far as it is one: it announces packets, and hears verdicts.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self as ipq, PacketMsg, Timestamp};
use ipq_proto::netlink::{Flags, Framed, Header, messages};
use ipq_proto::nfqueue::{self as nfq, is_not_later};
use ipq_proto::{
    Abi, CopyMode, DataModel, DeviceName, Errno, EtherType, Family, HardwareAddress, HardwareType,
    Hook, Verdict,
};
use ipq_sys::Protocol;
use ipq_sys::fuzzing::{Bytes, Said, Script};
use zerocopy::IntoBytes;

use crate::{Error, Options, PacketId, Queue, QueueName};

/// The queues of `nfnetlink_queue` that a session has, from 0 on.
pub(super) const QUEUES: u16 = 3;

const PROTOCOLS: [Protocol; 3] = [Protocol::Netfilter, Protocol::Firewall, Protocol::Ip6Firewall];

/// A packet that the kernel announces.
#[derive(Arbitrary, Debug)]
pub(super) struct Announced {
    /// In one of the queues.
    queue: u8,
    /// How many ids are left out before its own, for packets that the receive buffer had no room for.
    skips: u8,
    hook: u8,
    /// Where there are devices, they have indices and no names.
    device: Option<u8>,
    /// How long the packet is, if that is said.
    packet_len: Option<u16>,
    /// What is not all here is cut off on the way.
    missing: Option<u8>,
    payload: Bytes,
}

impl Announced {
    /// Whether its end is cut off, and with it perhaps its id.
    pub(super) const fn is_cut(&self) -> bool {
        self.missing.is_some()
    }
}

/// A queue as the kernel has it.
#[derive(Debug, Default)]
struct Waiting {
    last_id: u32,
    /// The packets without verdict, oldest first.
    ids: Vec<u32>,
}

/// The kernel's side of a conversation.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) script: Script,
    protocol: Protocol,
    model: DataModel,
    /// Whether it says only what a kernel says. Then it is known which verdict every packet must have got.
    pub(super) is_honest: bool,
    queues: BTreeMap<QueueName, Waiting>,
    /// The verdicts that reached a packet, in this order.
    pub(super) fates: Vec<(PacketId, Verdict)>,
}

impl Kernel {
    /// A kernel with the protocol and the layout that these numbers stand for.
    pub(super) fn new(protocol: u8, model: u8, is_honest: bool) -> Self {
        let protocol = PROTOCOLS[usize::from(protocol) % PROTOCOLS.len()];
        let model = DataModel::ALL[usize::from(model) % DataModel::ALL.len()];
        let (queues, fates) = (BTreeMap::new(), Vec::new());
        Self { script: Script::new(protocol, model), protocol, model, is_honest, queues, fates }
    }

    /// What it is, in words.
    pub(super) fn in_words(&self) -> String {
        let Self { protocol, model, is_honest, .. } = self;
        format!("{protocol:?}, {model:?}, is_honest: {is_honest}")
    }

    /// A session with this kernel, which gets whole packets.
    pub(super) fn open(&self) -> Result<Queue, Error> {
        let mut queue = match self.protocol {
            Protocol::Netfilter => {
                Queue::with_nfqueue(self.script.clone(), 0..=QUEUES - 1, Options::default())?
            }
            _ => Queue::with(self.script.clone())?,
        };
        queue.set_mode(CopyMode::Packet { range: 0 })?;
        Ok(queue)
    }

    /// Says something, about no packet of its own; but nothing that a kernel does not say, if it is honest.
    pub(super) fn say(&self, said: &Said) {
        let is_honest =
            matches!(said, Said::Foreign(_) | Said::Interrupted | Said::Overrun | Said::TimedOut);
        if is_honest || !self.is_honest {
            self.script.state().lines.push_back(said.clone());
        }
    }

    /// Has the next attempt to send fail, or not.
    pub(super) fn take_next(&self, errno: Option<u8>) {
        let sending = errno.map_or(Ok(()), |errno| Err(Errno(errno.into())));
        self.script.state().sendings.push_back(sending);
    }

    /// Announces a packet: its message is the next that is received, but for those that are there already.
    pub(super) fn announce(&mut self, packet: &Announced) {
        let name = match self.protocol.family() {
            Some(family) => QueueName::IpQueue(family),
            None => QueueName::Nfqueue(u16::from(packet.queue) % QUEUES),
        };
        let queue = self.queues.entry(name).or_default();
        queue.last_id = queue.last_id.wrapping_add(1).wrapping_add(packet.skips.into());
        let id = queue.last_id;
        queue.ids.push(id);
        let message = self.model.with(Encode { name, id, packet });
        let said = match packet.missing {
            Some(missing) => {
                let len = message.len().saturating_sub(missing.into());
                Said::Beginning(Bytes(message[..len].to_vec()), u16::from(missing))
            }
            None => Said::Datagram(Bytes(message)),
        };
        self.script.state().lines.push_back(said);
    }

    /// Hears what was sent to it.
    pub(super) fn hear(&mut self) {
        let sent = core::mem::take(&mut self.script.state().sent);
        for datagram in sent {
            for (queue, id, verdict, is_batch) in self.model.with(Hear(self.protocol, &datagram)) {
                let Some(waiting) = self.queues.get_mut(&queue) else { continue };
                let is_meant =
                    |other: u32| if is_batch { is_not_later(other, id) } else { other == id };
                let meant: Vec<u32> =
                    waiting.ids.extract_if(.., |other| is_meant(*other)).collect();
                self.fates.extend(meant.into_iter().map(|id| (named(queue, id), verdict)));
            }
        }
    }

    /// How many packets wait for their verdict.
    pub(super) fn count_waiting(&self) -> usize {
        self.queues.values().map(|waiting| waiting.ids.len()).sum()
    }

    /// Whether a packet waits for its verdict.
    pub(super) fn is_waiting(&self, id: PacketId) -> bool {
        let waiting = self.queues.get(&id.queue());
        waiting
            .is_some_and(|waiting| waiting.ids.iter().any(|&other| named(id.queue(), other) == id))
    }
}

/// A packet by its queue and its number there.
fn named(queue: QueueName, id: u32) -> PacketId {
    match queue {
        QueueName::IpQueue(family) => PacketId::in_ip_queue(family, id.into()),
        QueueName::Nfqueue(number) => PacketId::in_nfqueue(number, id),
    }
}

/// Encodes the message about a packet.
struct Encode<'p> {
    name: QueueName,
    id: u32,
    packet: &'p Announced,
}

impl AbiVisitor for Encode<'_> {
    type Output = Vec<u8>;

    fn visit<A: Abi>(self) -> Vec<u8> {
        let Self { name, id, packet } = self;
        let (hook, payload) = (Hook(packet.hook.into()), &*packet.payload);
        let hw_protocol = match Family::of_packet(payload) {
            Some(Family::Ipv4) => EtherType::IPV4,
            Some(Family::Ipv6) => EtherType::IPV6,
            None => EtherType::NONE,
        };
        match name {
            QueueName::IpQueue(_) => {
                let message = ipq::Packet {
                    id: id.into(),
                    mark: 0,
                    timestamp: Timestamp::NONE,
                    hook,
                    input_device: DeviceName::NONE,
                    output_device: DeviceName::NONE,
                    hw_protocol,
                    hw_type: HardwareType::NONE,
                    hw_address: HardwareAddress::NONE,
                    payload,
                };
                let body = PacketMsg::<A>::new(&message).expect("small numbers");
                let header = Header::new(ipq::PACKET, Flags::NONE, 0, 0);
                let head = Framed::new(header, body, payload.len()).expect("a short message");
                [head.as_bytes(), payload].concat()
            }
            QueueName::Nfqueue(queue) => {
                let message = nfq::Packet {
                    queue,
                    id,
                    hook,
                    hw_protocol,
                    input_device: packet.device.map(Into::into),
                    packet_len: packet.packet_len.map(Into::into),
                    payload: Some(payload.get(..nfq::MAX_PAYLOAD as usize).unwrap_or(payload)),
                    ..nfq::Packet::default()
                };
                let mut buffer = vec![0; payload.len() + 512];
                let len = message.encode::<A::Order>(&mut buffer).expect("there is room");
                buffer.truncate(len);
                buffer
            }
        }
    }
}

/// The verdicts of a datagram, as the kernel of this protocol reads it: the queue, the id, what is decided, and whether
/// over all packets up to that one.
struct Hear<'d>(Protocol, &'d [u8]);

impl AbiVisitor for Hear<'_> {
    type Output = Vec<(QueueName, u32, Verdict, bool)>;

    fn visit<A: Abi>(self) -> Self::Output {
        let Self(protocol, datagram) = self;
        let all = messages::<A::Order>(datagram)
            .map(|message| message.expect("a session sends whole messages"));
        let number = |id: u64| u32::try_from(id).unwrap_or(u32::MAX);
        let Some(family) = protocol.family() else {
            let decoded = all
                .map(|message| nfq::Message::decode::<A::Order>(&message).expect("it makes sense"));
            return decoded
                .filter_map(|message| match message {
                    nfq::Message::Verdict(request) => Some((request, false)),
                    nfq::Message::VerdictBatch(request) => Some((request, true)),
                    _ => None,
                })
                .map(|(request, is_batch)| {
                    (QueueName::Nfqueue(request.queue), request.id, request.verdict, is_batch)
                })
                .collect();
        };
        // That kernel reads the first message only.
        let all: Vec<_> = all.collect();
        assert_eq!(all.len(), 1, "a request that nobody would read");
        match ipq::Message::decode::<A>(&all[0]).expect("it makes sense") {
            ipq::Message::Verdict(request) => {
                vec![(QueueName::IpQueue(family), number(request.id), request.verdict, false)]
            }
            _ => Vec::new(),
        }
    }
}
