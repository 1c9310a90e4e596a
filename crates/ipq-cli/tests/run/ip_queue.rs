//! Programs of ip_queue, unmodified, on a simulated kernel.

use std::fs;

use ipq::Family;
use ipq_sim::{IpQueueStatus, Kernel, Served, Simulation};
use ipq_sys::unix::{Server, ServerOptions};

use super::support::{Compiled, PINGS, captured, source};

#[track_caller]
fn raw(test: &str, args: &[&str], expected: &str) {
    let Some(program) = Compiled::of(test, "raw", &[]) else { return };
    let run = program.over(&captured(), args).was_silent();
    assert_eq!(run.stdout, expected, "{args:?}");
}

const ALL: &str = "packets 54, bytes 11204, dropped 0, overruns 0\n";

#[test]
fn raw_programs_receive_by_every_call() {
    const TEST: &str = "raw_programs_receive_by_every_call";
    let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
    for how in ["recv", "recvfrom", "recvmsg", "recvmmsg", "read", "readv", "peek"] {
        for waiting in ["block", "poll", "select", "epoll", "edge", "nonblock"] {
            let args = ["-n", "54", "-r", how, "-w", waiting];
            let run = program.over(&captured(), &args).was_silent();
            assert_eq!(run.stdout, ALL, "{args:?}");
        }
    }
}

#[test]
fn raw_programs_receive_and_wait_by_calls_that_few_make() {
    const TEST: &str = "raw_programs_receive_and_wait_by_calls_that_few_make";
    let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
    for how in ["recv_chk", "recvfrom_chk", "read_chk"] {
        let run = program.over(&captured(), &["-n", "54", "-r", how]).was_silent();
        assert_eq!(run.stdout, ALL, "{how}");
    }
    for waiting in ["ppoll", "poll_chk", "ppoll_chk", "pselect", "epoll_pwait", "epoll_pwait2"] {
        let run = program.over(&captured(), &["-n", "54", "-w", waiting]).was_silent();
        assert_eq!(run.stdout, ALL, "{waiting}");
    }
}

/// The allocator that counts is the program's, before that of the C library: the preloaded library has it as well.
#[test]
fn carrying_a_message_allocates_nothing() {
    const TEST: &str = "carrying_a_message_allocates_nothing";
    let header = source("../../../../../tests/c/allocations.h");
    let options = ["-Wno-unused-function", "-include", header.to_str().expect("a path in UTF-8")];
    let Some(program) = Compiled::of(TEST, "raw", &options) else { return };
    for how in ["recv", "recvfrom", "recvmsg", "recvmmsg", "read", "readv", "peek"] {
        for waiting in ["block", "poll", "epoll", "nonblock"] {
            let allocations = |count: &str| {
                let args = ["-n", count, "-r", how, "-w", waiting];
                let printed = program.over(&captured(), &args).was_silent().stdout;
                let last =
                    printed.lines().last().and_then(|line| line.strip_prefix("allocations "));
                last.unwrap_or_else(|| panic!("{printed}")).parse::<u64>().expect("a number")
            };
            assert_eq!(allocations("10"), allocations("50"), "{how}, {waiting}");
        }
    }
}

#[test]
fn raw_programs_need_no_bind() {
    const TEST: &str = "raw_programs_need_no_bind";
    for args in [&["-n", "54", "-b"][..], &["-n", "54", "-c"], &["-n", "54", "-c", "-b"]] {
        raw(TEST, args, ALL);
    }
}

#[test]
fn duplicates_are_the_same_socket() {
    const TEST: &str = "duplicates_are_the_same_socket";
    raw(TEST, &["-n", "54", "-d", "-w", "epoll"], ALL);
}

#[test]
fn verdicts_are_carried() {
    const TEST: &str = "verdicts_are_carried";
    raw(TEST, &["-n", "54", "-v", "5"], "packets 54, bytes 11204, dropped 10, overruns 0\n");
}

#[test]
fn receive_buffers_are_doubled_as_linux_does() {
    const TEST: &str = "receive_buffers_are_doubled_as_linux_does";
    raw(TEST, &["-n", "54", "-s", "20000"], &format!("receive buffer 40000\n{ALL}"));
}

#[test]
fn a_receive_time_out_passes() {
    const TEST: &str = "a_receive_time_out_passes";
    raw(TEST, &["-t", "1"], &format!("timed out\n{ALL}"));
}

#[test]
fn old_programs_with_their_own_library_pass_both_families() {
    const TEST: &str = "old_programs_with_their_own_library_pass_both_families";
    let Some(program) = Compiled::of(TEST, "old", &[]) else { return };
    let scenario = program.beside("pings.toml");
    fs::write(&scenario, PINGS).unwrap();
    let run = program.over(&format!("sim:{}", scenario.display()), &["18"]).was_silent();
    assert_eq!(run.stdout, "ipv4 10, ipv6 8, replaced 6\n");
}

#[test]
fn kernels_of_other_processes_are_reached() {
    const TEST: &str = "kernels_of_other_processes_are_reached";
    let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
    let simulation = Simulation::open(super::support::capture()).unwrap();
    let kernel = simulation.kernel().clone();
    let server = Server::spawn(Served::new(simulation), ServerOptions::default()).unwrap();
    let run =
        program.over(&format!("unix:{}", server.path().display()), &["-n", "54"]).was_silent();
    assert_eq!(run.stdout, ALL);
    assert_eq!(server.stop().unwrap().sockets, 1);
    assert_eq!(kernel.totals().delivered, 54);
}

#[test]
fn a_kernel_that_dies_is_an_error() {
    const TEST: &str = "a_kernel_that_dies_is_an_error";
    let Some(program) = Compiled::of(TEST, "raw", &[]) else { return };
    let kernel = Kernel::builder().build();
    let server = Server::spawn(Served::from(kernel.clone()), ServerOptions::default()).unwrap();
    let transport = format!("unix:{}", server.path().display());
    let mut command = super::support::run_unlimited(&transport, &[]);
    let started = crate::common::Started::new(command.arg(&program.path));
    // It has its queue and waits for a packet.
    let has_peer = |status: IpQueueStatus| status.peer_port_id != 0;
    while !kernel.ip_queue_status(Family::Ipv4).is_some_and(has_peer) {
        std::thread::yield_now();
    }
    drop(server);
    started.end().ended(1).says(&["refused"]);
}

#[test]
fn status_files_and_settings_are_the_served_ones() {
    const TEST: &str = "status_files_and_settings_are_the_served_ones";
    let Some(program) = Compiled::of(TEST, "files", &[]) else { return };
    let run = program.over(&captured(), &[]).was_silent();
    let expected = "\
before a mode: peer 0
the peer is this process
copy mode 1
regular file 1, first bytes \"Peer PID   \"
at first: maxlen 1024, in the status 1024
by write: 5 \nby write: maxlen 2048, in the status 2048
by stdio: 4, 0
by stdio: maxlen 512, in the status 512
by a shell: 0
by a shell: maxlen 77, in the status 77
78
by a program: 0
by a program: maxlen 78, in the status 78
rubbish: -1 EINVAL
status: EACCES
after rubbish: maxlen 78, in the status 78
access: 0 0, EACCES
/proc/net/ip_queue: 100444 100444 100444 100444, 0 bytes
/proc/sys/net/ipv4/ip_queue_maxlen: 100644 100644 100644 100644, 0 bytes
missing: -1
both: read 3, 78, 0, written 3
by both: maxlen 31, in the status 31
freopen: read 31, closed 0, written 3, 0
freopen: EACCES
by freopen: maxlen 32, in the status 32
ipv6: maxlen 1024, 2 , maxlen 99, in the status 99
";
    assert_eq!(run.stdout, expected);
}

#[track_caller]
fn processes(test: &str, mode: &str, expected: &str) {
    let Some(program) = Compiled::of(test, "processes", &[]) else { return };
    let run = program.over(&captured(), &[mode, "54"]).was_silent();
    assert_eq!(run.stdout, expected);
}

#[test]
fn children_share_the_socket() {
    processes("children_share_the_socket", "fork", "fork: passed\n");
}

#[test]
fn what_is_executed_finds_its_socket() {
    const TEST: &str = "what_is_executed_finds_its_socket";
    processes(TEST, "exec", "inherited\ninherited: passed\n");
}

#[test]
fn a_socket_can_be_passed_on() {
    processes("a_socket_can_be_passed_on", "pass", "pass: passed\n");
}

#[test]
fn threads_give_late_verdicts_out_of_order() {
    processes("threads_give_late_verdicts_out_of_order", "threads", "threads: passed\n");
}

#[test]
fn signal_handlers_use_the_socket() {
    const TEST: &str = "signal_handlers_use_the_socket";
    processes(TEST, "handler", "waiting: EINTR\nhandler: passed\n");
    processes(TEST, "restart", "waiting: a message\nrestart: passed\n");
}

#[test]
fn programs_that_close_all_descriptors_go_on() {
    const TEST: &str = "programs_that_close_all_descriptors_go_on";
    processes(TEST, "closefrom", "closefrom: passed\n");
}
