//! Programs that tests run: the command-line program, and those in C, built against the library in a place of its own.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::namespace::{Skipped, is_inside};

/// In which language a program is compiled, and with which library it is linked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Build {
    /// Its language.
    pub language: Language,
    /// Its library.
    pub library: Library,
}

/// A language that a program is compiled in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
}

/// Which library a program is linked with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Library {
    /// The shared one.
    Shared,
    /// The static one, in a program that has no other library either.
    Static,
}

impl Build {
    /// The usual one.
    pub const USUAL: Self = Self { language: Language::C, library: Library::Shared };

    /// All that there are.
    pub const ALL: [Self; 4] = [
        Self::USUAL,
        Self { language: Language::C, library: Library::Static },
        Self { language: Language::Cxx, library: Library::Shared },
        Self { language: Language::Cxx, library: Library::Static },
    ];
}

/// What every program is compiled with.
const WARNINGS: [&str; 3] = ["-Wall", "-Wextra", "-Werror"];

/// Where the library is installed, by `cargo xtask install-c`.
///
/// # Errors
///
/// If there is no C compiler.
///
/// # Panics
///
/// If it cannot be built.
pub fn prefix() -> Result<&'static Path, Skipped> {
    static PREFIX: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let prefix = PREFIX.get_or_init(|| {
        needs("cc", "--version")?;
        let prefix = profile().parent().unwrap().join("tmp").join("libipq");
        once(&prefix.with_extension("lock"), || {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["xtask", "install-c", "--profile", "dev", "--prefix"]).arg(&prefix);
            succeed(cargo.current_dir(root()));
        });
        Ok(prefix)
    });
    prefix.as_deref().map_err(|reason| Skipped(reason.clone()))
}

/// The command-line program, built as the test is, with what `ipq-cli run` needs beside it.
///
/// # Panics
///
/// If it cannot be built.
pub fn cli() -> &'static Path {
    static CLI: OnceLock<PathBuf> = OnceLock::new();
    CLI.get_or_init(|| {
        let directory = programs();
        once(&directory.join("ipq-cli.lock"), || {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--locked", "-p", "ipq-cli", "-p", "ipq-preload"]);
            let name = directory.file_name().unwrap();
            cargo.arg("--profile").arg(if name == "debug" { "dev".as_ref() } else { name });
            cargo.arg("--target-dir").arg(directory.parent().unwrap());
            succeed(cargo.current_dir(root()));
        });
        directory.join("ipq-cli")
    })
}

/// Where cargo puts programs: where it has put this test or, where coverage is measured, elsewhere, since what is built in
/// that place counts, with the features it was built with.
fn programs() -> PathBuf {
    let profile = profile();
    if env::var_os("CARGO_LLVM_COV").is_none() {
        return profile;
    }
    profile.with_file_name("tmp").join("programs").join(profile.file_name().unwrap())
}

/// Where cargo has put what it built this test with.
fn profile() -> PathBuf {
    let test = env::current_exe().unwrap();
    // In its directory `deps`.
    test.ancestors().nth(2).unwrap().to_owned()
}

/// Does something that another process may be at; and a child in a namespace has it from its parent.
fn once(lock: &Path, body: impl FnOnce()) {
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let lock = File::create(lock).unwrap();
    lock.lock().unwrap();
    if !is_inside() {
        body();
    }
}

/// The program of `tests/c` with this name, built in this way.
///
/// # Errors
///
/// If the compiler or pkg-config is missing.
///
/// # Panics
///
/// If it does not compile.
pub fn program(name: &str, build: Build) -> Result<PathBuf, Skipped> {
    built(name, build, &[])
}

/// The same with more options for the compiler, which are those of the linker as well.
///
/// # Errors
///
/// If the compiler or pkg-config is missing.
///
/// # Panics
///
/// If it does not compile.
pub fn built(name: &str, build: Build, options: &[&str]) -> Result<PathBuf, Skipped> {
    let compiler = match build.language {
        Language::C => "cc",
        Language::Cxx => "c++",
    };
    needs(compiler, "--version").map_err(Skipped)?;
    let directory = prefix()?.join("programs");
    fs::create_dir_all(&directory).unwrap();
    let kind = format!("{:?}-{:?}{}", build.language, build.library, options.concat());
    let program = directory.join(format!("{name}-{kind}"));
    // Of its own, so that another test never runs half a program.
    let thread = std::thread::current().id();
    let fresh = directory.join(format!("{name}-{kind}.{}.{thread:?}", std::process::id()));
    let mut command = Command::new(compiler);
    if build.language == Language::Cxx {
        command.args(["-x", "c++"]);
    }
    command.args(WARNINGS).args(["-O1", "-g", "-pthread"]).args(options);
    command.arg("-o").arg(&fresh).arg(root().join("tests/c").join(name).with_extension("c"));
    // What comes after it is no source in C++.
    command.args(["-x", "none"]);
    if build.library == Library::Static {
        command.arg("-static");
    }
    command.args(library_flags(build.library)?);
    succeed(&mut command);
    fs::rename(&fresh, &program).unwrap();
    Ok(program)
}

/// A library to be preloaded, made of the source of this name.
///
/// # Errors
///
/// If there is no C compiler.
///
/// # Panics
///
/// If it does not compile.
pub fn preloaded(name: &str) -> Result<PathBuf, Skipped> {
    needs("cc", "--version").map_err(Skipped)?;
    let library = profile().parent().unwrap().join("tmp").join(format!("lib{name}.so"));
    once(&library.with_extension("lock"), || {
        let mut command = Command::new("cc");
        command.args(WARNINGS).args(["-O1", "-g", "-pthread", "-shared", "-fPIC", "-o"]);
        command.arg(&library).arg(root().join("tests/c").join(name).with_extension("c"));
        succeed(&mut command);
    });
    Ok(library)
}

/// What pkg-config says of the library.
///
/// # Errors
///
/// If it is missing.
///
/// # Panics
///
/// If it says nothing.
pub fn library_flags(library: Library) -> Result<Vec<String>, Skipped> {
    needs("pkg-config", "--version").map_err(Skipped)?;
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix()?.join("lib/pkgconfig"));
    command.args(["--cflags", "--libs", "libipq"]);
    if library == Library::Static {
        command.arg("--static");
    }
    let flags = String::from_utf8(succeed(&mut command).stdout).unwrap();
    Ok(flags.split_whitespace().map(str::to_owned).collect())
}

/// The top of the project.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs a program that must succeed.
///
/// # Panics
///
/// If it does not.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    output
}

/// Whether a program is there; the error says that it is not.
///
/// # Errors
///
/// If it is not.
pub fn needs(program: &str, argument: &str) -> Result<(), String> {
    let asked = Command::new(program).arg(argument).output();
    asked.map(|_| ()).map_err(|error| format!("{program}: {error}"))
}
