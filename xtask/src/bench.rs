//! `cargo xtask bench`: `ipq` and its peers, measured side by side.
//!
//! What is measured is in `bench/`, a workspace of its own. Here its programs are built, and `measure` among them is
//! started for each part in a network namespace made for it, as root or in a user namespace: the machine's own network is
//! never touched, and everything goes over the new namespace's loopback.

mod programs;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;

use self::programs::Programs;
use crate::document::Document;
use crate::tool::{Outcome, command, output, succeeds};

/// Ways to a network namespace of one's own: as root, and without.
const NAMESPACES: [&str; 2] = ["--net", "--user --map-root-user --net"];

/// Who is compared on the kernel's queue.
const RECEIVERS: [&str; 5] = ["ours", "libnetfilter-queue", "nfq-crate", "bare", "bare-batched"];

/// What is measured, and what becomes of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure these parts only.
    #[arg(long = "only", value_enum)]
    parts: Vec<Part>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long each cell is measured on the kernel's queue, in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Measure the kernel's queue under these loads only: udp-64, udp-1400, udp-9000, tcp, tcp-gso.
    #[arg(long = "load")]
    loads: Vec<String>,
    /// Measure these receivers on it: ours, ours-one-by-one, libipq, libnetfilter-queue, nfq-crate, bare, bare-batched.
    #[arg(long = "receiver")]
    receivers: Vec<String>,
    /// Put the tables into this file, each between its marker comments.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// A part that is measured by itself, and has a section of its own in the document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Part {
    /// Reading and writing messages.
    Codec,
    /// The simulated kernel.
    Simulator,
    /// Verdicts on the kernel's queue.
    Kernel,
    /// The C library beside the same in Rust.
    CLibrary,
    /// What a queue adds to the time that a packet takes.
    Latency,
    /// From the start of a program to its first packet, and memory.
    StartUp,
}

/// Builds, measures, prints the tables and puts them where they are wanted.
pub(crate) fn run(args: &Args) -> Outcome {
    let parts = if args.parts.is_empty() { Part::value_variants() } else { &args.parts };
    // Before the minutes that it takes.
    for part in parts {
        args.write.as_deref().map(|path| Document::read(path, part.section())).transpose()?;
    }
    let namespace = NAMESPACES
        .into_iter()
        .find(|options| succeeds(command("unshare", &format!("{options} true"))))
        .ok_or("unshare makes no network namespace here, neither as this user nor with --user")?;
    let programs = Programs::build()?;
    let outside = own_namespace()?;
    for &part in parts {
        let mut measure = command("unshare", namespace);
        measure.arg(&programs.measure);
        measure.arg("--c-programs").arg(&programs.c).arg("--cli").arg(&programs.cli);
        measure.arg("--outside").arg(&outside).args(args.of_part(part));
        let tables = output(measure)?;
        println!("{tables}");
        if let Some(path) = &args.write {
            Document::read(path, part.section())?.write(&tables)?;
        }
    }
    Ok(())
}

impl Part {
    /// Its section of the document.
    const fn section(self) -> &'static str {
        match self {
            Self::Codec => "bench codec",
            Self::Simulator => "bench simulator",
            Self::Kernel => "bench kernel",
            Self::CLibrary => "bench c-library",
            Self::Latency => "bench latency",
            Self::StartUp => "bench start-up",
        }
    }
}

impl Args {
    /// The same for one part.
    pub(crate) fn only(self, part: Part) -> Self {
        Self { parts: vec![part], ..self }
    }

    /// Those that are for the measuring program.
    fn of_part(&self, part: Part) -> Vec<String> {
        let given = |name: &str, values: &[String]| -> Vec<String> {
            values.iter().map(|value| format!("--{name}={value}")).collect()
        };
        let named =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
        let receivers = match self.receivers.as_slice() {
            [] => named(&RECEIVERS),
            receivers => receivers.to_vec(),
        };
        let (name, more) = match part {
            Part::Codec => ("codec", Vec::new()),
            Part::Simulator => ("simulator", Vec::new()),
            Part::Latency => ("latency", Vec::new()),
            Part::StartUp => ("start-up", Vec::new()),
            Part::Kernel => {
                let receivers = given("receiver", &receivers);
                ("kernel", [given("load", &self.loads), receivers].concat())
            }
            Part::CLibrary => {
                let receivers = given("receiver", &named(&["ours-one-by-one", "libipq"]));
                let loads = given("load", &named(&["udp-64", "udp-1400"]));
                ("kernel", [named(&["--instructions"]), loads, receivers].concat())
            }
        };
        let mut args = vec![name.to_owned(), format!("--rounds={}", self.rounds)];
        args.extend((name == "kernel").then(|| format!("--seconds={}", self.seconds)));
        args.extend(more);
        args
    }
}

/// The name of the network namespace this runs in.
fn own_namespace() -> Result<OsString, String> {
    let link = fs::read_link("/proc/self/ns/net");
    link.map(Into::into).map_err(|error| format!("cannot tell the network namespace: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::root;

    #[test]
    fn the_document_has_a_place_for_every_part() {
        for part in Part::value_variants() {
            let document = Document::read(&root().join("docs/benchmarks.md"), part.section());
            assert!(document.is_ok(), "{part:?}");
        }
    }
}
