//! A program that runs beside the test: [`Started`].

use core::time::Duration;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Run;

/// Longer than anything takes in a test that does not fail.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that runs beside the test, and not longer.
#[derive(Debug)]
pub(crate) struct Started {
    child: Child,
    lines: Receiver<String>,
    messages: Receiver<String>,
    seen: String,
}

impl Started {
    /// Starts it.
    #[track_caller]
    pub(crate) fn new(command: &mut Command) -> Self {
        Self::read(command, usize::MAX)
    }

    /// Starts it, and closes its standard output when so many lines have come.
    #[track_caller]
    fn read(command: &mut Command, n_lines: usize) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut stderr = child.stderr.take().expect("it is a pipe");
        let ((line_sender, lines), (sender, messages)) = (channel(), channel());
        thread::spawn(move || {
            for line in stdout.by_ref().lines().take(n_lines) {
                // Where nobody listens, the test has failed.
                let _ = line_sender.send(line.expect("it prints UTF-8") + "\n");
            }
            drop(stdout);
            drop(line_sender);
        });
        thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("it prints UTF-8");
            let _ = sender.send(text);
        });
        Self { child, lines, messages, seen: String::new() }
    }

    /// Starts it, and waits until it waits for packets.
    #[track_caller]
    pub(crate) fn ready(command: &mut Command) -> Self {
        Self::new(command).until_ready()
    }

    /// As [`ready`](Self::ready), and closes its standard output when the first line has come.
    #[track_caller]
    pub(crate) fn ready_for_one_line(command: &mut Command) -> Self {
        Self::read(command, 1).until_ready()
    }

    #[track_caller]
    fn until_ready(self) -> Self {
        // It gets its queue, looks after signals, says how much it wants, and has no reason to sleep before it reads.
        self.until(|status| status.catches_sigterm() && status.is_in('S'));
        self
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).expect("it has not ended");
    }

    /// Makes it stand still, until the signal `SIGCONT`.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        self.until(|status| status.is_in('T'));
    }

    /// The next line on its standard output, while it runs.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).expect("it prints a line");
        self.seen.push_str(&line);
        line
    }

    /// Waits until its standard output is closed.
    #[track_caller]
    pub(crate) fn until_closed(&self) {
        assert_eq!(self.lines.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    }

    /// What it came to; it ends on its own, or was told to.
    #[track_caller]
    pub(crate) fn end(mut self) -> Run {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push_str(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:?}", self.seen),
            }
        }
        let stderr = self.messages.recv_timeout(PATIENCE).expect("it ends");
        let status = self.child.wait().expect("it has ended");
        let stdout = core::mem::take(&mut self.seen).into_bytes();
        Run::from(Output { status, stdout, stderr: stderr.into_bytes() })
    }

    /// Sends it a signal and gives what it came to.
    #[track_caller]
    pub(crate) fn end_by(self, signal: Signal) -> Run {
        self.signal(signal);
        self.end()
    }

    /// Waits until what `/proc` says of it is as it should be.
    #[track_caller]
    fn until(&self, is_so: impl Fn(&Status) -> bool) {
        let path = format!("/proc/{}/status", self.child.id());
        let give_up = Instant::now() + PATIENCE;
        loop {
            let status = Status(std::fs::read_to_string(&path).expect("it is not waited for yet"));
            if is_so(&status) {
                return;
            }
            if status.is_in('Z') {
                let messages = self.messages.recv_timeout(PATIENCE);
                panic!("it has ended: {messages:?}");
            }
            assert!(Instant::now() < give_up, "{status:?}");
            thread::yield_now();
        }
    }
}

/// `/proc/<pid>/status`.
#[derive(Debug)]
struct Status(String);

impl Status {
    fn field(&self, name: &str) -> &str {
        let mut values = self.0.lines().filter_map(|line| line.strip_prefix(name));
        values.next().expect("there is such a field").trim()
    }

    /// Whether it is in the state with this letter.
    fn is_in(&self, state: char) -> bool {
        self.field("State:").starts_with(state)
    }

    /// Whether it looks after SIGTERM.
    fn catches_sigterm(&self) -> bool {
        const SIGTERM: u64 = 1 << (Signal::SIGTERM as u32 - 1);
        let caught = u64::from_str_radix(self.field("SigCgt:"), 16).expect("a hexadecimal number");
        caught & SIGTERM != 0
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
