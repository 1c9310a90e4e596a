//! The examples: those in files, and those in the documentation.

use std::fs;
use std::path::{Path, PathBuf};

use super::{run, written};
use crate::common::Run;

/// All examples, in order.
fn examples() -> Vec<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios"));
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 18, "{files:?}");
    files
}

/// An example by its name.
pub(super) fn example(name: &str) -> PathBuf {
    let mut files = examples().into_iter();
    files.find(|file| file.file_stem().is_some_and(|stem| stem == name)).expect("it is there")
}

/// Checks that all was expected that was found, that something was, and that a second run did the same.
#[track_caller]
fn holds(path: &Path) {
    let run = run(path, &["--check", "--json"]).was_silent();
    let end = run.events("run").pop().expect("it has run");
    assert_eq!(end["hold"], end["expectations"], "{run:#?}");
    assert!(end["expectations"].as_u64() > Some(0), "{run:#?}");
}

#[test]
fn every_example_holds_and_can_be_repeated() {
    for path in examples() {
        holds(&path);
    }
}

#[test]
fn every_example_says_what_it_is_about() {
    for path in examples() {
        let scenario = ipq_sim::Scenario::open(&path).unwrap();
        assert!(!scenario.description().is_empty(), "{}", path.display());
    }
}

#[test]
fn what_is_drawn_does_not_matter_to_examples_without_numbers_that_are_drawn() {
    for name in ["port-filter", "overrun-storm", "faults", "repaired-checksum"] {
        let run = run(&example(name), &["--repeat", "5", "--seed", "0x100"]).was_silent();
        assert!(run.stdout.ends_with("5 runs: all is as expected\n"), "{run:#?}");
    }
}

#[test]
fn every_block_of_the_documentation_holds() {
    let text = include_str!("../../../../docs/scenarios.md");
    let blocks: Vec<_> = text
        .split("```toml\n")
        .skip(1)
        .map(|block| block.split_once("```").expect("the block ends").0)
        .collect();
    assert!(blocks.len() >= 3);
    for block in blocks {
        holds(&written(block).path);
    }
}

#[test]
fn the_documentation_shows_what_is_printed() {
    let text = include_str!("../../../../docs/scenarios.md");
    let command = "$ ipq-cli sim run tests/scenarios/port-filter.toml\n";
    let shown = text.split_once(command).expect("it is shown").1.split_once("```").unwrap().0;
    assert_eq!(
        Run::of(&mut super::sim_run(&example("port-filter"), &[])).was_silent().stdout,
        shown
    );
}
