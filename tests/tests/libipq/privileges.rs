//! A program with more rights than whoever starts it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ipq_tests::namespace::{Outcome, Skipped};

use ipq_tests::programs::{Build, Language, Library, program};

/// The library is in the program: the loader would not look for it where it is, for a program like this.
const WHOLE: Build = Build { language: Language::C, library: Library::Static };

/// Runs a program as somebody without rights, in a network of its own, with a transport that makes no sense.
const NOBODY: [&str; 8] = [
    "unshare",
    "--net",
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "env",
    "IPQ_TRANSPORT=nonsense",
];

#[test]
fn are_no_way_to_choose_its_transport() {
    if let Err(Skipped(reason)) = check() {
        eprintln!("skipped: privileges::are_no_way_to_choose_its_transport: {reason}");
    }
}

fn check() -> Outcome {
    let directory = std::env::temp_dir().join(format!("ipq-set-user-id-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let done = in_directory(&directory);
    fs::remove_dir_all(&directory).unwrap();
    done
}

fn in_directory(directory: &Path) -> Outcome {
    let program = program("misuse", WHOLE)?;
    let copy = |program: &Path, name: &str, mode| -> PathBuf {
        let copy = directory.join(name);
        fs::copy(program, &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(mode)).unwrap();
        copy
    };
    let refused = "ipq_create_handle: Unable to create netlink socket: Invalid argument\n";
    let (_, said) = run(&copy(&program, "plain", 0o755))?;
    if said != refused {
        return Err(Skipped(format!("{}: {}", NOBODY.join(" "), said.trim())));
    }
    let whoami = copy(Path::new("/usr/bin/id"), "id", 0o4755);
    if !run(&whoami)?.0.contains("euid=0(root)") {
        return Err(Skipped(format!("set-user-id has no effect in {}", directory.display())));
    }
    // It is root's, and does not look at the variable.
    let (printed, said) = run(&copy(&program, "set-user-id", 0o4755))?;
    assert_eq!((printed.as_str(), said.as_str()), (include_str!("../../c/misuse.txt"), ""));
    Ok(())
}

/// What it says on both streams.
fn run(program: &Path) -> Result<(String, String), Skipped> {
    let mut command = Command::new(NOBODY[0]);
    command.args(&NOBODY[1..]).arg(program).env("LC_ALL", "C");
    let said = command.output().map_err(|error| Skipped(format!("{}: {error}", NOBODY[0])))?;
    let Output { stdout, stderr, .. } = said;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&stdout), text(&stderr)))
}
