//! Requests at random: sound ones, nearly sound ones and garbage, by two sockets to a few queues.

use std::env;

use ipq_proto::netlink::messages;
use ipq_proto::nfqueue::SUBSYSTEM;
use ipq_sim::Kernel;
use ipq_tests::namespace::{Outcome, Skipped};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestRunner};
use zerocopy::NativeEndian;

use crate::kernels::Kernels;
use crate::request::{ACK, BATCH, CONFIG, REQUEST, Request, VERDICT};

in_own_networks!(any_requests_are_answered_alike);

/// How many conversations there are, and how many datagrams in the longest.
const CONVERSATIONS: u32 = 250;
const LONGEST: usize = 60;

/// Another seed than the usual one: what a failure prints.
const SEED: &str = "IPQ_SIM_SEED";

/// Another number of conversations than the usual one.
const CASES: &str = "PROPTEST_CASES";

/// A datagram, and which socket sends it.
#[derive(Clone, Debug)]
struct Said {
    who: usize,
    requests: Vec<Request>,
    damage: Option<Damage>,
}

/// What happens to a datagram on its way.
#[derive(Clone, Debug)]
enum Damage {
    Overwritten(Index, u8),
    Cut(Index),
    Longer(Vec<u8>),
}

fn any_requests_are_answered_alike() -> Outcome {
    // Whatever keeps this kernel from being asked at all shows here, and not as a failure below.
    conversation()?;
    let seed = env::var(SEED).map_or(0, |seed| seed.parse().unwrap());
    let usual = ProptestConfig::default();
    let config = ProptestConfig {
        cases: env::var_os(CASES).map_or(CONVERSATIONS, |_| usual.cases),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..usual
    };
    let result = TestRunner::new(config).run(&vec(said(), 1..LONGEST), |datagrams| {
        let mut kernels = conversation().map_err(|skipped| TestCaseError::fail(skipped.0))?;
        for said in datagrams {
            say(&mut kernels, &said);
        }
        Ok(())
    });
    assert!(result.is_ok(), "{SEED}={seed}: {}", result.unwrap_err());
    Ok(())
}

/// The sockets of the last one are closed, and have taken their queues with them.
fn conversation() -> Result<Kernels, Skipped> {
    Kernels::without_network(Kernel::builder(), 2, true)
}

fn say(kernels: &mut Kernels, said: &Said) {
    let Said { who, requests, damage } = said;
    let mut datagram = kernels.datagram(requests);
    match damage {
        None => (),
        Some(Damage::Overwritten(at, byte)) => *at.get_mut(&mut datagram) = *byte,
        Some(Damage::Cut(at)) => datagram.truncate(at.index(datagram.len())),
        Some(Damage::Longer(bytes)) => datagram.extend(bytes),
    }
    if !has_other_subsystem(&datagram) {
        kernels.tell_bytes(*who, &datagram);
        kernels.status();
    }
}

/// Whether damage has made a message one to another subsystem.
fn has_other_subsystem(datagram: &[u8]) -> bool {
    let mut messages = messages::<NativeEndian>(datagram).map_while(Result::ok);
    messages.any(|message| {
        let number = message.header.message_type.0;
        number >= 16 && number >> 8 != u16::from(SUBSYSTEM)
    })
}

fn said() -> impl Strategy<Value = Said> {
    let damage = prop_oneof![
        8 => Just(None),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Some(Damage::Overwritten(at, byte))),
        1 => any::<Index>().prop_map(|at| Some(Damage::Cut(at))),
        1 => vec(any::<u8>(), 1..40).prop_map(|bytes| Some(Damage::Longer(bytes))),
    ];
    (0..2_usize, vec(request(), 1..4), damage).prop_map(|(who, requests, damage)| Said {
        who,
        requests,
        damage,
    })
}

fn request() -> impl Strategy<Value = Request> {
    let queue = select(&[0_u16, 1, 2, 17, u16::MAX]);
    let start = (message_type(), queue, flags());
    (start, vec(attribute(), 0..5)).prop_map(|((message_type, queue, flags), attributes)| {
        let start = Request::new(message_type, queue).flags(flags);
        attributes.into_iter().fold(start, |request, add| add.to(request))
    })
}

fn message_type() -> impl Strategy<Value = u16> {
    prop_oneof![
        12 => Just(CONFIG),
        4 => Just(VERDICT),
        2 => Just(BATCH),
        1 => 0x300..0x400_u16,
        1 => 0..16_u16,
    ]
}

fn flags() -> impl Strategy<Value = u16> {
    prop_oneof![6 => Just(REQUEST | ACK), 2 => Just(REQUEST), 1 => any::<u16>()]
}

/// What is added to a request.
#[derive(Clone, Debug)]
enum Attribute {
    Command(u8, u16),
    Mode(u8, u32),
    MaxLength(u32),
    Flags(u32),
    Mask(u32),
    Verdict(u32, u32),
    Any(u16, Vec<u8>),
    /// Without padding, as only the last one should be.
    Unpadded(u16, Vec<u8>),
    /// A header that says what it likes.
    Header(u16, u16),
}

impl Attribute {
    fn to(&self, request: Request) -> Request {
        match self {
            Self::Command(command, family) => request.command(*command, *family),
            Self::Mode(mode, range) => request.mode(*mode, *range),
            Self::MaxLength(packets) => request.max_length(*packets),
            Self::Flags(flags) => request.queue_flags(*flags),
            Self::Mask(mask) => request.mask(*mask),
            Self::Verdict(verdict, id) => request.decides(*verdict, *id),
            Self::Any(kind, data) => request.attribute(*kind, data),
            Self::Unpadded(kind, data) => request.unpadded(*kind, data),
            Self::Header(len, kind) => request.attribute_header(*len, *kind),
        }
    }
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let command = prop_oneof![4 => Just(1), 2 => Just(2), 1 => 0..6_u8, 1 => any::<u8>()];
    let number = || prop_oneof![3 => 0..40_u32, 1 => any::<u32>()];
    let kind = || prop_oneof![4 => 0..24_u16, 1 => any::<u16>()];
    prop_oneof![
        8 => (command, any::<u16>()).prop_map(|(command, family)| Attribute::Command(command, family)),
        4 => (0..5_u8, number()).prop_map(|(mode, range)| Attribute::Mode(mode, range)),
        2 => number().prop_map(Attribute::MaxLength),
        2 => number().prop_map(Attribute::Flags),
        2 => number().prop_map(Attribute::Mask),
        3 => (number(), number()).prop_map(|(verdict, id)| Attribute::Verdict(verdict, id)),
        3 => (kind(), vec(any::<u8>(), 0..20)).prop_map(|(kind, data)| Attribute::Any(kind, data)),
        1 => (kind(), vec(any::<u8>(), 0..20))
            .prop_map(|(kind, data)| Attribute::Unpadded(kind, data)),
        1 => (any::<u16>(), kind()).prop_map(|(len, kind)| Attribute::Header(len, kind)),
        1 => (0..30_u16, kind()).prop_map(|(len, kind)| Attribute::Header(len, kind)),
    ]
}
