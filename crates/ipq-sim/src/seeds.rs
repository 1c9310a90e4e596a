//! Seeds to try, from the environment: [`Seeds`].

use core::fmt;
use core::panic::AssertUnwindSafe;
use std::io::{self, Write};
use std::{env, panic};

/// The environment variable that names a seed.
const SEED: &str = "IPQ_SIM_SEED";

/// The environment variable that says how many seeds to try.
const RUNS: &str = "IPQ_SIM_RUNS";

/// Seeds to try, one after the other.
///
/// `IPQ_SIM_SEED`, decimal or hexadecimal behind `0x`, names one seed, to run a failure again. `IPQ_SIM_RUNS` says how
/// many to try, from that one on or from 0: a search. Without them, as many as the caller says, from 0 on, so that a test
/// does the same each time.
///
/// ```
/// use ipq_sim::Seeds;
///
/// assert!(Seeds::parse(None, None, 3)?.eq([0, 1, 2]));
/// assert!(Seeds::parse(Some("0xff"), None, 3)?.eq([255]));
/// assert!(Seeds::parse(Some("7"), Some("2"), 3)?.eq([7, 8]));
/// # Ok::<(), ipq_sim::SeedsError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seeds {
    next: u64,
    left: u64,
}

/// An environment variable that makes no sense.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeedsError {
    variable: &'static str,
    value: String,
}

impl Seeds {
    /// What the environment says, or else as many as `default_runs`, from 0 on.
    ///
    /// # Panics
    ///
    /// If a variable is there and makes no sense.
    pub fn from_env(default_runs: u64) -> Self {
        let variable = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let (seed, runs) = (variable(SEED), variable(RUNS));
        let seeds = Self::parse(seed.as_deref(), runs.as_deref(), default_runs);
        seeds.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What these values of `IPQ_SIM_SEED` and `IPQ_SIM_RUNS` say.
    ///
    /// # Errors
    ///
    /// If one is no number, or there are to be no runs.
    pub fn parse(
        seed: Option<&str>,
        runs: Option<&str>,
        default_runs: u64,
    ) -> Result<Self, SeedsError> {
        let error = |variable, value: &str| SeedsError { variable, value: value.to_owned() };
        let first = seed.map(|text| Self::number(text).ok_or_else(|| error(SEED, text)));
        let first = first.transpose()?;
        let runs = runs.map(|text| {
            Self::number(text).filter(|&runs| runs > 0).ok_or_else(|| error(RUNS, text))
        });
        let default_runs = first.map_or(default_runs, |_| 1);
        Ok(Self { next: first.unwrap_or(0), left: runs.transpose()?.unwrap_or(default_runs) })
    }

    /// A seed or a number of runs as both variables have it: decimal, or hexadecimal behind `0x`. `None` if it is no such
    /// number, or has more than 64 bits.
    pub fn number(text: &str) -> Option<u64> {
        // `parse` would take a sign.
        let is_plain = |digits: &str| digits.chars().all(|digit| digit.is_ascii_hexdigit());
        match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok().filter(|_| is_plain(digits)),
            None => text.parse().ok().filter(|_| is_plain(text)),
        }
    }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let seed = self.next;
        self.next = seed.wrapping_add(1);
        Some(seed)
    }
}

/// `IPQ_SIM_SEED=x: …`.
impl fmt::Display for SeedsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, value } = self;
        let wanted = match *variable {
            SEED => "a seed is a number of 64 bits, decimal or hexadecimal behind 0x",
            _ => "the number of runs is 1 or more, decimal or hexadecimal behind 0x",
        };
        write!(f, "{variable}={value}: {wanted}")
    }
}

impl core::error::Error for SeedsError {}

/// Runs `body` with each of the seeds that the environment says, or else with as many as `default_runs`.
///
/// If it panics, standard error says with which seed and how to run that again, and the panic goes on.
///
/// # Panics
///
/// If `body` does, or a variable of the environment makes no sense.
pub fn for_each_seed(default_runs: u64, mut body: impl FnMut(u64)) {
    for seed in Seeds::from_env(default_runs) {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| body(seed))) {
            // Where standard error is closed, the panic still tells.
            let _ = writeln!(io::stderr(), "seed {seed:#x}: rerun with {SEED}={seed:#x}");
            panic::resume_unwind(panic);
        }
    }
}

/// Runs `body` twice with a seed and compares what it returns, a trace for example.
///
/// # Panics
///
/// If the two differ: with the seed, and the first line in which they do.
#[track_caller]
pub fn assert_repeatable<T: PartialEq + fmt::Display>(seed: u64, mut body: impl FnMut(u64) -> T) {
    let (first, second) = (body(seed), body(seed));
    if first == second {
        return;
    }
    let (first, second) = (first.to_string(), second.to_string());
    let (mut firsts, mut seconds) = (first.lines(), second.lines());
    for line in 1_usize.. {
        match (firsts.next(), seconds.next()) {
            (None, None) => break,
            (first, second) if first == second => (),
            (first, second) => {
                let [first, second] = [first, second].map(|text| text.unwrap_or("(no such line)"));
                panic!(
                    "seed {seed:#x} is not repeatable: line {line} is\n{first}\nand then\n{second}"
                );
            }
        }
    }
    panic!("seed {seed:#x} is not repeatable, though both runs print the same");
}
