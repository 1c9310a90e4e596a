//! The examples of the documents, run: what they say is printed is what is printed.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::env;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The folder of the whole project.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A packet message whose data length lies.
const DAMAGED: &str = "\
    94 00 00 00 13 00 00 00 00 00 00 00 00 00 00 00 a0 52 10 1e 00 88 ff ff 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 6c 6f 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 34 12 00 00 00 00 00 00 45 00 00 21 00 00 40 00 40 11 3c ca 7f 00 00 01
    7f 00 00 01 d5 c7 27 0f 00 0d c1 28 68 65 6c 6c 6f 00 00 00\n";

/// A command of a document, and what it says is printed.
#[derive(Debug)]
struct Example<'d> {
    command: &'d str,
    printed: String,
}

/// The examples of a document that anybody may run: those behind `$`. Those behind `#` want root.
fn examples(document: &str) -> Vec<Example<'_>> {
    let mut examples: Vec<Example<'_>> = Vec::new();
    let mut is_inside = false;
    let mut is_run = false;
    for line in document.lines() {
        match line {
            "```console" => (is_inside, is_run) = (true, false),
            "```" => is_inside = false,
            _ if !is_inside => (),
            _ if line.starts_with("# ") => is_run = false,
            _ => match line.strip_prefix("$ ") {
                Some(command) => {
                    is_run = true;
                    examples.push(Example { command, printed: String::new() });
                }
                None if is_run => {
                    let last = examples.last_mut().expect("a command comes first");
                    last.printed += line;
                    last.printed.push('\n');
                }
                None => (),
            },
        }
    }
    examples
}

/// Runs the examples in order in a folder of their own.
fn run(document: &str) {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs").join(document)).unwrap();
    let folder = TempDir::new().unwrap();
    symlink(Path::new(ROOT).join("tests"), folder.path().join("tests")).unwrap();
    std::fs::write(folder.path().join("damaged.hex"), DAMAGED.replace("\n    ", " ").trim_start())
        .unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_ipq-cli")).parent().unwrap();
    let path = env::join_paths(
        core::iter::once(programs.to_owned())
            .chain(env::split_paths(&env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let examples = examples(&text);
    let mut n_run = 0;
    for Example { command, printed } in examples {
        let program = command.split(' ').next().unwrap();
        let is_ours = program == "ipq-cli";
        let is_missing = || {
            let found = Command::new(program).arg("--version").output();
            matches!(found, Err(error) if error.kind() == ErrorKind::NotFound)
        };
        // What changes the reader's home is not for a test.
        if command.contains('~') || command.contains("nfqueue:") {
            continue;
        }
        if !is_ours && is_missing() {
            // Not `eprintln!`: the harness would swallow it.
            let line = format!("skipped: {document}: {program} is not installed\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            continue;
        }
        let output = Command::new("sh")
            .args(["-c", &format!("({command}) 2>&1")])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env_remove("IPQ_TRANSPORT")
            .env_remove("CLICOLOR_FORCE")
            .output()
            .unwrap();
        let found = String::from_utf8(output.stdout).unwrap().replace('\t', "    ");
        // tshark says that it runs as root.
        let found: String = found
            .lines()
            .filter(|line| !line.starts_with("Running as user"))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert_eq!(found, printed, "{document}: {command}");
        n_run += 1;
    }
    assert!(n_run > 0, "{document}");
}

#[test]
fn the_command_line_is_as_documented() {
    run("command-line.md");
}

#[test]
fn filters_are_as_documented() {
    run("filters.md");
}
