//! The bodies of the fuzz targets: plain functions, so that stable Rust can test them and replay their seeds.
//!
//! A target is one line in `fuzz_targets/`, a row of [`TARGETS`], a `[[bin]]` in `Cargo.toml` and a folder of
//! named seeds in `seeds/`. Run by the fuzzer it is fuzzed (`cargo xtask fuzz --seconds 60`); run as an ordinary
//! program it takes the files it is given, which is how a crash is looked at without a nightly compiler:
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --bin decode_any -- fuzz/artifacts/decode_any/crash-…
//! ```

#![forbid(unsafe_code)]

mod decode;
mod round_trip;
mod served_frames;

pub use decode::decode_any;
pub use round_trip::round_trip;
pub use served_frames::served_frames;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

/// What a target does with an input; it panics where it finds a bug.
pub type Body = fn(&[u8]);

/// Every target by name.
pub const TARGETS: &[(&str, Body)] =
    &[("decode_any", decode_any), ("round_trip", round_trip), ("served_frames", served_frames)];

/// Makes a program of the function `$body`: a fuzz target under `cfg(fuzzing)`, else one that takes files.
#[macro_export]
macro_rules! target {
    ($body:ident) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$body(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay($crate::$body)
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
