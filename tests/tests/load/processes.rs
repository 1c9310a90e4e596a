//! The same flood against programs that are processes of their own: the command-line program, and one in C over the bridge.

use core::time::Duration;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ipq::{KernelStatus, NfqueueStatus, Snapshot, Statistics};
use ipq_tests::namespace::{Outcome, Skipped};
use ipq_tests::programs::{Build, cli, prefix, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::flood::{Short, check};
use crate::length::seconds;
use crate::memory::Memory;
use crate::real;
use crate::world::World;

/// How long to wait for what must come. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_passer_with_a_full_queue() {
    let name = concat!(module_path!(), "::the_passer_with_a_full_queue");
    cli();
    real::run(name, |world| flood(world, "passer", Short::Queue, |short| Ok(passer(short))));
}

#[test]
fn the_passer_with_a_full_receive_buffer() {
    let name = concat!(module_path!(), "::the_passer_with_a_full_receive_buffer");
    cli();
    real::run(name, |world| flood(world, "passer", Short::Buffer, |short| Ok(passer(short))));
}

#[test]
fn a_program_of_libipq_with_a_full_receive_buffer() {
    let name = concat!(module_path!(), "::a_program_of_libipq_with_a_full_receive_buffer");
    // What is built is built here, and not in a child that has another user.
    let _ = prefix();
    real::run(name, |world| flood(world, "libipq", Short::Buffer, libipq));
}

#[test]
fn a_program_of_libipq_that_ignores_it() {
    let name = concat!(module_path!(), "::a_program_of_libipq_that_ignores_it");
    let _ = prefix();
    real::run(name, |world| flood(world, "libipq", Short::BufferIgnored, libipq));
}

/// A program, and how it ends.
struct Process {
    child: Child,
    /// Reads what it prints, as it must not wait for a reader; the last line of it.
    said: JoinHandle<String>,
    /// Has it end, and reads in what it prints then how many packets it accepted and dropped, and how often it was told of
    /// an overrun.
    end: fn(&mut Child, JoinHandle<String>) -> Option<[u64; 3]>,
}

impl Process {
    fn start(
        command: &mut Command,
        end: fn(&mut Child, JoinHandle<String>) -> Option<[u64; 3]>,
    ) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = thread::spawn(move || lines.last().unwrap().unwrap());
        Self { child, said, end }
    }
}

fn passer(short: Short) -> Process {
    let mut command = Command::new(cli());
    // The last byte of the datagram behind eight of UDP's header, and the first, which is that of a marker.
    let filter = "udp[15] & 3 = 3 and udp[8] & 0x80 = 0";
    command.args(["passer", "--transport", "nfqueue:0", "--verdict", "drop", "--filter", filter]);
    command.args(["--json", "--quiet"]);
    let options = short.options();
    if let Some(length) = options.max_length {
        command.args(["--queue-maxlen", &length.to_string()]);
    }
    if let Some(bytes) = options.receive_buffer {
        command.args(["--rcvbuf", &bytes.to_string()]);
    }
    Process::start(command.stdin(Stdio::null()), end_passer)
}

fn end_passer(child: &mut Child, said: JoinHandle<String>) -> Option<[u64; 3]> {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let summary = rest(child, said);
    let number = |name: &str| {
        let (_, after) = summary.split_once(&format!("\"{name}\":"))?;
        after.split(|digit: char| !digit.is_ascii_digit()).next()?.parse().ok()
    };
    Some([number("accepted")?, number("dropped")?, u64::from(number("lost")? > 0)])
}

fn libipq(short: Short) -> Result<Process, Skipped> {
    let options = short.options();
    let mut command = Command::new(program("flood", Build::USUAL)?);
    let flags = if options.ignore_overruns { "2" } else { "0" };
    command.arg(options.receive_buffer.unwrap_or(0).to_string()).arg(flags);
    command.env("IPQ_TRANSPORT", "nfqueue:0").env("LD_LIBRARY_PATH", prefix()?.join("lib"));
    Ok(Process::start(command.stdin(Stdio::piped()), end_libipq))
}

fn end_libipq(child: &mut Child, said: JoinHandle<String>) -> Option<[u64; 3]> {
    drop(child.stdin.take());
    let said = rest(child, said);
    let mut words = said.split_whitespace().skip_while(|word| *word != "accepted");
    let mut number = || words.nth(1)?.parse().ok();
    Some([number()?, number()?, number()?])
}

/// The last line that a program prints; it ends, and well.
fn rest(child: &mut Child, said: JoinHandle<String>) -> String {
    let status = child.wait().unwrap();
    let said = said.join().unwrap();
    assert!(status.success(), "{status}: {said}");
    said
}

fn flood(
    world: &mut dyn World,
    name: &str,
    short: Short,
    start: fn(Short) -> Result<Process, Skipped>,
) -> Outcome {
    world.spread(1)?;
    let mut process = start(short)?;
    let Some(kernel) = until(|queue| queue.copy_mode == 2) else {
        let _ = process.child.kill();
        let problems = KernelStatus::read().problems;
        assert!(!problems.is_empty(), "{name} takes no queue: {:?}", process.child.wait());
        return Err(Skipped(format!("the account: {}", problems.join("; "))));
    };
    assert_eq!((kernel.queue_length, kernel.queue_dropped), (0, 0));
    world.begin(seconds(), Memory::of(process.child.id()), Vec::new());
    world.over();
    let queue = until(|queue| queue.queue_length == 0).unwrap();
    let ended = (process.end)(&mut process.child, process.said);
    let [accepted, dropped, overruns] = ended.unwrap_or_else(|| panic!("{name}: no numbers"));
    let packets = accepted + dropped;
    let lost = u64::from(queue.user_dropped);
    let statistics =
        Statistics { packets, accepted, dropped, overruns, lost, ..Statistics::default() };
    let mut snapshot = Snapshot::default();
    snapshot.statistics = statistics;
    snapshot.kernel.nfqueues.push(queue);
    check(world, name, short, &snapshot)
}

/// What the kernel says of queue 0 once that is so; `None` if it is not before some seconds are over.
fn until(is_so: impl Fn(&NfqueueStatus) -> bool) -> Option<NfqueueStatus> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let status = KernelStatus::read();
        if let Some(queue) =
            status.nfqueues.into_iter().find(|queue| queue.queue == 0 && is_so(queue))
        {
            return Some(queue);
        }
        if !status.problems.is_empty() {
            return None;
        }
        thread::yield_now();
    }
    None
}
