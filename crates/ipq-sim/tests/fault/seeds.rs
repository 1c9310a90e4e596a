//! Seeds from the environment, and runs that are compared.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::process::Command;

use ipq_sim::{Seeds, assert_repeatable, for_each_seed};

fn seeds(seed: Option<&str>, runs: Option<&str>) -> Vec<u64> {
    Seeds::parse(seed, runs, 3).unwrap().collect()
}

#[test]
fn without_variables_there_are_as_many_as_the_caller_says() {
    assert_eq!(seeds(None, None), [0, 1, 2]);
}

#[test]
fn a_seed_is_one_and_runs_search_from_it() {
    assert_eq!(seeds(Some("7"), None), [7]);
    assert_eq!(seeds(Some("0xFf"), None), [255]);
    assert_eq!(seeds(Some("18446744073709551615"), None), [u64::MAX]);
    assert_eq!(seeds(None, Some("5")), [0, 1, 2, 3, 4]);
    assert_eq!(seeds(Some("0XFFFFFFFFFFFFFFFF"), Some("2")), [u64::MAX, 0]);
}

#[test]
fn nonsense_is_refused_with_the_variable_and_its_value() {
    for nonsense in ["", " 7", "-1", "+1", "0x", "0x+1", "seven", "18446744073709551616", "1e3"] {
        for (seed, runs) in [(Some(nonsense), None), (None, Some(nonsense))] {
            let error = Seeds::parse(seed, runs, 3).unwrap_err().to_string();
            let variable = if seed.is_some() { "IPQ_SIM_SEED" } else { "IPQ_SIM_RUNS" };
            assert!(error.starts_with(&format!("{variable}={nonsense}: ")), "{error}");
        }
    }
    assert!(Seeds::parse(None, Some("0"), 3).is_err(), "no run proves nothing");
}

/// A test inside a test: what it prints and how it ends depends on the environment.
#[test]
fn inner() {
    if std::env::var_os("IPQ_SIM_TEST_INNER").is_some() {
        for_each_seed(4, |seed| {
            println!("seed {seed}");
            assert_ne!(seed, 0x11, "this one fails");
        });
    }
}

/// Runs [`inner`] with these variables; whether it succeeded, and what it printed.
fn run_inner(variables: &[(&str, &str)]) -> (bool, String) {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "seeds::inner", "--nocapture"])
        .env_remove("IPQ_SIM_SEED")
        .env_remove("IPQ_SIM_RUNS")
        .env("IPQ_SIM_TEST_INNER", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (out.status.success(), text)
}

#[test]
fn a_seed_that_panics_is_printed_and_the_panic_goes_on() {
    let (succeeded, text) = run_inner(&[]);
    assert!(succeeded && text.contains("seed 3") && !text.contains("seed 4"), "{text}");
    let (succeeded, text) = run_inner(&[("IPQ_SIM_SEED", "15"), ("IPQ_SIM_RUNS", "10")]);
    assert!(!succeeded, "{text}");
    assert!(text.contains("seed 0x11: rerun with IPQ_SIM_SEED=0x11\n"), "{text}");
    assert!(text.contains("this one fails") && !text.contains("seed 18"), "{text}");
    let (succeeded, text) = run_inner(&[("IPQ_SIM_SEED", "never")]);
    assert!(!succeeded && text.contains("IPQ_SIM_SEED=never: a seed is a number"), "{text}");
}

#[test]
fn runs_that_differ_are_told_with_the_first_line_that_does() {
    let panic_of = |runs: [&'static str; 2]| {
        let mut runs = runs.into_iter();
        let compare = || assert_repeatable(0xabc, |_| runs.next().unwrap());
        let panic = catch_unwind(AssertUnwindSafe(compare)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    assert_eq!(
        panic_of(["a\nb\nc", "a\nx\nc"]),
        "seed 0xabc is not repeatable: line 2 is\nb\nand then\nx"
    );
    assert_eq!(
        panic_of(["a", "a\nb"]),
        "seed 0xabc is not repeatable: line 2 is\n(no such line)\nand then\nb"
    );
    assert!(panic_of(["a", "a\n"]).ends_with("both runs print the same"));
    assert_repeatable(1, |seed| seed);
}
