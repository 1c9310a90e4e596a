//! `cargo xtask fuzz`: the fuzz targets, by hand and for as long as one likes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::tool::{self, Outcome, command};

/// What to fuzz, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target.
    #[arg(long)]
    seconds: u32,
    /// Only this target.
    #[arg(long)]
    target: Option<String>,
}

/// Runs the targets one after the other, and stops at the first that finds something.
pub(crate) fn run(args: &Args) -> Outcome {
    let targets = choose(targets()?, args.target.as_deref())?;
    let nightly = Nightly::find()?;
    for target in targets {
        println!("=== {target}: {} s", args.seconds);
        let corpus = format!("fuzz/corpus/{target}");
        fs::create_dir_all(tool::root().join(&corpus))
            .map_err(|error| format!("cannot make {corpus}: {error}"))?;
        // What is found goes into the first folder; the seeds are only read.
        let line = format!(
            "fuzz run {target} {corpus} fuzz/seeds/{target} -- -max_total_time={}",
            args.seconds
        );
        tool::run(nightly.cargo(&line)).map_err(|error| format!("{target}: {error}"))?;
    }
    Ok(())
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

/// All of `targets`, or the one that is wanted.
fn choose(targets: Vec<String>, wanted: Option<&str>) -> Result<Vec<String>, String> {
    match wanted {
        None => Ok(targets),
        Some(name) if targets.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
        Some(name) => Err(format!("no fuzz target {name}; there are {}", targets.join(", "))),
    }
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
