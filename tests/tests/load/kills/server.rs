//! A server that is killed under its clients: they say what has happened, and end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use ipq_tests::namespace;
use ipq_tests::programs::cli;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::SEED;
use crate::length::rounds;
use crate::report::report;

/// Packets for as long as anybody looks.
const TRAFFIC: &str = r#"
application = { queue = "nfqueue:0" }
rule = [{ hook = "LOCAL_OUT", target = { nfqueue = 0 } }]

[[traffic]]
kind = "ping"
from = "here"
to = "here"
count = 1000000
interval = "10us"
"#;

#[test]
fn clients_are_told_that_it_is_gone() {
    let name = concat!(module_path!(), "::clients_are_told_that_it_is_gone");
    cli();
    namespace::run_alone(name, || {
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let lives = rounds(100, 5);
        for round in 0..lives {
            live_and_die(round, random.next_u32() % 2000);
        }
        report(&format!("server_kills lives={lives} seed={SEED}"));
        Ok(())
    });
}

/// Serves a kernel, has a client read so many packets, and kills the server.
fn live_and_die(round: u32, packets: u32) {
    let directory = tempfile::tempdir().unwrap();
    let (scenario, socket) =
        (directory.path().join("traffic.toml"), directory.path().join("kernel"));
    fs::write(&scenario, TRAFFIC).unwrap();
    let mut server = Command::new(cli());
    server.args(["sim", "serve", "--listen"]).arg(&socket).arg("--scenario").arg(&scenario);
    let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
    let listening = BufReader::new(server.stdout.as_mut().unwrap()).lines().next();
    assert!(listening.is_some(), "round {round}: it does not listen");

    let mut client = Command::new(cli());
    client.args(["passer", "--transport", &format!("unix:{}", socket.display())]);
    let mut client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    for number in 0..=packets {
        assert!(
            lines.next().is_some(),
            "seed {SEED}, round {round}: it ends after {number} packets"
        );
    }
    server.kill().unwrap();
    assert_eq!(server.wait().unwrap().signal(), Some(9));
    // What it prints until its end, which comes by itself.
    let _ = lines.count();
    let output = client.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    let gone = format!("the simulated kernel at {} is gone", socket.display());
    assert!(message.contains(&gone), "seed {SEED}, round {round}: {message}");
    assert_eq!(output.status.code(), Some(1), "round {round}: {message}");
}
