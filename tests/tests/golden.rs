//! The layouts against a C compiler: the bytes that gcc made of `tests/golden/layout.c`, for 64 and for 32 bits,
//! decode to the values that stand there and are what those values encode to. Big-endian bytes are the same with
//! each number turned round, and one message of each word size written by hand.

use ipq_proto::ip_queue::{Message, ModeRequest, Packet, Timestamp, VerdictRequest, datagram};
use ipq_proto::netlink::{Flags, Header, MessageType, Reply};
use ipq_proto::{
    DataModel, DeviceName, EtherType, HardwareAddress, HardwareType, Hook, Verdict, ip_queue,
};

#[path = "../../crates/ipq-proto/tests/common/mod.rs"]
mod common;
#[path = "../../xtask/src/golden.rs"]
mod golden;

use common::encode;

/// Offset and length of each number that is in host order.
type Numbers = &'static [(usize, usize)];

/// What gcc made of one message.
struct Golden {
    lp64: &'static [u8],
    ilp32: &'static [u8],
    lp64_numbers: Numbers,
    ilp32_numbers: Numbers,
}

/// The numbers of a netlink header.
const HEADER: Numbers = &[(0, 4), (4, 2), (6, 2), (8, 4), (12, 4)];

const PACKET: Golden = Golden {
    lp64: include_bytes!("../golden/packet-lp64.bin"),
    ilp32: include_bytes!("../golden/packet-ilp32.bin"),
    lp64_numbers: &[(16, 8), (24, 8), (32, 8), (40, 8), (48, 4), (86, 2), (104, 8)],
    ilp32_numbers: &[(16, 4), (20, 4), (24, 4), (28, 4), (32, 4), (70, 2), (84, 4)],
};
const MODE: Golden = Golden {
    lp64: include_bytes!("../golden/mode-lp64.bin"),
    ilp32: include_bytes!("../golden/mode-ilp32.bin"),
    lp64_numbers: &[(24, 8)],
    ilp32_numbers: &[(20, 4)],
};
const VERDICT: Golden = Golden {
    lp64: include_bytes!("../golden/verdict-lp64.bin"),
    ilp32: include_bytes!("../golden/verdict-ilp32.bin"),
    lp64_numbers: &[(16, 4), (24, 8), (32, 8)],
    ilp32_numbers: &[(16, 4), (20, 4), (24, 4)],
};
const ERROR: Golden = Golden {
    lp64: include_bytes!("../golden/error-lp64.bin"),
    ilp32: include_bytes!("../golden/error-ilp32.bin"),
    lp64_numbers: &[(16, 4), (20, 4), (24, 2), (26, 2), (28, 4), (32, 4)],
    ilp32_numbers: &[(16, 4), (20, 4), (24, 2), (26, 2), (28, 4), (32, 4)],
};

impl Golden {
    /// The message in the layout `model`.
    fn bytes(&self, model: DataModel) -> Vec<u8> {
        let (bytes, numbers) = match model.word_len() {
            8 => (self.lp64, self.lp64_numbers),
            _ => (self.ilp32, self.ilp32_numbers),
        };
        let mut bytes = bytes.to_vec();
        if model.is_big_endian() {
            for &(offset, len) in HEADER.iter().chain(numbers) {
                bytes[offset..offset + len].reverse();
            }
        }
        bytes
    }

    /// Decodes and encodes it in all four layouts.
    fn check<'a>(&self, meant: impl Fn(DataModel) -> (Header, Message<'a>)) {
        for model in DataModel::ALL {
            let bytes = self.bytes(model);
            let (header, message) = meant(model);
            let len = u32::try_from(bytes.len()).expect("a small message");
            let header = Header { len, ..header };
            assert_eq!(datagram(model, &bytes), Ok((header, message)), "{model}");
            assert_eq!(encode(model, header, &message, &[]), Ok(bytes), "{model}");
        }
    }
}

/// What a word of `layout.c` is in the layout `model`.
fn word(model: DataModel, value: u64) -> u64 {
    if model.word_len() == 8 { value } else { value & 0xffff_ffff }
}

/// What a signed word of `layout.c` is in the layout `model`.
fn signed(model: DataModel, value: u64) -> i64 {
    if model.word_len() == 8 {
        value.cast_signed()
    } else {
        u32::try_from(value & 0xffff_ffff).expect("32 bits").cast_signed().into()
    }
}

#[test]
fn packet_is_what_a_c_compiler_makes_of_it() {
    PACKET.check(|model| {
        let header = Header::new(ip_queue::PACKET, Flags(0x8182), 0x8384_8586, 0x8788_898a);
        let packet = Packet {
            id: word(model, 0xa1a2_a3a4_a5a6_a7a8),
            mark: word(model, 0xb1b2_b3b4_b5b6_b7b8),
            timestamp: Timestamp {
                seconds: signed(model, 0xc1c2_c3c4_c5c6_c7c8),
                microseconds: signed(model, 0x5152_5354_5556_5758),
            },
            hook: Hook(0xd1d2_d3d4),
            input_device: DeviceName::new("in-23456789abcd").expect("15 bytes"),
            output_device: DeviceName::new("out-3456789ABCD").expect("15 bytes"),
            hw_protocol: EtherType::IPV6,
            hw_type: HardwareType(0xe1e2),
            hw_address: HardwareAddress::from_wire(
                6,
                [0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8],
            ),
            payload: b"abcdefgh",
        };
        assert!(packet.timestamp.seconds < 0, "the sign is kept");
        (header, Message::Packet(packet))
    });
}

#[test]
fn mode_is_what_a_c_compiler_makes_of_it() {
    MODE.check(|model| {
        let header = Header::new(ip_queue::MODE, Flags(0x1112), 0x1314_1516, 0x1718_191a);
        let range = word(model, 0x3132_3334_3536_3738);
        (header, Message::Mode(ModeRequest { value: 0x21, range }))
    });
}

#[test]
fn verdict_is_what_a_c_compiler_makes_of_it() {
    VERDICT.check(|model| {
        let header = Header::new(ip_queue::VERDICT, Flags(0x2122), 0x2324_2526, 0x2728_292a);
        let verdict = VerdictRequest {
            id: word(model, 0x7172_7374_7576_7778),
            verdict: Verdict(0x4142_4344),
            data_len: 8,
            data: &[0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98],
        };
        (header, Message::Verdict(verdict))
    });
}

#[test]
fn error_is_what_a_c_compiler_makes_of_it() {
    ERROR.check(|_| {
        let header = Header::new(MessageType::ERROR, Flags(0x3132), 0x3334_3536, 0x3738_393a);
        let request = Header::new(ip_queue::VERDICT, Flags(0x4142), 0x4344_4546, 0x4748_494a);
        let reply = Reply {
            code: -2,
            request: Header { len: 24, ..request },
            rest: &[0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0],
        };
        (header, Message::Reply(reply))
    });
}

#[test]
fn big_endian_messages_are_those_written_by_hand() {
    let header = Header::new(ip_queue::VERDICT, Flags::REQUEST.union(Flags::ACK), 7, 0x1234);
    let data = &[0x45, 0, 0];
    let check = |model, id, bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).expect("a small message");
        let header = Header { len, ..header };
        let verdict = VerdictRequest { id, verdict: Verdict::Repeat, data_len: 3, data };
        let message = Message::Verdict(verdict);
        assert_eq!(datagram(model, bytes), Ok((header, message)), "{model}");
        assert_eq!(encode(model, header, &message, &[]).as_deref(), Ok(bytes), "{model}");
    };
    #[rustfmt::skip]
    check(DataModel::Lp64Big, 0xc000_0000_1f2e_3d40, &[
        0, 0, 0, 43,  0, 0x12,  0, 5,  0, 0, 0, 7,  0, 0, 0x12, 0x34,
        0, 0, 0, 4,  0, 0, 0, 0,
        0xc0, 0, 0, 0, 0x1f, 0x2e, 0x3d, 0x40,
        0, 0, 0, 0, 0, 0, 0, 3,
        0x45, 0, 0,
    ]);
    #[rustfmt::skip]
    check(DataModel::Ilp32Big, 0xcf2e_3d40, &[
        0, 0, 0, 31,  0, 0x12,  0, 5,  0, 0, 0, 7,  0, 0, 0x12, 0x34,
        0, 0, 0, 4,
        0xcf, 0x2e, 0x3d, 0x40,
        0, 0, 0, 3,
        0x45, 0, 0,
    ]);
}

#[test]
fn committed_bytes_are_what_the_compiler_here_makes() {
    if let Some(reason) = golden::cannot_make() {
        println!("skipped: committed_bytes_are_what_the_compiler_here_makes: {reason}");
        return;
    }
    assert_eq!(golden::run(true), Ok(()));
}
