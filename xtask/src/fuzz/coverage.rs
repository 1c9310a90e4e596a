//! `cargo xtask fuzz-coverage`: which lines of the crates the inputs of the fuzz targets reach.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::targets;
use crate::coverage::counts::{Count, Coverage, File};
use crate::coverage::{export, needs_llvm_cov, report};
use crate::packages::packages;
use crate::tool::{self, Outcome, cargo};

/// How much is shown of what a target says that fails.
const LINES: usize = 20;

/// Longer lines, in bytes, are not.
const LONGEST: usize = 1000;

/// Has every target take its seeds, and then what the fuzzer has kept in `fuzz/corpus`; prints a row for each crate, and the
/// functions that were never called.
pub(crate) fn run() -> Outcome {
    needs_llvm_cov()?;
    let targets = targets()?;
    let counts = tool::root().join("fuzz/target/llvm-cov-target");
    export::forget(&counts, &targets)?;
    let mut reached = [const { BTreeMap::new() }; 2];
    let mut all = Coverage::default();
    for (place, reached) in ["seeds", "corpus"].into_iter().zip(&mut reached) {
        for target in &targets {
            println!("=== {target}: {place}");
            replay(target, &tool::root().join("fuzz").join(place).join(target))?;
        }
        all = Coverage::read(&export::export(&counts, &targets)?)?;
        *reached = lines(&all);
    }
    println!("{}", report::missed(&all));
    println!("\n{}", table(&reached));
    Ok(())
}

/// Runs a target as an ordinary program, built so that it counts, on each input in a folder.
fn replay(target: &str, folder: &Path) -> Outcome {
    let mut inputs: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        // Nothing was fuzzed yet.
        Err(_) => Vec::new(),
    };
    inputs.sort();
    // The crates are none of the workspace of the targets, and would not count by themselves.
    let crates: Vec<_> = packages()?.into_iter().map(|package| package.name).collect();
    let mut program = cargo("llvm-cov run --no-report --locked --manifest-path fuzz/Cargo.toml");
    program.args(["--dep-coverage", &crates.join(","), "--bin", target, "--"]);
    let output = program.args(inputs).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    // It says the name of each input before it takes it, and so the last one of all. Cargo repeats all the names in a line.
    let said = String::from_utf8_lossy(&output.stderr);
    let short = said.lines().filter(|line| line.len() < LONGEST);
    let last: Vec<_> = short.rev().take(LINES).collect();
    Err(format!(
        "{target}: {}\n{}",
        output.status,
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    ))
}

/// The lines of each crate.
fn lines(coverage: &Coverage) -> BTreeMap<String, Count> {
    let crates = coverage.crates().into_iter();
    crates.map(|(name, File { lines, .. })| (name.to_owned(), lines)).collect()
}

/// A row for each crate, and one for all, as Markdown.
fn table([seeds, corpus]: &[BTreeMap<String, Count>; 2]) -> String {
    let mut rows =
        vec!["| crate | lines | seeds | and corpus |".to_owned(), "|---|--:|--:|--:|".to_owned()];
    let mut all = [Count::default(); 2];
    for (name, grown) in corpus {
        let seeds = seeds.get(name).copied().unwrap_or_default();
        all[0] += seeds;
        all[1] += *grown;
        rows.push(row(name, seeds, *grown));
    }
    rows.push(row("all", all[0], all[1]));
    rows.join("\n")
}

fn row(name: &str, seeds: Count, grown: Count) -> String {
    format!("| {name} | {} | {seeds} | {grown} |", grown.all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_sums_up() {
        let crates = |one, other| {
            let count = |covered| Count { all: 50, covered };
            BTreeMap::from([("ipq".to_owned(), count(one)), ("ipq-sys".to_owned(), count(other))])
        };
        let table = table(&[crates(10, 20), crates(25, 50)]);
        assert_eq!(
            table.lines().skip(2).collect::<Vec<_>>(),
            [
                "| ipq | 50 | 20.0 % | 50.0 % |",
                "| ipq-sys | 50 | 40.0 % | 100.0 % |",
                "| all | 100 | 30.0 % | 75.0 % |"
            ]
        );
    }
}
