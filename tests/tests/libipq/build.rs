//! The library in a place of its own, and programs built against it there.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use ipq_tests::namespace::Skipped;

/// In which language a program is compiled, and with which library it is linked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Build {
    pub(crate) language: Language,
    pub(crate) library: Library,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Language {
    C,
    Cxx,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Library {
    Shared,
    /// The static one, in a program that has no other library either.
    Static,
}

impl Build {
    /// The usual one.
    pub(crate) const USUAL: Self = Self { language: Language::C, library: Library::Shared };

    pub(crate) const ALL: [Self; 4] = [
        Self::USUAL,
        Self { language: Language::C, library: Library::Static },
        Self { language: Language::Cxx, library: Library::Shared },
        Self { language: Language::Cxx, library: Library::Static },
    ];
}

/// What every program is compiled with.
const WARNINGS: [&str; 3] = ["-Wall", "-Wextra", "-Werror"];

/// Where the library is installed, by `cargo xtask install-c`.
pub(crate) fn prefix() -> Result<&'static Path, Skipped> {
    static PREFIX: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let prefix = PREFIX.get_or_init(|| {
        needs("cc", "--version")?;
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libipq");
        // Another process may be at it; and a child in a namespace has it from its parent.
        let lock = File::create(prefix.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if !ipq_tests::namespace::is_inside() {
            install(&prefix);
        }
        Ok(prefix)
    });
    prefix.as_deref().map_err(|reason| Skipped(reason.clone()))
}

fn install(prefix: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["xtask", "install-c", "--profile", "dev", "--prefix"]).arg(prefix);
    succeed(cargo.current_dir(root()));
}

/// The program of `tests/c` with this name, built in this way.
pub(crate) fn program(name: &str, build: Build) -> Result<PathBuf, Skipped> {
    built(name, build, &[])
}

/// The same with more options for the compiler, which are those of the linker as well.
pub(crate) fn built(name: &str, build: Build, options: &[&str]) -> Result<PathBuf, Skipped> {
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

/// What pkg-config says of the library.
pub(crate) fn library_flags(library: Library) -> Result<Vec<String>, Skipped> {
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
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs a program that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    output
}

/// Whether a program is there; the error says that it is not.
pub(crate) fn needs(program: &str, argument: &str) -> Result<(), String> {
    let asked = Command::new(program).arg(argument).output();
    asked.map(|_| ()).map_err(|error| format!("{program}: {error}"))
}
