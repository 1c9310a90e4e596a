//! What a packet costs in the simulated kernel: the whole path of one, with a session at its other end, and how that
//! depends on how many wait.

use core::hint::black_box;
use core::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipq::{Batch, CopyMode, Event, Families, Options, PacketId, Queue, Verdict};
use ipq_proto::{Family, Hook};
use ipq_sim::{Kernel, Match, SocketOptions, Target};
use ipq_sys::Protocol;
use rustix::time::{ClockId, clock_gettime};

/// Packets that are under way together in the benchmark of the path.
const BURST: usize = 64;

/// How many wait in the benchmark of the depth.
const DEPTHS: [usize; 3] = [1, 1_000, 100_000];

/// The front ends.
#[derive(Clone, Copy, Debug)]
enum Front {
    IpQueue,
    Nfqueue,
}

/// A kernel that only counts what ends, and a session with a queue as long as need be.
fn open(front: Front) -> (Kernel, Queue) {
    let kernel = Kernel::builder().count_only().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    let options = SocketOptions { receive_buffer: usize::MAX / 2, ..SocketOptions::default() };
    let mut queue = match front {
        Front::IpQueue => {
            let socket = kernel.open_socket(Family::Ipv4, options).expect("the module is there");
            kernel.set_queue_max_length(Family::Ipv4, u32::MAX);
            Queue::with(socket)
        }
        Front::Nfqueue => {
            let socket = kernel.open_socket_for(Protocol::Netfilter, options);
            let options = Options { max_length: Some(u32::MAX), ..Options::from(Families::Both) };
            Queue::with_nfqueue(socket.expect("the module is there"), 0..=0, options)
        }
    }
    .expect("nobody else has the queue");
    queue.set_mode(CopyMode::Packet { range: 2048 }).expect("a mode of every kernel");
    (kernel, queue)
}

/// A UDP datagram over the loopback, of 64 bytes with its headers.
fn packet() -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(4000, 9);
    let mut packet = Vec::new();
    builder.write(&mut packet, &[b'x'; 64 - 28]).expect("a vector takes everything");
    packet
}

/// A program that accepts what comes, in batches.
struct Program {
    queue: Queue,
    batch: Batch,
    decisions: Vec<(PacketId, Verdict)>,
}

impl Program {
    fn new(queue: Queue) -> Self {
        let batch = Batch::new(BURST, queue.buffer_len());
        Self { queue, batch, decisions: Vec::new() }
    }

    /// Reads `count` packets.
    fn read(&mut self, count: usize) {
        while self.decisions.len() < count {
            let Self { queue, batch, decisions } = self;
            let read = queue.read_batch(batch, Some(Duration::ZERO), |event| match event {
                Ok(Event::Packet(packet)) => decisions.push((packet.id(), Verdict::Accept)),
                other => panic!("no packet but {other:?}"),
            });
            assert_ne!(read.expect("the kernel is there"), 0, "packets are missing");
        }
    }

    fn decide(&mut self) {
        self.queue.verdicts(&self.decisions).expect("the kernel is there");
        self.decisions.clear();
    }
}

/// The processor time that `work` takes. What else the machine does costs none of it.
fn processor_time(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).expect("time goes forwards");
        Duration::new(seconds, u32::try_from(time.tv_nsec).expect("less than a second"))
    };
    let start = now();
    work();
    now().saturating_sub(start)
}

/// Enter, queue, message, read, verdict, lo, deliver.
fn path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole path of a 64-byte packet");
    group.throughput(Throughput::Elements(BURST as u64));
    for front in [Front::IpQueue, Front::Nfqueue] {
        let (kernel, queue) = open(front);
        let (mut program, packet) = (Program::new(queue), packet());
        group.bench_function(format!("{front:?}"), |bencher| {
            bencher.iter_custom(|iterations| {
                processor_time(|| {
                    for _ in 0..iterations {
                        (0..BURST).for_each(|_| kernel.send(Family::Ipv4, black_box(&packet)));
                        program.read(BURST);
                        program.decide();
                    }
                })
            });
        });
        let totals = kernel.totals();
        assert_eq!(totals.entered, totals.delivered);
    }
    group.finish();
}

/// The same with many packets waiting: all are queued and read, then all are decided over.
fn depth(criterion: &mut Criterion) {
    for is_reversed in [false, true] {
        let order = if is_reversed { "reverse order" } else { "arrival order" };
        let mut group = criterion.benchmark_group(format!("packets waiting, verdicts in {order}"));
        group.sample_size(10);
        for (front, depth) in [Front::IpQueue, Front::Nfqueue]
            .into_iter()
            .flat_map(|front| DEPTHS.map(|n| (front, n)))
        {
            let (kernel, queue) = open(front);
            let (mut program, packet) = (Program::new(queue), packet());
            // As many packets for each depth, so that each round takes as long.
            let rounds = DEPTHS[2] / depth;
            group.throughput(Throughput::Elements((rounds * depth) as u64));
            group.bench_function(BenchmarkId::new(format!("{front:?}"), depth), |bencher| {
                bencher.iter_custom(|iterations| {
                    processor_time(|| {
                        for _ in 0..iterations * rounds as u64 {
                            (0..depth).for_each(|_| kernel.send(Family::Ipv4, black_box(&packet)));
                            program.read(depth);
                            if is_reversed {
                                program.decisions.reverse();
                            }
                            program.decide();
                        }
                    })
                });
            });
        }
        group.finish();
    }
}

/// How much memory this process has in use, in bytes.
fn resident() -> f64 {
    const PAGE: f64 = 4096.0;
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = text.split(' ').nth(1).expect("the second number").parse::<f64>();
    pages.expect("a number") * PAGE
}

/// What a packet that waits for its verdict takes, all that its kernel keeps of it included, when its message was read.
fn memory(_: &mut Criterion) {
    const WAITING: u32 = 500_000;
    for front in [Front::IpQueue, Front::Nfqueue] {
        let (kernel, mut queue) = open(front);
        let (packet, mut buffer) = (packet(), vec![0; queue.buffer_len()]);
        let before = resident();
        for _ in 0..WAITING {
            kernel.send(Family::Ipv4, &packet);
            let event = queue.read(&mut buffer, None).expect("the kernel is there");
            assert!(matches!(event, Some(Event::Packet(_))));
        }
        let each = (resident() - before) / f64::from(WAITING);
        println!("memory of a waiting 64-byte packet/{front:?}: {each:.0} bytes");
    }
}

criterion_group!(benches, memory, path, depth);
criterion_main!(benches);
