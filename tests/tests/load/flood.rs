//! More packets than a program can take, for as long as one likes: it stays up and does not grow, and each of them is
//! accounted for.

use core::fmt;
use std::process;
use std::thread;

use ipq::{
    AsyncQueue, CopyMode, DefaultVerdict, Options, Packet, Queue, QueuedPacket, SharedQueue,
    Snapshot, Verdict, Workers,
};
use ipq_tests::namespace::{Outcome, Skipped};
use tokio::runtime::Builder;

use crate::account::{Account, number, verdict};
use crate::length::seconds;
use crate::memory::Memory;
use crate::report::report;
use crate::world::World;

on_every_kernel! {
    a_loop_with_a_full_queue,
    a_loop_with_a_full_queue_that_fails_open,
    a_loop_with_a_full_receive_buffer,
    a_loop_that_ignores_a_full_receive_buffer,
    two_threads_that_share_a_queue,
    a_worker_for_each_of_two_queues,
    a_task,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Short {
    /// Places in the queue.
    Queue,
    /// The same, and packets pass that find none.
    QueueFailOpen,
    /// Room in the receive buffer.
    Buffer,
    /// The same, and nobody wants to hear of it.
    BufferIgnored,
}

impl Short {
    pub(crate) fn options(self) -> Options {
        let queue = Options { max_length: Some(64), ..Options::default() };
        let buffer = Options { receive_buffer: Some(8 << 10), ..Options::default() };
        match self {
            Self::Queue => queue,
            Self::QueueFailOpen => Options { fail_open: true, ..queue },
            Self::Buffer => buffer,
            Self::BufferIgnored => Options { ignore_overruns: true, ..buffer },
        }
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "places",
            Self::QueueFailOpen => "places,_fails_open",
            Self::Buffer => "buffer",
            Self::BufferIgnored => "buffer,_ignored",
        })
    }
}

/// A program: has its queues, begins, decides until it is ended, and says what it has seen.
type Program = fn(&mut dyn World, Options) -> Snapshot;

/// How many bytes a program may grow by once it is warm. What is kept of each packet, if only a word, would be more.
const GROWTH: u64 = 1 << 20;

fn a_loop_with_a_full_queue(world: &mut dyn World) -> Outcome {
    flood(world, "run", Short::Queue, 1, run)
}

fn a_loop_with_a_full_queue_that_fails_open(world: &mut dyn World) -> Outcome {
    flood(world, "run", Short::QueueFailOpen, 1, run)
}

fn a_loop_with_a_full_receive_buffer(world: &mut dyn World) -> Outcome {
    flood(world, "run", Short::Buffer, 1, run)
}

fn a_loop_that_ignores_a_full_receive_buffer(world: &mut dyn World) -> Outcome {
    flood(world, "run", Short::BufferIgnored, 1, run)
}

fn two_threads_that_share_a_queue(world: &mut dyn World) -> Outcome {
    flood(world, "shared", Short::Buffer, 1, share)
}

fn a_worker_for_each_of_two_queues(world: &mut dyn World) -> Outcome {
    flood(world, "workers", Short::Queue, 2, employ)
}

fn a_task(world: &mut dyn World) -> Outcome {
    flood(world, "async", Short::Buffer, 1, await_packets)
}

/// Opens a queue for whole packets.
fn open(world: &dyn World, number: u16, options: Options) -> Queue {
    let mut queue = world.open(number, options);
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    queue
}

fn begin(world: &mut dyn World, programs: Vec<ipq::Stopper>) {
    world.begin(seconds(), Memory::of(process::id()), programs);
}

/// Takes its time over a packet.
fn decide(world: &dyn World, packet: &Packet<'_>) -> Verdict {
    world.work();
    verdict(number(packet.payload()))
}

fn run(world: &mut dyn World, options: Options) -> Snapshot {
    let mut queue = open(world, 0, options);
    begin(world, vec![queue.stopper().unwrap()]);
    queue.run(|packet| decide(world, &packet)).unwrap();
    queue.snapshot()
}

/// Some packets are let go, and get the default.
fn settle(world: &dyn World, packet: QueuedPacket) {
    match decide(world, &packet.packet()) {
        Verdict::Drop if number(packet.packet().payload()).is_multiple_of(7) => drop(packet),
        verdict => packet.settle(verdict).unwrap(),
    }
}

fn share(world: &mut dyn World, options: Options) -> Snapshot {
    let queue = SharedQueue::new(open(world, 0, options), DefaultVerdict::Drop).unwrap();
    begin(world, vec![queue.stopper()]);
    let world = &*world;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| queue.run(|packet| settle(world, packet)).unwrap());
        }
    });
    queue.snapshot()
}

fn employ(world: &mut dyn World, options: Options) -> Snapshot {
    let queues = (0..2).map(|number| open(world, number, options)).collect();
    let workers = Workers::new(queues, DefaultVerdict::Drop).unwrap();
    begin(world, workers.stoppers());
    let world = &*world;
    workers.decide(|packet| decide(world, packet)).unwrap();
    workers.snapshot()
}

fn await_packets(world: &mut dyn World, options: Options) -> Snapshot {
    let queue = SharedQueue::new(open(world, 0, options), DefaultVerdict::Drop).unwrap();
    begin(world, vec![queue.stopper()]);
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut packets = AsyncQueue::new(queue.clone()).unwrap();
        while let Some(packet) = packets.next().await {
            settle(world, packet.unwrap());
        }
    });
    queue.snapshot()
}

fn flood(
    world: &mut dyn World,
    name: &str,
    short: Short,
    queues: u16,
    program: Program,
) -> Outcome {
    world.spread(queues)?;
    let snapshot = program(world, short.options());
    check(world, name, short, &snapshot)
}

/// Checks the account of a flood that a program has been through.
pub(crate) fn check(
    world: &mut dyn World,
    name: &str,
    short: Short,
    snapshot: &Snapshot,
) -> Outcome {
    let mut account = Account::of(snapshot);
    let flood = world.end(account.kept());
    account.sent = flood.sent;
    account.delivered = flood.arrivals.delivered;
    account.lost_behind = flood.lost_behind;
    let (growth, peak) = (flood.memory.growth(), flood.memory.peak());
    let statistics = snapshot.statistics;
    let line = format!(
        "flood kernel={} program={name} short_of={short} {account} sender_errors={} overruns={} growth={growth} peak={peak}",
        world.kernel(),
        flood.refused,
        statistics.overruns
    );
    report(&line);

    assert_eq!(
        (flood.arrivals.twice, statistics.refused, statistics.malformed),
        (0, 0, 0),
        "{line}"
    );
    assert_eq!(statistics.accepted + statistics.dropped, statistics.packets, "{line}");
    assert!(growth <= GROWTH, "{line}");
    if snapshot.kernel.nfqueues.is_empty() {
        return Err(Skipped(format!("the account: {}", snapshot.kernel.problems.join("; "))));
    }
    assert_eq!(account.sum(), account.sent, "{line}");
    let passed = account.delivered + account.lost_behind - statistics.accepted;
    match short {
        Short::Queue => assert!(account.by_full_queue > 0, "{line}"),
        Short::QueueFailOpen => assert!(passed > 0 && account.by_full_queue == 0, "{line}"),
        Short::Buffer => assert!(account.by_full_buffer > 0 && statistics.overruns > 0, "{line}"),
        Short::BufferIgnored => {
            assert!(account.by_full_buffer > 0 && statistics.overruns == 0, "{line}");
        }
    }
    if short != Short::QueueFailOpen {
        assert_eq!((passed, flood.arrivals.unwanted), (0, 0), "{line}");
        assert_eq!(statistics.lost, account.by_full_buffer, "{line}");
    }
    Ok(())
}
