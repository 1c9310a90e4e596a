//! What the tests of `nfqueue` share: either byte order as a value, messages put together by hand, and a packet of
//! which everything is known.

use ipq_proto::netlink::{self, MessageType};
use ipq_proto::nfqueue::{Message, Packet, SkbInfo, Timestamp, Vlan};
use ipq_proto::{DecodeError, EncodeError, EtherType, HardwareAddress, Hook};
use zerocopy::{BigEndian, LittleEndian};

/// What a buffer holds before something is encoded into it, so that a byte that was not written shows.
const DIRT: u8 = 0xa5;

/// The byte order of a kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    Little,
    Big,
}

/// `$body` with `$order` as the type `$O`.
macro_rules! with {
    ($order:expr, $O:ident => $body:expr) => {
        match $order {
            $crate::nfqueue_common::Order::Little => {
                type $O = zerocopy::LittleEndian;
                $body
            }
            $crate::nfqueue_common::Order::Big => {
                type $O = zerocopy::BigEndian;
                $body
            }
        }
    };
}
pub(crate) use with;

impl Order {
    pub(crate) const BOTH: [Self; 2] = [Self::Little, Self::Big];

    /// The first message of a datagram.
    pub(crate) fn decode(self, datagram: &[u8]) -> Result<Message<'_>, DecodeError> {
        match self {
            Self::Little => Message::decode::<LittleEndian>(
                &netlink::Message::decode::<LittleEndian>(datagram)?.0,
            ),
            Self::Big => {
                Message::decode::<BigEndian>(&netlink::Message::decode::<BigEndian>(datagram)?.0)
            }
        }
    }

    /// What `packet` is encoded to. The buffer is dirty and longer than needed, and nothing behind the message may
    /// be touched.
    pub(crate) fn encode(self, packet: &Packet<'_>) -> Result<Vec<u8>, EncodeError> {
        let data = [packet.payload, packet.conntrack, packet.link_header, packet.security_context];
        let room = 512 + data.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
        let mut buffer = vec![DIRT; room];
        let len = with!(self, O => packet.encode::<O>(&mut buffer))?;
        let behind = buffer.split_off(len);
        assert!(!behind.is_empty() && behind.iter().all(|&byte| byte == DIRT), "wrote too much");
        Ok(buffer)
    }

    /// An attribute with its padding.
    pub(crate) fn attribute(self, kind: u16, data: &[u8]) -> Vec<u8> {
        let len = u16::try_from(4 + data.len()).expect("a short attribute");
        let mut bytes = [&self.u16(len), &self.u16(kind), data].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// A message to or from the queue 0x1234, as if there were no padding behind it. Family 10, sequence 7, port id
    /// 29, flags 5.
    pub(crate) fn message(self, message_type: MessageType, attributes: &[u8]) -> Vec<u8> {
        let len = u32::try_from(20 + attributes.len()).expect("a short message");
        let header = [
            &self.u32(len)[..],
            &self.u16(message_type.0),
            &self.u16(5),
            &self.u32(7),
            &self.u32(29),
        ];
        [&header.concat(), &[10, 0, 0x12, 0x34][..], attributes].concat()
    }

    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

/// A packet with every attribute, each with a value of its own.
pub(crate) const ALL: Packet<'_> = Packet {
    family: 10,
    queue: 0x1234,
    id: 0x0102_0304,
    hw_protocol: EtherType::IPV6,
    hook: Hook::Forward,
    mark: Some(0x1112_1314),
    timestamp: Some(Timestamp { seconds: 0x2122_2324_2526_2728, microseconds: 0x3132 }),
    input_device: Some(0x4142_4344),
    output_device: Some(0x5152_5354),
    physical_input_device: Some(0x6162_6364),
    physical_output_device: Some(0x7172_7374),
    hw_address: Some(HardwareAddress::from_wire(6, [2, 0, 0, 0, 0, 0xbb, 0x81, 0x82])),
    packet_len: Some(0x9192_9394),
    skb_info: Some(SkbInfo(0xa1a2_a3a4)),
    uid: Some(0xb1b2_b3b4),
    gid: Some(0xc1c2_c3c4),
    security_context: Some(b"system_u:r"),
    conntrack: Some(b"tuples and other attributes"),
    conntrack_info: Some(0xd1d2_d3d4),
    vlan: Some(Vlan { protocol: EtherType(0x88a8), tci: 0xe1e2 }),
    link_header: Some(b"fourteen bytes"),
    priority: Some(0xf1f2_f3f4),
    payload: Some(b"the packet's payload!"),
};

/// The attributes of [`ALL`] by hand: type and data. Last the payload.
pub(crate) fn all(order: Order) -> Vec<(u16, Vec<u8>)> {
    let vlan = [order.attribute(1, &[0x88, 0xa8]), order.attribute(2, &[0xe1, 0xe2])].concat();
    vec![
        (1, vec![1, 2, 3, 4, 0x86, 0xdd, 2]),
        (3, vec![0x11, 0x12, 0x13, 0x14]),
        (4, vec![0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0, 0, 0, 0, 0, 0, 0x31, 0x32]),
        (5, vec![0x41, 0x42, 0x43, 0x44]),
        (6, vec![0x51, 0x52, 0x53, 0x54]),
        (7, vec![0x61, 0x62, 0x63, 0x64]),
        (8, vec![0x71, 0x72, 0x73, 0x74]),
        (9, vec![0, 6, 0, 0, 2, 0, 0, 0, 0, 0xbb, 0x81, 0x82]),
        (11, b"tuples and other attributes".to_vec()),
        (12, vec![0xd1, 0xd2, 0xd3, 0xd4]),
        (13, vec![0x91, 0x92, 0x93, 0x94]),
        (14, vec![0xa1, 0xa2, 0xa3, 0xa4]),
        (16, vec![0xb1, 0xb2, 0xb3, 0xb4]),
        (17, vec![0xc1, 0xc2, 0xc3, 0xc4]),
        (18, b"system_u:r".to_vec()),
        (19, vlan),
        (20, b"fourteen bytes".to_vec()),
        (21, vec![0xf1, 0xf2, 0xf3, 0xf4]),
        (10, b"the packet's payload!".to_vec()),
    ]
}
