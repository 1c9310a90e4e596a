//! What the tests of `ipq-cli run` share: programs in C, and how they are run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::{Run, ipq_cli, skipped, traffic};

/// A capture of 54 packets of IPv4, 11204 bytes of them.
pub(crate) fn capture() -> PathBuf {
    traffic("ssh.pcap")
}

/// The transport of that capture.
pub(crate) fn captured() -> String {
    format!("sim:{}", capture().display())
}

/// Pings of both families to this host itself, queued on their way out: ten packets of IPv4, eight of IPv6.
pub(crate) const PINGS: &str = r#"
[[rule]]
hook = "LOCAL_OUT"
target = "queue"

[[traffic]]
kind = "ping"
from = "here"
to = "here"
count = 5

[[traffic]]
kind = "ping"
from = "here"
to = "here"
family = "ipv6"
count = 4

[[expect]]
that = "delivered"
equals = 18
"#;

/// The library that is preloaded: cargo builds it beside the tests, as they depend on it.
pub(crate) fn library() -> PathBuf {
    let test = env::current_exe().expect("this program has a path");
    let library = test.with_file_name("libipq_preload.so");
    assert!(library.is_file(), "{} is not there", library.display());
    library
}

/// A source of the programs.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run/c").join(name)
}

/// A program in C that has been compiled.
pub(crate) struct Compiled {
    directory: TempDir,
    pub(crate) path: PathBuf,
}

impl Compiled {
    /// Compiles the program of this name; `None`, and `test` skipped by name, where there is no compiler, or one of the
    /// libraries is missing that the options name.
    #[track_caller]
    pub(crate) fn of(test: &str, name: &str, options: &[&str]) -> Option<Self> {
        let missing = |option: &&str| {
            let library = option.strip_prefix("-l")?;
            // The names of packages are almost those of libraries.
            let package = if library == "pthread" { return None } else { format!("lib{library}") };
            let exists = quiet(Command::new("pkg-config").args(["--exists", &package]));
            (!exists).then(|| format!("pkg-config does not know {package}"))
        };
        if !quiet(Command::new("gcc").arg("--version")) {
            skipped(test, "gcc is not installed");
            return None;
        }
        if let Some(reason) = options.iter().find_map(missing) {
            skipped(test, &reason);
            return None;
        }
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join(name);
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-D_FORTIFY_SOURCE=2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
        gcc.arg(&path).arg(source(&format!("{name}.c"))).args(options);
        let output = gcc.output().expect("it has just been run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Self { directory, path })
    }

    /// A path in its directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs it over a transport, with these arguments.
    #[track_caller]
    pub(crate) fn over(&self, transport: &str, args: &[&str]) -> Run {
        let mut command = run_over(transport, &[]);
        Run::of(command.arg(&self.path).args(args))
    }
}

/// `ipq-cli run` over a transport, with these options, up to the program; it fails if it takes too long.
pub(crate) fn run_over(transport: &str, options: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "--kill-after=5", "100"]).arg(env!("CARGO_BIN_EXE_ipq-cli"));
    prepare(command, transport, options)
}

/// The same without a limit, for who sends it signals.
pub(crate) fn run_unlimited(transport: &str, options: &[&str]) -> Command {
    prepare(ipq_cli(), transport, options)
}

fn prepare(mut command: Command, transport: &str, options: &[&str]) -> Command {
    command.stdin(Stdio::null()).env_remove("IPQ_TRANSPORT").env("IPQ_PRELOAD_LIBRARY", library());
    command.args(["run", "--transport", transport]).args(options).arg("--");
    command
}

/// Whether a command can be run and succeeds.
pub(crate) fn quiet(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
