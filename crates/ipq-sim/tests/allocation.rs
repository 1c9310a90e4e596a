//! A simulated kernel that has warmed up allocates nothing for a packet: not when it enters or is queued, not for its
//! verdict, and not at its end. A packet's bytes and its message are owned, in memory of such as have ended.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use std::io::IoSlice;

use etherparse::PacketBuilder;
use ipq_proto::ip_queue::{self, Message, ModeMsg, VerdictMsg, datagram};
use ipq_proto::netlink::{Body, Flags, Framed, Header, MessageType, messages};
use ipq_proto::nfqueue::{
    self, CONFIG, Command, CommandMsg, ParamsMsg, VERDICT, VERDICT_BATCH, payload_attribute_header,
};
use ipq_proto::{CopyMode, DataModel, Family, Hook, Native, Verdict};
use ipq_sim::capture::{Precision, Reader, Timestamp, Writer};
use ipq_sim::{Builder, Device, Fate, Kernel, Match, Socket, Target};
use ipq_sys::{Deadline, Received, Transport};
use zerocopy::{Immutable, IntoBytes, NativeEndian};

/// Packets that wait at once.
const BURST: usize = 50;

/// The two protocols of the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Front {
    IpQueue,
    Nfqueue,
}

/// How a program decides on what it has read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    InOrder,
    Backwards,
    /// All at once, which only `nfnetlink_queue` knows.
    Batch,
    /// With other bytes in place of the packet's.
    Replace,
    Drop,
    /// With ids that are not there, which is answered with an error.
    Mistaken,
}

/// A program that reads into one buffer, and remembers ids in one list.
struct Program {
    socket: Socket,
    front: Front,
    buffer: Vec<u8>,
    ids: Vec<u64>,
    /// What was no packet.
    others: usize,
}

impl Program {
    fn open(kernel: &Kernel, front: Front, family: Family) -> Self {
        let socket = match front {
            Front::IpQueue => kernel.socket(family),
            Front::Nfqueue => kernel.nfqueue_socket(),
        };
        let mode = CopyMode::Packet { range: 0xffff };
        let buffer = vec![0; 4096];
        let mut program = Self { socket, front, buffer, ids: Vec::new(), others: 0 };
        match front {
            Front::IpQueue => program.request(ip_queue::MODE, ModeMsg::<Native>::new(mode), &[]),
            Front::Nfqueue => {
                program.request(CONFIG, CommandMsg::<NativeEndian>::new(0, Command::BIND, 0), &[]);
                program.request(CONFIG, ParamsMsg::<NativeEndian>::new(0, mode), &[]);
            }
        }
        program
    }

    fn request<B: Body + IntoBytes + Immutable>(
        &mut self,
        message_type: MessageType,
        body: B,
        rest: &[&[u8]],
    ) {
        let rest_len = rest.iter().map(|part| part.len()).sum();
        let header = Header::new(message_type, Flags::REQUEST, 1, self.socket.port_id());
        let framed = Framed::new(header, body, rest_len).unwrap();
        let mut parts = [IoSlice::new(framed.as_bytes()), IoSlice::new(&[]), IoSlice::new(&[])];
        for (slot, part) in parts[1..].iter_mut().zip(rest) {
            *slot = IoSlice::new(part);
        }
        self.socket.send(&parts).unwrap();
    }

    /// Reads what is there.
    fn read(&mut self) {
        self.ids.clear();
        loop {
            let len = match self.socket.receive(&mut self.buffer, Deadline::Immediate).unwrap() {
                Received::Datagram { len } => len,
                Received::Overrun => {
                    self.others += 1;
                    continue;
                }
                Received::TimedOut => break,
                other => panic!("a kernel never says {other:?}"),
            };
            let bytes = &self.buffer[..len];
            match self.front {
                Front::IpQueue => match datagram(DataModel::NATIVE, bytes).unwrap().1 {
                    Message::Packet(packet) => self.ids.push(packet.id),
                    _ => self.others += 1,
                },
                Front::Nfqueue => {
                    let message = messages::<NativeEndian>(bytes).next().unwrap().unwrap();
                    match nfqueue::Message::decode::<NativeEndian>(&message).unwrap() {
                        nfqueue::Message::Packet(packet) => self.ids.push(packet.id.into()),
                        _ => self.others += 1,
                    }
                }
            }
        }
    }

    fn decide(&mut self, manner: Manner, replacement: &[u8]) {
        let mut ids = core::mem::take(&mut self.ids);
        if manner == Manner::Backwards {
            ids.reverse();
        }
        let verdict = if manner == Manner::Drop { Verdict::Drop } else { Verdict::Accept };
        if let (Manner::Batch, Front::Nfqueue, Some(&last)) = (manner, self.front, ids.last()) {
            let last = u32::try_from(last).unwrap();
            let body = nfqueue::VerdictMsg::<NativeEndian>::new(0, last, verdict);
            self.request(VERDICT_BATCH, body, &[]);
            ids.clear();
        }
        let replacement: &[u8] = if manner == Manner::Replace { replacement } else { &[] };
        for &id in &ids {
            if manner == Manner::Mistaken {
                self.verdict(id + 1_000_000, verdict, &[]);
            }
            self.verdict(id, verdict, replacement);
        }
        self.ids = ids;
    }

    fn verdict(&mut self, id: u64, verdict: Verdict, replacement: &[u8]) {
        match self.front {
            Front::IpQueue => {
                let body =
                    VerdictMsg::<Native>::new(id, verdict, replacement.len() as u64).unwrap();
                self.request(ip_queue::VERDICT, body, &[replacement]);
            }
            Front::Nfqueue => {
                let id = u32::try_from(id).unwrap();
                let body = nfqueue::VerdictMsg::<NativeEndian>::new(0, id, verdict);
                let head = payload_attribute_header::<NativeEndian>(replacement.len()).unwrap();
                match replacement {
                    [] => self.request(VERDICT, body, &[]),
                    replacement => self.request(VERDICT, body, &[&head, replacement]),
                }
            }
        }
    }
}

/// Datagrams to this host itself, to it from outside, and through it.
fn packets(family: Family, payload_len: usize) -> [Vec<u8>; 3] {
    let ways = match family {
        Family::Ipv4 => {
            [[[127, 0, 0, 1]; 2], [[10, 7, 0, 9], [10, 7, 0, 1]], [[10, 7, 0, 9], [10, 9, 0, 2]]]
                .map(|[from, to]| PacketBuilder::ipv4(from, to, 64))
        }
        Family::Ipv6 => {
            let address = |net: u16, host: u16| {
                core::net::Ipv6Addr::new(net, 7, 0, 0, 0, 0, 0, host).octets()
            };
            [(0xfd07, 1, 0xfd07, 1), (0xfd07, 9, 0xfd07, 1), (0xfd07, 9, 0xfd09, 2)]
                .map(|(a, b, c, d)| PacketBuilder::ipv6(address(a, b), address(c, d), 64))
        }
    };
    ways.map(|ip| {
        let mut packet = Vec::new();
        ip.udp(40_000, 9999).write(&mut packet, &vec![7; payload_len]).unwrap();
        packet
    })
}

/// A kernel that queues packets at the first hook they come to.
fn kernel(builder: Builder) -> Kernel {
    let kernel = builder
        .seed(7)
        .device(Device::ethernet("eth0"))
        .device(Device::ethernet("eth1"))
        .route("10.9.0.0/16".parse().unwrap(), "eth1")
        .route("fd09::/16".parse().unwrap(), "eth1")
        .build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    kernel.rule(Hook::PreRouting, Match::any().input_device("eth0"), Target::Queue);
    kernel
}

/// Has a burst of packets enter, and all of them decided on; says how many ended.
fn round(
    kernel: &Kernel,
    program: &mut Program,
    manner: Manner,
    family: Family,
    packets: &[Vec<u8>; 3],
) -> usize {
    let [own, inbound, through] = packets;
    for turn in 0..BURST {
        match turn % 3 {
            0 => kernel.send(family, own),
            1 => kernel.receive("eth0", family, inbound),
            _ => kernel.receive("eth0", family, through),
        }
    }
    kernel.run();
    program.read();
    program.decide(manner, own);
    kernel.run();
    program.read();
    let mut ended = 0;
    kernel.drain_outcomes(|outcome| ended += usize::from(!outcome.data.is_empty()));
    ended
}

#[test]
fn entering_queueing_verdict_and_end_allocate_nothing() {
    for front in [Front::IpQueue, Front::Nfqueue] {
        for family in Family::ALL {
            for manner in [
                Manner::InOrder,
                Manner::Backwards,
                Manner::Batch,
                Manner::Replace,
                Manner::Drop,
                Manner::Mistaken,
            ] {
                let kernel = kernel(Kernel::builder());
                let mut program = Program::open(&kernel, front, family);
                let packets = packets(family, 1000);
                let mut turn = || round(&kernel, &mut program, manner, family, &packets);
                for _ in 0..10 {
                    assert_eq!(turn(), BURST);
                }
                let info = allocation_counter::measure(|| {
                    for _ in 0..20 {
                        assert_eq!(turn(), BURST);
                    }
                });
                assert_eq!(info.count_total, 0, "{front:?}, {family:?}, {manner:?}: {info:?}");
                let mistakes = if manner == Manner::Mistaken { 30 * BURST } else { 0 };
                assert_eq!(program.others, mistakes);
            }
        }
    }
}

#[test]
fn packets_that_are_only_counted_allocate_nothing() {
    for front in [Front::IpQueue, Front::Nfqueue] {
        let kernel = kernel(Kernel::builder().count_only());
        let mut program = Program::open(&kernel, front, Family::Ipv4);
        let packets = packets(Family::Ipv4, 1000);
        let mut turn = || round(&kernel, &mut program, Manner::InOrder, Family::Ipv4, &packets);
        (0..10).for_each(|_| assert_eq!(turn(), 0));
        let info = allocation_counter::measure(|| (0..20).for_each(|_| assert_eq!(turn(), 0)));
        assert_eq!(info.count_total, 0, "{front:?}: {info:?}");
        assert_eq!(kernel.totals().delivered, 30 * BURST as u64);
    }
}

/// Nobody reads: the receive buffer is full, then the queue, and every packet is dropped.
#[test]
fn packets_that_are_lost_allocate_nothing() {
    for front in [Front::IpQueue, Front::Nfqueue] {
        let kernel = kernel(Kernel::builder());
        let program = Program::open(&kernel, front, Family::Ipv4);
        let [own, ..] = packets(Family::Ipv4, 1000);
        let flood = || {
            (0..BURST).for_each(|_| kernel.send(Family::Ipv4, &own));
            kernel.run();
            let mut lost = 0;
            kernel.drain_outcomes(|outcome| lost += usize::from(outcome.fate != Fate::Delivered));
            lost
        };
        while flood() < BURST {}
        let info = allocation_counter::measure(|| {
            for _ in 0..20 {
                assert_eq!(flood(), BURST);
            }
        });
        assert_eq!(info.count_total, 0, "{front:?}: {info:?}");
        drop(program);
    }
}

/// Twice the packets take as many allocations: a capture is read into memory of packets that have ended.
#[test]
fn the_packets_of_a_capture_allocate_nothing() {
    let allocations = |count: u32| {
        let [_, inbound, _] = packets(Family::Ipv4, 1000);
        let mut writer = Writer::new(Vec::new(), Precision::Nanoseconds).unwrap();
        for number in 0..count {
            let time = Timestamp::new(number.into(), 0).unwrap();
            writer.write(time, &inbound).unwrap();
        }
        let file = writer.finish().unwrap();
        let kernel = kernel(Kernel::builder());
        let mut program = Program::open(&kernel, Front::Nfqueue, Family::Ipv4);
        let replay = kernel.replay_file("eth0", Reader::new(std::io::Cursor::new(file)).unwrap());
        let mut delivered = 0;
        let info = allocation_counter::measure(|| {
            while kernel.step() == ipq_sys::Stepped::Progressed {
                program.read();
                program.decide(Manner::InOrder, &[]);
                kernel.drain_outcomes(|outcome| {
                    delivered += u32::from(outcome.fate == Fate::Delivered);
                });
            }
        });
        assert_eq!((delivered, replay.status().entered), (count, count.into()));
        info.count_total
    };
    assert_eq!(allocations(500), allocations(1000));
}

/// The counter counts: otherwise the tests above would prove nothing.
#[test]
fn the_counter_counts() {
    let kernel = kernel(Kernel::builder());
    let [own, ..] = packets(Family::Ipv4, 1000);
    let info = allocation_counter::measure(|| kernel.send(Family::Ipv4, &own));
    assert!(info.count_total > 0, "the first packet has no memory to use again");
}
