//! Signals during every call: each thread gets thousands a second, for which a handler is there that restarts nothing.
//! Reads may say that they were interrupted. Nothing else may fail, and no packet may be lost.

use core::time::Duration;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use ipq::{
    AsyncQueue, Batch, CopyMode, DefaultVerdict, Event, PacketId, Queue, SharedQueue, Verdict,
};
use ipq_tests::namespace::{self, Outcome};
use ipq_tests::programs::{Build, cli, prefix, preloaded, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::Builder;

use crate::ground::{Ground, PATIENCE, RealGround, ServedGround, until};
use crate::length::rounds;
use crate::report::report;

/// How many packets there are at once.
const BURST: usize = 20;

/// What sends the signals.
const BOMBARD: &str = "bombard";

#[test]
fn every_call_on_the_real_kernel() {
    let name = concat!(module_path!(), "::every_call_on_the_real_kernel");
    namespace::run_with_library(
        name,
        || preloaded(BOMBARD),
        true,
        || {
            let start = || panic!("no program is wanted");
            every_call(&mut RealGround::new(Box::new(start))?);
            Ok(())
        },
    );
}

#[test]
fn every_call_on_a_served_kernel() {
    let name = concat!(module_path!(), "::every_call_on_a_served_kernel");
    namespace::run_with_library(
        name,
        || preloaded(BOMBARD),
        false,
        || {
            every_call(&mut ServedGround::new());
            Ok(())
        },
    );
}

#[test]
fn the_passer() {
    let name = concat!(module_path!(), "::the_passer");
    cli();
    namespace::run(name, || pass(preloaded(BOMBARD)?));
}

#[test]
fn a_program_that_is_carried() {
    let name = concat!(module_path!(), "::a_program_that_is_carried");
    cli();
    // What is built is built here, and not in a child that has another user.
    let _ = prefix();
    namespace::run(name, || carry(rounds(20_000, 1000)));
}

/// How often each way to read was interrupted.
#[derive(Debug, Default)]
struct Interrupted {
    read: u32,
    read_batch: u32,
}

fn every_call(ground: &mut dyn Ground) {
    let mut interrupted = Interrupted::default();
    let rounds = rounds(300, 20);
    for _ in 0..rounds {
        let before = ground.arrived();
        let mut queue = ground.claim().unwrap();
        for mode in
            [CopyMode::Metadata, CopyMode::Packet { range: 40 }, CopyMode::Packet { range: 0 }]
        {
            queue.set_mode(mode).unwrap();
        }
        one_by_one(ground, &mut queue, &mut interrupted);
        in_batches(ground, &mut queue, &mut interrupted);
        nothing_comes(&mut queue, &mut interrupted);
        run(ground, &mut queue);
        drop(queue);
        shared(ground);
        asynchronous(ground);
        let arrived = || ground.arrived() - before == 5 * BURST as u64;
        until(arrived)
            .unwrap_or_else(|| panic!("{} of {} came", ground.arrived() - before, 5 * BURST));
    }
    assert!(interrupted.read > 0, "no signal came while it waited");
    report(&format!(
        "signals kernel={} rounds={rounds} packets={} interrupted_reads={}",
        ground.kernel(),
        rounds as usize * 5 * BURST,
        interrupted.read + interrupted.read_batch
    ));
}

fn send(ground: &mut dyn Ground) {
    (0..BURST).for_each(|_| ground.send(0));
    ground.arrived();
}

/// Each packet by a read, with every kind of time-out, and a verdict of its own.
fn one_by_one(ground: &mut dyn Ground, queue: &mut Queue, interrupted: &mut Interrupted) {
    send(ground);
    let timeouts = [None, Some(Duration::ZERO), Some(Duration::from_millis(1)), Some(PATIENCE)];
    let mut timeouts = timeouts.into_iter().cycle();
    let mut buffer = vec![0; queue.buffer_len()];
    let mut packets = 0;
    while packets < BURST {
        match queue.read(&mut buffer, timeouts.next().unwrap()).unwrap() {
            Some(Event::Packet(packet)) => {
                packets += 1;
                queue.verdict(packet.id(), Verdict::Accept).unwrap();
            }
            Some(Event::Interrupted) => interrupted.read += 1,
            None => (),
            Some(other) => panic!("{other:?}"),
        }
        let _ = queue.snapshot();
    }
}

fn in_batches(ground: &mut dyn Ground, queue: &mut Queue, interrupted: &mut Interrupted) {
    send(ground);
    let mut batch = Batch::new(8, queue.buffer_len());
    let mut decisions: Vec<(PacketId, Verdict)> = Vec::new();
    let mut packets = 0;
    while packets < BURST {
        let read = queue.read_batch(&mut batch, Some(PATIENCE), |event| match event {
            Ok(Event::Packet(packet)) => decisions.push((packet.id(), Verdict::Accept)),
            Ok(Event::Interrupted) => interrupted.read_batch += 1,
            other => panic!("{other:?}"),
        });
        read.unwrap();
        queue.verdicts(&decisions).unwrap();
        packets += decisions.len();
        decisions.clear();
    }
}

/// A time-out passes although signals come, and not before its time.
fn nothing_comes(queue: &mut Queue, interrupted: &mut Interrupted) {
    const TIME: Duration = Duration::from_millis(5);
    let mut buffer = vec![0; queue.buffer_len()];
    let (start, real) = (queue.clock(), Instant::now());
    while let Some(left) = (start + TIME).checked_sub(queue.clock()).filter(|left| !left.is_zero())
    {
        match queue.read(&mut buffer, Some(left)).unwrap() {
            None => assert!(queue.clock() >= start + TIME, "it is over too early"),
            Some(Event::Interrupted) => interrupted.read += 1,
            Some(other) => panic!("{other:?}"),
        }
        assert!(real.elapsed() < PATIENCE, "signals keep it from being over");
    }
}

/// The loop goes on at signals, and ends by its stopper.
fn run(ground: &mut dyn Ground, queue: &mut Queue) {
    send(ground);
    let stopper = queue.stopper().unwrap();
    let mut packets = 0;
    let decided = queue.run(|_| {
        packets += 1;
        if packets == BURST {
            stopper.stop();
        }
        Verdict::Accept
    });
    decided.unwrap();
    assert_eq!(packets, BURST);
    assert_eq!(queue.statistics().refused, 0);
}

fn shared(ground: &mut dyn Ground) {
    let mut queue = ground.claim().unwrap();
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    let queue = SharedQueue::new(queue, DefaultVerdict::Accept).unwrap();
    assert!(queue.next(Some(Duration::from_millis(1))).unwrap().is_none());
    send(ground);
    for _ in 0..BURST / 2 {
        queue.next(None).unwrap().unwrap().accept().unwrap();
    }
    // The others get the default.
    assert_eq!(queue.close().unwrap().statistics.defaulted, BURST as u64 / 2);
}

fn asynchronous(ground: &mut dyn Ground) {
    let mut queue = ground.claim().unwrap();
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    let queue = SharedQueue::new(queue, DefaultVerdict::Drop).unwrap();
    send(ground);
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut packets = AsyncQueue::new(queue.clone()).unwrap();
        for _ in 0..BURST {
            packets.next().await.unwrap().unwrap().accept().unwrap();
        }
    });
    queue.close().unwrap();
}

/// The command-line program under the same signals.
fn pass(library: PathBuf) -> Outcome {
    let start = move || {
        let mut command = Command::new(cli());
        command.args(["passer", "--quiet", "--transport", "nfqueue:0"]).env("LD_PRELOAD", &library);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    };
    let mut ground = RealGround::new(Box::new(start))?;
    let mut program = ground.start();
    until(|| ground.queue().is_some_and(|queue| queue.copy_mode == 2)).unwrap();
    let packets = u64::from(rounds(100_000, 5000));
    send_all(&mut ground, packets);
    kill(Pid::from_raw(program.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(program.wait().unwrap().success());
    report(&format!("signals_passer packets={packets}"));
    Ok(())
}

/// A program of libipq over `ip_queue`, which the preloaded library carries, under signals of its own.
fn carry(packets: u32) -> Outcome {
    let (program, library) = (program("bombarded", Build::USUAL)?, prefix()?.join("lib"));
    let start = move || {
        let mut command = Command::new(cli());
        command.args(["run", "--transport", "nfqueue:0", "--"]).arg(&program);
        command.arg(packets.to_string());
        command.env("IPQ_TRANSPORT", "ip_queue").env("LD_LIBRARY_PATH", &library);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut ground = RealGround::new(Box::new(start))?;
    let mut running = ground.start();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    send_all(&mut ground, packets.into());
    assert_eq!(lines.next().unwrap().unwrap(), format!("accepted {packets} packets"));
    assert!(running.wait().unwrap().success());
    report(&format!("signals_carried packets={packets}"));
    Ok(())
}

/// Sends packets, no more at once than have their place, until all have arrived.
fn send_all(ground: &mut dyn Ground, packets: u64) {
    for number in 1..=packets {
        ground.send(0);
        until(|| ground.arrived() + 100 > number).unwrap_or_else(|| panic!("{number} sent"));
    }
    until(|| ground.arrived() == packets).unwrap_or_else(|| panic!("{} came", ground.arrived()));
}
