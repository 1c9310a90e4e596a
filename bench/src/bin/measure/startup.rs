//! From the start of a program to the first packet that it lets through, and the memory it then has.

use core::time::Duration;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use ipq_bench::UDP_PORT;
use ipq_bench::options::Options;
use rustix::time::{ClockId, clock_gettime};

use crate::cell::{Bench, MAXLEN};
use crate::namespace::QUEUE;
use crate::program::on_cpu;
use crate::receiver::Receiver;
use crate::spread::Spread;
use crate::table::{Table, none};
use crate::{Outcome, Places, machine};

/// How many packets a program lets through before its memory is looked at.
const PACKETS: &str = "2000";

/// The receive buffer in bytes: what the system gives unless it is asked.
const RCVBUF: u32 = 212_992;

/// A program, and what was measured of it.
struct Row {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    samples: Vec<Option<Sample>>,
}

/// What one start gave.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Until the first packet was through, in milliseconds.
    first_ms: f64,
    /// Its memory, shared pages counted for their part, and the most it had: in MiB.
    proportional: f64,
    peak: f64,
}

/// Measures all programs; gives the table.
pub(crate) fn measure(bench: &Bench, places: &Places, rounds: u32) -> String {
    let mut rows = rows(bench, places);
    for round in 0..rounds as usize {
        eprintln!("start-up: round {}", round + 1);
        let count = rows.len();
        for at in 0..count {
            // Each round begins with another.
            if let Some(row) = rows.get_mut((at + round) % count) {
                let sample = sample(bench, row);
                let sample = sample.inspect_err(|error| eprintln!("{}: failed: {error}", row.name));
                row.samples.push(sample.ok());
            }
        }
    }
    show(&rows, rounds)
}

fn rows(bench: &Bench, places: &Places) -> Vec<Row> {
    let options = Options { queue: QUEUE, maxlen: MAXLEN, rcvbuf: RCVBUF, gso: false };
    let passer = Row {
        name: "`ipq-cli passer`".into(),
        program: places.cli.clone(),
        args: ["passer", "--transport", "nfqueue:0", "--quiet"].map(str::to_owned).to_vec(),
        samples: Vec::new(),
    };
    let receivers =
        [Receiver::LibnetfilterQueue, Receiver::Bare, Receiver::Ours, Receiver::NfqCrate];
    let receivers = receivers.map(|receiver| Row {
        name: receiver.to_string(),
        program: bench.program(receiver),
        args: options.to_args().to_vec(),
        samples: Vec::new(),
    });
    [passer].into_iter().chain(receivers).filter(|row| row.program.exists()).collect()
}

/// A program that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sample(bench: &Bench, row: &Row) -> Outcome<Sample> {
    let port = UDP_PORT.to_string();
    let mut waiting = Command::new(bench.rust_program("pingpong"));
    waiting.args(["first", port.as_str()]).stdout(Stdio::piped());
    let waiting = on_cpu(bench.cpus[1], || waiting.spawn())?;
    let mut waiting = Killed(waiting.map_err(|error| format!("pingpong: {error}"))?);
    let mut lines = BufReader::new(waiting.0.stdout.take().ok_or("no stdout")?).lines();
    let mut line = || lines.next().and_then(Result::ok).ok_or("pingpong has ended");
    line()?;
    let start = monotonic();
    let mut program = Command::new(&row.program);
    program.args(&row.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let program = on_cpu(bench.cpus[0], || program.spawn())?;
    let program = Killed(program.map_err(|error| error.to_string())?);
    let first: u64 = line()?.parse().map_err(|_| "pingpong says no time")?;
    let first_ms = Duration::from_nanos(first).saturating_sub(start).as_secs_f64() * 1e3;
    drop(waiting);
    let mut more = Command::new(bench.rust_program("pingpong"));
    more.args([port.as_str(), PACKETS]).stdout(Stdio::null());
    let more = on_cpu(bench.cpus[1], || more.status())?;
    if !more.is_ok_and(|status| status.success()) {
        return Err("packets are lost".into());
    }
    let [proportional, peak] = memory(program.0.id())?;
    Ok(Sample { first_ms, proportional, peak })
}

fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// The memory of a process, shared pages counted for their part, and the most that it ever had, in MiB.
fn memory(pid: u32) -> Outcome<[f64; 2]> {
    let value = |file: &str, name: &str| -> Outcome<f64> {
        let path = format!("/proc/{pid}/{file}");
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(number.ok_or_else(|| format!("no {name} in {path}"))? / 1024.0)
    };
    Ok([value("smaps_rollup", "Pss:")?, value("status", "VmHWM:")?])
}

fn show(rows: &[Row], rounds: u32) -> String {
    let mut table = Table::new([
        "program",
        "first packet after, ms",
        "× libnetfilter_queue",
        "memory (PSS), MiB",
        "× libnetfilter_queue",
        "most resident, MiB",
    ]);
    let reference = Receiver::LibnetfilterQueue.to_string();
    let reference = rows.iter().find(|row| row.name == reference);
    for row in rows {
        let spread = |value: fn(&Sample) -> f64, decimals: usize| {
            let values = row.samples.iter().flatten().map(value);
            Spread::of(values).map_or_else(none, |spread| format!("{spread:.decimals$}"))
        };
        let ratio = |value: fn(&Sample) -> f64| {
            let of = |row: &Row| -> Vec<Option<f64>> {
                row.samples.iter().map(|sample| sample.as_ref().map(value)).collect()
            };
            let ratio = reference.and_then(|other| Spread::of_ratios(of(row), of(other)));
            ratio.map_or_else(none, |ratio| format!("{ratio:.2}"))
        };
        table.push(vec![
            row.name.clone(),
            spread(|sample| sample.first_ms, 1),
            ratio(|sample| sample.first_ms),
            spread(|sample| sample.proportional, 2),
            ratio(|sample| sample.proportional),
            spread(|sample| sample.peak, 2),
        ]);
    }
    format!(
        "Machine: {}. {rounds} rounds, median (least–greatest). Memory after {PACKETS} packets.\n\n{table}",
        machine::describe()
    )
}
