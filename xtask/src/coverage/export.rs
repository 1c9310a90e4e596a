//! From the counts that programs left behind to one export of llvm-cov. What cargo-llvm-cov makes of them knows nothing of
//! libraries that C programs load; and of two functions with one name in C it shows the one that was never called.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{command, output, run as call};

/// Merges the counts below `target`, and has them assigned to lines and functions of the programs with these names.
pub(crate) fn export(target: &Path, names: &[String]) -> Result<String, String> {
    let merged = target.join("merged.profdata");
    let counts = files(target)?.into_iter().filter(|path| has_extension(path, "profraw"));
    let list = target.join("counts.txt");
    let lines: Vec<_> = counts.map(|path| path.display().to_string()).collect();
    fs::write(&list, lines.join("\n")).map_err(|error| at(&list, &error))?;
    let mut merge = tool("LLVM_PROFDATA", "llvm-profdata")?;
    // A program that was killed may have left half of a file.
    merge.args(["merge", "--sparse", "--failure-mode=all", "--input-files"]).arg(&list);
    merge.arg("--output").arg(&merged);
    call(merge)?;
    let mut export = tool("LLVM_COV", "llvm-cov")?;
    export.args(["export", "--format=text", "--instr-profile"]).arg(&merged);
    for object in objects(target, names)? {
        export.arg("--object").arg(object);
    }
    output(export)
}

/// Removes what earlier runs have left below `target`: their counts, and programs that were built of other sources.
pub(crate) fn forget(target: &Path, names: &[String]) -> Result<(), String> {
    if !target.exists() {
        return Ok(());
    }
    let counts = files(target)?.into_iter().filter(|path| has_extension(path, "profraw"));
    let stale: Vec<_> = counts.chain(objects(target, names)?).collect();
    stale.iter().try_for_each(|path| fs::remove_file(path).map_err(|error| at(path, &error)))
}

/// The libraries and programs that count. Of several functions of one name the first is shown, so the libraries with names
/// in C come before the tests of the same crates.
fn objects(target: &Path, names: &[String]) -> Result<Vec<PathBuf>, String> {
    let deps = target.join("debug/deps");
    if !deps.exists() {
        return Ok(Vec::new());
    }
    let mut objects =
        vec![target.join("tmp/libipq/lib/libipq.so.0"), deps.join("libipq_preload.so")];
    objects.retain(|library| library.exists());
    objects.extend(files(&deps)?.into_iter().filter(|path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = file.rsplit_once('-').map(|(name, _)| name);
        path.extension().is_none() && names.iter().any(|known| name == Some(known))
    }));
    Ok(objects)
}

/// The files in a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| at(folder, &error))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension == wanted)
}

/// A tool of LLVM: the one that the environment names, as for cargo-llvm-cov, or else that of the compiler in use.
fn tool(variable: &str, name: &str) -> Result<Command, String> {
    if let Some(path) = env::var_os(variable) {
        return Ok(command(path, ""));
    }
    let libraries = output(command("rustc", "--print target-libdir"))?;
    let path = Path::new(libraries.trim()).with_file_name("bin").join(name);
    if !path.exists() {
        return Err(format!("needs {name}: rustup component add llvm-tools, or {variable}"));
    }
    Ok(command(path, ""))
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
