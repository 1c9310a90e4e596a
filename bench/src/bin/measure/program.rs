//! A running program that reports when asked: [`Program`].

use core::time::Duration;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use ipq_bench::reporter::Report;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Outcome;

/// How long a program may take to be ready.
const START: Duration = Duration::from_secs(5);

/// How often a report is asked for, and how long each time is waited.
const ASK_TIMES: u32 = 20;
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A program that was started here. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Program {
    /// Starts a program on one processor and waits until it is ready.
    pub(crate) fn start(path: &Path, args: &[String], cpu: usize) -> Outcome<Self> {
        let mut child = spawn(path, args, cpu)?;
        let stdout = child.stdout.take();
        let (sender, lines) = mpsc::channel();
        let mut program = Self { child, lines };
        thread::spawn(move || pass_on(stdout, &sender));
        match program.lines.recv_timeout(START) {
            Ok(line) if line == "ready" => Ok(program),
            _ => Err(program.last_words()),
        }
    }

    /// Asks for a report. Whenever it may be waiting for a packet, `wake` is to send one.
    pub(crate) fn report(&self, wake: impl Fn() -> Outcome<()>) -> Outcome<Report> {
        self.ask(Signal::USR1, wake)
    }

    /// Asks for the last report, after which it ends.
    pub(crate) fn stop(self, wake: impl Fn() -> Outcome<()>) -> Outcome<Report> {
        self.ask(Signal::TERM, wake)
    }

    /// Asks for the last report, and waits until it has ended; gives what it said on stderr as well.
    pub(crate) fn finish(mut self, wake: impl Fn() -> Outcome<()>) -> Outcome<(Report, String)> {
        let report = self.ask(Signal::TERM, wake)?;
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            stderr.read_to_string(&mut said).map_err(|error| error.to_string())?;
        }
        Ok((report, said))
    }

    /// For how long its first thread has wanted a processor and not had one, where the kernel tells.
    pub(crate) fn waited(&self) -> Option<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).ok()?;
        text.split(' ').nth(1)?.parse().ok().map(Duration::from_nanos)
    }

    fn ask(&self, signal: Signal, wake: impl Fn() -> Outcome<()>) -> Outcome<Report> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).map_err(|error| format!("cannot signal it: {error}"))?;
        for _ in 0..ASK_TIMES {
            wake()?;
            match self.lines.recv_timeout(ASK_EVERY) {
                Ok(line) => return line.parse(),
                Err(mpsc::RecvTimeoutError::Timeout) => (),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err("it has ended".into()),
            }
        }
        Err("it does not report".into())
    }

    /// Kills it, and gives what it said on stderr.
    fn last_words(&mut self) -> String {
        self.kill();
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut said);
        }
        match said.trim() {
            "" => "it did not get ready, and did not say why".into(),
            said => said.replace('\n', "; "),
        }
    }

    fn kill(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(path: &Path, args: &[String], cpu: usize) -> Outcome<Child> {
    let mut program = Command::new(path);
    program.args(args);
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = on_cpu(cpu, || program.spawn())?;
    child.map_err(|error| format!("cannot start {}: {error}", path.display()))
}

/// Starts something on one processor: a child takes over the affinity of the thread that starts it.
pub(crate) fn on_cpu<T>(cpu: usize, start: impl FnOnce() -> T) -> Outcome<T> {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).map_err(|error| format!("cannot use CPU {cpu}: {error}"))?;
    Ok(start())
}

/// Passes on what a program prints, line by line, until it ends.
fn pass_on(stdout: Option<ChildStdout>, sender: &mpsc::Sender<String>) {
    for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let Ok(line) = line else { return };
        if sender.send(line).is_err() {
            return;
        }
    }
}
