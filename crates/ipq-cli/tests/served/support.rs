//! A server in a process of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipq_sys::unix::Client;
use tempfile::TempDir;

use crate::common::{Started, ipq_cli};

/// A server in a process of its own, and the directory with its socket.
pub(crate) struct Serving {
    pub(crate) server: Started,
    pub(crate) directory: TempDir,
}

impl Serving {
    /// Serves a capture, and waits until programs can connect.
    #[track_caller]
    pub(crate) fn capture(capture: &Path, args: &[&str]) -> Self {
        Self::of("--traffic", capture, args)
    }

    /// Serves a scenario that is written here.
    #[track_caller]
    pub(crate) fn scenario(text: &str, args: &[&str]) -> Self {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self::of("--scenario", file.path(), args)
    }

    #[track_caller]
    fn of(kind: &str, file: &Path, args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kernel");
        let mut command = serve(&path);
        let mut server = Started::new(command.arg(kind).arg(file).args(args));
        let line = server.line();
        let is_json = args.contains(&"--json");
        assert!(is_json || line == format!("listening on {}\n", path.display()), "{line}");
        Self { server, directory }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("kernel")
    }

    /// A command that talks to it.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, name: &str, args: &[A]) -> Command {
        let mut command = ipq_cli();
        let transport = format!("unix:{}", self.path().display());
        command.arg(name).arg("--transport").arg(transport).args(args);
        command
    }

    pub(crate) fn passer(&self, args: &[&str]) -> Command {
        self.command("passer", args)
    }

    /// What `/proc/net/ip_queue` says there.
    pub(crate) fn status(&self) -> String {
        let mut client = Client::connect(self.path()).unwrap();
        String::from_utf8(client.read_file("/proc/net/ip_queue").unwrap()).unwrap()
    }

    /// Waits until `/proc/net/ip_queue` says something that `is_so`.
    #[track_caller]
    pub(crate) fn until(&self, is_so: impl Fn(&str) -> bool) {
        let give_up = std::time::Instant::now() + core::time::Duration::from_secs(20);
        while !is_so(&self.status()) {
            assert!(std::time::Instant::now() < give_up, "{}", self.status());
            std::thread::yield_now();
        }
    }
}

/// The command that serves at a path.
pub(crate) fn serve(path: &Path) -> Command {
    let mut command = ipq_cli();
    command.args(["sim", "serve", "--listen"]).arg(path);
    command
}
