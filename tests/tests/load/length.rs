//! How long the tests take: [`seconds`] and [`rounds`].

use std::env;

/// Says how many seconds a flood goes on, and that everything else is done as often as it was ever meant to be.
const SECONDS: &str = "IPQ_LOAD_SECONDS";

/// How long a flood goes on in an ordinary run.
const SHORT: u64 = 2;

fn wanted() -> Option<u64> {
    let seconds = env::var(SECONDS).ok()?;
    Some(seconds.parse().unwrap_or_else(|_| panic!("{SECONDS}={seconds}: no number of seconds")))
}

/// How many seconds a flood goes on.
pub(crate) fn seconds() -> u64 {
    wanted().unwrap_or(SHORT)
}

/// How often something is done: so often in a long run, and so often in an ordinary one.
pub(crate) fn rounds(long: u32, short: u32) -> u32 {
    if wanted().is_some() { long } else { short }
}
