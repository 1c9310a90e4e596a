//! `cargo xtask ci`: everything that has to hold, in one run.

use core::fmt;
use core::time::Duration;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::api::{self, Problem};
use crate::features;
use crate::golden;
use crate::minimal_versions;
use crate::threads;
use crate::tidy;
use crate::tool::{self, cargo};

/// All steps. The quick ones come first, so that a slip shows before the long ones have run.
const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "tidy", run: || Ok(tidy::run()?) },
    Step { name: "golden", run: golden },
    Step { name: "lints", run: lints },
    Step { name: "features", run: features },
    Step { name: "tests", run: tests },
    Step { name: "models", run: || Ok(threads::models()?) },
    Step { name: "docs", run: docs },
    Step { name: "api", run: api },
    Step { name: "oldest versions", run: oldest_versions },
    Step { name: "fuzz targets", run: fuzz_targets },
    Step { name: "fuzz seeds", run: fuzz_seeds },
    Step { name: "benchmarks", run: benchmarks },
    Step { name: "dependencies", run: dependencies },
    Step { name: "advisories", run: advisories },
];

/// One thing to check.
struct Step {
    name: &'static str,
    run: fn() -> Result<(), Stop>,
}

/// Why a step did not pass.
enum Stop {
    Failed(String),
    Skipped(String),
}

impl From<String> for Stop {
    fn from(error: String) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

/// A step that was run, for the table at the end.
struct Row {
    name: &'static str,
    took: Duration,
    end: Result<(), Stop>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:15} {:6.1} s  ", self.name, self.took.as_secs_f64())?;
        match &self.end {
            Ok(()) => f.write_str("passed"),
            Err(stop) => stop.fmt(f),
        }
    }
}

/// Runs every step, whatever became of those before it, and ends with a table and a line of counts.
pub(crate) fn run() -> ExitCode {
    let rows: Vec<_> = STEPS.iter().map(Step::take).collect();
    println!("\nsummary");
    for row in &rows {
        println!("{row}");
    }
    let count = |is: fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    let passed = count(|row| row.end.is_ok());
    let failed = count(|row| matches!(row.end, Err(Stop::Failed(_))));
    let skipped = count(|row| matches!(row.end, Err(Stop::Skipped(_))));
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Step {
    fn take(&self) -> Row {
        println!("\n=== {}", self.name);
        let start = Instant::now();
        let end = (self.run)();
        let row = Row { name: self.name, took: start.elapsed(), end };
        println!("=== {row}");
        row
    }
}

fn format() -> Result<(), Stop> {
    needs("fmt")?;
    tool::run(cargo("fmt --all --check"))?;
    tool::run(cargo("fmt --manifest-path fuzz/Cargo.toml --check"))?;
    Ok(tool::run(cargo("fmt --manifest-path bench/Cargo.toml --check"))?)
}

/// The layouts are still those of the C compiler.
fn golden() -> Result<(), Stop> {
    if let Some(why) = golden::cannot_make() {
        return Err(Stop::Skipped(why));
    }
    golden::run(true).map_err(|error| {
        println!("{error}");
        Stop::Failed("see above; `cargo xtask golden` makes the files again".into())
    })
}

fn lints() -> Result<(), Stop> {
    needs("clippy")?;
    Ok(tool::run(cargo("clippy --workspace --all-targets --all-features --locked -- -D warnings"))?)
}

/// Every set of features of each crate.
fn features() -> Result<(), Stop> {
    let task = if needs("clippy").is_ok() { "clippy" } else { "check" };
    Ok(features::run(task)?)
}

/// What the libraries offer is what was last looked at.
fn api() -> Result<(), Stop> {
    api::run(true).map_err(|problem| match problem {
        Problem::Unreadable(why) => Stop::Skipped(why),
        Problem::Failed(why) => Stop::Failed(why),
    })
}

/// The lower bounds in the manifests are true: those versions may be on no machine yet.
fn oldest_versions() -> Result<(), Stop> {
    if env::var("CARGO_NET_OFFLINE").is_ok_and(|offline| offline == "true") {
        return Err(Stop::Skipped("CARGO_NET_OFFLINE: no old versions to be had".into()));
    }
    Ok(minimal_versions::run()?)
}

/// Unit, integration and documentation tests; one that fails does not hide the others.
fn tests() -> Result<(), Stop> {
    Ok(tool::run(cargo("test --workspace --all-features --locked --no-fail-fast"))?)
}

fn docs() -> Result<(), Stop> {
    let mut doc =
        cargo("doc --workspace --all-features --no-deps --document-private-items --locked");
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    Ok(tool::run(doc)?)
}

/// The benchmark programs still build, and what they compare is the same. What they measure depends on the machine, so
/// they are not run here.
fn benchmarks() -> Result<(), Stop> {
    let task = if needs("clippy").is_ok() { "clippy" } else { "check" };
    let mut check = cargo(task);
    check.args("--manifest-path bench/Cargo.toml --all-targets --locked".split(' '));
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    check.env("RUSTFLAGS", format!("{flags} -Dwarnings"));
    tool::run(check)?;
    Ok(tool::run(cargo("test --manifest-path bench/Cargo.toml --locked"))?)
}

/// Type-checks the targets as the fuzzer builds them, on any compiler.
fn fuzz_targets() -> Result<(), Stop> {
    let task = if needs("clippy").is_ok() { "clippy" } else { "check" };
    let mut check = cargo(task);
    check.args("--manifest-path fuzz/Cargo.toml --all-targets --locked".split(' '));
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    check.env("RUSTFLAGS", format!("{flags} --cfg fuzzing -Dwarnings"));
    // Nothing is linked here. Naming a library spares compiling libFuzzer, which wants a C++ compiler.
    check.env("CUSTOM_LIBFUZZER_PATH", tool::root().join("libfuzzer.a"));
    Ok(tool::run(check)?)
}

fn fuzz_seeds() -> Result<(), Stop> {
    Ok(tool::run(cargo("test --manifest-path fuzz/Cargo.toml --locked"))?)
}

/// Licences, duplicates and sources, of all workspaces with dependencies.
fn dependencies() -> Result<(), Stop> {
    needs("deny")?;
    each_workspace("", "bans licenses sources")
}

/// Known vulnerabilities, where the list of them is on this machine already.
fn advisories() -> Result<(), Stop> {
    needs("deny")?;
    if !has_advisories() {
        return Err(Stop::Skipped("cargo deny: no advisory database on this machine".into()));
    }
    each_workspace("--offline", "advisories")
}

fn each_workspace(options: &str, checks: &str) -> Result<(), Stop> {
    for manifest in ["Cargo.toml", "bench/Cargo.toml", "fuzz/Cargo.toml"] {
        let which = format!("--manifest-path {manifest} --config deny.toml");
        tool::run(cargo(&format!("deny --locked {options} {which} check {checks}")))?;
    }
    Ok(())
}

/// Whether cargo-deny has fetched its database before, into a folder in its usual place.
fn has_advisories() -> bool {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let entries = home.and_then(|home| fs::read_dir(home.join("advisory-dbs")).ok());
    entries.is_some_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()))
}

/// Skips the step where cargo has no such subcommand.
fn needs(subcommand: &str) -> Result<(), Stop> {
    let version = cargo(&format!("{subcommand} --version"));
    if tool::succeeds(version) {
        return Ok(());
    }
    Err(Stop::Skipped(format!("cargo {subcommand}: not installed")))
}
