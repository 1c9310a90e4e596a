//! A program of `tests/c` while it runs: [`Running`].

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use core::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::programs::prefix;

/// A program while it runs. It is killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it has printed so far.
    printed: String,
}

impl Running {
    /// Starts a program with this transport; `through` is what runs it, if it does not run by itself.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(transport: &str, through: &[&str], program: &Path, arguments: &[&str]) -> Self {
        let mut words = through.iter().map(Path::new).chain([program]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(arguments);
        command.env("IPQ_TRANSPORT", transport);
        let library = prefix().unwrap().join("lib");
        command.env("LD_LIBRARY_PATH", library).env("LC_ALL", "C");
        let streams = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = streams.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, printed: String::new() }
    }

    /// Reads what it prints up to this line.
    ///
    /// # Panics
    ///
    /// If it ends before.
    #[track_caller]
    pub fn wait_for(&mut self, line: &str) {
        loop {
            let start = self.printed.len();
            let len = self.stdout.read_line(&mut self.printed).unwrap();
            assert!(len > 0, "it ended without saying {line:?}\n{}", self.everything());
            if self.printed[start..].trim_end() == line {
                return;
            }
        }
    }

    /// Waits for its end, which must be a success; returns what it has printed.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[track_caller]
    pub fn finish(mut self) -> String {
        self.stdout.read_to_string(&mut self.printed).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.everything());
        core::mem::take(&mut self.printed)
    }

    /// What it has printed on both streams, once it has ended.
    fn everything(&mut self) -> String {
        let mut text = core::mem::take(&mut self.printed);
        if let Some(mut stderr) = self.child.stderr.take() {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            let _ = write!(text, "on stderr:\n{}", String::from_utf8_lossy(&said));
        }
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
