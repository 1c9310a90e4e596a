//! `cargo xtask fuzz`: the fuzz targets, by hand and for as long as one likes.

pub(crate) mod coverage;
mod report;

use core::num::NonZero;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::tool::{self, Outcome, command};
use report::Row;

/// An input that takes longer than this many seconds is a finding.
const TIMEOUT: u32 = 25;

/// What to fuzz, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target.
    #[arg(long)]
    seconds: u32,
    /// Only this target; may be given several times.
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<String>,
    /// How many targets run at a time.
    #[arg(long, default_value = "1")]
    jobs: NonZero<usize>,
}

/// Builds and runs the targets, and ends with a table. One that finds something ends early, and does not keep the others
/// from running.
pub(crate) fn run(args: &Args) -> Outcome {
    let targets = choose(targets()?, &args.targets)?;
    let nightly = Nightly::find()?;
    tool::run(nightly.cargo("fuzz build"))?;
    let rows = run_all(&targets, args, &nightly)?;
    println!("\n{}", report::table(&rows));
    match rows.iter().filter(|row| row.has_failed()).count() {
        0 => Ok(()),
        count => Err(format!("{count} of {} targets failed", rows.len())),
    }
}

/// The names of all targets, sorted.
fn targets() -> Result<Vec<String>, String> {
    let folder = tool::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder)
        .map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let name = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| name(&entry.path())).collect();
    names.sort();
    Ok(names)
}

/// All of `targets`, or those that are wanted.
fn choose(targets: Vec<String>, wanted: &[String]) -> Result<Vec<String>, String> {
    if let Some(name) = wanted.iter().find(|name| !targets.contains(name)) {
        return Err(format!("no fuzz target {name}; there are {}", targets.join(", ")));
    }
    Ok(if wanted.is_empty() { targets } else { wanted.to_vec() })
}

/// Runs so many targets at a time; the rows are in the order of the targets.
fn run_all(targets: &[String], args: &Args, nightly: &Nightly) -> Result<Vec<Row>, String> {
    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let runs = core::iter::from_fn(next).map(|target| {
            println!("=== {target}: {} s", args.seconds);
            let row = run_one(target, args.seconds, nightly)?;
            println!("=== {row}");
            Ok(row)
        });
        runs.collect::<Result<Vec<_>, String>>()
    };
    let rows = thread::scope(|scope| {
        let workers: Vec<_> = (0..args.jobs.get()).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("a worker panicked"));
        joined.collect::<Result<Vec<_>, _>>()
    });
    let mut rows = rows?.concat();
    rows.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(rows)
}

/// Runs one target. What the fuzzer says goes into a file; what it finds into `fuzz/artifacts`.
fn run_one(target: &str, seconds: u32, nightly: &Nightly) -> Result<Row, String> {
    let corpus = folder(&format!("fuzz/corpus/{target}"))?;
    let artifacts = folder(&format!("fuzz/artifacts/{target}"))?;
    let log = folder("fuzz/logs")?.join(format!("{target}.log"));
    let found_before = count_files(&artifacts)?;
    // What is found goes into the first folder; the seeds are only read.
    let line = format!(
        "fuzz run {target} {} fuzz/seeds/{target} -- -max_total_time={seconds} \
         -timeout={TIMEOUT} -print_final_stats=1",
        corpus.display()
    );
    let mut fuzz = nightly.cargo(&line);
    let dictionary = tool::root().join(format!("fuzz/dictionaries/{target}.dict"));
    if dictionary.exists() {
        fuzz.arg(format!("-dict={}", dictionary.display()));
    }
    let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let status = fuzz
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .status()
        .map_err(|error| format!("cannot start cargo fuzz: {error}"))?;
    let said = fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let findings = count_files(&artifacts)?.saturating_sub(found_before);
    let row = Row::of_log(target, &String::from_utf8_lossy(&said), findings, status.success());
    if row.has_failed() {
        println!("{target} failed, see {}", log.display());
    }
    Ok(row)
}

/// A folder of the project, made if it is not there.
fn folder(path: &str) -> Result<PathBuf, String> {
    let folder = tool::root().join(path);
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {path}: {error}"))?;
    Ok(folder)
}

fn count_files(folder: &Path) -> Result<usize, String> {
    let entries = fs::read_dir(folder);
    Ok(entries.map_err(|error| format!("{}: {error}", folder.display()))?.count())
}

/// A nightly cargo with cargo-fuzz.
enum Nightly {
    /// The one in use.
    Current,
    /// One that rustup has beside it.
    Rustup,
}

impl Nightly {
    /// The first that works.
    fn find() -> Result<Self, String> {
        let works = |nightly: &Self, line| tool::succeeds(nightly.cargo(line));
        let current = command("rustc", "--version").output();
        let is_current = current.is_ok_and(|out| out.stdout.windows(7).any(|w| w == b"nightly"));
        let nightly = if is_current { Self::Current } else { Self::Rustup };
        if !works(&nightly, "--version") {
            return Err("fuzzing needs a nightly compiler: rustup toolchain install nightly".into());
        }
        if !works(&nightly, "fuzz --version") {
            return Err("fuzzing needs cargo-fuzz: cargo install cargo-fuzz --locked".into());
        }
        Ok(nightly)
    }

    fn cargo(&self, line: &str) -> Command {
        match self {
            Self::Current => tool::cargo(line),
            Self::Rustup => {
                let mut command = command("rustup", &format!("run nightly cargo {line}"));
                // The stable cargo that runs this task says where it is; it is not the one that is wanted.
                command.env_remove("CARGO");
                command
            }
        }
    }
}
