//! The simulated kernel: what a packet takes, by front end and by how many wait.

use clap::ValueEnum;
use ipq_bench::simulated::{BURST, Front, Order};

use crate::repeat::Repeated;
use crate::spread::Spread;
use crate::table::{Table, none};
use crate::{Outcome, Places, machine};

/// How many packets wait, in the measurements of the depth.
const DEPTHS: [usize; 3] = [1, 1_000, 100_000];

/// How many packets a time is measured of, at least.
const TIMED: u64 = 200_000;

/// A way of going through packets, and what was measured.
struct Row {
    front: Front,
    depth: usize,
    order: Order,
    served: bool,
    program: Repeated,
    instructions: Option<f64>,
    /// In nanoseconds, one for each round.
    times: Vec<Option<f64>>,
}

/// Measures everything; gives the table.
pub(crate) fn measure(places: &Places, rounds: u32) -> Outcome<String> {
    let mut rows = Vec::new();
    for front in Front::ALL {
        rows.push(Row::new(places, front, BURST, Order::Arrival, false));
        rows.push(Row::new(places, front, BURST, Order::Arrival, true));
        for order in [Order::Arrival, Order::Reverse] {
            rows.extend(DEPTHS.map(|depth| Row::new(places, front, depth, order, false)));
        }
    }
    for round in 0..rounds as usize {
        eprintln!("simulator: round {}", round + 1);
        let count = rows.len();
        for at in 0..count {
            // Each round begins with another.
            if let Some(row) = rows.get_mut((at + round) % count) {
                let printed = row.program.time(TIMED);
                row.times.push(printed.ok().and_then(|printed| printed.nanoseconds));
            }
        }
    }
    for row in &mut rows {
        eprintln!("simulator: counting, {:?}, {} wait", row.front, row.depth);
        row.count();
    }
    let memory = Front::ALL.map(|front| memory(places, front));
    show(&rows, memory, rounds)
}

impl Row {
    fn new(places: &Places, front: Front, depth: usize, order: Order, served: bool) -> Self {
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let mut args = vec!["path".to_owned()];
        args.extend(served.then(|| "--served".to_owned()));
        args.extend([name(front.to_possible_value()), depth.to_string()]);
        args.push(name(order.to_possible_value()));
        let program = Repeated { program: places.rust.join("simulate"), args, input: Vec::new() };
        Self { front, depth, order, served, program, instructions: None, times: Vec::new() }
    }

    fn count(&mut self) {
        // Of a server's thread and its client's, how many there are depends on who waits for whom.
        if self.served {
            return;
        }
        let depth = self.depth as u64;
        let rounds = (2_000 / depth).max(1);
        let counted = self.program.instructions(depth, depth * (1 + rounds));
        self.instructions =
            counted.inspect_err(|error| eprintln!("skipped: instructions: {error}")).ok();
    }

    /// How many times another row's time this took, in the same round.
    fn ratio(&self, other: &Self) -> Option<Spread> {
        Spread::of_ratios(self.times.iter().copied(), other.times.iter().copied())
    }
}

/// What a packet that waits takes, in bytes.
fn memory(places: &Places, front: Front) -> Outcome<String> {
    let name = front.to_possible_value().map(|value| value.get_name().to_owned());
    let mut simulate = std::process::Command::new(places.rust.join("simulate"));
    let output = simulate.arg("memory").args(name).output().map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn show(rows: &[Row], memory: [Outcome<String>; 2], rounds: u32) -> Outcome<String> {
    let mut table = Table::new([
        "packets waiting, verdicts",
        "front end",
        "instructions/packet",
        "ns/packet",
        "1000 packets/s",
        "× 64 waiting, `sim:`",
    ]);
    for row in rows {
        let reference = rows.iter().find(|other| other.front == row.front);
        let spread = Spread::of(row.times.iter().copied().flatten());
        let rate = Spread::of(row.times.iter().copied().flatten().map(|time| 1e6 / time));
        let transport = if row.served { ", `unix:`" } else { "" };
        let order = match row.order {
            Order::Arrival => "in the order they came",
            Order::Reverse => "in reverse order",
        };
        table.push(vec![
            format!("{}, {order}{transport}", row.depth),
            row.front.name().to_owned(),
            row.instructions.map_or_else(none, |count| format!("{count:.0}")),
            spread.map_or_else(none, |spread| format!("{spread:.0}")),
            rate.map_or_else(none, |rate| format!("{rate:.0}")),
            reference
                .and_then(|other| row.ratio(other))
                .map_or_else(none, |ratio| format!("{ratio:.2}")),
        ]);
    }
    let [ip_queue, nfqueue] = memory;
    Ok(format!(
        "Machine: {}. {rounds} rounds of {TIMED} packets, median (least–greatest).\n\n{table}\n\
         A packet that waits, and whose message was read, takes {} bytes in a kernel with `ip_queue` and {} in one with \
         `nfnetlink_queue`, its own 64 bytes and the sender's bookkeeping included.\n",
        machine::describe(),
        ip_queue?,
        nfqueue?,
    ))
}
