//! Programs that do something so many times: [`Repeated`].

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::{Outcome, valgrind};

/// A program whose last argument says how often it is to do what it does. It prints the processor time that took, in
/// nanoseconds, or `-`, and perhaps a digest.
#[derive(Clone, Debug)]
pub(crate) struct Repeated {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    /// What it reads.
    pub(crate) input: Vec<u8>,
}

/// What it printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Printed {
    pub(crate) nanoseconds: Option<f64>,
    pub(crate) digest: Option<u64>,
}

impl Repeated {
    /// The time that one repetition takes in nanoseconds, and the digest.
    pub(crate) fn time(&self, times: u64) -> Outcome<Printed> {
        let output = self.run(Command::new(&self.program), times)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let mut words = said.split_whitespace();
        let time: Option<f64> = words.next().and_then(|word| word.parse().ok());
        #[expect(clippy::cast_precision_loss, reason = "nobody repeats anything 2⁵³ times")]
        let nanoseconds = time.map(|time| time / times as f64);
        Ok(Printed { nanoseconds, digest: words.next().and_then(|word| word.parse().ok()) })
    }

    /// The instructions that one repetition takes outside of the kernel: of more repetitions, less those of fewer.
    pub(crate) fn instructions(&self, fewer: u64, more: u64) -> Outcome<f64> {
        Ok(valgrind::each((self.count(fewer)?, fewer), (self.count(more)?, more)))
    }

    /// The instructions of the whole program.
    fn count(&self, times: u64) -> Outcome<u64> {
        let [valgrind, options @ ..] = valgrind::COMMAND;
        let mut command = Command::new(valgrind);
        command.args(options).arg(&self.program);
        valgrind::count(&String::from_utf8_lossy(&self.run(command, times)?.stderr))
    }

    fn run(&self, mut command: Command, times: u64) -> Outcome<Output> {
        let failed = |error: &dyn core::fmt::Display| {
            format!("{} {}: {error}", self.program.display(), self.args.join(" "))
        };
        command.args(&self.args).arg(times.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that wants no input may have ended before it is there.
            let _ = stdin.write_all(&self.input);
        }
        let output = child.wait_with_output().map_err(|error| failed(&error))?;
        if output.status.success() {
            Ok(output)
        } else {
            Err(failed(&String::from_utf8_lossy(&output.stderr).trim()))
        }
    }
}
