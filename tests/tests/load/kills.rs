//! Programs that are killed while packets flow, again and again: the queue is free as soon as they are gone, what waited in
//! it is dropped and nothing else, and the next program has it at once.

mod carried;
mod server;

use std::process::{Child, Command, Stdio};

use ipq::{CopyMode, Event, NfqueueStatus};
use ipq_tests::namespace;
use ipq_tests::programs::{Build, cli, prefix, program};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::account::MARKERS;
use crate::ground::{Ground, PATIENCE, RealGround, ServedGround, passer, until};
use crate::length::rounds;
use crate::report::report;

/// Where the moments come from at which programs are killed.
const SEED: u64 = 0x1b90;

/// How many packets a program lives for at most.
const LIFE: u32 = 3000;

#[test]
fn the_passer() {
    let name = concat!(module_path!(), "::the_passer");
    cli();
    namespace::run(name, || {
        let passer = || passer("nfqueue:0");
        kill_again_and_again(&mut RealGround::new(Box::new(passer))?, "passer");
        Ok(())
    });
}

#[test]
fn a_program_of_libipq() {
    let name = concat!(module_path!(), "::a_program_of_libipq");
    // What is built is built here, and not in a child that has another user.
    let _ = prefix();
    namespace::run(name, || {
        let (flood, library) = (program("flood", Build::USUAL)?, prefix()?.join("lib"));
        let start = move || {
            let mut command = Command::new(&flood);
            command.args(["0", "0"]).env("IPQ_TRANSPORT", "nfqueue:0");
            command.env("LD_LIBRARY_PATH", &library).stdin(Stdio::piped());
            command.stdout(Stdio::null()).spawn().unwrap()
        };
        kill_again_and_again(&mut RealGround::new(Box::new(start))?, "libipq");
        Ok(())
    });
}

#[test]
fn a_client_of_a_served_kernel() {
    let name = concat!(module_path!(), "::a_client_of_a_served_kernel");
    cli();
    namespace::run_alone(name, || {
        kill_again_and_again(&mut ServedGround::new(), "passer");
        Ok(())
    });
}

/// Kills programs, and accounts for the packets of each life.
fn kill_again_and_again(ground: &mut dyn Ground, name: &str) {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut waited = 0;
    let rounds = rounds(100, 10);
    for round in 0..rounds {
        let mut program = ground.start();
        until(|| ground.queue().is_some_and(|queue| queue.copy_mode == 2))
            .unwrap_or_else(|| panic!("{name}, round {round}: {:?} has no queue", program.wait()));
        let count = 1 + u64::from(random.next_u32() % LIFE);
        let before = ground.arrived();
        for _ in 0..count {
            ground.send(0);
        }
        let is_exact = round % 2 == 1;
        if is_exact {
            // It stands still in the middle of what it does, so that what it had can be counted.
            stop(&program);
            let counted = until(|| {
                let queue = ground.queue()?;
                (ground.arrived() - before + kept(&queue) == count).then_some(queue.queue_length)
            });
            let arrived = ground.arrived() - before;
            waited += counted.flatten().unwrap_or_else(|| {
                panic!(
                    "{name}, seed {SEED}, round {round}: {count} sent, {arrived} came, {:?}",
                    ground.queue()
                )
            });
        }
        let alive = ground.arrived();
        program.kill().unwrap();
        program.wait().unwrap();
        assert_eq!(ground.queue(), None, "{name}, round {round}: it has no owner any more");
        claim(ground, round);
        if is_exact {
            assert_eq!(
                ground.arrived(),
                alive + 1,
                "{name}, round {round}: what waited is dropped"
            );
        }
        assert!(
            ground.arrived() - before <= count + 1,
            "{name}, round {round}: no packet comes twice"
        );
    }
    report(&format!(
        "kills kernel={} program={name} lives={rounds} seed={SEED} dropped_while_waiting={waited}",
        ground.kernel()
    ));
}

/// How many of the packets of a queue went no further.
fn kept(queue: &NfqueueStatus) -> u64 {
    queue.queue_length + u64::from(queue.queue_dropped) + u64::from(queue.user_dropped)
}

/// Has a program stand still; returns when it does.
fn stop(program: &Child) {
    let pid = Pid::from_raw(program.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    let status = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(status, WaitStatus::Stopped(pid, Signal::SIGSTOP));
}

/// Takes the queue, which works the first time, and lets one packet pass, behind all that is still on its way.
fn claim(ground: &mut dyn Ground, round: u32) {
    let mut queue = ground.claim().unwrap_or_else(|error| panic!("round {round}: {error}"));
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    let marker = MARKERS + u64::from(round);
    ground.send(marker);
    let mut buffer = vec![0; queue.buffer_len()];
    match queue.read(&mut buffer, Some(PATIENCE)).unwrap() {
        Some(Event::Packet(packet)) => queue.verdict(packet.id(), ipq::Verdict::Accept).unwrap(),
        other => panic!("round {round}: no packet but {other:?}"),
    }
    until(|| ground.has_arrived(marker))
        .unwrap_or_else(|| panic!("round {round}: the queue is dead"));
}
