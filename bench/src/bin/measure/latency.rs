//! What a queue adds to the time that a packet takes, when there is one packet at a time.

use std::process::Command;

use ipq_bench::UDP_PORT;

use crate::cell::Bench;
use crate::program::on_cpu;
use crate::receiver::Receiver;
use crate::spread::Spread;
use crate::table::{Table, none};
use crate::{Outcome, machine};

/// How many packets go in each round.
const PACKETS: &str = "10000";

/// A port whose packets are not queued.
const FREE_PORT: u16 = UDP_PORT - 100;

/// Who is measured; nobody first.
const RECEIVERS: [Option<Receiver>; 6] = [
    None,
    Some(Receiver::Ours),
    Some(Receiver::OursOneByOne),
    Some(Receiver::LibnetfilterQueue),
    Some(Receiver::NfqCrate),
    Some(Receiver::Bare),
];

/// A receiver, and the median and 99th percentile of each round in microseconds.
struct Row {
    receiver: Option<Receiver>,
    samples: Vec<Option<[f64; 2]>>,
}

/// Measures all receivers; gives the table.
pub(crate) fn measure(bench: &Bench, rounds: u32) -> Outcome<String> {
    bench.namespace.set_mtu(65536)?;
    let there = RECEIVERS
        .into_iter()
        .filter(|receiver| receiver.is_none_or(|receiver| bench.program(receiver).exists()));
    let mut rows: Vec<_> = there.map(|receiver| Row { receiver, samples: Vec::new() }).collect();
    for round in 0..rounds as usize {
        eprintln!("latency: round {}", round + 1);
        let count = rows.len();
        for at in 0..count {
            // Each round begins with another.
            if let Some(row) = rows.get_mut((at + round) % count) {
                let sample = sample(bench, row.receiver);
                let sample = sample.inspect_err(|error| eprintln!("latency: failed: {error}"));
                row.samples.push(sample.ok());
            }
        }
    }
    Ok(show(bench, &rows, rounds))
}

fn sample(bench: &Bench, receiver: Option<Receiver>) -> Outcome<[f64; 2]> {
    // Kept until the packets are through.
    let started = receiver.map(|receiver| bench.start(receiver, false)).transpose()?;
    let port = if started.is_some() { UDP_PORT } else { FREE_PORT };
    let mut pingpong = Command::new(bench.rust_program("pingpong"));
    pingpong.args([port.to_string().as_str(), PACKETS]);
    let output = on_cpu(bench.cpus[1], || pingpong.output())?;
    let output = output.map_err(|error| format!("pingpong: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut numbers = said.split_whitespace().map_while(|word| word.parse::<f64>().ok());
    let [Some(median), Some(most)] = [numbers.next(), numbers.next()] else {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    };
    Ok([median / 1000.0, most / 1000.0])
}

fn show(bench: &Bench, rows: &[Row], rounds: u32) -> String {
    let of = |receiver: Option<Receiver>| rows.iter().find(|row| row.receiver == receiver);
    // What a row has more than the one without a queue, in each round.
    let added = |row: &Row| -> Vec<Option<[f64; 2]>> {
        let without = of(None).map(|row| row.samples.as_slice()).unwrap_or_default();
        let rounds = row.samples.iter().zip(without);
        rounds.map(|(with, without)| Some(difference((*with)?, (*without)?))).collect()
    };
    let reference = of(Some(Receiver::LibnetfilterQueue)).map(added);
    let mut table = Table::new([
        "receiver",
        "median, µs",
        "99th percentile, µs",
        "added, median, µs",
        "added, 99th, µs",
        "added median × libnetfilter_queue",
    ]);
    for row in rows {
        let spread = |samples: &[Option<[f64; 2]>], at: usize| {
            let values = samples.iter().flatten().filter_map(|sample| sample.get(at).copied());
            Spread::of(values).map_or_else(none, |spread| format!("{spread:.1}"))
        };
        let added = if row.receiver.is_some() { added(row) } else { Vec::new() };
        let medians = |samples: &[Option<[f64; 2]>]| -> Vec<Option<f64>> {
            samples.iter().map(|sample| sample.map(|[median, _]| median)).collect()
        };
        let reference = medians(reference.as_deref().unwrap_or_default());
        let ratio = Spread::of_ratios(medians(&added), reference);
        let ratio = ratio.map_or_else(none, |ratio| format!("{ratio:.2}"));
        table.push(vec![
            row.receiver.map_or_else(|| "no queue".to_owned(), |receiver| receiver.to_string()),
            spread(&row.samples, 0),
            spread(&row.samples, 1),
            spread(&added, 0),
            spread(&added, 1),
            ratio,
        ]);
    }
    let [receiver, sender] = bench.cpus;
    format!(
        "Machine: {}. Receiver on CPU {receiver}, sender on CPU {sender}. {rounds} rounds of {PACKETS} packets, median \
         (least–greatest) of the rounds.\n\n{table}",
        machine::describe()
    )
}

fn difference(with: [f64; 2], without: [f64; 2]) -> [f64; 2] {
    let ([median, most], [median_without, most_without]) = (with, without);
    [median - median_without, most - most_without]
}
