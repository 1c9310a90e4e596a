//! What is measured, built: [`Programs`].

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tool::{Outcome, cargo, command, root, run};
use crate::{install_c, place};

/// The programs in C: the program, whom it stands for, what else it is compiled of and linked with.
const C_PROGRAMS: [CProgram; 4] = [
    CProgram { name: "codec", peer: "bare C", is_receiver: false, library: None },
    CProgram { name: "bare", peer: "bare loop", is_receiver: true, library: None },
    CProgram {
        name: "callback",
        peer: "libnetfilter_queue",
        is_receiver: true,
        library: Some("netfilter_queue"),
    },
    CProgram { name: "libipq", peer: "libipq", is_receiver: true, library: Some("ipq") },
];

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The one that measures; those in Rust that it measures are beside it.
    pub(crate) measure: PathBuf,
    /// The directory of those in C.
    pub(crate) c: PathBuf,
    /// ipq-cli.
    pub(crate) cli: PathBuf,
}

impl Programs {
    /// Builds them.
    pub(crate) fn build() -> Result<Self, String> {
        run(cargo("build --release --locked --manifest-path bench/Cargo.toml"))?;
        run(cargo("build --release --locked --package ipq-cli"))?;
        let target = target_directory("bench/target");
        let c = target.join("bench-c");
        let libipq = c.join("prefix");
        install_c::run(&place::Args::release(libipq.clone()))?;
        build_c_programs(&c, &libipq)?;
        let cli = target_directory("target").join("release/ipq-cli");
        Ok(Self { measure: target.join("release/measure"), c, cli })
    }
}

/// A program in C.
struct CProgram {
    name: &'static str,
    peer: &'static str,
    /// Whether it takes packets off a queue.
    is_receiver: bool,
    library: Option<&'static str>,
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
        gcc.arg(path).arg(format!("bench/c/{}.c", self.name));
        gcc.args(self.is_receiver.then_some("bench/c/receiver.c"));
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

/// Where cargo puts what it builds of a workspace, `usual` unless it is told.
fn target_directory(usual: &str) -> PathBuf {
    // Relative to where cargo is started from: the top of the project.
    let directory = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| usual.into());
    root().join(directory)
}
