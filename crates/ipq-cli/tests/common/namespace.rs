//! Tests on the real kernel, each in a network namespace of its own: [`inside`] and [`live`].

use std::env;
use std::process::{Command, Output, Stdio};

use tempfile::NamedTempFile;

use super::skipped;

/// Ways to a network of one's own, in which one is root: what any user may do, and what root may where users may not.
const WAYS: [&[&str]; 2] =
    [&["unshare", "--user", "--map-root-user", "--net"], &["unshare", "--net"]];

/// Names the test that a child runs.
const INSIDE: &str = "IPQ_CLI_TEST_INSIDE";

/// A call of iptables or ip6tables, with its arguments.
pub(crate) type Rule = (&'static str, &'static str);

/// Runs `body`, the whole of the test with this path, in a child of this program that has a network of its own, with
/// no device but the loopback's. Where none can be had, says so.
#[track_caller]
pub(crate) fn inside(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        return body();
    }
    let mut reasons = Vec::new();
    let way =
        WAYS.iter().find(|way| match attempt(Command::new(way[0]).args(&way[1..]).arg("true")) {
            Ok(_) => true,
            Err(reason) => {
                reasons.push(reason);
                false
            }
        });
    reasons.dedup();
    let Some(way) = way else { return skipped(test, &reasons.join("; ")) };
    let child = Command::new(way[0])
        .args(&way[1..])
        .arg(env::current_exe().expect("this program has a path"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, test)
        .stdin(Stdio::null())
        .output()
        .expect("what was tried can be run");
    let [stdout, stderr] = [&child.stdout, &child.stderr].map(|text| String::from_utf8_lossy(text));
    let passed = child.status.success() && stdout.contains(" 1 passed");
    assert!(passed, "{test} inside {way:?}: {}\n{stdout}\n{stderr}", child.status);
    let prefix = format!("skipped: {test}: ");
    for reason in stderr.lines().filter_map(|line| line.strip_prefix(&prefix)) {
        skipped(test, reason);
    }
}

/// As [`inside`], where the loopback device is up and these rules are in force.
#[track_caller]
pub(crate) fn live(test: &str, rules: &[Rule], body: impl FnOnce()) {
    inside(test, || match prepare(rules) {
        Ok(()) => body(),
        Err(reason) => skipped(test, &reason),
    });
}

fn prepare(rules: &[Rule]) -> Result<(), String> {
    attempt(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    attempt(&mut ping_command("127.0.0.1", 5))?;
    rules.iter().try_for_each(|rule| install(*rule))
}

/// Installs a rule with the first of the two iptables that can.
fn install((program, rule): Rule) -> Result<(), String> {
    // That of the machine is not everybody's.
    let lock = NamedTempFile::new().map_err(|error| format!("a temporary file: {error}"))?;
    let mut reasons = Vec::new();
    for kind in ["nft", "legacy"] {
        let mut command = Command::new(format!("{program}-{kind}"));
        command.args(rule.split(' ')).env("XTABLES_LOCKFILE", lock.path());
        match attempt(&mut command) {
            Ok(_) => return Ok(()),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

/// Runs a command; if it fails, says how in one line.
fn attempt(command: &mut Command) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Err(format!("{program}: {}: {said}", output.status))
}

fn ping_command(address: &str, seconds: u32) -> Command {
    let mut command = Command::new("ping");
    command.args(["-n", "-c", "1", "-W", &seconds.to_string(), address]);
    command
}

/// Checks that one ping of this address is answered.
#[track_caller]
pub(crate) fn ping_is_answered(address: &str) {
    attempt(&mut ping_command(address, 10)).unwrap_or_else(|reason| panic!("{reason}"));
}

/// Checks that one ping of this address is not answered within a second.
#[track_caller]
pub(crate) fn ping_is_not_answered(address: &str) {
    let answer = attempt(&mut ping_command(address, 1));
    assert!(answer.is_err(), "{answer:?}");
}
