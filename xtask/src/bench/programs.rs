//! `cargo xtask bench-kernel`: `ipq` and its peers on the kernel's queue, measured side by side.
//!
//! The programs are in `bench/`, a workspace of its own. Here they are built, and `measure` among them is started in a
//! network namespace made for it, as root or in a user namespace: the machine's own network is never touched, and
//! everything goes over the new namespace's loopback.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::document::Document;
use crate::tool::{Outcome, cargo, command, output, root, run as call, succeeds};
use crate::{install_c, place};

/// The section of a document that `--write` makes again.
const SECTION: &str = "bench-kernel";

/// The receivers in C: the program, whom it stands for, and what it is linked with.
const C_PROGRAMS: [CProgram; 3] = [
    CProgram { name: "bare", peer: "bare loop", library: None },
    CProgram { name: "callback", peer: "libnetfilter_queue", library: Some("netfilter_queue") },
    CProgram { name: "libipq", peer: "libipq", library: Some("ipq") },
];

/// Ways to a network namespace of one's own: as root, and without.
const NAMESPACES: [&str; 2] = ["--net", "--user --map-root-user --net"];

/// What is measured, and what becomes of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each cell is measured, in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How often each cell is measured.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Measure under these loads only: udp-64, udp-1400, udp-9000, tcp, tcp-gso.
    #[arg(long = "load")]
    loads: Vec<String>,
    /// Measure these receivers only: ours, ours-one-by-one, libipq, libnetfilter-queue, nfq-crate, bare,
    /// bare-batched.
    #[arg(long = "receiver")]
    receivers: Vec<String>,
    /// Put the tables into this file, between its marker comments.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// A program in C.
struct CProgram {
    name: &'static str,
    peer: &'static str,
    library: Option<&'static str>,
}

/// Builds, measures, prints the tables and puts them where they are wanted.
pub(crate) fn run(args: &Args) -> Outcome {
    // Before the minutes that it takes.
    let document = args.write.as_deref().map(|path| Document::read(path, SECTION)).transpose()?;
    let namespace = NAMESPACES
        .into_iter()
        .find(|options| succeeds(command("unshare", &format!("{options} true"))))
        .ok_or("unshare makes no network namespace here, neither as this user nor with --user")?;
    let target = target_directory();
    call(cargo("build --release --locked --manifest-path bench/Cargo.toml"))?;
    let c_programs = target.join("bench-c");
    let libipq = c_programs.join("prefix");
    install_c::run(&place::Args::release(libipq.clone()))?;
    build_c_programs(&c_programs, &libipq)?;
    let mut measure = command("unshare", namespace);
    measure.arg(target.join("release/measure")).args(args.of_measure());
    measure.arg("--c-programs").arg(c_programs).arg("--outside").arg(own_namespace()?);
    let tables = output(measure)?;
    println!("{tables}");
    document.map_or(Ok(()), |document| document.write(&tables))
}

impl Args {
    /// Those that are for the measuring program.
    fn of_measure(&self) -> Vec<String> {
        let seconds = format!("--seconds={}", self.seconds);
        let rounds = format!("--rounds={}", self.rounds);
        let loads = self.loads.iter().map(|load| format!("--load={load}"));
        let receivers = self.receivers.iter().map(|receiver| format!("--receiver={receiver}"));
        [seconds, rounds].into_iter().chain(loads).chain(receivers).collect()
    }
}

/// Compiles the programs in C. One that cannot be compiled is left out, with the reason.
fn build_c_programs(target: &Path, libipq: &Path) -> Outcome {
    fs::create_dir_all(target).map_err(|error| format!("{}: {error}", target.display()))?;
    for program in &C_PROGRAMS {
        let path = target.join(program.name);
        // What is left of an earlier time must not be measured.
        let _ = fs::remove_file(&path);
        if let Err(why) = program.build(&path, libipq) {
            println!("skipped: {}: {why}", program.peer);
        }
    }
    Ok(())
}

impl CProgram {
    fn build(&self, path: &Path, libipq: &Path) -> Outcome {
        let mut gcc = command("gcc", "-O2 -Wall -Wextra -Werror -o");
        gcc.arg(path).arg(format!("bench/c/{}.c", self.name)).arg("bench/c/receiver.c");
        let (include, lib) = (libipq.join("include"), libipq.join("lib"));
        gcc.arg("-I").arg(include).arg("-L").arg(&lib);
        gcc.arg(format!("-Wl,-rpath,{}", lib.display()));
        gcc.args(self.library.map(|library| format!("-l{library}")));
        let output = gcc.output().map_err(|error| format!("cannot start gcc: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let first =
            said.lines().find(|line| line.contains("error")).or_else(|| said.lines().next());
        Err(first.map_or_else(|| output.status.to_string(), str::to_owned))
    }
}

/// Where cargo puts what it builds of `bench`.
fn target_directory() -> PathBuf {
    // Relative to where cargo is started from: the top of the project.
    let directory = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "bench/target".into());
    root().join(directory)
}

/// The name of the network namespace this runs in.
fn own_namespace() -> Result<OsString, String> {
    let link = fs::read_link("/proc/self/ns/net");
    link.map(Into::into).map_err(|error| format!("cannot tell the network namespace: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_a_place_for_it() {
        assert!(Document::read(&root().join("docs/benchmarks.md"), SECTION).is_ok());
    }
}
