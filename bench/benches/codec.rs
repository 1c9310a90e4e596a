//! What it costs to read and to write a message, by `ipq-proto` and its peers in Rust.

use clap::ValueEnum;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ipq_bench::codec::{Direction, Implementation, Message};

fn messages(criterion: &mut Criterion) {
    for direction in [Direction::Decode, Direction::Encode] {
        for &message in Message::value_variants() {
            let mut group = criterion.benchmark_group(format!("{direction:?} {message:?}"));
            for &implementation in Implementation::value_variants() {
                if implementation.run(direction, message, 0).is_none() {
                    continue;
                }
                let id = BenchmarkId::from_parameter(format!("{implementation:?}"));
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|times| {
                        let measured = implementation.run(direction, message, times);
                        measured.expect("it has the message").time
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, messages);
criterion_main!(benches);
