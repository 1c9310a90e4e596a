//! What can be done to a kernel from outside, drawn from a fuzzer's bytes: [`Operation`].

use arbitrary::{Arbitrary, Result, Unstructured};
use ipq_proto::{Family, Hook};
use ipq_sys::Protocol;

use super::model::packet::{Datagram, Destination, Device, Flaw};
use super::model::{Rule, Target};
use super::request::Request;

/// A kernel, and what is done to it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) setup: Setup,
    pub(super) operations: Vec<Operation>,
}

/// Which queue it is mostly about.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Topic {
    IpQueue,
    Nfqueue,
    Both,
}

/// How the kernel is made.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) is_wide: bool,
    pub(super) is_big_endian: bool,
    pub(super) rules: Vec<Rule>,
}

/// A place for a socket.
pub(super) type Slot = usize;

/// How many sockets there can be at once.
pub(super) const SLOTS: usize = 6;

/// Something that is done.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Send {
        datagram: Datagram,
        mark: u32,
        owner: Option<(u32, u32)>,
    },
    Receive {
        device: Device,
        sender: Option<[u8; 6]>,
        datagram: Datagram,
        mark: u32,
    },
    Step,
    Run,
    /// Time passes, in milliseconds.
    Advance(u8),
    Open {
        slot: Slot,
        protocol: Protocol,
        options: Options,
    },
    Duplicate(Slot),
    /// One descriptor of a socket is closed.
    Close(Slot),
    Kill(u32),
    /// A program reads one message into a buffer of this length, and maybe waits for it.
    Hear {
        slot: Slot,
        buffer_len: usize,
        waits: bool,
    },
    /// It reads all there is.
    HearAll(Slot),
    Say {
        slot: Slot,
        requests: Vec<Request>,
        damage: Option<(u8, u8)>,
    },
    SetReceiveBuffer(Slot, usize),
    ReportOverruns(Slot, bool),
    SetDevice(Device, bool),
    LoadIpQueue(Family),
    UnloadIpQueue(Family),
    LoadNfqueue,
    UnloadNfqueue,
    SetMaxLength(Family, u32),
    /// A queue of `nfnetlink_queue` counts on from another id.
    SetLastId(u16, u32),
}

/// How a socket is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) port_id: Option<u32>,
    pub(super) is_privileged: bool,
    pub(super) receive_buffer: usize,
    pub(super) reports_overruns: bool,
}

/// Port ids that programs ask for.
pub(super) const PORT_IDS: [u32; 2] = [29, 1001];

const RECEIVE_BUFFERS: [usize; 6] = [0, 1000, 2240, 10_000, 212_992, 212_992];
const BUFFER_LENS: [usize; 7] = [0, 16, 40, 120, 0x2_0000, 0x2_0000, 0x2_0000];
const MAX_LENGTHS: [u32; 6] = [0, 1, 3, 1024, 1024, u32::MAX];
const LAST_IDS: [u32; 4] = [0, 5, u32::MAX - 1, i32::MAX as u32];

/// The numbers of queues that are talked about.
pub(super) const QUEUES: [u16; 8] = [0, 1, 0, 1, 0, 1, 17, 258];

/// More than this does no input good.
const MOST_OPERATIONS: usize = 300;

impl Session {
    pub(super) fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let setup = Setup::draw(u)?;
        let topic = Topic::arbitrary(u)?;
        let mut operations = beginning(topic, u.ratio(1, 4)?, u.ratio(1, 4)?, u.ratio(1, 3)?);
        while !u.is_empty() && operations.len() < MOST_OPERATIONS {
            operations.push(Operation::draw(u, topic)?);
        }
        Ok(Self { setup, operations })
    }
}

/// Programs that have asked for packets, so that most of what comes meets a queue. They have small receive buffers, perhaps,
/// or short queues, or ones that let packets pass when they are full.
fn beginning(topic: Topic, is_small: bool, is_short: bool, fails_open: bool) -> Vec<Operation> {
    let options = Options {
        port_id: None,
        is_privileged: true,
        receive_buffer: if is_small { 2240 } else { 212_992 },
        reports_overruns: true,
    };
    let open = |slot, protocol| Operation::Open { slot, protocol, options };
    let say = |slot, request| Operation::Say { slot, requests: vec![request], damage: None };
    let mut operations = Vec::new();
    if !matches!(topic, Topic::IpQueue) {
        for (slot, queue) in [(0, QUEUES[0]), (1, QUEUES[1])] {
            operations.push(open(slot, Protocol::Netfilter));
            operations.push(say(slot, Request::bind(queue, is_short, fails_open)));
        }
    }
    let families = match topic {
        Topic::IpQueue => &Family::ALL[..],
        Topic::Nfqueue => &[],
        Topic::Both => &Family::ALL[1..],
    };
    for (slot, family) in [2, 3].into_iter().zip(families) {
        operations.push(open(slot, Protocol::ip_queue(*family)));
        operations.push(say(slot, Request::mode()));
    }
    operations
}

/// A socket to the queue that it is about, or to another one.
fn protocol(u: &mut Unstructured<'_>, topic: Topic) -> Result<Protocol> {
    let ip_queue = Protocol::ip_queue(family(u)?);
    let (usual, other) = match topic {
        Topic::IpQueue => (ip_queue, Protocol::Netfilter),
        Topic::Nfqueue => (Protocol::Netfilter, ip_queue),
        Topic::Both => (Protocol::Netfilter, Protocol::ip_queue(Family::Ipv6)),
    };
    Ok(if u.ratio(15, 16)? { usual } else { other })
}

/// A slot that programs of this topic have from the beginning, or any one.
fn slot(u: &mut Unstructured<'_>, topic: Topic) -> Result<Slot> {
    if u.ratio(1, 6)? {
        return u.int_in_range(0..=SLOTS - 1);
    }
    match topic {
        Topic::IpQueue => u.int_in_range(2..=3),
        Topic::Nfqueue => u.int_in_range(0..=1),
        Topic::Both => u.int_in_range(0..=2),
    }
}

impl Setup {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let seed = u8::arbitrary(u)?.into();
        let (is_wide, is_big_endian) = Arbitrary::arbitrary(u)?;
        let rules = (0..u.int_in_range(2..=10)?).map(|_| rule(u)).collect::<Result<_>>()?;
        Ok(Self { seed, is_wide, is_big_endian, rules })
    }
}

fn rule(u: &mut Unstructured<'_>) -> Result<Rule> {
    let bypass = u.ratio(1, 8)?;
    let target = match u.int_in_range(0..=9)? {
        0 => Target::Accept,
        1 => Target::Drop,
        2 => Target::Mark(u.int_in_range(0..=2)?),
        3 | 4 => Target::Queue { number: *u.choose(&QUEUES)?, bypass },
        _ => Target::Queue { number: 0, bypass: false },
    };
    Ok(Rule {
        hook: *u.choose(&Hook::ALL)?,
        table: u.int_in_range(0..=2)?,
        family: if u.ratio(1, 4)? { Some(family(u)?) } else { None },
        mark: if u.ratio(1, 4)? { Some(u.int_in_range(0..=2)?) } else { None },
        target,
    })
}

pub(super) fn family(u: &mut Unstructured<'_>) -> Result<Family> {
    u.choose(&Family::ALL).copied()
}

/// A datagram that any packet may be: only a replacement is too long.
fn datagram(u: &mut Unstructured<'_>) -> Result<Datagram> {
    let family = family(u)?;
    let datagram = replacement(u, family)?;
    let flaw = if datagram.flaw == Flaw::Huge { Flaw::Nothing } else { datagram.flaw };
    Ok(Datagram { flaw, ..datagram })
}

/// A datagram that may take another one's place.
pub(super) fn replacement(u: &mut Unstructured<'_>, family: Family) -> Result<Datagram> {
    let flaw = if u.ratio(3, 4)? { Flaw::Nothing } else { Flaw::arbitrary(u)? };
    Ok(Datagram {
        family,
        to: Destination::arbitrary(u)?,
        flaw,
        hops: *u.choose(&[64, 64, 64, 64, 64, 2, 1, 0])?,
        payload_len: usize::from(u.int_in_range(1..=80_u8)?),
        fill: u8::arbitrary(u)?,
    })
}

impl Operation {
    fn draw(u: &mut Unstructured<'_>, topic: Topic) -> Result<Self> {
        let slot = slot(u, topic)?;
        let mark = u.int_in_range(0..=2)?;
        Ok(match u.int_in_range(0..=127)? {
            0..=20 => {
                let owner = if u.ratio(1, 4)? { Some((1000, 100)) } else { None };
                Self::Send { datagram: datagram(u)?, mark, owner }
            }
            21..=36 => {
                let device = Device::arbitrary(u)?;
                let sender = if u.ratio(1, 2)? { Some([2, 0, 0, 0, 0, 0xbb]) } else { None };
                Self::Receive { device, sender, datagram: datagram(u)?, mark }
            }
            37..=42 => Self::Step,
            43..=56 => Self::Run,
            57 => Self::Advance(u8::arbitrary(u)?),
            58..=105 => Self::say(u, slot)?,
            106..=111 => {
                let waits = u.ratio(1, 4)?;
                Self::Hear { slot, buffer_len: *u.choose(&BUFFER_LENS)?, waits }
            }
            112..=117 => Self::HearAll(slot),
            118 => Self::SetReceiveBuffer(slot, *u.choose(&RECEIVE_BUFFERS)?),
            119 => Self::ReportOverruns(slot, bool::arbitrary(u)?),
            120 | 121 => Self::SetDevice(Device::arbitrary(u)?, u.ratio(7, 8)?),
            122 => Self::SetMaxLength(family(u)?, *u.choose(&MAX_LENGTHS)?),
            123 => Self::SetLastId(*u.choose(&QUEUES)?, *u.choose(&LAST_IDS)?),
            _ => Self::upheaval(u, slot, topic)?,
        })
    }

    /// What changes who is there to talk to.
    fn upheaval(u: &mut Unstructured<'_>, slot: Slot, topic: Topic) -> Result<Self> {
        Ok(match u.int_in_range(0..=15)? {
            0..=5 => Self::Open { slot, protocol: protocol(u, topic)?, options: Options::draw(u)? },
            6 | 7 => Self::Duplicate(slot),
            8 | 9 => Self::Close(slot),
            10 => Self::Kill(*u.choose(&[PORT_IDS[0], PORT_IDS[1], 1000])?),
            11 => Self::LoadIpQueue(family(u)?),
            12 | 13 => Self::LoadNfqueue,
            14 => Self::UnloadIpQueue(family(u)?),
            _ => Self::UnloadNfqueue,
        })
    }

    fn say(u: &mut Unstructured<'_>, slot: Slot) -> Result<Self> {
        let count = if u.ratio(1, 8)? { 3 } else { 1 };
        let is_ip_queue = (slot == 2 || slot == 3) != u.ratio(1, 12)?;
        let requests = (0..count).map(|_| Request::draw(u, is_ip_queue));
        let requests = requests.collect::<Result<Vec<_>>>()?;
        let is_damaged = u.ratio(1, 12)? && !requests.iter().any(Request::has_replacement);
        let damage = if is_damaged { Some(Arbitrary::arbitrary(u)?) } else { None };
        Ok(Self::Say { slot, requests, damage })
    }
}

impl Options {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            port_id: if u.ratio(1, 3)? { Some(*u.choose(&PORT_IDS)?) } else { None },
            is_privileged: u.ratio(7, 8)?,
            receive_buffer: *u.choose(&RECEIVE_BUFFERS)?,
            reports_overruns: u.ratio(3, 4)?,
        })
    }
}
