//! What is said where a program cannot be carried, and how it ends where it can.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::common::{Run, Started, ipq_cli, skipped};

use super::support::{Compiled, PINGS, captured, library, quiet, run_over, run_unlimited};

#[track_caller]
fn refuses(program: &Path, status: i32, fragments: &[&str]) {
    let run = Run::of(run_over(&captured(), &[]).arg(program)).ended(status).says(fragments);
    assert_eq!((&run.stdout[..], run.stderr.lines().count()), ("", 1), "{run:?}");
}

/// A file that may be executed.
fn executable(directory: &TempDir, name: &str, contents: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, contents).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn says_that_there_is_no_such_program() {
    for name in ["no-such-program", "./no-such-program"] {
        refuses(Path::new(name), 127, &[name, "there is no such program"]);
    }
    refuses(Path::new("/etc/passwd"), 126, &["/etc/passwd", "no file that may be executed"]);
    refuses(Path::new("/etc"), 126, &["no file that may be executed"]);
}

#[test]
fn says_that_a_program_is_static() {
    const TEST: &str = "says_that_a_program_is_static";
    let Some(program) = Compiled::of(TEST, "old", &["-static"]) else { return };
    refuses(&program.path, 126, &["it is statically linked", "link it dynamically"]);
}

#[test]
fn says_that_a_program_is_for_another_machine() {
    let directory = TempDir::new().unwrap();
    let mut image = fs::read("/bin/true").unwrap();
    // The machine of RISC-V.
    image[18..20].copy_from_slice(&243_u16.to_le_bytes());
    let path = executable(&directory, "foreign", image);
    refuses(&path, 126, &["RISC-V", "build the library for it"]);
}

#[test]
fn says_that_a_program_is_for_another_word_size() {
    const TEST: &str = "says_that_a_program_is_for_another_word_size";
    let directory = TempDir::new().unwrap();
    let source = directory.path().join("small.c");
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let path = directory.path().join("small");
    if !quiet(Command::new("gcc").arg("-m32").arg(&source).arg("-o").arg(&path)) {
        return skipped(TEST, "gcc cannot link for 32 bits");
    }
    refuses(&path, 126, &["it is for 32 bits", "is for 64 bits"]);
}

#[test]
fn says_that_a_program_has_the_rights_of_another() {
    const TEST: &str = "says_that_a_program_has_the_rights_of_another";
    let directory = TempDir::new().unwrap();
    let path = executable(&directory, "privileged", fs::read("/bin/true").unwrap());
    // Root can give it to somebody else; others look for one of the system's.
    let given = std::os::unix::fs::chown(&path, Some(65534), Some(65534)).is_ok();
    if !given {
        return skipped(TEST, "the owner of a file cannot be changed");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o4755)).unwrap();
    refuses(&path, 126, &["it is set-user-id", "no library of yours is loaded"]);
    fs::set_permissions(&path, Permissions::from_mode(0o2755)).unwrap();
    refuses(&path, 126, &["it is set-group-id"]);
    // Without the right of its group to execute it, the bit means something else.
    fs::set_permissions(&path, Permissions::from_mode(0o2745)).unwrap();
    Run::of(run_over(&captured(), &[]).arg(&path)).was_silent();
}

#[test]
fn scripts_are_what_their_interpreters_are() {
    let directory = TempDir::new().unwrap();
    let script = executable(&directory, "script", "#!/bin/sh -e\necho \"$0 $1\"\n");
    let run = Run::of(run_over(&captured(), &[]).arg(&script).arg("one")).was_silent();
    assert_eq!(run.stdout, format!("{} one\n", script.display()));
    let bare = executable(&directory, "bare", "echo \"$1\"; exit 3\n");
    let run = Run::of(run_over(&captured(), &[]).arg(&bare).arg("two")).ended(3);
    assert_eq!(run.stdout, "two\n");
    let lost = executable(&directory, "lost", "#!/no/such/interpreter\n");
    refuses(&lost, 126, &["its interpreter /no/such/interpreter is not there"]);
    let empty = executable(&directory, "empty", "#!\n");
    refuses(&empty, 126, &["names no interpreter"]);
    let damaged = executable(&directory, "damaged", b"\x7fELF and no more");
    refuses(&damaged, 126, &["its ELF file is damaged"]);
}

#[test]
fn says_where_the_library_was_looked_for() {
    let run = |path: &str| {
        let mut command = run_over(&captured(), &[]);
        Run::of(command.env("IPQ_PRELOAD_LIBRARY", path).arg("true")).ended(125)
    };
    run("/no/such.so").says(&[
        "looking for libipq_preload.so",
        "/no/such.so",
        "cargo build -p ipq-preload",
    ]);
    run("/etc/passwd").says(&["/etc/passwd", "no ELF file"]);

    // Beside the program, and where an installation has it.
    let directory = TempDir::new().unwrap();
    let program = directory.path().join("bin/ipq-cli");
    let lib = directory.path().join("lib");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::create_dir_all(&lib).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_ipq-cli"), &program).unwrap();
    let run = || {
        let mut command = Command::new(&program);
        command.env_remove("IPQ_PRELOAD_LIBRARY").args([
            "run",
            "--transport",
            &captured(),
            "--",
            "true",
        ]);
        Run::of(&mut command)
    };
    run().ended(125).says(&[
        "bin/libipq_preload.so",
        "lib/libipq_preload.so",
        "lib/ipq/libipq_preload.so",
    ]);
    fs::copy(library(), lib.join("libipq_preload.so")).unwrap();
    run().was_silent();
}

#[test]
fn says_that_no_kernel_is_there() {
    let run = Run::of(run_over("unix:/no/such/kernel", &[]).arg("true")).ended(125);
    run.says(&["connecting to the kernel at /no/such/kernel", "ipq-cli sim serve"]);
    Run::of(run_over("sim:/no/such.pcap", &[]).arg("true")).ended(125).says(&["/no/such.pcap"]);
    let run = Run::of(run_over(&captured(), &["--check"]).arg("true")).ended(2);
    run.says(&["--check is about a scenario"]);
    Run::of(ipq_cli().arg("run")).ended(2).says(&["PROGRAM"]);
}

#[test]
fn the_exit_status_is_the_programs() {
    for status in [0, 1, 2, 42, 125, 255] {
        let mut command = run_over(&captured(), &[]);
        Run::of(command.args(["sh", "-c", &format!("exit {status}")])).ended(status);
    }
}

/// Starts a program with no signal ignored: under `nohup`, or in the background, some are, and a shell leaves those so.
const WITH_EVERY_SIGNAL: [&str; 2] = ["env", "--default-signal"];

#[test]
fn a_program_that_a_signal_ends_is_ended_by_it() {
    use std::os::unix::process::ExitStatusExt;
    for signal in
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGPIPE]
    {
        let mut command = run_unlimited(&captured(), &[]);
        command.args(WITH_EVERY_SIGNAL).args(["sh", "-c", &format!("kill -{} $$", signal as i32)]);
        let status = command.output().unwrap().status;
        assert_eq!(status.signal(), Some(signal as i32), "{status}");
    }
}

#[test]
fn signals_are_forwarded() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        let number = signal as i32;
        let script = format!(
            "trap 'echo {signal}; exit 7' {number}; echo ready; while :; do sleep 0.05; done"
        );
        let mut command = run_unlimited(&captured(), &[]);
        let mut started = Started::new(command.args(WITH_EVERY_SIGNAL).args(["sh", "-c", &script]));
        assert_eq!(started.line(), "ready\n");
        started.signal(signal);
        assert_eq!(started.line(), format!("{signal}\n"));
        started.end().ended(7);
    }
}

#[test]
fn a_program_starts_with_the_signals_it_would_have() {
    let signals = |command: &mut Command| {
        let run = Run::of(command).was_silent();
        run.stdout
            .lines()
            .filter(|line| line.starts_with("Sig"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let bare = signals(Command::new("cat").arg("/proc/self/status"));
    let carried = signals(run_unlimited(&captured(), &[]).args(["cat", "/proc/self/status"]));
    assert_eq!(bare, carried);
}

#[test]
fn a_program_is_stopped_at_the_end_of_a_capture() {
    const TEST: &str = "a_program_is_stopped_at_the_end_of_a_capture";
    let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
    let run = Run::of(run_over(&captured(), &["--stop-at-end"]).arg(&program.path)).was_silent();
    assert_eq!(run.stdout, "packets 54, bytes 11204, dropped 0, overruns 0\n");
    // One that does nothing about it has ended well, too.
    let mut command = run_over(&captured(), &["--stop-at-end"]);
    Run::of(command.arg(&program.path).args(["-n", "54"])).was_silent();
}

#[test]
fn expectations_of_a_scenario_are_checked() {
    const TEST: &str = "expectations_of_a_scenario_are_checked";
    let Some(program) = Compiled::of(TEST, "old", &[]) else { return };
    let scenario = program.beside("pings.toml");
    fs::write(&scenario, PINGS).unwrap();
    let transport = format!("sim:{}", scenario.display());
    let run =
        |count: &str| Run::of(run_over(&transport, &["--check"]).arg(&program.path).arg(count));
    run("18").ended(0).says(&["ok: delivered: 18"]);
    // Those that it leaves are dropped with it.
    run("17").ended(1).says(&["FAILED: delivered: 1"]);
}

#[test]
fn the_conversation_is_written_down() {
    const TEST: &str = "the_conversation_is_written_down";
    let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
    let trace = program.beside("calls.txt");
    let options = ["--trace", trace.to_str().unwrap()];
    Run::of(run_over(&captured(), &options).arg(&program.path).args(["-n", "2", "-b"]))
        .was_silent();
    let text = fs::read_to_string(&trace).unwrap();
    let calls: Vec<_> = text.lines().map(|line| line.split_once("] ").unwrap().1).collect();
    let starts = [
        "socket ip_queue (netlink protocol 3) = 3",
        "bind 3 to ",
        "send 3: mode packet range 65535, seq 1 = 40",
        "recv 3: packet id 0x",
        "send 3: verdict accept id 0x",
        "recv 3: packet id 0x",
        "send 3: verdict accept id 0x",
    ];
    assert_eq!(calls.len(), starts.len(), "{text}");
    for (call, start) in calls.iter().zip(starts) {
        assert!(call.starts_with(start), "{call}");
    }
}

#[test]
fn the_conversation_is_a_capture_for_wireshark() {
    const TEST: &str = "the_conversation_is_a_capture_for_wireshark";
    let Some(program) = Compiled::of(TEST, "mnl", &["-lnetfilter_queue", "-lmnl"]) else { return };
    let trace = program.beside("calls.pcap");
    let options = ["--trace", trace.to_str().unwrap()];
    Run::of(run_over(&captured(), &options).arg(&program.path).args(["0", "3"])).was_silent();
    let run = Run::of(ipq_cli().arg("decode").arg(&trace)).ended(0);
    let packets = run.stdout.lines().filter(|line| line.contains("packet id ")).count();
    let verdicts = run.stdout.lines().filter(|line| line.contains("verdict accept")).count();
    assert_eq!((packets, verdicts), (3, 3), "{}", run.stdout);
}
