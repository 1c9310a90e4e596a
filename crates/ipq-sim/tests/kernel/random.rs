//! Random operations on kernels with random rules: every packet ends once, and all of it can be repeated.

use std::collections::BTreeSet;

use core::time::Duration;

use ipq_proto::{CopyMode, DataModel, Family, Hook, Verdict};
use ipq_sim::{Device, Kernel, Match, Outcome, Protocol, SocketOptions, Table, Target};
use ipq_sys::Stepped;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::{
    Heard, Program, World, echo_on, fragment_on, here, inbound, tcp_on, through, udp_on,
};

/// What can be done to a kernel from outside.
#[derive(Clone, Debug)]
enum Operation {
    Send(Family, usize, u32),
    Receive(&'static str, Family, usize),
    Step,
    Run,
    Advance(u64),
    /// The program of a family hears what is there.
    Hear(Family),
    /// A verdict for one of the packets it has heard of, in any order, maybe with a replacement.
    Verdict(Family, usize, u32, Option<usize>),
    /// A verdict for whatever id.
    Guess(Family, u64, u32),
    Mode(Family, CopyMode),
    MaxLength(Family, u32),
    Device(&'static str, bool),
    Module(Family, bool),
    /// The program goes, and another one comes.
    Reopen(Family, bool),
}

#[derive(Clone, Debug)]
struct Setup {
    seed: u64,
    model: DataModel,
    rules: Vec<(Table, Hook, Match, Target)>,
    receive_buffer: usize,
}

const DEVICES: [&str; 4] = ["lo", "eth0", "eth1", "tun0"];

fn family() -> impl Strategy<Value = Family> {
    select(&Family::ALL[..])
}

fn condition() -> impl Strategy<Value = Match> {
    prop_oneof![
        4 => Just(Match::any()),
        1 => family().prop_map(|family| Match::any().family(family)),
        1 => select(vec![Protocol::UDP, Protocol::TCP, Protocol::ICMP]).prop_map(Match::protocol),
        1 => Just(Match::any().destination_port(9999)),
        1 => select(&DEVICES[..]).prop_map(|name| Match::any().input_device(name)),
        1 => select(&DEVICES[..]).prop_map(|name| Match::any().output_device(name)),
        1 => (0_u32..3).prop_map(|mark| Match::any().mark(mark)),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let tables = select(vec![Table::Raw, Table::Mangle, Table::Filter]);
    let targets = select(vec![Target::Queue, Target::Queue, Target::Accept, Target::Drop]);
    let rule = (tables, select(&Hook::ALL[..]), condition(), targets);
    let buffers = select(vec![0, 1000, 2240, 10_000, 212_992]);
    (any::<u64>(), select(&DataModel::ALL[..]), vec(rule, 1..8), buffers).prop_map(
        |(seed, model, rules, receive_buffer)| Setup { seed, model, rules, receive_buffer },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let modes = prop_oneof![
        1 => Just(CopyMode::None),
        2 => Just(CopyMode::Metadata),
        3 => (0_u32..100).prop_map(|range| CopyMode::Packet { range }),
    ];
    let replacement = proptest::option::of(any::<usize>());
    prop_oneof![
        6 => (family(), any::<usize>(), 0_u32..3).prop_map(|(f, p, m)| Operation::Send(f, p, m)),
        6 => (select(&DEVICES[..]), family(), any::<usize>())
            .prop_map(|(device, f, p)| Operation::Receive(device, f, p)),
        6 => Just(Operation::Step),
        3 => Just(Operation::Run),
        1 => (0_u64..5).prop_map(Operation::Advance),
        6 => family().prop_map(Operation::Hear),
        9 => (family(), any::<usize>(), 0_u32..7, replacement)
            .prop_map(|(f, index, value, with)| Operation::Verdict(f, index, value, with)),
        1 => (family(), any::<u32>(), 0_u32..7)
            .prop_map(|(f, id, value)| Operation::Guess(f, id.into(), value)),
        4 => (family(), modes).prop_map(|(f, mode)| Operation::Mode(f, mode)),
        1 => (family(), select(vec![0, 1, 3, 1024, u32::MAX]))
            .prop_map(|(f, max)| Operation::MaxLength(f, max)),
        1 => (select(&DEVICES[..]), any::<bool>()).prop_map(|(d, up)| Operation::Device(d, up)),
        1 => (family(), any::<bool>()).prop_map(|(f, load)| Operation::Module(f, load)),
        1 => (family(), any::<bool>()).prop_map(|(f, first)| Operation::Reopen(f, first)),
    ]
}

/// Packets of every kind, good and bad.
fn packet(family: Family, index: usize) -> Vec<u8> {
    let way = [here(family), inbound(family), through(family)][index % 3];
    let mut data = match index / 3 % 6 {
        0 => udp_on(way, b"hello"),
        1 => tcp_on(way, b"hello"),
        2 => echo_on(way, b"hello"),
        3 => fragment_on(way, 0, true, &[7; 16]),
        4 => fragment_on(way, 2, false, &[7; 16]),
        _ => b"nonsense, of more than forty bytes, so that it is a replacement".to_vec(),
    };
    match index / 18 % 8 {
        0 => *data.last_mut().unwrap() ^= 1,
        1 => data[8] ^= 1,
        2 => data.extend(b"more"),
        3 => data.truncate(data.len() - 1),
        _ => (),
    }
    data
}

/// A kernel, a program for each family, and all that was seen.
struct Run {
    kernel: Kernel,
    options: SocketOptions,
    programs: [Option<Program>; 2],
    /// The packets that each program has heard of.
    ids: [Vec<u64>; 2],
    /// Packets that have been handed in and not yet entered.
    pending: u64,
    transcript: Vec<Seen>,
    ended: BTreeSet<u64>,
}

#[derive(Debug, Eq, PartialEq)]
enum Seen {
    Heard(Family, Heard),
    Ended(Outcome),
}

impl Run {
    fn new(setup: &Setup) -> Self {
        let mut builder = Kernel::builder().seed(setup.seed).data_model(setup.model);
        for name in ["eth0", "eth1"] {
            builder = builder.device(Device::ethernet(name));
        }
        let kernel = builder
            .device(Device::point_to_point("tun0"))
            .route("10.9.0.0/16".parse().unwrap(), "eth1")
            .route("fd00:9::/32".parse().unwrap(), "eth1")
            .build();
        for (table, hook, condition, target) in &setup.rules {
            kernel.rule_in(*table, *hook, condition.clone(), *target);
        }
        let options =
            SocketOptions { receive_buffer: setup.receive_buffer, ..SocketOptions::default() };
        let programs = Family::ALL.map(|family| Some(Program::open(&kernel, family, options)));
        let ids = [Vec::new(), Vec::new()];
        let (transcript, ended) = (Vec::new(), BTreeSet::new());
        Self { kernel, options, programs, ids, pending: 0, transcript, ended }
    }

    fn apply(&mut self, operation: &Operation) {
        let kernel = self.kernel.clone();
        match *operation {
            Operation::Send(family, index, mark) => {
                kernel.send_marked(family, &packet(family, index), mark);
                self.pending += 1;
            }
            Operation::Receive(device, family, index) => {
                kernel.receive(device, family, &packet(family, index));
                self.pending += 1;
            }
            Operation::Step => self.step(),
            Operation::Run => (0..self.pending).for_each(|_| self.step()),
            Operation::Advance(ms) => {
                kernel.advance(Duration::from_millis(ms));
                self.pending = 0;
            }
            Operation::Hear(family) => self.hear(family),
            Operation::Verdict(family, index, value, replacement) => {
                let ids = &mut self.ids[family as usize];
                if ids.is_empty() || kernel.ip_queue_status(family).is_none() {
                    return;
                }
                let id = ids.swap_remove(index % ids.len());
                let data = replacement.map(|index| packet(family, index)).unwrap_or_default();
                let Some(program) = &mut self.programs[family as usize] else { return };
                program.verdict_claiming(id, Verdict(value), data.len() as u64, &data);
            }
            Operation::Guess(family, id, value) => self.with_program(family, |program| {
                program.verdict(id, Verdict(value));
            }),
            Operation::Mode(family, mode) => self.with_program(family, |program| {
                program.set_mode(mode);
            }),
            Operation::MaxLength(family, max_length) => {
                kernel.set_queue_max_length(family, max_length);
            }
            Operation::Device(name, true) => kernel.device_up(name),
            Operation::Device(name, false) => kernel.device_down(name),
            Operation::Module(family, true) => kernel.load_ip_queue(family),
            Operation::Module(family, false) => kernel.unload_ip_queue(family),
            Operation::Reopen(family, close_first) => {
                let old = self.programs[family as usize].take();
                let old = old.filter(|_| !close_first);
                let options = self.options;
                self.programs[family as usize] =
                    kernel.open_socket(family, options).ok().map(Program::on);
                drop(old);
            }
        }
    }

    fn step(&mut self) {
        // Fragments that wait for others are given up some time later, which is a step as well.
        let waits = self.pending == 0 && self.kernel.totals().incomplete > 0;
        let expected =
            if self.pending == 0 && !waits { Stepped::Ended } else { Stepped::Progressed };
        assert_eq!(self.kernel.step(), expected);
        self.pending = self.pending.saturating_sub(1);
    }

    fn hear(&mut self, family: Family) {
        let Some(program) = &mut self.programs[family as usize] else { return };
        for heard in program.hear_all() {
            if let Heard::Packet(packet) = &heard {
                self.ids[family as usize].push(packet.id);
            }
            self.transcript.push(Seen::Heard(family, heard));
        }
    }

    /// Lets a program say something, unless nobody would hear it.
    fn with_program(&mut self, family: Family, say: impl FnOnce(&mut Program)) {
        let is_loaded = self.kernel.ip_queue_status(family).is_some();
        if let Some(program) = self.programs[family as usize].as_mut().filter(|_| is_loaded) {
            say(program);
        }
    }

    /// What must always hold.
    fn check(&mut self) {
        let totals = self.kernel.totals();
        let ended = totals.delivered + totals.dropped + totals.fragmented + totals.reassembled;
        let known = ended + totals.incomplete + totals.queued + self.pending;
        assert_eq!(totals.entered, known, "{totals:?}, {} pending", self.pending);
        let status = Family::ALL.map(|family| self.kernel.ip_queue_status(family));
        let lengths = status.iter().flatten().map(|status| status.queue_length);
        assert_eq!(totals.queued, lengths.sum::<u64>());
        for status in status.iter().flatten().filter(|status| status.peer_port_id == 0) {
            assert_eq!((status.queue_length, status.copy_mode), (0, CopyMode::None));
        }
        for outcome in self.kernel.take_outcomes() {
            assert!(outcome.number <= totals.entered);
            assert!(self.ended.insert(outcome.number), "{outcome:?} ended twice");
            self.transcript.push(Seen::Ended(outcome));
        }
        let all = self.ended.len() as u64;
        assert_eq!(all, ended);
    }

    /// Everybody goes home: nothing is queued any more, and every packet has ended.
    fn end(mut self) -> Vec<Seen> {
        self.kernel.run();
        self.pending = 0;
        for family in Family::ALL {
            self.hear(family);
        }
        self.check();
        self.programs = [None, None];
        self.check();
        assert_eq!(self.kernel.totals().queued, 0);
        assert_eq!(self.ended.len() as u64, self.kernel.totals().entered);
        self.transcript
    }
}

fn run(setup: &Setup, operations: &[Operation]) -> Vec<Seen> {
    let mut run = Run::new(setup);
    for operation in operations {
        run.apply(operation);
        run.check();
    }
    run.end()
}

proptest! {
    #[test]
    fn every_packet_ends_once_and_the_same_run_says_the_same(
        setup in setup(),
        operations in vec(operation(), 1..120),
    ) {
        let transcript = run(&setup, &operations);
        prop_assert_eq!(run(&setup, &operations), transcript);
    }

    #[test]
    fn another_seed_gives_other_ids_and_changes_nothing_else(
        mut setup in setup(),
        operations in vec(operation(), 1..60),
    ) {
        // Guessed ids may be right under one seed only.
        let is_guess = |operation: &Operation| matches!(operation, Operation::Guess(..));
        let operations: Vec<_> = operations.into_iter().filter(|op| !is_guess(op)).collect();
        let first = run(&setup, &operations);
        setup.seed ^= 1;
        let second = run(&setup, &operations);
        prop_assert_eq!(first.len(), second.len());
        for (first, second) in first.into_iter().zip(second) {
            match (first, second) {
                (Seen::Heard(_, Heard::Packet(first)), Seen::Heard(_, Heard::Packet(second))) => {
                    prop_assert_ne!(first.id, second.id);
                    prop_assert_eq!((first.hook, first.payload), (second.hook, second.payload));
                }
                (Seen::Heard(_, Heard::Reply(first)), Seen::Heard(_, Heard::Reply(second))) => {
                    prop_assert_eq!(first.error, second.error);
                }
                (first, second) => prop_assert_eq!(first, second),
            }
        }
    }

    #[test]
    fn any_bytes_may_be_sent(
        model in select(&DataModel::ALL[..]),
        datagrams in vec(vec(any::<u8>(), 0..80), 1..20),
    ) {
        let options = SocketOptions::default();
        let mut world = World::of(Kernel::builder().data_model(model), Family::Ipv4, options);
        world.program.set_mode(CopyMode::Packet { range: 0 });
        world.send(b"v");
        for datagram in &datagrams {
            world.program.send(datagram);
        }
        world.program.hear_all();
        prop_assert_eq!(world.kernel.totals().entered, 1);
    }

    #[test]
    fn any_bytes_may_be_a_packet(
        family in family(),
        data in vec(any::<u8>(), 0..200),
        is_received in any::<bool>(),
    ) {
        let kernel = crate::common::router().build();
        kernel.rule(Hook::LocalOut, Match::any().source_port(1), Target::Drop);
        if is_received {
            kernel.receive("eth0", family, &data);
        } else {
            kernel.send(family, &data);
        }
        kernel.run();
        prop_assert_eq!(kernel.take_outcomes().len(), 1);
    }

    #[test]
    fn a_good_header_before_any_bytes_may_be_a_packet(
        family in family(),
        index in 0_usize..18,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut data = packet(family, index + 18 * 4);
        for (at, value) in changes {
            *at.get_mut(&mut data) = value;
        }
        crate::common::fix_header(&mut data);
        let kernel = crate::common::router().build();
        kernel.rule(Hook::PreRouting, Match::any().source_port(1), Target::Drop);
        kernel.receive("eth0", family, &data);
        kernel.run();
        prop_assert_eq!(kernel.take_outcomes().len(), 1);
    }
}
