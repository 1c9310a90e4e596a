//! Nothing is allocated for a message, which a crate without an allocator promises: neither to decode it nor to encode it
//! or to print it, in either protocol, alone or many in a datagram.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use core::fmt::{self, Write};

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{
    self, Accepted, Listener, Message, ModeMsg, Packet, PacketMsg, VerdictMsg,
};
use ipq_proto::netlink::attribute::attributes;
use ipq_proto::netlink::{Body, ErrorMsg, Flags, Framed, Header, MessageType, messages};
use ipq_proto::nfqueue::{
    self, CONFIG, Command, CommandMsg, FlagsMsg, Generic, MarkAttribute, MaxLengthMsg, ParamsMsg,
    QueueFlags, payload_attribute_header,
};
use ipq_proto::{Abi, CopyMode, DataModel, DeviceName, Errno, EtherType, Family, Hook, Verdict};
use zerocopy::{ByteOrder, Immutable, IntoBytes};

const MODE: CopyMode = CopyMode::Packet { range: 2048 };
const PAYLOAD: [u8; 1400] = [0x45; 1400];

/// Everything that is said in one layout: written into one buffer, read, and printed into nothing.
struct Conversation<'b>(DataModel, &'b mut Datagram);

impl AbiVisitor for Conversation<'_> {
    type Output = usize;

    fn visit<A: Abi>(self) -> usize {
        let Self(model, datagram) = self;
        datagram.len = 0;
        let packet = Packet {
            id: 0x10,
            mark: 7,
            timestamp: ip_queue::Timestamp { seconds: 1, microseconds: 2 },
            hook: Hook::LocalOut,
            input_device: DeviceName::new("eth0").unwrap(),
            output_device: DeviceName::new("lo").unwrap(),
            hw_protocol: EtherType::IPV4,
            hw_type: ipq_proto::HardwareType::ETHERNET,
            hw_address: ipq_proto::HardwareAddress::NONE,
            payload: &PAYLOAD,
        };
        let request = Header::new(ip_queue::VERDICT, Flags::REQUEST, 1, 2);
        datagram.add(ip_queue::PACKET, PacketMsg::<A>::new(&packet).unwrap(), &PAYLOAD);
        datagram.add(ip_queue::MODE, ModeMsg::<A>::new(MODE), &[]);
        let verdict = VerdictMsg::<A>::new(0x10, Verdict::Accept, 1400).unwrap();
        datagram.add(ip_queue::VERDICT, verdict, &PAYLOAD);
        let refused = ErrorMsg::<A::Order>::new(-Errno::ENOENT.0, request);
        datagram.add(MessageType::ERROR, refused, &[]);
        let mut printed = Nothing(0);
        let mut seen = 0;
        for message in messages::<A::Order>(datagram.bytes()) {
            let message = message.unwrap();
            let decoded = Message::decode::<A>(&message).unwrap();
            write!(printed, "{}: {decoded} {decoded:?}", message.header).unwrap();
            seen += 1;
        }
        datagram.len = 0;
        datagram.add(ip_queue::MODE, ModeMsg::<A>::new(MODE), &[]);
        let mut listener = Listener::default();
        let heard = listener.hear(model, true, datagram.bytes());
        assert!(matches!(heard, Some((_, Ok(Accepted::Mode)))), "{heard:?}");
        seen + netfilter::<A::Order>(datagram, &mut printed)
    }
}

/// The same in the other protocol, which has no words.
fn netfilter<O: ByteOrder + 'static>(datagram: &mut Datagram, printed: &mut Nothing) -> usize {
    let packet = nfqueue::Packet {
        family: 2,
        queue: 7,
        id: 1,
        hw_protocol: EtherType::IPV4,
        hook: Hook::LocalIn,
        payload: Some(&PAYLOAD),
        uid: Some(1000),
        security_context: Some(b"context"),
        ..nfqueue::Packet::default()
    };
    datagram.len = packet.encode::<O>(&mut datagram.bytes).unwrap();
    datagram.add(CONFIG, CommandMsg::<O>::new(7, Command::BIND, 2), &[]);
    datagram.add(CONFIG, ParamsMsg::<O>::new(7, MODE), &[]);
    datagram.add(CONFIG, MaxLengthMsg::<O>::new(7, 100), &[]);
    datagram.add(CONFIG, FlagsMsg::<O>::new(7, QueueFlags::GSO, QueueFlags::GSO), &[]);
    let verdict = nfqueue::VerdictMsg::<O>::new(7, 1, Verdict::Drop);
    datagram.add(nfqueue::VERDICT, verdict, MarkAttribute::<O>::new(7).as_bytes());
    datagram.add(nfqueue::VERDICT, verdict, &payload_attribute_header::<O>(0).unwrap());
    datagram.add(nfqueue::VERDICT_BATCH, verdict, &[]);
    let mut seen = 0;
    for message in messages::<O>(datagram.bytes()) {
        let message = message.unwrap();
        let decoded = nfqueue::Message::decode::<O>(&message).unwrap();
        write!(printed, "{}: {decoded} {decoded:?}", message.header).unwrap();
        let (_, rest) = Generic::split(message.body).unwrap();
        seen += attributes::<O>(rest).map(Result::unwrap).count();
    }
    seen
}

/// Messages one after the other.
struct Datagram {
    bytes: [u8; 8192],
    len: usize,
}

impl Datagram {
    fn add<B: Body + IntoBytes + Immutable>(
        &mut self,
        message_type: MessageType,
        body: B,
        trailing: &[u8],
    ) {
        let header = Header::new(message_type, Flags::REQUEST, 1, 2);
        let framed = Framed::new(header, body, trailing.len()).unwrap();
        let len = framed.as_bytes().len() + trailing.len();
        for part in [framed.as_bytes(), trailing, ipq_proto::netlink::padding(len)] {
            self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Counts what is written to it.
struct Nothing(usize);

impl Write for Nothing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[test]
fn messages_allocate_nothing_in_any_layout() {
    let mut datagram = Datagram { bytes: [0; 8192], len: 0 };
    for model in DataModel::ALL {
        let info = allocation_counter::measure(|| {
            let seen = model.with(Conversation(model, &mut datagram));
            assert!(seen > 4 + 8, "messages and attributes: {seen}");
        });
        assert_eq!(info.count_total, 0, "{model:?}: {info:?}");
    }
}

/// What is refused is so without a message of its own.
#[test]
fn errors_allocate_nothing() {
    let info = allocation_counter::measure(|| {
        let mut printed = Nothing(0);
        for len in 0..64 {
            let bytes = [0xff; 64];
            for model in DataModel::ALL {
                let error = ip_queue::datagram(model, &bytes[..len]).unwrap_err();
                write!(printed, "{error} {error:?}").unwrap();
            }
        }
        let error = VerdictMsg::<ipq_proto::Ilp32>::new(u64::MAX, Verdict::Drop, 0).unwrap_err();
        write!(printed, "{error}").unwrap();
        assert!(Family::of_packet(&PAYLOAD).is_some() && printed.0 > 0);
    });
    assert_eq!(info.count_total, 0);
}

/// The counter counts: otherwise the tests above would prove nothing.
#[test]
fn the_counter_counts() {
    let info = allocation_counter::measure(|| drop(core::hint::black_box(vec![0_u8; 100])));
    assert_eq!(info.count_total, 1);
}
