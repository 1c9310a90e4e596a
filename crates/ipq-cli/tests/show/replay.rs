//! `record`, `replay` and `compare`: a queue on file, its verdicts, and what another rule would have done.

use std::path::Path;

use insta::assert_snapshot;

use super::super::captures::FILES;
use crate::common::{Capture, Run, ipq_cli, packets_of, shape, sim, traffic, udp4, udp6};

fn replay(file: &Path, args: &[&str]) -> Run {
    Run::of(ipq_cli().arg("replay").arg(file).args(args))
}

fn compare(one: &Path, other: &Path, args: &[&str]) -> Run {
    Run::of(ipq_cli().arg("compare").arg(one).arg(other).args(args))
}

#[test]
fn a_replay_tells_what_would_become_of_each_packet() {
    let args = ["--verdict", "drop", "--filter", "tcp[tcpflags] & tcp-syn != 0", "-c", "3"];
    let run = replay(&traffic("ssh.pcap"), &args).ended(0);
    assert_snapshot!(run.seen(&traffic("ssh.pcap")), @"
    10:50:09.891237 PRE_ROUTING in eth0 IP 202.108.87.165.62146 > 223.132.53.222.22: Flags [S], seq 4082233688, win 65535, length 0 -> drop
    10:50:09.916918 PRE_ROUTING in eth0 IP 223.132.53.222.22 > 202.108.87.165.62146: Flags [S.], seq 2455219014, ack 4082233689, win 28960, length 0 -> drop
    10:50:09.916972 PRE_ROUTING in eth0 IP 202.108.87.165.62146 > 223.132.53.222.22: Flags [.], seq 4082233689, ack 2455219015, win 4096, length 0 -> accept
    ---
    3 packets, 164 bytes in 0.026 s: 1 accepted, 2 dropped
    ");
}

#[test]
fn a_recording_is_replayed_packet_by_packet() {
    let there = Capture::of_bytes(&[]);
    let recorded = there.beside("recorded.pcapng");
    for (name, _) in FILES.iter().filter(|(name, _)| *name != "time_2107.pcapng") {
        let transport = sim(&traffic(name));
        let args = ["record", "--transport", &transport, recorded.to_str().unwrap()];
        let run = Run::of(ipq_cli().args(args)).ended(0);
        assert_eq!(run.stdout, "");
        let [before, after] = [&traffic(name), &recorded].map(|path| packets_of(path));
        let bytes = |packets: &[ipq_sim::capture::CapturedPacket]| {
            packets.iter().map(|packet| packet.data.clone()).collect::<Vec<_>>()
        };
        assert_eq!(bytes(&before), bytes(&after), "{name}");
        let run = replay(&recorded, &["--json", "--quiet"]).was_silent();
        assert_eq!(run.summary()["packets"], before.len());
    }
}

#[test]
fn logs_of_the_same_are_the_same_and_others_differ() {
    let there = Capture::of_bytes(&[]);
    let [one, other] = ["one.jsonl", "other.jsonl"].map(|name| there.beside(name));
    let log = |path: &Path, filter: &str| {
        let args =
            ["--quiet", "--verdict", "drop", "--log", path.to_str().unwrap(), "--filter", filter];
        replay(&traffic("ssh.pcap"), &args).ended(0);
    };
    log(&one, "dst port 22");
    log(&other, "dst port 22");
    let run = compare(&one, &other, &[]).ended(0);
    assert_eq!(run.stdout, "");
    run.says(&["54 packets with the same verdict, 0 with another, 0 only in A, 0 only in B"]);
    log(&other, "dst port 22 and less 60");
    let run = compare(&one, &other, &["--json"]).ended(1);
    let differences = run.events("difference");
    assert!(!differences.is_empty());
    for difference in &differences {
        assert_eq!(
            shape(difference),
            "event string, a count, b count, verdict_a string, verdict_b string, hash string, data_len count, \
             summary string"
        );
        assert_eq!(
            (&difference["verdict_a"], &difference["verdict_b"]),
            (&"drop".into(), &"accept".into())
        );
        assert!(difference["data_len"].as_u64() > Some(60));
    }
    assert_eq!(
        shape(&run.summary()),
        "event string, same count, verdicts count, only_a count, only_b count"
    );
    assert_eq!(run.summary()["verdicts"], differences.len());
}

#[test]
fn a_packet_is_known_by_its_bytes_wherever_it_is() {
    let (first, second, third) = (udp4(&[1]), udp4(&[2]), udp6(&[3]));
    let one = Capture::of_packets(&[&first, &second, &first, &third]);
    let other = Capture::of_packets(&[&third, &first, &second]);
    let logs = [(&one, "len > 0"), (&other, "ip6")].map(|(capture, filter)| {
        let log = capture.beside("log.jsonl");
        let args = ["--verdict", "drop", "--filter", filter, "--log", log.to_str().unwrap()];
        replay(&capture.path, &args).ended(0);
        log
    });
    let run = compare(&logs[0], &logs[1], &[]).ended(1);
    assert_snapshot!(run.stdout, @"
    packet 1 (in B 2): IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 1: drop in A, accept in B
    packet 2 (in B 3): IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 1: drop in A, accept in B
    packet 3: IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 1: drop in A, not in B
    ");
    assert_snapshot!(run.stderr, @"1 packet with the same verdict, 2 with another, 1 only in A, 0 only in B");
    let run = compare(&logs[1], &logs[0], &[]).ended(1);
    assert_snapshot!(run.stdout, @"
    packet 2 (in B 1): IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 1: accept in A, drop in B
    packet 3 (in B 2): IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 1: accept in A, drop in B
    packet 3 of B: IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 1: not in A, drop in B
    ");
}

/// A mangler of UDP payloads, and a capture with one that it changes and one that it does not.
fn mangler() -> (Capture, std::path::PathBuf) {
    let capture = Capture::of_packets(&[udp4(b"one apple"), udp4(b"a pear")]);
    let application = capture.beside("mangle.toml");
    let text = "[application]\nname = \"mangle\"\nfind = \"apple\"\nreplace = \"lemon\"\n";
    std::fs::write(&application, text).unwrap();
    (capture, application)
}

#[test]
fn the_program_of_a_scenario_decides() {
    let (capture, application) = mangler();
    let alive = capture.beside("alive.pcap");
    let application = application.to_str().unwrap();
    let run =
        replay(&capture.path, &["--application", application, "--write", alive.to_str().unwrap()]);
    assert_snapshot!(run.ended(0).seen(&capture.path), @"
    12:00:00.000000 PRE_ROUTING in eth0 IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 9 -> accept, changed
    12:00:01.000000 PRE_ROUTING in eth0 IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 6 -> accept
    ---
    2 packets, 71 bytes in 1.000 s: 2 accepted, 0 dropped
    ");
    let packets: Vec<_> = packets_of(&alive).into_iter().map(|packet| packet.data).collect();
    assert_eq!(packets, [udp4(b"one lemon"), udp4(b"a pear")], "also the checksums");
    let run = replay(&capture.path, &["--application", application, "--json"]).was_silent();
    let changed: Vec<_> =
        run.events("packet").iter().map(|packet| packet["changed"] == true).collect();
    assert_eq!(changed, [true, false]);
}

#[test]
fn a_scenario_is_replayed_with_its_own_program() {
    let scenario = traffic("../scenarios/port-filter.toml");
    let file = scenario.to_str().unwrap();
    let run = replay(&scenario, &["--application", file, "--quiet", "--json"]).was_silent();
    let file_with_one = Capture::of_bytes(&[]);
    let dropped = &run.summary()["dropped"];
    assert_eq!(*dropped, 5, "the questions to port 53");
    replay(&scenario, &["--quiet", "--json"]).was_silent().sums_up("dropped 0");
    std::fs::write(&file_with_one.path, "application = { name = \"drop\", packets = 1 }\n")
        .unwrap();
    let one = file_with_one.path.to_str().unwrap();
    replay(&scenario, &["--application", one, "--json"])
        .was_silent()
        .sums_up("packets 1, dropped 1");
    replay(&scenario, &["--application", file, "--verdict", "drop"])
        .ended(2)
        .says(&["cannot be used with"]);
    replay(&scenario, &["--application", "/nonexistent"]).ended(1).says(&["/nonexistent"]);
}

#[test]
fn what_cannot_be_read_or_written_is_told() {
    let file = Capture::of_bytes(b"{\"number\": 1}\n");
    compare(&file.path, &file.path, &[])
        .ended(1)
        .says(&["line 1 is no verdict of a log: missing field"]);
    compare(Path::new("/nonexistent"), &file.path, &[]).ended(1).says(&["reading /nonexistent: "]);
    let ssh = traffic("ssh.pcap");
    replay(&ssh, &["--log", "/nonexistent/log"]).ended(1).says(&["writing /nonexistent/log: "]);
    replay(&ssh, &["--quiet", "--log", "/dev/full"])
        .ended(1)
        .says(&["writing /dev/full: No space"]);
    replay(Path::new("/nonexistent"), &[]).ended(1).says(&["reading /nonexistent: "]);
    replay(&ssh, &["--verdict", "repeat"]).ended(2).says(&["--count"]);
    let transport = sim(&ssh);
    for path in ["/nonexistent/x.pcapng", "/"] {
        let args = ["record", "--transport", &transport, path];
        Run::of(ipq_cli().args(args)).ended(1).says(&[&format!("writing {path}: ")]);
    }
}

#[test]
fn the_capture_that_is_read_is_not_overwritten() {
    let file = Capture::of_packets(&[udp4(&[])]);
    let before = std::fs::read(&file.path).unwrap();
    let (path, transport) = (file.path.to_str().unwrap(), sim(&file.path));
    for args in [
        &["replay", path, "--log", path][..],
        &["replay", path, "--write", path],
        &["record", "--transport", &transport, path],
        &["dump", "--transport", &transport, "--write", path],
        &["drop", "--transport", &transport, "--log", path, "ip"],
        &["passer", "--transport", &transport, "--log", path],
    ] {
        Run::of(ipq_cli().args(args)).ended(2).says(&["would overwrite the capture that is read"]);
        assert_eq!(std::fs::read(&file.path).unwrap(), before);
    }
}
