//! `ipq-proto` needs neither `std` nor `alloc`: `tests/no-std`, which has neither, builds with it. And that proves
//! something: with either of the two it does not.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `tests/no-std`.
fn crate_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("no-std")
}

/// Builds the crate with `features`. Cargo lets the builds of several tests wait for each other.
fn build(features: &str) -> Output {
    Command::new(env!("CARGO"))
        .args(["build", "--offline", "--locked", "--color=never", "--features", features])
        .arg("--manifest-path")
        .arg(crate_dir().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-std"))
        // What measures coverage wraps the compiler, and ends otherwise.
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()
        .expect("cargo runs, as it runs this test")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fails_with(features: &str, reason: &str) {
    let output = build(features);
    let stderr = stderr(&output);
    assert!(!output.status.success(), "it builds with {features}:\n{stderr}");
    assert!(stderr.contains(reason), "it fails for another reason:\n{stderr}");
    let errors = stderr.lines().filter(|line| line.starts_with("error")).count();
    assert_eq!(errors, 2, "it fails for one reason, and says so at the end:\n{stderr}");
}

#[test]
fn builds_without_std_and_without_an_allocator() {
    let output = build("");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn would_not_build_if_something_needed_an_allocator() {
    fails_with("use-alloc", "no global memory allocator found");
}

#[test]
fn would_not_build_if_something_needed_std() {
    fails_with("use-std", "found duplicate lang item `panic_impl`");
}

/// There is one feature, which needs `std` and says so; one that is added has to be built here as well.
#[test]
fn no_feature_of_it_is_left_out() {
    let manifest = crate_dir().join("../../crates/ipq-proto/Cargo.toml");
    let text = std::fs::read_to_string(manifest).expect("it is committed");
    let table = text.split("[features]\n").nth(1).expect("it has features");
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let features: Vec<_> =
        lines.filter(|line| !line.starts_with("##") && !line.is_empty()).collect();
    assert_eq!(features, ["fuzzing = []"]);
}

#[test]
fn uses_the_versions_that_the_workspace_uses() {
    let theirs = packages(&crate_dir().join("Cargo.lock"));
    let ours = packages(&crate_dir().join("../../Cargo.lock"));
    assert!(theirs.iter().any(|package| package.starts_with("zerocopy ")), "{theirs:?}");
    for package in &theirs {
        assert!(
            package.starts_with("ipq-no-std ") || ours.contains(package),
            "{package} is not in Cargo.lock: copy Cargo.lock to tests/no-std and build there"
        );
    }
}

/// The packages of a lock file, as `name version`.
fn packages(lock: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(lock).expect("the lock file is committed");
    let value = |line: &str, key| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let mut lines = text.lines().peekable();
    let mut packages = Vec::new();
    while let Some(line) = lines.next() {
        let name = value(line, "name = ");
        let version = lines.peek().and_then(|line| value(line, "version = "));
        packages.extend(name.zip(version).map(|(name, version)| format!("{name} {version}")));
    }
    packages
}
