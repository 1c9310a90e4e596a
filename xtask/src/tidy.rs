//! `cargo xtask tidy`: what no compiler looks at, for every file that is, or is about to be, in the repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::tool::{Outcome, command, root};

/// Recordings, captures and what programs print: data, to be kept byte by byte.
const DATA: [&str; 4] = ["tests/traffic/", "tests/vectors/", "tests/golden/", "fuzz/seeds/"];

/// What is not the project's where git cannot be asked.
const IGNORED: [&str; 6] =
    [".git", "target", "fuzz/corpus", "fuzz/artifacts", "fuzz/coverage", "fuzz/logs"];

/// The crates that may say `unsafe`.
const UNSAFE_CRATES: [&str; 3] = ["crates/ipq-sys/", "crates/ipq-capi/", "crates/ipq-preload/"];

/// Lines of a Rust file from which it is one idea too many, and from which it is refused.
const LONG: usize = 600;
const TOO_LONG: usize = 800;

/// Unfinished or forgotten code. In halves, here and below, so that this file passes its own rules.
const UNFINISHED: [&str; 4] = [
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("#[ig", "nore"),
    concat!("db", "g!("),
];

/// Folders of one machine.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// Hosts of package registries: cargo's configuration is where these belong.
const REGISTRY_HOSTS: [&str; 3] =
    [concat!("arti", "factory"), concat!("index.", "crates.io"), concat!("static.", "crates.io")];

/// Checks the whole project and prints what is wrong with it.
pub(crate) fn run() -> Outcome {
    let findings = project(root()).map_err(|error| format!("cannot read the project: {error}"))?;
    for Finding { path, line, what, .. } in &findings {
        println!("{path}:{line}: {what}");
    }
    match findings.iter().filter(|finding| !finding.is_warning).count() {
        0 => Ok(()),
        count => Err(format!("{count} findings")),
    }
}

/// Something that is wrong with a line of a file.
#[derive(Debug)]
struct Finding {
    path: String,
    line: usize,
    what: String,
    /// To be looked at, but no reason to fail.
    is_warning: bool,
}

/// The findings in one file, while it is read.
struct File<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl File<'_> {
    fn find(&mut self, line: usize, what: impl Into<String>) {
        let path = self.path.to_owned();
        self.findings.push(Finding { path, line, what: what.into(), is_warning: false });
    }

    fn warn(&mut self, line: usize, what: impl Into<String>) {
        let path = self.path.to_owned();
        self.findings.push(Finding { path, line, what: what.into(), is_warning: true });
    }

    fn has_extension(&self, extensions: &[&str]) -> bool {
        let extension = Path::new(self.path).extension();
        extensions.iter().any(|&wanted| extension.is_some_and(|extension| extension == wanted))
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }
}

/// All findings in the project at `root`, by file.
fn project(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in files(root)? {
        let bytes = match fs::read(root.join(&path)) {
            Ok(bytes) => bytes,
            // Removed, and git not told yet; or a folder that git knows as one entry.
            Err(_) if !root.join(&path).is_file() => continue,
            Err(error) => return Err(error),
        };
        // What is not text has no lines to look at.
        if let Ok(text) = str::from_utf8(&bytes) {
            findings.extend(check(&path, text));
        }
    }
    Ok(findings)
}

/// Paths of the project's files below `root`, sorted: what git tracks, or would after `git add`.
fn files(root: &Path) -> io::Result<Vec<String>> {
    let mut git = command("git", "ls-files -z --cached --others --exclude-standard");
    let mut paths = match git.current_dir(root).output() {
        Ok(out) if out.status.success() => out
            .stdout
            .split(|&byte| byte == 0)
            .map(String::from_utf8_lossy)
            .map(Into::into)
            .collect(),
        // No git, or an unpacked archive.
        _ => walk(root)?,
    };
    paths.retain(|path: &String| !path.is_empty());
    paths.sort();
    Ok(paths)
}

/// Paths of all files below `root`, but for what is [`IGNORED`].
fn walk(root: &Path) -> io::Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let inside = path.strip_prefix(root).unwrap_or(&path);
            if IGNORED.iter().any(|ignored| inside.ends_with(ignored)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                paths.push(inside.to_string_lossy().into_owned());
            }
        }
    }
    Ok(paths)
}

/// The findings in the file `path` with the contents `text`.
fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut file = File { path, findings: Vec::new() };
    if file.is_in(&DATA) || text.contains('\0') {
        return file.findings;
    }
    check_blanks(&mut file, text);
    check_places(&mut file, text);
    if file.has_extension(&["rs"]) {
        check_rust(&mut file, text);
    }
    if path.ends_with("Cargo.toml") {
        check_manifest(&mut file, text);
    }
    file.findings
}

/// Blanks where they cannot be seen.
fn check_blanks(file: &mut File<'_>, text: &str) {
    // A snapshot shows what a program printed, which may well end in a blank.
    let is_ours = !file.has_extension(&["snap"]);
    let no_tabs = file.has_extension(&["rs", "toml", "md"]);
    for (line, number) in text.split('\n').zip(1..) {
        if is_ours && line.ends_with([' ', '\t', '\r']) {
            file.find(number, "blanks at the end of the line");
        }
        if no_tabs && line.contains('\t') {
            file.find(number, "a tab");
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        file.find(text.lines().count(), "no newline at the end of the file");
    }
}

/// Names that mean something on one machine only.
fn check_places(file: &mut File<'_>, text: &str) {
    let may_name_registries = file.path.ends_with("Cargo.lock");
    for (line, number) in text.lines().zip(1..) {
        for path in MACHINE_PATHS.iter().filter(|path| names_folder(line, path)) {
            file.find(number, format!("a path of one machine: {path}"));
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(*host)) {
            if !may_name_registries {
                file.find(number, format!("a registry host: {host}"));
            }
        }
    }
}

/// Whether `line` has `folder` as the start of a path, and not in the middle of one or of an address.
fn names_folder(line: &str, folder: &str) -> bool {
    let is_inner = |before: char| before.is_alphanumeric() || "._-*~}".contains(before);
    line.match_indices(folder).any(|(at, _)| !line[..at].chars().next_back().is_some_and(is_inner))
}

/// Rust: length, unfinished code, unsafe code.
fn check_rust(file: &mut File<'_>, text: &str) {
    let count = text.lines().count();
    if count > TOO_LONG {
        file.find(count, format!("{count} lines, {TOO_LONG} at most"));
    } else if count > LONG {
        file.warn(count, format!("warning: {count} lines; is it still one idea?"));
    }
    let may_be_unsafe = file.is_in(&UNSAFE_CRATES);
    for (line, number) in text.lines().zip(1..) {
        for unfinished in UNFINISHED.iter().filter(|unfinished| line.contains(*unfinished)) {
            file.find(number, format!("unfinished: {unfinished}"));
        }
        if !may_be_unsafe && is_unsafe(line) {
            file.find(number, "unsafe code outside the crates for it");
        }
    }
    if !may_be_unsafe && is_crate_root(file.path) && !text.contains("#![forbid(unsafe_code)]") {
        file.find(1, "a crate root without #![forbid(unsafe_code)]");
    }
}

/// Whether `line` has the keyword, outside string literals and before any comment.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut words = code.split('"').step_by(2).flat_map(|code| code.split(|c| !is_word(c)));
    words.any(|word| word == "unsafe")
}

/// Whether the file `path` is the root of a library or a program. Tests, examples and benches are not meant:
/// the workspace's lints hold for them.
fn is_crate_root(path: &str) -> bool {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    let folder = path.strip_suffix(file).unwrap_or_default();
    match file {
        "lib.rs" | "main.rs" => folder.ends_with("src/"),
        _ => folder.ends_with("src/bin/") || folder.ends_with("fuzz_targets/"),
    }
}

/// A manifest: versions in one place, lints from the workspace.
fn check_manifest(file: &mut File<'_>, text: &str) {
    let mut table = "";
    let mut has_package = false;
    let mut is_workspace = false;
    let mut has_lints = false;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_start_matches('[').split(']').next().unwrap_or_default();
            has_package |= table == "package";
            is_workspace |= table == "workspace";
            continue;
        }
        has_lints |= table == "lints" && line == "workspace = true";
        if is_dependency_table(table) && names_version(line, table) {
            file.find(number, "a version outside [workspace.dependencies]");
        }
    }
    // A workspace of one package may have its own.
    if has_package && !is_workspace && !has_lints {
        file.find(1, "no `workspace = true` under [lints]");
    }
}

/// Whether `table` is one of a package's tables of dependencies, or that of a single dependency.
fn is_dependency_table(table: &str) -> bool {
    !table.starts_with("workspace.")
        && table.split('.').any(|part| part == "dependencies" || part.ends_with("-dependencies"))
}

/// Whether `line` of the dependency table `table` gives a version: `foo = "1"`, or `version = …` anywhere.
fn names_version(line: &str, table: &str) -> bool {
    let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
        return false;
    };
    let (key, value) = (key.trim(), value.trim());
    let is_of_one = !table.ends_with("dependencies");
    let mut words = value.split(|character: char| !character.is_alphanumeric() && character != '-');
    key == "version"
        || key.ends_with(".version")
        || (!is_of_one && !key.contains('.') && value.starts_with('"'))
        || (value.starts_with('{') && words.any(|word| word == "version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with `text` at `path`, one `line: what` per finding.
    fn findings(path: &str, text: &str) -> Vec<String> {
        check(path, text).iter().map(|found| format!("{}: {}", found.line, found.what)).collect()
    }

    #[test]
    fn this_project_is_tidy() {
        let findings = project(root()).expect("a readable project");
        let errors: Vec<_> = findings.iter().filter(|finding| !finding.is_warning).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }

    #[test]
    fn finds_files_with_and_without_git() {
        let walked = walk(root()).expect("a readable project");
        for path in ["Cargo.toml", "xtask/src/tidy.rs", ".ci/run"] {
            assert!(walked.iter().any(|walked| walked == path), "{path}");
            assert!(
                files(root()).expect("a readable project").contains(&path.to_owned()),
                "{path}"
            );
        }
        assert!(!walked.iter().any(|path| path.contains("target/")));
    }

    #[test]
    fn refuses_blanks_that_cannot_be_seen() {
        assert_eq!(findings("a.md", "a \nb\n"), ["1: blanks at the end of the line"]);
        assert_eq!(findings("a.rs", "\ta\n"), ["1: a tab"]);
        assert_eq!(findings("a.sh", "\ta\n"), [""; 0]);
        assert_eq!(findings("a.sh", "a\nb"), ["2: no newline at the end of the file"]);
        assert_eq!(findings("tests/vectors/a.md", "a \t"), [""; 0]);
    }

    #[test]
    fn refuses_names_of_one_machine() {
        let path = MACHINE_PATHS[0];
        assert_eq!(findings("a", &format!("in {path}me\n")).len(), 1);
        assert_eq!(findings("a", &format!("https://host{path}me\n")), [""; 0]);
        let host = REGISTRY_HOSTS[0];
        assert_eq!(findings("a", &format!("{host}\n")).len(), 1);
        assert_eq!(findings("fuzz/Cargo.lock", &format!("{host}\n")), [""; 0]);
    }

    #[test]
    fn refuses_unfinished_rust() {
        for unfinished in UNFINISHED {
            assert_eq!(findings("a.rs", &format!("{unfinished}\n")).len(), 1, "{unfinished}");
        }
    }

    #[test]
    fn refuses_long_rust_and_warns_before() {
        assert_eq!(findings("a.rs", &"//\n".repeat(LONG)), [""; 0]);
        assert_eq!(
            findings("a.rs", &"//\n".repeat(LONG + 1)),
            ["601: warning: 601 lines; is it still one idea?"]
        );
        assert_eq!(findings("a.rs", &"//\n".repeat(TOO_LONG + 1)), ["801: 801 lines, 800 at most"]);
    }

    #[test]
    fn refuses_unsafe_code_outside_its_crates() {
        let code = "unsafe { f() }\n";
        let expected = ["1: unsafe code outside the crates for it"];
        assert_eq!(findings("crates/ipq/src/a.rs", code), expected);
        assert_eq!(findings("crates/ipq-sys/src/a.rs", code), [""; 0]);
        assert_eq!(findings("crates/ipq/src/a.rs", &format!("// {code}")), [""; 0]);
        let expected = ["1: a crate root without #![forbid(unsafe_code)]"];
        for root in ["crates/ipq/src/lib.rs", "xtask/src/main.rs", "fuzz/fuzz_targets/a.rs"] {
            assert_eq!(findings(root, "\n"), expected, "{root}");
        }
    }

    #[test]
    fn refuses_versions_and_lints_of_a_members_own() {
        let lints = "[package]\n[lints]\nworkspace = true\n";
        for good in ["a.workspace = true", "a = { workspace = true, features = [\"x\"] }", ""] {
            let text = format!("{lints}[dev-dependencies]\n{good}\n");
            assert_eq!(findings("a/Cargo.toml", &text), [""; 0], "{good}");
        }
        for bad in ["a = \"1\"", "a = { version = \"1\" }", "a.version = \"1\""] {
            let text = format!("{lints}[target.'cfg(unix)'.dependencies]\n{bad}\n");
            let expected = ["5: a version outside [workspace.dependencies]"];
            assert_eq!(findings("a/Cargo.toml", &text), expected, "{bad}");
        }
        let single = format!("{lints}[dependencies.a]\nversion = \"1\"\n");
        assert_eq!(findings("a/Cargo.toml", &single).len(), 1);
        let expected = ["1: no `workspace = true` under [lints]"];
        assert_eq!(findings("a/Cargo.toml", "[package]\n"), expected);
        assert_eq!(findings("Cargo.toml", "[workspace.dependencies]\na = \"1\"\n"), [""; 0]);
    }
}
