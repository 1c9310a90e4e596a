//! `cargo xtask threads`: what threads share, in every order in which they can go on, and then under load.

use std::env;

use crate::tool::{self, Outcome, cargo};

/// How often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often everything is done under load.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
}

/// Runs the models, and then the same on real threads.
pub(crate) fn run(args: &Args) -> Outcome {
    models()?;
    let mut load = cargo("test --locked --package ipq --all-features --test threads");
    load.env("IPQ_THREADS_ROUNDS", args.rounds.to_string());
    tool::run(load)
}

/// Where the models are: of the session and of workers' turns, of the preloaded library, and of the C library.
const MODELS: [&str; 4] = [
    "--package ipq --test models -- --nocapture",
    "--package ipq --lib models",
    "--package ipq-preload --test models",
    "--package ipq-capi --lib models",
];

/// Runs the models under loom, built in a place of their own.
pub(crate) fn models() -> Outcome {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| tool::root().join("target"), Into::into);
    MODELS.iter().try_for_each(|which| {
        let mut models = cargo(&format!("test --locked {which}"));
        models.env("RUSTFLAGS", format!("{flags} --cfg ipq_loom").trim());
        models.env("CARGO_TARGET_DIR", target.join("models"));
        tool::run(models)
    })
}
