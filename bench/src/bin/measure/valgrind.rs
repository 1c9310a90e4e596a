//! Instructions outside of the kernel, as valgrind counts them: the same in each run, however busy the machine is.

use crate::Outcome;

/// The program, and what it is told before the program that is counted.
pub(crate) const COMMAND: [&str; 4] =
    ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];

/// The instructions of a whole program, by what valgrind says on stderr when it has ended.
pub(crate) fn count(said: &str) -> Outcome<u64> {
    let count = said.lines().find_map(|line| line.split_once("refs:"));
    let digits: Option<String> =
        count.map(|(_, number)| number.chars().filter(char::is_ascii_digit).collect());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| "valgrind counts nothing".into())
}

/// The instructions of one of what was done, from those of two runs and how often each did it.
#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2⁵³ here")]
pub(crate) fn each(fewer: (u64, u64), more: (u64, u64)) -> f64 {
    more.0.saturating_sub(fewer.0) as f64 / more.1.saturating_sub(fewer.1) as f64
}
