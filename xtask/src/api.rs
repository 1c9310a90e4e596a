//! `cargo xtask api`: what the libraries offer to others, as text, so that each change of it is seen in a diff.
//!
//! rustdoc describes a crate as JSON, a form that is not stable yet: the compiler in use is told to write it all the same,
//! and the crate public-api makes text of it. Where the two do not agree on the form, nothing can be said.

use core::fmt;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use public_api::{Builder, PublicApi};
use serde::Deserialize;

use crate::packages::{Package, Target, packages, target_directory};
use crate::tool::{cargo, root, run as call};

/// The form of JSON that public-api reads.
const FORMAT: u32 = 57;

/// Traits that say something to the compiler alone.
const COMPILERS_OWN: [&str; 2] = ["core::marker::StructuralPartialEq", "core::marker::Freeze"];

/// Why there is no text, or not the one that there was.
#[derive(Debug)]
pub(crate) enum Problem {
    /// This compiler's rustdoc writes another form.
    Unreadable(String),
    Failed(String),
}

impl From<String> for Problem {
    fn from(error: String) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Writes the text of every published library to `api/`, or compares it with what is there.
pub(crate) fn run(check: bool) -> Result<(), Problem> {
    let packages = packages()?;
    let target = target_directory()?.join("api");
    let mut changed = Vec::new();
    for (package, library) in libraries(&packages) {
        let json = describe(&package.name, &library.name, &target)?;
        let text = text(&json)?;
        let path = root().join("api").join(&package.name).with_extension("txt");
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        if !check {
            fs::create_dir_all(root().join("api")).map_err(at)?;
            fs::write(&path, &text).map_err(at)?;
            continue;
        }
        let differences = differences(&fs::read_to_string(&path).map_err(at)?, &text);
        if !differences.is_empty() {
            println!("{}:\n{}", package.name, differences.join("\n"));
            changed.push(package.name.as_str());
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!("the API of {} is not what api/ says: `cargo xtask api`", changed.join(", "))
        .into())
}

/// The libraries that are for others. That of a program is for its own tests.
fn libraries(packages: &[Package]) -> impl Iterator<Item = (&Package, &Target)> {
    let published = packages.iter().filter(|package| package.is_published());
    let others = published.filter(|package| !package.is_program());
    others.filter_map(|package| Some((package, package.library()?)))
}

/// Has rustdoc describe a library; returns where.
fn describe(package: &str, library: &str, target: &Path) -> Result<PathBuf, Problem> {
    let mut doc = cargo("rustdoc --quiet --lib --all-features --locked");
    doc.args(["--package", package, "--target-dir"]).arg(target);
    doc.args(["--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"]);
    // In a directory of its own, since crates are built otherwise where they may try what is unstable.
    doc.env("RUSTC_BOOTSTRAP", "1");
    call(doc)?;
    let path = target.join("doc").join(library).with_extension("json");
    match format(&path)? {
        FORMAT => Ok(path),
        other => Err(Problem::Unreadable(format!(
            "rustdoc writes form {other} of its JSON, public-api reads {FORMAT}"
        ))),
    }
}

/// The form of a description.
fn format(path: &Path) -> Result<u32, String> {
    #[derive(Deserialize)]
    struct Head {
        format_version: u32,
    }
    let at = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let json = fs::read_to_string(path).map_err(|error| at(&error))?;
    let head: Head = serde_json::from_str(&json).map_err(|error| at(&error))?;
    Ok(head.format_version)
}

/// All items, a line each. Of what is derived there is the trait and not its methods. Every type is `Send`, `Sync`, `Unpin`
/// and so on, but where a line says that it is not.
fn text(json: &Path) -> Result<String, String> {
    let builder = Builder::from_rustdoc_json(json).omit_blanket_impls(true);
    let lines = |builder: Builder| -> Result<Vec<String>, String> {
        let api: PublicApi = builder.build().map_err(|error| error.to_string())?;
        Ok(api.items().map(ToString::to_string).collect())
    };
    let all = lines(builder.clone())?;
    let set = |builder| lines(builder).map(BTreeSet::from_iter);
    let but_auto: BTreeSet<_> = set(builder.clone().omit_auto_trait_impls(true))?;
    let but_derived: BTreeSet<_> = set(builder.omit_auto_derived_impls(true))?;
    let is_shown = |line: &&String| {
        if COMPILERS_OWN.iter().any(|own| line.contains(own)) {
            return false;
        }
        let is_impl = line.starts_with("impl");
        let is_of_note = but_auto.contains(*line) || line.contains(" !");
        is_of_note && (is_impl || but_derived.contains(*line))
    };
    Ok(all.iter().filter(is_shown).flat_map(|line| [line.as_str(), "\n"]).collect())
}

/// The lines that only one of two texts has.
fn differences(before: &str, after: &str) -> Vec<String> {
    let [before, after] = [before, after].map(|text| text.lines().collect::<BTreeSet<_>>());
    let gone = before.difference(&after).map(|line| format!("-{line}"));
    gone.chain(after.difference(&before).map(|line| format!("+{line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_the_lines_of_one_side() {
        assert_eq!(differences("a\nb\nc\n", "b\nc\nd\n"), ["-a", "+d"]);
        assert_eq!(differences("a\nb\n", "a\nb\n"), [""; 0]);
    }

    #[test]
    fn every_published_library_has_its_text() {
        let packages = packages().unwrap();
        let names = libraries(&packages).map(|(package, _)| format!("{}.txt", package.name));
        let files = fs::read_dir(root().join("api")).unwrap();
        let files: BTreeSet<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(files, names.collect());
    }
}
