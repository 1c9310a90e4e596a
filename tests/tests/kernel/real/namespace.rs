//! Tests in namespaces of their own: [`run`].

use std::env;
use std::io::{self, Write};
use std::process::Command;

use super::Real;
use crate::network::{Network, Outcome, Skipped};

/// Names the test that a child runs.
const INSIDE: &str = "IPQ_KERNEL_TEST_INSIDE";

/// Ways into a network of one's own. Root may have to do without a user namespace.
const WRAPPERS: [&[&str]; 2] =
    [&["unshare", "--user", "--map-root-user", "--net"], &["unshare", "--net"]];

/// Runs `body`, the whole of the test with this path, in a child of this program that has its own network.
pub(crate) fn run(path: &str, body: impl FnOnce(&mut dyn Network) -> Outcome) {
    let (_, test) = path.split_once("::").unwrap();
    if env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        let outcome = Real::new().and_then(|mut network| body(&mut network));
        if let Err(reason) = outcome {
            skip(test, &reason);
        }
        return;
    }
    let wrapper = match wrapper() {
        Ok(wrapper) => wrapper,
        Err(reason) => return skip(test, &reason),
    };
    let child = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, test)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&child.stdout);
    let stderr = String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && stdout.contains(" 1 passed"),
        "{test} inside {wrapper:?}: {}\n{stdout}\n{stderr}",
        child.status,
    );
    for line in stderr.lines().filter(|line| line.starts_with("skipped: ")) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Says on the real standard error that a test was not done, and why.
fn skip(test: &str, reason: &Skipped) {
    let reason = reason.0.trim().replace('\n', " ");
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}

/// The first way that works, or why none does.
fn wrapper() -> Result<&'static [&'static str], Skipped> {
    let mut reason = None;
    for wrapper in WRAPPERS {
        let arguments: Vec<_> = wrapper[1..].iter().copied().chain(["true"]).collect();
        match tool(wrapper[0], &arguments) {
            Ok(()) => return Ok(wrapper),
            Err(skipped) => _ = reason.get_or_insert(skipped),
        }
    }
    Err(reason.unwrap())
}

/// Runs a program of the system, which must be there and succeed, or else the test cannot be done.
pub(super) fn tool(program: &str, arguments: &[&str]) -> Result<(), Skipped> {
    let called = || format!("{program} {}", arguments.join(" "));
    let done = Command::new(program)
        .args(arguments)
        // The usual one belongs to the root of the machine.
        .env("XTABLES_LOCKFILE", "/dev/null")
        .output()
        .map_err(|error| Skipped(format!("{}: {error}", called())))?;
    if done.status.success() {
        return Ok(());
    }
    Err(Skipped(format!("{}: {}", called(), String::from_utf8_lossy(&done.stderr).trim())))
}
