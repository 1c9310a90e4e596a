//! A program of `ip_queue` over the bridge, and the program that carries it: either is killed, and neither hangs.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use ipq_tests::namespace::{self, Outcome, Skipped};
use ipq_tests::programs::{Build, cli, prefix, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{SEED, claim};
use crate::ground::{Ground, PATIENCE, RealGround, until};
use crate::length::rounds;
use crate::report::report;

#[test]
fn whoever_carries_a_program_is_killed() {
    let name = concat!(module_path!(), "::whoever_carries_a_program_is_killed");
    run(name, "ipq-cli run", |carrier, _| carrier.kill().unwrap());
}

#[test]
fn a_program_that_is_carried_is_killed() {
    let name = concat!(module_path!(), "::a_program_that_is_carried_is_killed");
    run(name, "its program", |_, program| kill(program, Signal::SIGKILL).unwrap());
}

fn run(path: &str, name: &str, murder: fn(&mut Child, Pid)) {
    cli();
    // What is built is built here, and not in a child that has another user.
    let _ = prefix();
    namespace::run(path, || kill_again_and_again(name, murder));
}

/// How a program is started that `ipq-cli run` carries.
fn command() -> Result<(PathBuf, PathBuf), Skipped> {
    Ok((program("flood", Build::USUAL)?, prefix()?.join("lib")))
}

fn kill_again_and_again(name: &str, murder: fn(&mut Child, Pid)) -> Outcome {
    let (flood, library) = command()?;
    let start = move || {
        let mut command = Command::new(cli());
        command.args(["run", "--transport", "nfqueue:0", "--"]).arg(&flood).args(["0", "0"]);
        command.env("IPQ_TRANSPORT", "ip_queue").env("LD_LIBRARY_PATH", &library);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut ground = RealGround::new(Box::new(start))?;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let lives = rounds(100, 5);
    for round in 0..lives {
        let mut carrier = ground.start();
        let has_queue = until(|| ground.queue().is_some_and(|queue| queue.copy_mode == 2));
        has_queue.unwrap_or_else(|| panic!("round {round}: no queue: {:?}", carrier.wait()));
        let program = child_of(&carrier);
        for _ in 0..random.next_u32() % 1000 {
            ground.send(0);
        }
        murder(&mut carrier, program);
        let ended = carrier.wait().unwrap();
        assert_eq!(ended.signal(), Some(9), "seed {SEED}, round {round}: {ended:?}");
        assert_eq!(ground.queue(), None, "seed {SEED}, round {round}: it has no owner any more");
        all_end(&mut carrier, round);
        claim(&mut ground, round);
    }
    report(&format!("carried_kills killed={} lives={lives} seed={SEED}", name.replace(' ', "_")));
    Ok(())
}

/// The program that another one runs.
fn child_of(parent: &Child) -> Pid {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    let children = std::fs::read_to_string(path).unwrap();
    Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap())
}

/// Waits until nobody has the output of a program any more: neither it nor what it ran.
fn all_end(carrier: &mut Child, round: u32) {
    let mut stdout = carrier.stdout.take().unwrap();
    let (ended, end) = channel();
    thread::spawn(move || {
        let mut said = String::new();
        let _ = ended.send(stdout.read_to_string(&mut said).map(|_| said));
    });
    let said = end.recv_timeout(PATIENCE);
    let said = said.unwrap_or_else(|_| panic!("round {round}: the program does not end"));
    // It may have been killed before it said anything.
    let said = said.unwrap();
    assert!(said.is_empty() || said.starts_with("ready\n"), "round {round}: {said:?}");
}
