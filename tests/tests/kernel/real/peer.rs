//! Another program with a queue: this one again, as another process of the same network.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use ipq::{CopyMode, Event, Families, Queue, TransportName};

/// Says which queue the other program claims.
const QUEUE: &str = "IPQ_KERNEL_TEST_PEER_QUEUE";

/// What it says when it has read so many packets.
const HAS_READ: &str = "peer has read ";

/// It, seen from outside.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it, and waits until it has the queue.
    pub(super) fn start(number: u16) -> Self {
        let test = concat!(module_path!(), "::is_the_other_program");
        let (_, test) = test.split_once("::").unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(QUEUE, number.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self { child, output };
        process.reads(0);
        process
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has read so many packets. It ends by itself when none comes for some seconds.
    pub(super) fn reads(&mut self, packets: usize) {
        let expected = format!("{HAS_READ}{packets}");
        let mut lines = self.output.by_ref().lines().map(Result::unwrap);
        assert!(lines.any(|line| line == expected), "the peer ended before it had read {packets}");
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the other program does. Nothing, and so no test of anything, unless it is started as that.
#[test]
fn is_the_other_program() {
    let Some(number) = env::var(QUEUE).ok().and_then(|number| number.parse().ok()) else { return };
    let name = TransportName::Nfqueue { first: number, last: number };
    let mut queue = Queue::open(name, Families::Both).unwrap();
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    let mut buffer = vec![0; queue.buffer_len()];
    // The line that libtest has begun is not this program's.
    println!();
    for packets in 0.. {
        println!("{HAS_READ}{packets}");
        match queue.read(&mut buffer, Some(crate::support::PATIENCE)).unwrap() {
            Some(Event::Packet(_)) => (),
            _ => return,
        }
    }
}
