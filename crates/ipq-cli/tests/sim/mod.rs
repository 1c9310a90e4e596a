//! `ipq-cli sim run`.

mod errors;
mod examples;
mod faults;
mod output;
mod seeing;
mod transport;

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::{Run, ipq_cli};

/// A scenario that exists as long as the test.
#[derive(Debug)]
struct Written {
    folder: TempDir,
    path: PathBuf,
}

/// Writes a scenario.
fn written(text: impl AsRef<[u8]>) -> Written {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.toml");
    std::fs::write(&path, text).unwrap();
    Written { folder, path }
}

/// `ipq-cli sim run` on a file, in an environment that says nothing about seeds.
fn sim_run(path: &Path, args: &[&str]) -> Command {
    let mut command = ipq_cli();
    command.env_remove("IPQ_SIM_SEED").env_remove("IPQ_SIM_RUNS");
    command.args(["sim", "run"]).arg(path).args(args);
    command
}

#[track_caller]
fn run(path: &Path, args: &[&str]) -> Run {
    Run::of(&mut sim_run(path, args))
}
