//! Programs and packets at random.

use std::env;

use etherparse::PacketBuilder;
use ipq_proto::abi::AbiVisitor;
use ipq_proto::{Abi, DataModel, Family, HardwareAddress, Hook};
use ipq_sim::Extras;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestRunner};
use zerocopy::ByteOrder;
use zerocopy::IntoBytes;
use zerocopy::byteorder::{U16, U32};

use crate::worlds::{PORT, Worlds};

/// Another seed than the usual one: what a failure prints.
const SEED: &str = "IPQ_SIM_SEED";

/// Another number of conversations than the usual one.
const CASES: &str = "PROPTEST_CASES";

/// How many conversations there are, and how many steps in the longest.
const CONVERSATIONS: u32 = 400;
const LONGEST: usize = 60;

/// `IPQM_MODE` and `IPQM_VERDICT`.
const MODE: u16 = 0x11;
const VERDICT: u16 = 0x12;

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A packet enters the kernel.
    Packet { way: Way, len: usize, mark: u32, fragment: bool },
    /// The program makes a request.
    Request(Request),
    /// It sends verdicts over everything that it has read, at once.
    Verdicts(u32),
    /// It reads one datagram into a buffer of this length.
    Read(usize),
    /// Somebody sets the maximum length.
    MaxLength(u32),
    /// A device goes down and comes up again.
    DeviceDown(&'static str),
    /// Time passes.
    Wait,
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// From this host to itself.
    Here,
    /// From this host to the network behind `eth1`.
    Out,
    /// From a neighbour to this host.
    In,
    /// From a neighbour through this host.
    Through,
    /// The same, out of a tunnel.
    FromTunnel,
}

/// A request, perhaps a damaged one.
#[derive(Clone, Debug)]
struct Request {
    message_type: u16,
    flags: u16,
    sequence: u32,
    /// What the header has as its port id, if not the program's.
    other_port: Option<u32>,
    body: Body,
    /// Put behind the message.
    trailer: Vec<u8>,
    /// What the length in the header is changed by.
    lie: i32,
    /// Where it is cut.
    cut: Option<Index>,
}

#[derive(Clone, Debug)]
enum Body {
    Mode(u8, u64),
    Verdict { verdict: u32, packet: Packet, replacement: Replacement, lie: i64, pad: u32 },
    Any(Vec<u8>),
}

/// Which packet a verdict is for.
#[derive(Clone, Debug)]
enum Packet {
    Announced(Index),
    MadeUp(u64),
}

#[derive(Clone, Debug)]
enum Replacement {
    None,
    Garbage(usize),
    Datagram(usize),
}

#[test]
fn the_bridge_says_what_ip_queue_says() {
    let seed = env::var(SEED).map_or(0, |seed| seed.parse().unwrap());
    let usual = ProptestConfig::default();
    let config = ProptestConfig {
        cases: env::var_os(CASES).map_or(CONVERSATIONS, |_| usual.cases),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..usual
    };
    let model = select(&DataModel::ALL);
    let hooks = proptest::sample::subsequence(&Hook::ALL[..], 1..=Hook::ALL.len());
    let conversation = (model, select(&Family::ALL), hooks, vec(step(), 1..LONGEST));
    let result = TestRunner::new(config).run(&conversation, |(model, family, hooks, steps)| {
        let mut worlds = Worlds::new(model, family, &hooks);
        for step in steps {
            take(&mut worlds, &step);
            worlds.compare_state();
        }
        drain(&mut worlds);
        Ok(())
    });
    assert!(result.is_ok(), "{SEED}={seed}: {}", result.unwrap_err());
}

fn drain(worlds: &mut Worlds) {
    while worlds.compare_next(1 << 18) {}
}

fn take(worlds: &mut Worlds, step: &Step) {
    match step {
        Step::Packet { way, len, mark, fragment } => {
            // Without a payload it does not show that this host has made a fragment.
            let is_own = matches!(way, Way::Here | Way::Out);
            let packet = packet(worlds.family, *way, *len, *fragment && !is_own);
            enter(worlds, *way, &packet, *mark);
        }
        Step::Request(request) => send(worlds, request),
        Step::Verdicts(verdict) => decide_all(worlds, *verdict),
        Step::Read(len) => _ = worlds.compare_next(*len),
        Step::MaxLength(packets) => worlds.set_max_length(*packets),
        Step::DeviceDown(name) => {
            drain(worlds);
            worlds.device_down(name);
        }
        Step::Wait => worlds.both(|kernel| kernel.advance(core::time::Duration::from_millis(1500))),
    }
}

fn enter(worlds: &mut Worlds, way: Way, packet: &[u8], mark: u32) {
    let family = worlds.family;
    let sender = HardwareAddress::new(&[2, 0, 0, 0, 0, 9]).unwrap();
    let extras = Extras { mark, ..Extras::default() };
    worlds.both(|kernel| match way {
        Way::Here | Way::Out => kernel.send_with(family, packet, extras.clone()),
        Way::In | Way::Through => {
            kernel.receive_with("eth0", family, packet, Extras { sender, ..extras.clone() });
        }
        Way::FromTunnel => kernel.receive_with("tun0", family, packet, extras.clone()),
    });
}

/// A UDP datagram, or something that looks like a fragment of one.
fn packet(family: Family, way: Way, len: usize, fragment: bool) -> Vec<u8> {
    let ends = match way {
        Way::Here => (1, 1),
        Way::Out => (1, 9),
        Way::In => (7, 1),
        Way::Through | Way::FromTunnel => (7, 9),
    };
    let data = vec![b'x'; len];
    let mut packet = Vec::new();
    match family {
        Family::Ipv4 => {
            let [from, to] = [ends.0, ends.1].map(|host| match host {
                1 => [127, 0, 0, 1],
                host => [10, host, 0, 2],
            });
            let builder = PacketBuilder::ipv4(from, to, 64).udp(1, 2);
            builder.write(&mut packet, &data).unwrap();
            if fragment {
                // The last one of some, which is never put together.
                packet[7] = 9;
                packet[10..12].fill(0);
                let header = etherparse::Ipv4Header::from_slice(&packet).unwrap().0;
                packet[10..12].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
            }
        }
        Family::Ipv6 => {
            let [from, to] = [ends.0, ends.1].map(|host| match host {
                1 => core::net::Ipv6Addr::LOCALHOST.octets(),
                host => core::net::Ipv6Addr::new(0xfd00, host.into(), 0, 0, 0, 0, 0, 2).octets(),
            });
            PacketBuilder::ipv6(from, to, 64).udp(1, 2).write(&mut packet, &data).unwrap();
        }
    }
    packet
}

fn decide_all(worlds: &mut Worlds, verdict: u32) {
    drain(worlds);
    let ids = core::mem::take(&mut worlds.waiting);
    let request = |id| Request {
        message_type: VERDICT,
        flags: 5,
        sequence: 9,
        other_port: None,
        body: Body::Verdict {
            verdict,
            packet: Packet::MadeUp(id),
            replacement: Replacement::None,
            lie: 0,
            pad: 0,
        },
        trailer: Vec::new(),
        lie: 0,
        cut: None,
    };
    let (family, model) = (worlds.family, worlds.model);
    let encode = |id: u64| request(id).encode(model, family, id);
    let old: Vec<_> = ids.iter().map(|ids| encode(ids.0)).collect();
    let new: Vec<_> = ids.iter().map(|ids| encode(ids.1)).collect();
    worlds.send_many(&old, &new);
}

fn send(worlds: &mut Worlds, request: &Request) {
    drain(worlds);
    let ids = match &request.body {
        // There the id is a copy range, which is to be the same.
        Body::Verdict { .. } if request.message_type == MODE => (u64::MAX, u64::MAX),
        Body::Verdict { packet: Packet::Announced(index), .. } if !worlds.announced.is_empty() => {
            match worlds.ids(index.index(worlds.announced.len())) {
                Some(ids) => ids,
                None => return,
            }
        }
        Body::Verdict { packet: Packet::MadeUp(id), .. } => (*id, *id),
        _ => (u64::MAX, u64::MAX),
    };
    let (family, model) = (worlds.family, worlds.model);
    worlds.send(|id| request.encode(model, family, id), ids);
}

impl Request {
    fn encode(&self, model: DataModel, family: Family, id: u64) -> Vec<u8> {
        model.with(Encode { request: self, family, id })
    }
}

struct Encode<'r> {
    request: &'r Request,
    family: Family,
    id: u64,
}

impl AbiVisitor for Encode<'_> {
    type Output = Vec<u8>;

    fn visit<A: Abi>(self) -> Vec<u8> {
        let Self { request, family, id } = self;
        let body = match &request.body {
            Body::Mode(value, range) => {
                let pad = vec![0xee; size_of::<A::AfterByte>()];
                let words = [word::<A>(*range), word::<A>(0)].concat();
                [&[*value][..], &pad, &words].concat()
            }
            Body::Verdict { verdict, replacement, lie, pad, .. } => {
                let data = match *replacement {
                    Replacement::None => Vec::new(),
                    Replacement::Garbage(len) => vec![b'g'; len],
                    Replacement::Datagram(len) => packet(family, Way::Here, len, false),
                };
                let data_len = (data.len() as u64).wrapping_add_signed(*lie);
                let pad = vec![pad.to_ne_bytes()[0]; size_of::<A::AfterInt>()];
                let head = U32::<A::Order>::new(*verdict);
                [head.as_bytes(), &pad, &word::<A>(id), &word::<A>(data_len), &data].concat()
            }
            Body::Any(bytes) => bytes.clone(),
        };
        let len = i64::try_from(16 + body.len()).unwrap() + i64::from(request.lie);
        let mut datagram = header::<A::Order>(request, u32::try_from(len.max(0)).unwrap());
        datagram.extend(body);
        datagram.extend(&request.trailer);
        if let Some(cut) = &request.cut {
            datagram.truncate(cut.index(datagram.len()));
        }
        datagram
    }
}

fn header<O: ByteOrder>(request: &Request, len: u32) -> Vec<u8> {
    let port = request.other_port.unwrap_or(PORT);
    let (kind, flags) = (U16::<O>::new(request.message_type), U16::<O>::new(request.flags));
    let [len, sequence, port] = [len, request.sequence, port].map(U32::<O>::new);
    [len.as_bytes(), kind.as_bytes(), flags.as_bytes(), sequence.as_bytes(), port.as_bytes()]
        .concat()
}

/// A number as a word, cut where it has no room.
fn word<A: Abi>(number: u64) -> Vec<u8> {
    let number = if size_of::<A::UnsignedLong>() == 4 { number & 0xffff_ffff } else { number };
    let word = A::UnsignedLong::try_from(number).unwrap_or_else(|_| unreachable!("it was cut"));
    word.as_bytes().to_vec()
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![4 => 0..200_usize, 1 => 0..3000_usize];
    let mark = prop_oneof![Just(0), any::<u32>()];
    let way = select(&[Way::Here, Way::Out, Way::In, Way::Through, Way::FromTunnel]);
    prop_oneof![
        8 => (way, len(), mark, prop::bool::weighted(0.1)).prop_map(|(way, len, mark, fragment)| {
            Step::Packet { way, len, mark, fragment }
        }),
        3 => mode().prop_map(Step::Request),
        6 => request().prop_map(Step::Request),
        2 => (0..6_u32).prop_map(Step::Verdicts),
        4 => prop_oneof![Just(1 << 18), 0..300_usize].prop_map(Step::Read),
        1 => prop_oneof![0..6_u32, Just(u32::MAX), Just(1024)].prop_map(Step::MaxLength),
        1 => select(&["lo", "eth0", "eth1", "tun0"]).prop_map(Step::DeviceDown),
        1 => Just(Step::Wait),
    ]
}

/// A sound request for a mode.
fn mode() -> impl Strategy<Value = Request> {
    let range = prop_oneof![Just(0), 0..200_u64, Just(0x12345)];
    (0..3_u8, range, prop_oneof![Just(1), Just(5)]).prop_map(|(mode, range, flags)| Request {
        message_type: MODE,
        flags,
        sequence: 77,
        other_port: None,
        body: Body::Mode(mode, range),
        trailer: Vec::new(),
        lie: 0,
        cut: None,
    })
}

fn request() -> impl Strategy<Value = Request> {
    let message_type = prop_oneof![
        3 => Just(MODE),
        12 => Just(VERDICT),
        1 => Just(0x13),
        1 => 0..0x18_u16,
        1 => any::<u16>(),
    ];
    let flags = prop_oneof![4 => Just(1_u16), 4 => Just(5), 1 => any::<u16>()];
    let other_port = prop_oneof![
        12 => Just(None),
        1 => Just(Some(0)),
        1 => Just(Some(0x8000_0001)),
        1 => Just(Some(PORT + 1)),
    ];
    let trailer = prop_oneof![8 => Just(Vec::new()), 1 => vec![any::<u8>(); 60]];
    let lie = prop_oneof![10 => Just(0), 1 => -60..60_i32];
    let cut = prop_oneof![10 => Just(None), 1 => any::<Index>().prop_map(Some)];
    (message_type, flags, any::<u32>(), other_port, body(), trailer, lie, cut).prop_map(
        |(message_type, flags, sequence, other_port, body, trailer, lie, cut)| Request {
            message_type,
            flags,
            sequence,
            other_port,
            body,
            trailer,
            lie,
            cut,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let verdict = prop_oneof![8 => 0..6_u32, 1 => any::<u32>()];
    // Far from the small numbers that are ids in the new world.
    let made_up = prop_oneof![Just(0xdead_beef_u64), Just(0x7fff_0000_dead_0001), Just(u64::MAX)];
    let packet = prop_oneof![
        9 => any::<Index>().prop_map(Packet::Announced),
        1 => made_up.prop_map(Packet::MadeUp),
    ];
    let replacement = prop_oneof![
        6 => Just(Replacement::None),
        2 => (0..100_usize).prop_map(Replacement::Garbage),
        4 => (0..100_usize).prop_map(Replacement::Datagram),
        1 => select(&[65_000_usize, 65_531, 65_536, 70_000, 140_000]).prop_map(Replacement::Garbage),
    ];
    let lie = prop_oneof![8 => Just(0), 1 => -3..3_i64];
    prop_oneof![
        1 => (any::<u8>(), any::<u64>()).prop_map(|(mode, range)| Body::Mode(mode, range)),
        6 => (verdict, packet, replacement, lie, any::<u32>()).prop_map(
            |(verdict, packet, replacement, lie, pad)| Body::Verdict {
                verdict, packet, replacement, lie, pad,
            }
        ),
        1 => vec(any::<u8>(), 0..50).prop_map(Body::Any),
    ]
}
