//! The socket in the file system: who may connect, and what is replaced.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;

use super::support::{Serving, serve};
use crate::common::{Run, Started, skipped, traffic};

#[test]
fn is_its_owners_alone_from_the_beginning() {
    let serving = Serving::capture(&traffic("ssh.pcap"), &[]);
    let metadata = fs::metadata(serving.path()).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    Run::of(&mut serving.passer(&["--quiet"])).ended(0);
    serving.server.end().ended(0);
}

#[test]
fn another_user_is_refused_even_where_the_file_lets_everybody_in() {
    const NAME: &str = "another_user_is_refused_even_where_the_file_lets_everybody_in";
    const NOBODY: u32 = 65534;
    if !nix::unistd::geteuid().is_root() {
        return skipped(NAME, "only root can be another user");
    }
    let serving = Serving::capture(&traffic("ssh.pcap"), &[]);
    // The program itself may lie where nobody else may look, and is opened before the user changes.
    fs::set_permissions(serving.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = serving.directory.path().join("ipq-cli");
    fs::copy(env!("CARGO_BIN_EXE_ipq-cli"), &program).unwrap();
    let transport = format!("unix:{}", serving.path().display());
    let nobody = || {
        let mut command = std::process::Command::new(&program);
        command.args(["passer", "--transport", &transport]).uid(NOBODY).gid(NOBODY);
        Run::of(&mut command)
    };
    nobody().ended(1).says(&["EACCES", "only the user who serves it may"]);
    fs::set_permissions(serving.path(), fs::Permissions::from_mode(0o777)).unwrap();
    nobody().ended(1).says(&["EACCES", "only the user who serves it may"]);
    Run::of(&mut serving.passer(&["--quiet"])).ended(0);
    serving.server.end().ended(0).says(&["1 connections refused"]);
}

#[test]
fn replaces_what_a_dead_server_left_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kernel");
    let capture = traffic("ssh.pcap");
    let start = || {
        let mut server = Started::new(serve(&path).arg("--traffic").arg(&capture));
        server.line();
        server
    };
    start().end_by(Signal::SIGKILL);
    assert!(path.exists(), "killed, it leaves its socket");
    let server = start();
    let mut second = serve(&path);
    let second = second.arg("--traffic").arg(&capture);
    Run::of(second).ended(1).says(&["another server listens there"]);
    server.end_by(Signal::SIGTERM).ended(0);
    assert!(!path.exists());

    let other = UnixListener::bind(&path).unwrap();
    Run::of(second).ended(1).says(&["another server listens there"]);
    drop(other);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    Run::of(second).ended(1).says(&["it is no socket"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let long = directory.path().join("x".repeat(200));
    Run::of(serve(&long).arg("--traffic").arg(&capture)).ended(1).says(&["too long", "107 bytes"]);
    let nowhere = directory.path().join("no/kernel");
    Run::of(serve(&nowhere).arg("--traffic").arg(&capture)).ended(1).says(&["No such file"]);
}

#[test]
fn a_file_of_somebody_else_is_not_removed_at_the_end() {
    let serving = Serving::capture(&traffic("ssh.pcap"), &[]);
    fs::remove_file(serving.path()).unwrap();
    fs::write(serving.path(), "somebody else's").unwrap();
    serving.server.end_by(Signal::SIGTERM).ended(0);
    assert!(serving.directory.path().join("kernel").exists());
}
