//! `cargo xtask golden`: the layouts of the wire format, as the C compiler makes them.
//!
//! `tests/golden/layout.c` is compiled for 64 and for 32 bits, and the messages in it become
//! `tests/golden/{packet,mode,verdict,error}-{lp64,ilp32}.bin`; likewise `nfqueue.c` and `nfqueue_big.c`, of the
//! uapi headers. Nothing is linked or run: `gcc -m32` needs no 32-bit C library for this. The same file is a module
//! of `tests/tests/golden.rs`, which does it in every test run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The C files, and the messages in each: `.g_packet` is the section of `packet`.
const SOURCES: [(&str, &[&str]); 3] = [
    ("layout.c", &["packet", "mode", "verdict", "error"]),
    ("nfqueue.c", &["nfqueue"]),
    ("nfqueue_big.c", &["nfqueue_big"]),
];

/// What the C files include, so that it can be said that it is not there.
const HEADERS: [&str; 2] = ["linux/netlink.h", "linux/netfilter/nfnetlink_queue.h"];

/// The data models, and what tells gcc about them.
const MODELS: [(&str, &str); 2] = [("lp64", "-m64"), ("ilp32", "-m32")];

/// Makes the golden files again; with `check`, compares them instead.
///
/// # Errors
///
/// If gcc or objcopy cannot do it, or with `check` if a committed file is not what they make. The error names
/// each file that differs, and is one line or several, fit for "failed to …: ".
pub(crate) fn run(check: bool) -> Result<(), String> {
    if let Some(reason) = cannot_make() {
        return Err(reason);
    }
    let scratch = std::env::temp_dir().join(format!("ipq-golden-{}", std::process::id()));
    let made = make(&scratch);
    let _ = fs::remove_dir_all(&scratch);
    let committed = directory();
    let mut differing = Vec::new();
    for (name, bytes) in made? {
        let path = committed.join(&name);
        if check {
            match fs::read(&path) {
                Ok(found) if found == bytes => {}
                Ok(_) => differing.push(format!("tests/golden/{name} is not what gcc makes")),
                Err(error) => differing.push(format!("tests/golden/{name}: {error}")),
            }
        } else {
            fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    if differing.is_empty() { Ok(()) } else { Err(differing.join("\n")) }
}

/// Why this machine cannot make the golden files, if so: no gcc, no objcopy, no uapi headers, or a gcc for another
/// processor.
pub(crate) fn cannot_make() -> Option<String> {
    let tools = [("gcc", "-m64"), ("gcc", "-m32"), ("objcopy", "")];
    tools.into_iter().find_map(|(tool, flag)| {
        let mut command = Command::new(tool);
        if flag.is_empty() {
            command.arg("--version");
        } else {
            // Compiles nothing but headers, and so fails only if it cannot compile this way.
            command.args([flag, "-c", "-ffreestanding", "-x", "c", "/dev/null", "-o", "/dev/null"]);
            command.args(HEADERS.iter().flat_map(|header| ["-include", header]));
        }
        let what = if flag.is_empty() { "run".to_owned() } else { format!("compile {flag}") };
        call(&mut command).err().map(|error| format!("{tool} cannot {what}: {error}"))
    })
}

/// The golden files, by name, made in `scratch`.
fn make(scratch: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    let in_scratch = |error: io::Error| format!("{}: {error}", scratch.display());
    fs::create_dir_all(scratch).map_err(in_scratch)?;
    let mut files = Vec::new();
    let jobs = SOURCES.iter().flat_map(|source| MODELS.iter().map(move |model| (source, model)));
    for ((source, messages), (model, flag)) in jobs {
        let object = scratch.join(format!("{model}.o"));
        call(
            Command::new("gcc")
                .args([*flag, "-c", "-ffreestanding", "-std=gnu11", "-Wall", "-Wextra", "-Werror"])
                .args([Path::new("-o"), &object, &directory().join(source)]),
        )?;
        for message in *messages {
            let name = format!("{message}-{model}.bin");
            let file = scratch.join(&name);
            call(
                Command::new("objcopy")
                    .args(["-O", "binary", "-j", &format!(".g_{message}")])
                    .args([&object, &file]),
            )?;
            files.push((name, fs::read(&file).map_err(in_scratch)?));
        }
    }
    Ok(files)
}

/// Runs `command`; what it says on stderr is the error if it fails.
fn call(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} failed ({}): {}", output.status, said.trim()))
}

/// `tests/golden`, whether this is compiled into xtask or into a test.
fn directory() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member).join("tests/golden")
}
