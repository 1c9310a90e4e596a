//! What a packet costs in the simulated kernel: the whole path of one, with a session at its other end, and how that
//! depends on how many wait.

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipq_bench::clock::processor_time;
use ipq_bench::simulated::{BURST, Front, Order, Program, open, packet};

/// How many wait in the benchmark of the depth.
const DEPTHS: [usize; 3] = [1, 1_000, 100_000];

/// Enter, queue, message, read, verdict, lo, deliver.
fn path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole path of a 64-byte packet");
    group.throughput(Throughput::Elements(BURST as u64));
    for front in Front::ALL {
        let (kernel, queue) = open(front);
        let (mut program, packet) = (Program::new(queue), packet());
        group.bench_function(format!("{front:?}"), |bencher| {
            bencher.iter_custom(|iterations| {
                processor_time(|| {
                    for _ in 0..iterations {
                        program.round(&kernel, black_box(&packet), BURST, Order::Arrival);
                    }
                })
            });
        });
        let totals = kernel.totals();
        assert_eq!(totals.entered, totals.delivered);
    }
    group.finish();
}

/// The same with many packets waiting: all are queued and read, then all are decided on.
fn depth(criterion: &mut Criterion) {
    for order in [Order::Arrival, Order::Reverse] {
        let mut group =
            criterion.benchmark_group(format!("packets waiting, verdicts in {order:?} order"));
        group.sample_size(10);
        for (front, depth) in
            Front::ALL.into_iter().flat_map(|front| DEPTHS.map(|depth| (front, depth)))
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
                            program.round(&kernel, black_box(&packet), depth, order);
                        }
                    })
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, path, depth);
criterion_main!(benches);
