//! Tests of the real kernel in namespaces of their own: [`run`].

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use core::fmt;
use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a test cannot be done.
#[derive(Debug)]
pub struct Skipped(pub String);

/// How a test ends that does not panic.
pub type Outcome = Result<(), Skipped>;

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the test that a child runs.
const INSIDE: &str = "IPQ_KERNEL_TEST_INSIDE";

/// Ways into a network of one's own. Root may have to do without a user namespace.
const WRAPPERS: [&[&str]; 2] =
    [&["unshare", "--user", "--map-root-user", "--net"], &["unshare", "--net"]];

/// A user namespace that owns no network.
const STRANGER: &[&str] = &["unshare", "--user", "--map-root-user"];

/// How the lines begin that a child says to whoever runs the tests: what could not be done, and what was measured.
const PASSED_ON: [&str; 2] = ["skipped: ", "load: "];

/// Runs `body`, the whole of the test with this path, in a child of this program that has its own network.
pub fn run(path: &str, body: impl FnOnce() -> Outcome) {
    run_behind(path, &[], body);
}

/// The same, without privileges over that network.
pub fn run_unprivileged(path: &str, body: impl FnOnce() -> Outcome) {
    run_behind(path, STRANGER, body);
}

/// The same in the network of this process: a process of its own, where nobody else takes memory, descriptors and signals.
///
/// # Panics
///
/// If `body` does.
pub fn run_alone(path: &str, body: impl FnOnce() -> Outcome) {
    let (_, test) = path.split_once("::").unwrap();
    if is_in_child_of(test) {
        return in_child(test, body);
    }
    again(test, &[]);
}

/// Runs it in a child into which this library is loaded, with a network of its own or not.
///
/// # Panics
///
/// If `body` does.
pub fn run_with_library(
    path: &str,
    library: impl FnOnce() -> Result<PathBuf, Skipped>,
    has_network: bool,
    body: impl FnOnce() -> Outcome,
) {
    let (_, test) = path.split_once("::").unwrap();
    if is_in_child_of(test) {
        return in_child(test, body);
    }
    let wrapper = if has_network { wrapper(&[]) } else { Ok(Vec::new()) };
    match wrapper.and_then(|wrapper| Ok((wrapper, library()?))) {
        Ok((wrapper, library)) => {
            let preload = format!("LD_PRELOAD={}", library.display());
            again(test, &[&wrapper[..], &["env", &preload]].concat());
        }
        Err(reason) => skip(test, &reason),
    }
}

/// Whether this is such a child.
pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

fn run_behind(path: &str, behind: &[&'static str], body: impl FnOnce() -> Outcome) {
    let (_, test) = path.split_once("::").unwrap();
    if is_in_child_of(test) {
        return in_child(test, body);
    }
    match wrapper(behind) {
        Ok(wrapper) => again(test, &wrapper),
        Err(reason) => skip(test, &reason),
    }
}

fn is_in_child_of(test: &str) -> bool {
    env::var_os(INSIDE).is_some_and(|inside| inside == test)
}

fn in_child(test: &str, body: impl FnOnce() -> Outcome) {
    if let Err(reason) = body() {
        skip(test, &reason);
    }
}

/// Runs this test again, in a child behind this command.
fn again(test: &str, wrapper: &[&str]) {
    let this = env::current_exe().unwrap();
    let mut words = wrapper.iter().map(Path::new).chain([this.as_path()]);
    let child = Command::new(words.next().unwrap())
        .args(words)
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
    let is_for_us = |line: &&str| PASSED_ON.iter().any(|prefix| line.starts_with(prefix));
    for line in stderr.lines().filter(is_for_us) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Says on the real standard error that a test was not done, and why.
fn skip(test: &str, reason: &Skipped) {
    let reason = reason.0.trim().replace('\n', " ");
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}

/// The first way that works, with `behind` after it, or why none does.
fn wrapper(behind: &[&'static str]) -> Result<Vec<&'static str>, Skipped> {
    let mut reason = None;
    for wrapper in WRAPPERS {
        let wrapper = [wrapper, behind].concat();
        let arguments = [&wrapper[1..], &["true"]].concat();
        match tool(wrapper[0], &arguments) {
            Ok(()) => return Ok(wrapper),
            Err(skipped) => _ = reason.get_or_insert(skipped),
        }
    }
    Err(reason.unwrap())
}

/// Runs a program of the system, which must be there and succeed, or else the test cannot be done.
///
/// # Errors
///
/// If it is not, or does not: the call, and what it said.
pub fn tool(program: &str, arguments: &[&str]) -> Outcome {
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
