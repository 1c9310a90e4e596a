//! What is none of ours is left alone: programs do the same with the library as without it.

use std::process::Command;

use crate::common::{Run, skipped};

use super::support::{Compiled, captured, library, quiet, run_over};

/// Runs a command with the library, and without.
#[track_caller]
fn is_left_alone(command: &[&str]) {
    let bare = Run::of(Command::new(command[0]).args(&command[1..]));
    let carried = Run::of(run_over(&captured(), &[]).args(command));
    assert_eq!(format!("{bare:?}"), format!("{carried:?}"));
}

#[test]
fn ordinary_programs_are_left_alone() {
    is_left_alone(&["ls", "/proc/self/fd/"]);
    is_left_alone(&["ls", "-l", "/usr"]);
    is_left_alone(&["sh", "-c", "echo out; echo err >&2; cat /etc/hostname | tr a-z A-Z; exit 3"]);
    is_left_alone(&[
        "sh",
        "-c",
        "ulimit -n; cat /proc/sys/net/ipv4/ip_forward; cat /proc/net/netlink | head -1",
    ]);
    is_left_alone(&["cat", "/no/such/file"]);
}

#[test]
fn interpreters_are_left_alone() {
    const TEST: &str = "interpreters_are_left_alone";
    let script = "import socket, select, os, threading, subprocess\n\
        a, b = socket.socketpair()\n\
        a.send(b'x'); print(select.select([b], [], [], 1)[0] == [b], b.recv(9))\n\
        s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); c = socket.create_connection(s.getsockname())\n\
        d, _ = s.accept(); c.sendall(b'y' * 70000); print(len(d.recv(9, socket.MSG_WAITALL)))\n\
        r = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); r.bind((0, 0)); print(r.getsockname()[0] == os.getpid())\n\
        print(subprocess.run(['echo', 'z'], capture_output=True).stdout, os.stat('/proc/net').st_size)\n";
    if !quiet(Command::new("python3").arg("--version")) {
        return skipped(TEST, "python3 is not installed");
    }
    is_left_alone(&["python3", "-c", script]);
}

#[test]
fn other_netlink_protocols_are_left_alone() {
    const TEST: &str = "other_netlink_protocols_are_left_alone";
    if !quiet(Command::new("ip").args(["-V"])) {
        return skipped(TEST, "ip is not installed");
    }
    is_left_alone(&["ip", "-o", "link", "show", "lo"]);
    is_left_alone(&["ip", "-o", "address", "show", "lo"]);
    is_left_alone(&["ip", "route", "show", "table", "local"]);
}

#[test]
fn only_what_is_interposed_is_exported() {
    const TEST: &str = "only_what_is_interposed_is_exported";
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only", "--format=just-symbols"]).arg(library());
    let Some(mut symbols) = symbols_of(&mut nm) else {
        return skipped(TEST, "nm is not installed");
    };
    symbols.sort();
    let expected = "__fxstatat __fxstatat64 __lxstat __lxstat64 __open64_2 __open_2 __openat64_2 __openat_2 \
        __poll_chk __ppoll_chk __read_chk __recv_chk __recvfrom_chk __xstat __xstat64 accept accept4 access bind connect creat creat64 epoll_pwait epoll_pwait2 epoll_wait faccessat \
        fopen fopen64 freopen freopen64 fstatat fstatat64 getpeername getsockname getsockopt ioctl listen lstat lstat64 open open64 openat openat64 poll ppoll pselect \
        read readv recv recvfrom recvmmsg recvmsg select send sendmmsg sendmsg sendto setsockopt shutdown socket stat \
        stat64 statx write \
        writev";
    assert_eq!(symbols.join(" "), expected);
}

fn symbols_of(command: &mut Command) -> Option<Vec<String>> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.lines().map(str::to_owned).collect())
}

#[test]
fn what_was_preloaded_before_is_kept() {
    const TEST: &str = "what_was_preloaded_before_is_kept";
    let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
    let mut command = run_over(&captured(), &[]);
    let run =
        Run::of(command.env("LD_PRELOAD", "libm.so.6").args(["sh", "-c", "echo $LD_PRELOAD"]));
    assert_eq!(run.stdout, format!("{}:libm.so.6\n", library().display()));
    let mut command = run_over(&captured(), &[]);
    let run = Run::of(command.env("LD_PRELOAD", "libm.so.6").arg(&program.path).args(["-n", "54"]));
    assert!(run.was_silent().stdout.starts_with("packets 54"));
}

#[test]
fn valgrind_has_nothing_to_say() {
    const TEST: &str = "valgrind_has_nothing_to_say";
    if !quiet(Command::new("valgrind").arg("--version")) {
        return skipped(TEST, "valgrind is not installed");
    }
    let Some(program) = Compiled::of(TEST, "old", &[]) else { return };
    let scenario = program.beside("pings.toml");
    std::fs::write(&scenario, super::support::PINGS).unwrap();
    let mut command = run_over(&format!("sim:{}", scenario.display()), &[]);
    command.args(["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full"]);
    let run = Run::of(command.arg(&program.path).arg("18")).was_silent();
    assert_eq!(run.stdout, "ipv4 10, ipv6 8, replaced 6\n");
}
