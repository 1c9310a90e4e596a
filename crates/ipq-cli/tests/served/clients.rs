//! Programs in other processes: what they get, and what becomes of them and of what they had.

use std::io::IoSlice;
use std::os::fd::AsFd;
use std::process::Command;

use ipq::{CopyMode, Errno, Event, Families, Family, Queue, TransportName, Verdict};
use ipq_sys::Protocol;
use ipq_sys::unix::{Client, SocketCookie};
use nix::sys::signal::Signal;

use super::support::Serving;
use crate::common::{Run, Started, traffic};

#[test]
fn a_program_gets_there_what_it_gets_in_its_own_process() {
    for name in ["ssh.pcap", "LINKTYPE_IPV6.pcap", "mptcp-v1.pcap"] {
        let own = Run::passer(&traffic(name), &[]).ended(0);
        let serving = Serving::capture(&traffic(name), &[]);
        let theirs = Run::of(&mut serving.passer(&[])).ended(0);
        assert_eq!(theirs.stdout, own.stdout, "{name}");
        let run = serving.server.end().ended(0);
        assert!(run.stderr.contains(" delivered\n"), "{name}: {run:?}");
        assert!(!serving.directory.path().join("kernel").exists(), "its socket is removed");
    }
}

#[test]
fn both_front_ends_and_both_families_are_served() {
    for (name, n_packets) in [("ssh.pcap", 54), ("LINKTYPE_IPV6.pcap", 1)] {
        for queue in ["ip_queue", "nfqueue:0"] {
            let serving = Serving::capture(&traffic(name), &["--queue", queue]);
            let run = Run::of(&mut serving.passer(&["--json", "--verdict", "drop"])).ended(0);
            run.sums_up(&format!("packets {n_packets}, dropped {n_packets}"));
            let expected = format!("{n_packets:>8} dropped: by a verdict\n");
            serving.server.end().ended(0).says(&[&expected]);
        }
    }
}

#[test]
fn a_second_program_is_told_that_the_queue_is_taken() {
    let serving = Serving::capture(&traffic("ssh.pcap"), &["--speed", "0.001"]);
    let first = Started::ready(&mut serving.passer(&[]));
    Run::of(&mut serving.passer(&[])).ended(1).says(&["EBUSY", "another program has the queue"]);
    first.end_by(Signal::SIGTERM).ended(0);
    serving.server.end_by(Signal::SIGTERM).ended(0);
}

#[test]
fn a_program_that_is_killed_takes_with_it_what_it_had() {
    let serving = Serving::capture(&traffic("ssh.pcap"), &["--speed", "1"]);
    let mut program = Started::new(&mut serving.passer(&[]));
    program.line();
    program.pause();
    // While it stands still, time passes, and packets wait for it.
    serving.until(|status| !status.contains("Queue length      : 0\n"));
    program.end_by(Signal::SIGKILL);
    let status = serving.status();
    assert!(status.contains("Peer PID          : 0\n"), "{status}");
    assert!(status.contains("Queue length      : 0\n"), "{status}");
    serving.server.end().ended(0).says(&[" dropped: the program went away\n"]);
}

#[test]
fn a_server_that_is_killed_is_an_error_and_no_hang() {
    let serving = Serving::capture(&traffic("ssh.pcap"), &["--speed", "0.001"]);
    let program = Started::ready(&mut serving.passer(&["--quiet"]));
    let gone = format!("the simulated kernel at {} is gone", serving.path().display());
    serving.server.end_by(Signal::SIGKILL);
    program.end().ended(1).says(&[&gone]);
    let again = format!("unix:{}", serving.directory.path().join("kernel").display());
    let mut command = crate::common::ipq_cli();
    Run::of(command.args(["passer", "--transport", &again]))
        .ended(1)
        .says(&["connecting to the simulated kernel at ", "is it served?"]);
}

/// In the child: where the server is, and the port id of the socket that is its standard input.
const INHERITED: &str = "IPQ_TEST_INHERITED";

#[test]
fn a_descriptor_is_of_use_to_whoever_inherits_it() {
    const NAME: &str = "served::clients::a_descriptor_is_of_use_to_whoever_inherits_it";
    if let Ok(inherited) = std::env::var(INHERITED) {
        return claim_the_queue(&inherited);
    }
    let serving = Serving::capture(&traffic("ssh.pcap"), &["--speed", "0.001"]);
    let mut client = Client::connect(serving.path()).unwrap();
    let opened = client.open(Protocol::Firewall, true, false).unwrap();
    let port_id = client.bind(opened.cookie, 0).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(INHERITED, format!("{port_id} {}", serving.path().display()))
        .stdin(opened.descriptor.try_clone().unwrap())
        .status();
    assert!(status.unwrap().success(), "what the child says is above");
    // The child has claimed the queue, and is gone. The socket is not, for this copy is there.
    let peer = format!("Peer PID          : {port_id}\n");
    assert!(serving.status().contains(&peer));
    drop(opened);
    assert!(serving.status().contains("Peer PID          : 0\n"));
    serving.server.end_by(Signal::SIGTERM).ended(0);
}

/// What the child does with what it inherited.
fn claim_the_queue(inherited: &str) {
    let (port_id, path) = inherited.split_once(' ').unwrap();
    let port_id: u32 = port_id.parse().unwrap();
    let cookie = SocketCookie::of(std::io::stdin().as_fd()).unwrap();
    let mut client = Client::connect(path).unwrap();
    let description = client.describe(cookie).unwrap();
    assert_eq!((description.protocol, description.port_id), (Protocol::Firewall, port_id));
    let request = mode_request(port_id);
    client.send(cookie, 0, &[IoSlice::new(&request)]).unwrap();
    let nothing = client.describe(SocketCookie(1 << 60)).unwrap_err();
    assert_eq!(nothing, Errno(88), "ENOTSOCK");
}

/// The request for packets with all their bytes, as this machine has it.
fn mode_request(port_id: u32) -> Vec<u8> {
    const BODY_LEN: usize = 3 * size_of::<usize>();
    let len = u32::try_from(16 + BODY_LEN).unwrap();
    let kind_and_flags = [0x11_u16, 1].map(u16::to_ne_bytes).concat();
    let mut request =
        [&len.to_ne_bytes()[..], &kind_and_flags, &[0; 4], &port_id.to_ne_bytes()].concat();
    request.resize(16 + BODY_LEN, 0);
    request[16] = 2;
    request
}

#[test]
fn two_programs_have_a_queue_each() {
    let serving = Serving::capture(&traffic("mptcp-v1.pcap"), &["--speed", "0.001"]);
    let open = |family: Family| {
        let name = TransportName::Unix(serving.path());
        let mut queue = Queue::open(name, Families::from(family)).unwrap();
        queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
        queue
    };
    let (mut ipv4, mut ipv6) = (open(Family::Ipv4), open(Family::Ipv6));
    let mut buffer = vec![0; ipv4.buffer_len()];
    let none = Some(core::time::Duration::ZERO);
    assert!(matches!(ipv6.read(&mut buffer, none), Ok(None)));
    let Some(Event::Packet(packet)) = ipv4.read(&mut buffer, None).unwrap() else {
        panic!("the first packet comes at once")
    };
    let id = packet.id();
    ipv4.verdict(id, Verdict::Accept).unwrap();
    serving.server.end_by(Signal::SIGTERM).ended(0);
}
