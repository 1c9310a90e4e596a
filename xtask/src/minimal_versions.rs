//! `cargo xtask minimal-versions`: the published crates build with the oldest versions that their manifests allow.

use std::fs;
use std::path::Path;

use crate::packages::target_directory;
use crate::tool::{Outcome, cargo, command, output, root, run as call};

/// Resolves the published crates in a copy of them, and checks them. What their dependencies depend on is as new as ever:
/// those manifests are not ours to mend.
pub(crate) fn run() -> Outcome {
    let copy = target_directory()?.join("minimal-versions");
    copy_crates(&copy)?;
    let mut resolve = cargo("generate-lockfile");
    resolve.current_dir(&copy).arg("-Zdirect-minimal-versions");
    // For this option alone; what is built is built as ever.
    resolve.env("RUSTC_BOOTSTRAP", "1");
    call(resolve)?;
    let mut check = cargo("check --workspace --all-features --locked");
    check.current_dir(&copy).arg("--target-dir").arg(copy.join("target"));
    call(check)
}

/// Copies the crates that are published to `copy`, without what only their tests depend on.
fn copy_crates(copy: &Path) -> Outcome {
    let crates = copy.join("crates");
    if crates.exists() {
        fs::remove_dir_all(&crates).map_err(|error| at(&crates, &error))?;
    }
    let tracked = output(command("git", "ls-files crates"))?;
    for name in tracked.lines().filter(|name| !name.contains("/tests/")) {
        let to = copy.join(name);
        let parent = to.parent().unwrap_or(copy);
        fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
        fs::copy(root().join(name), &to).map_err(|error| at(&to, &error))?;
        if name.ends_with("/Cargo.toml") {
            rewrite(&to, without_dev_dependencies)?;
        }
    }
    let manifest = copy.join("Cargo.toml");
    fs::copy(root().join("Cargo.toml"), &manifest).map_err(|error| at(&manifest, &error))?;
    rewrite(&manifest, |text| text.replace(r#", "tests", "xtask""#, ""))
}

fn rewrite(path: &Path, change: impl FnOnce(&str) -> String) -> Outcome {
    let text = fs::read_to_string(path).map_err(|error| at(path, &error))?;
    fs::write(path, change(&text)).map_err(|error| at(path, &error))
}

/// A manifest without the tables that only tests, examples and benchmarks need.
fn without_dev_dependencies(manifest: &str) -> String {
    let mut is_kept = true;
    let kept = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            let is_for_tests = ["[dev-dependencies", "[[test", "[[example", "[[bench"];
            is_kept = !is_for_tests.iter().any(|table| line.starts_with(table));
        }
        is_kept
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_need_is_left_out() {
        let manifest = "[package]\nname = \"a\"\n[dev-dependencies]\nb = \"1\"\n[[test]]\nname = \"c\"\n[lints]\n";
        assert_eq!(without_dev_dependencies(manifest), "[package]\nname = \"a\"\n[lints]\n");
    }
}
