//! The table of fuzz targets, and what makes a program of each.
//!
//! What a target does is an ordinary function in the crate that it is about, in the module `fuzzing` behind the feature of
//! that name. A new one is a line of the table below, four lines in `fuzz_targets/`, a `[[bin]]` in `Cargo.toml` and a
//! folder of named seeds in `seeds/`. Run by the fuzzer it is fuzzed (`cargo xtask fuzz --seconds 60`); run as an ordinary
//! program it takes the files it is given, which is how a crash is looked at without a nightly compiler:
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --bin decode_any -- fuzz/artifacts/decode_any/crash-…
//! ```

#![forbid(unsafe_code)]

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

/// What a target does with an input; it panics where it finds a bug.
pub type Body = fn(&[u8]);

/// Collects targets from the crates that have them.
macro_rules! targets {
    ($($module:path: $($name:ident),+;)+) => {
        $(pub use $module::{$($name),+};)+

        /// Every target by name.
        pub const TARGETS: &[(&str, Body)] = &[$($((stringify!($name), $name)),+),+];
    };
}

targets! {
    ipq_proto::fuzzing: decode_any, netlink_framing, round_trip;
    ipq_sys::fuzzing: served_frames;
    ipq_sim::fuzzing: captures, operations, served_clients, user_bytes;
    ipq::fuzzing: rewriting, session, shared_session;
    ipq_capi::fuzzing: c_library;
    ipq_cli::fuzzing: decode_command, filters, scenarios;
}

/// What an input says, in words: a line about the whole, and one for each step. `None` if it is too short to say anything.
pub type InWords = fn(&[u8]) -> Option<Vec<String>>;

/// The targets whose inputs are structures, which `arbitrary` reads by the order of fields and variants.
pub const STRUCTURED: &[(&str, InWords)] = &[
    ("c_library", ipq_capi::fuzzing::c_library_in_words),
    ("operations", ipq_sim::fuzzing::operations_in_words),
    ("rewriting", ipq::fuzzing::rewriting_in_words),
    ("served_clients", ipq_sim::fuzzing::served_clients_in_words),
    ("session", ipq::fuzzing::session_in_words),
    ("shared_session", ipq::fuzzing::shared_session_in_words),
];

/// Makes a program of the target `$name`: a fuzz target under `cfg(fuzzing)`, else one that takes files.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay($crate::$name)
        }
    };
}

/// Calls `body` with the contents of each file named on the command line.
///
/// # Errors
///
/// If a file cannot be read.
pub fn replay(body: Body) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        eprintln!("{}", path.display());
        body(&std::fs::read(&path)?);
    }
    Ok(())
}
