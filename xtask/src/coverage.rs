//! `cargo xtask coverage`: which lines of the crates the tests run, and which functions they do not.
//!
//! cargo-llvm-cov builds everything so that it counts, and runs all tests. Programs that tests start count as well, and so
//! do the libraries that are preloaded into other programs or linked with programs in C.

pub(crate) mod counts;
pub(crate) mod export;
pub(crate) mod report;

use std::path::PathBuf;

use crate::document::Document;
use crate::packages::{packages, target_directory};
use crate::tool::{Outcome, cargo, run as call, succeeds};
use counts::Coverage;

/// The section of a document that `--write` makes again.
const SECTION: &str = "coverage";

/// What is done with what was counted.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Report what the last run has counted, without another one.
    #[arg(long)]
    no_run: bool,
    /// Put the tables into this file, between its marker comments.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Runs all tests and reports. A test that fails does not keep the others from being counted.
pub(crate) fn run(args: &Args) -> Outcome {
    let document = args.write.as_deref().map(|path| Document::read(path, SECTION)).transpose()?;
    needs_llvm_cov()?;
    let target = target_directory()?.join("llvm-cov-target");
    let packages = packages()?;
    let targets = packages.iter().flat_map(|package| &package.targets);
    let names: Vec<_> = targets.map(|target| target.name.replace('-', "_")).collect();
    let mut tested = Ok(());
    if !args.no_run {
        export::forget(&target, &names)?;
        tested =
            call(cargo("llvm-cov --no-report --workspace --all-features --locked --no-fail-fast"));
    }
    let coverage = Coverage::read(&export::export(&target, &names)?)?;
    println!("{}", report::table(&coverage));
    println!("{}", report::missed(&coverage));
    if let Some(document) = document {
        document.write(&report::table(&coverage))?;
    }
    tested.map_err(|error| format!("{error}; what was counted is above"))
}

/// Whether cargo-llvm-cov is there.
pub(crate) fn needs_llvm_cov() -> Outcome {
    if succeeds(cargo("llvm-cov --version")) {
        return Ok(());
    }
    Err("needs cargo-llvm-cov: cargo install cargo-llvm-cov --locked".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::root;

    #[test]
    fn the_document_has_a_place_for_it() {
        assert!(Document::read(&root().join("docs/coverage.md"), SECTION).is_ok());
    }
}
