//! On the real kernel, each test in a network of its own.

use core::time::Duration;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use insta::{allow_duplicates, assert_snapshot};
use nix::sys::signal::Signal;

use crate::common::{
    Capture, Rule, Started, inside, ipq_cli, live, packets_of, ping_is_answered,
    ping_is_not_answered, shape, skipped,
};

const ICMP: Rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 0");
const ICMP6: Rule = ("ip6tables", "-A OUTPUT -p ipv6-icmp -j NFQUEUE --queue-num 0");
const UDP: Rule = ("iptables", "-A OUTPUT -p udp -j NFQUEUE --queue-num 0");

/// The bytes of a ping and of its answer.
const PING_LEN: u64 = 20 + 8 + 56;

/// `ipq-cli passer` on a real kernel.
fn passer(args: &[&str]) -> Command {
    let mut command = ipq_cli();
    command.arg("passer").args(args);
    command
}

/// Starts it, and waits until it waits for packets.
#[track_caller]
fn ready(args: &[&str]) -> Started {
    Started::ready(&mut passer(args))
}

/// A line or a message with `#` for each number that is another one each time.
fn constant(text: &str) -> String {
    let mut constant = String::new();
    let mut rest = text;
    for start in [" id ", " in "] {
        let Some(at) = rest.find(start) else { continue };
        let (before, after) = rest.split_at(at + start.len());
        let number = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
        constant += before;
        constant += if number > 0 { "#" } else { "" };
        rest = &after[number..];
    }
    constant + rest
}

/// Two sockets for UDP on the loopback device: one that sends, connected to the one that receives.
fn udp() -> (UdpSocket, UdpSocket) {
    let [sender, receiver] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    // What waits in a queue fills the buffer of its sender, which then would block for ever.
    sender.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (sender, receiver)
}

/// Checks that these datagrams have come, in this order, and no more.
#[track_caller]
fn has_received(receiver: &UdpSocket, expected: impl IntoIterator<Item = u8>) {
    for expected in expected {
        let mut datagram = [0; 2];
        assert_eq!(receiver.recv(&mut datagram).expect("it comes"), 1);
        assert_eq!(datagram[0], expected);
    }
    receiver.set_nonblocking(true).unwrap();
    assert!(receiver.recv(&mut [0; 2]).is_err());
}

#[test]
fn pings_are_answered_until_a_signal_comes() {
    live("live::pings_are_answered_until_a_signal_comes", &[ICMP], || {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut passer = ready(&[]);
            ping_is_answered("127.0.0.1");
            // They come while it runs.
            let lines = [passer.line(), passer.line()].map(|line| {
                let (time, line) = line.split_once(' ').expect("a time comes first");
                assert_eq!(time.len(), "--:--:--.------".len());
                constant(line)
            });
            let run = passer.end_by(signal).ended(0);
            assert_eq!(run.stdout.lines().count(), 2);
            let all = lines.concat() + &constant(&run.stderr);
            allow_duplicates!(assert_snapshot!(all, @"
            LOCAL_OUT out lo IP 127.0.0.1 > 127.0.0.1: ICMP echo request, id #, seq 1, length 64 -> accept
            LOCAL_OUT out lo IP 127.0.0.1 > 127.0.0.1: ICMP echo reply, id #, seq 1, length 64 -> accept
            2 packets, 168 bytes in # s: 2 accepted, 0 dropped
            "));
            ping_is_not_answered("127.0.0.1");
        }
    });
}

#[test]
fn the_target_of_old_queues_packets_too() {
    let rule = ("iptables", "-A OUTPUT -p icmp -j QUEUE");
    live("live::the_target_of_old_queues_packets_too", &[rule], || {
        let passer = ready(&["--quiet"]);
        ping_is_answered("127.0.0.1");
        let run = passer.end_by(Signal::SIGINT).ended(0).says(&["2 packets, "]);
        assert_eq!(run.stdout, "");
        ping_is_not_answered("127.0.0.1");
    });
}

#[test]
fn auto_is_queue_0_unless_another_is_named() {
    let test = "live::auto_is_queue_0_unless_another_is_named";
    if Path::new("/proc/net/ip_queue").exists() || Path::new("/proc/net/ip6_queue").exists() {
        return skipped(test, "this kernel has ip_queue");
    }
    let rule_7 = ("iptables", "-A OUTPUT -p icmp -d 127.0.0.7 -j NFQUEUE --queue-num 7");
    live(test, &[rule_7, ICMP], || {
        let [mut empty, mut seven] = [(); 2].map(|()| passer(&["--json", "--quiet"]));
        empty.env("IPQ_TRANSPORT", "");
        seven.env("IPQ_TRANSPORT", "nfqueue:7");
        for mut command in [passer(&["--json", "--quiet", "--transport", "auto"]), empty] {
            let passer = Started::ready(&mut command);
            ping_is_answered("127.0.0.1");
            ping_is_not_answered("127.0.0.7");
            // The answer to the second would come from 127.0.0.7, which its rule does not ask for.
            passer.end_by(Signal::SIGINT).was_silent().sums_up("packets 2, accepted 2");
        }
        for mut command in [passer(&["--json", "--quiet", "--transport", "nfqueue:7"]), seven] {
            let passer = Started::ready(&mut command);
            ping_is_not_answered("127.0.0.1");
            // Its answer goes to queue 0.
            ping_is_not_answered("127.0.0.7");
            passer.end_by(Signal::SIGINT).was_silent().sums_up("packets 1, accepted 1");
        }
        let args = ["--json", "--quiet", "--transport", "nfqueue:0-7"];
        let passer = ready(&args);
        ping_is_answered("127.0.0.1");
        ping_is_answered("127.0.0.7");
        passer.end_by(Signal::SIGINT).was_silent().sums_up("packets 4, accepted 4");
    });
}

#[test]
fn count_says_how_many() {
    live("live::count_says_how_many", &[ICMP], || {
        let passer = ready(&["--count", "3"]);
        ping_is_answered("127.0.0.1");
        // The answer to this is the fourth.
        ping_is_not_answered("127.0.0.1");
        let run = passer.end().ended(0);
        assert_eq!(run.stdout.lines().count(), 3);
        assert_snapshot!(constant(&run.stderr), @"3 packets, 252 bytes in # s: 3 accepted, 0 dropped");
    });
}

#[test]
fn timeout_is_how_long_it_waits_for_a_packet() {
    inside("live::timeout_is_how_long_it_waits_for_a_packet", || {
        let run = Started::new(&mut passer(&["--json", "--timeout", "300ms"])).end().was_silent();
        let run = run.sums_up("packets 0, bytes 0, accepted 0, dropped 0");
        let seconds = run.summary()["seconds"].as_f64().expect("a number");
        assert!((0.3..10.0).contains(&seconds), "{seconds}");
    });
}

#[test]
fn verdict_says_what_becomes_of_the_packets() {
    live("live::verdict_says_what_becomes_of_the_packets", &[ICMP], || {
        let mut passer = ready(&["--verdict", "drop"]);
        ping_is_not_answered("127.0.0.1");
        assert!(passer.line().ends_with(" -> drop\n"));
        let run = passer.end_by(Signal::SIGINT).ended(0);
        assert_snapshot!(constant(&run.stderr), @"1 packet, 84 bytes in # s: 0 accepted, 1 dropped");

        let passer = ready(&["--verdict", "stop", "--json"]);
        ping_is_answered("127.0.0.1");
        passer.end_by(Signal::SIGINT).was_silent().sums_up("packets 2, accepted 0, other 2");

        // The rule queues each of them again, for ever.
        let passer = ready(&["--verdict", "repeat", "--json", "--count", "50"]);
        ping_is_not_answered("127.0.0.1");
        let run = passer.end().was_silent();
        assert!(run.events("packet").iter().all(|packet| packet["verdict"] == "repeat"));
        run.sums_up("packets 50, other 50");
    });
}

#[test]
fn family_says_which_packets_are_wanted() {
    let test = "live::family_says_which_packets_are_wanted";
    if !Path::new("/proc/net/if_inet6").exists() {
        return skipped(test, "this kernel has no IPv6");
    }
    live(test, &[ICMP, ICMP6], || {
        for (family, wanted, other) in [("ipv4", "127.0.0.1", "::1"), ("ipv6", "::1", "127.0.0.1")]
        {
            let passer = ready(&["--json", "--family", family]);
            ping_is_not_answered(other);
            ping_is_answered(wanted);
            let run = passer.end_by(Signal::SIGINT).was_silent();
            assert!(run.events("packet").iter().all(|packet| packet["family"] == family));
            run.sums_up("packets 2, accepted 2, dropped 0, unclaimed 1");
        }
        let passer = ready(&["--json", "--family", "both"]);
        ping_is_answered("::1");
        ping_is_answered("127.0.0.1");
        let run = passer.end_by(Signal::SIGINT).was_silent();
        let seen = run
            .events("packet")
            .iter()
            .map(|packet| packet["family"].to_string())
            .collect::<Vec<_>>();
        assert_eq!(seen.join(" "), r#""ipv6" "ipv6" "ipv4" "ipv4""#);
        run.sums_up("packets 4, accepted 4, unclaimed 0");
    });
}

#[test]
fn json_has_the_documented_keys_and_types() {
    live("live::json_has_the_documented_keys_and_types", &[ICMP], || {
        let mut passer = ready(&["--json"]);
        ping_is_answered("127.0.0.1");
        // They come while it runs.
        passer.line();
        passer.line();
        let run = passer.end_by(Signal::SIGTERM).was_silent();
        let packets = run.events("packet");
        assert_eq!(packets.len(), 2);
        for (packet, id) in packets.iter().zip(["0x1", "0x2"]) {
            let shape = shape(packet).replace("timestamp number", "timestamp null");
            assert_eq!(
                shape,
                "event string, id string, queue string, family string, hook string, indev string, outdev string, mark count, \
                 hw_protocol string, hw_type count, hw_addr string, timestamp null, data_len count, \
                 verdict string, summary string"
            );
            for (key, value) in [
                ("id", id),
                ("family", "ipv4"),
                ("hook", "LOCAL_OUT"),
                ("indev", ""),
                ("outdev", "lo"),
                ("hw_protocol", "0x0800"),
                ("verdict", "accept"),
            ] {
                assert_eq!(packet[key], value, "{key}");
            }
            assert_eq!(packet["data_len"], PING_LEN);
        }
        assert_eq!(
            shape(&run.summary()),
            "event string, packets count, bytes count, accepted count, dropped count, other count, errors count, \
             lost count, skipped count, malformed count, unclaimed count, seconds number"
        );
        run.sums_up("packets 2, bytes 168, accepted 2, dropped 0, errors 0, lost 0, unclaimed 0");
    });
}

#[test]
fn the_living_are_written() {
    live("live::the_living_are_written", &[ICMP], || {
        let there = Capture::of_bytes(&[]);
        for verdict in ["accept", "stop"] {
            let path = there.beside(verdict);
            let passer = ready(&["--verdict", verdict, "--write", path.to_str().unwrap()]);
            ping_is_answered("127.0.0.1");
            passer.end_by(Signal::SIGINT).ended(0);
            let packets = packets_of(&path);
            // The type of ICMP: a request and its answer.
            let types: Vec<_> = packets.iter().map(|packet| packet.data[20]).collect();
            assert_eq!(types, [8, 0]);
            for packet in packets {
                assert_eq!(packet.data.len() as u64, PING_LEN);
                assert_eq!(packet.data[0], 0x45);
                // The kernel often says no time; it is now.
                assert!(packet.timestamp.seconds() > 1_700_000_000);
            }
        }
        let path = there.beside("drop");
        let passer = ready(&["--verdict", "drop", "--write", path.to_str().unwrap()]);
        ping_is_not_answered("127.0.0.1");
        passer.end_by(Signal::SIGINT).ended(0).says(&["1 packet, 84 bytes"]);
        assert_eq!(packets_of(&path).len(), 0);
    });
}

#[test]
fn a_queue_that_is_taken_is_told() {
    inside("live::a_queue_that_is_taken_is_told", || {
        let first = ready(&[]);
        let second = Started::new(&mut passer(&[])).end().ended(1);
        assert_eq!(second.stdout, "");
        second.says(&["ipq-cli: claiming queue 0: it is taken by "]);
        // There are others, and this one is left alone.
        let third = ready(&["--transport", "nfqueue:1"]);
        third.end_by(Signal::SIGINT).ended(0);
        first.end_by(Signal::SIGINT).ended(0).says(&["0 packets, "]);
        ready(&[]).end_by(Signal::SIGINT).ended(0);
    });
}

#[test]
fn a_missing_privilege_is_told_with_what_to_do() {
    let test = "live::a_missing_privilege_is_told_with_what_to_do";
    inside(test, || {
        let ways: [&[&str]; 2] =
            [&["setpriv", "--bounding-set=-all", "--inh-caps=-all"], &["unshare", "--user"]];
        let mut ways_gone = 0;
        for way in ways {
            let without = |program: &str| {
                let mut command = Command::new(way[0]);
                command.args(&way[1..]).arg(program).env_remove("IPQ_TRANSPORT");
                command
            };
            if !without("true").output().is_ok_and(|output| output.status.success()) {
                continue;
            }
            ways_gone += 1;
            for transport in ["auto", "nfqueue:3"] {
                let mut command = without(env!("CARGO_BIN_EXE_ipq-cli"));
                let run = Started::new(command.args(["passer", "--transport", transport])).end();
                let run = run.ended(1);
                assert_eq!(run.stdout, "");
                run.says(&["ipq-cli: claiming queue ", "CAP_NET_ADMIN", "root", "unshare -Urn"]);
            }
        }
        if ways_gone == 0 {
            skipped(test, "neither setpriv nor unshare can take privileges away");
        }
    });
}

#[test]
fn what_waits_when_a_signal_comes_is_settled() {
    live("live::what_waits_when_a_signal_comes_is_settled", &[UDP], || {
        let (sender, receiver) = udp();
        let passer = ready(&["--json"]);
        passer.pause();
        for number in 0..200 {
            sender.send(&[number]).unwrap();
        }
        passer.signal(Signal::SIGINT);
        let run = passer.end_by(Signal::SIGCONT).was_silent();
        assert_eq!(run.events("packet").len(), 200);
        run.sums_up("packets 200, accepted 200, errors 0, lost 0");
        has_received(&receiver, 0..200);

        let (sender, receiver) = udp();
        let passer = ready(&["--json", "--count", "3"]);
        passer.pause();
        for number in 0..5 {
            sender.send(&[number]).unwrap();
        }
        passer.signal(Signal::SIGINT);
        passer.end_by(Signal::SIGCONT).was_silent().sums_up("packets 3, accepted 3");
        has_received(&receiver, 0..3);

        // More than wait in a queue unless it is said.
        let passer = ready(&["--json", "--quiet", "--queue-maxlen", "3000"]);
        passer.pause();
        let senders: Vec<_> = (0..25).map(|_| udp().0).collect();
        for sender in &senders {
            (0..100).for_each(|_| assert_eq!(sender.send(&[0]).unwrap(), 1));
        }
        passer.signal(Signal::SIGINT);
        passer.end_by(Signal::SIGCONT).was_silent().sums_up("packets 2500, accepted 2500, lost 0");
    });
}

#[test]
fn unwanted_packets_do_not_keep_those_behind_them_from_being_settled() {
    let test = "live::unwanted_packets_do_not_keep_those_behind_them_from_being_settled";
    if !Path::new("/proc/net/if_inet6").exists() {
        return skipped(test, "this kernel has no IPv6");
    }
    let udp6 = ("ip6tables", "-A OUTPUT -p udp -j NFQUEUE --queue-num 0");
    live(test, &[UDP, udp6], || {
        let (sender, receiver) = udp();
        let other = UdpSocket::bind("[::1]:0").unwrap();
        other.connect("[::1]:9").unwrap();
        let passer = ready(&["--json", "--family", "ipv4"]);
        passer.pause();
        for _ in 0..200 {
            other.send(&[0]).unwrap();
        }
        sender.send(&[1]).unwrap();
        passer.signal(Signal::SIGINT);
        let run = passer.end_by(Signal::SIGCONT).was_silent();
        run.sums_up("packets 1, accepted 1, unclaimed 200");
        has_received(&receiver, [1]);
    });
}

#[test]
fn a_queue_that_is_full_drops_or_lets_pass() {
    live("live::a_queue_that_is_full_drops_or_lets_pass", &[UDP], || {
        let args = ["--json", "--queue-maxlen", "2", "--fail-open"];
        for (args, n_expected) in [(&args[..3], 2), (&args, 5)] {
            let (sender, receiver) = udp();
            let passer = ready(args);
            passer.pause();
            for number in 0..5 {
                // It says so if the packet is dropped.
                let _ = sender.send(&[number]);
            }
            passer.signal(Signal::SIGINT);
            passer.end_by(Signal::SIGCONT).was_silent().sums_up("packets 2, accepted 2");
            let mut datagrams = vec![[0; 2]; n_expected];
            for datagram in &mut datagrams {
                assert_eq!(receiver.recv(datagram).expect("it comes"), 1);
            }
            // Those that pass the queue come before those that wait in it.
            datagrams.sort_unstable();
            assert_eq!(datagrams, [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0]][..n_expected]);
            has_received(&receiver, []);
        }
    });
}

#[test]
fn a_receive_buffer_that_is_full_is_told_and_survived() {
    live("live::a_receive_buffer_that_is_full_is_told_and_survived", &[UDP], || {
        for args in
            [&["--json", "--quiet", "--rcvbuf", "20000"][..], &["--quiet", "--rcvbuf", "20000"]]
        {
            let (sender, _receiver) = udp();
            let passer = ready(args);
            passer.pause();
            for _ in 0..500 {
                // It says so if the packet is dropped.
                let _ = sender.send(&[0; 100]);
            }
            passer.signal(Signal::SIGINT);
            let run = passer.end_by(Signal::SIGCONT);
            if args.contains(&"--json") {
                let run = run.was_silent();
                let errors = run.events("error");
                assert_eq!(errors.len(), 1, "{errors:?}");
                assert_eq!(
                    shape(&errors[0]),
                    "event string, errno count, name string, message string"
                );
                assert_eq!(errors[0]["name"], "ENOBUFS");
                let summary = run.summary();
                let packets = summary["packets"].as_u64().expect("a number");
                assert!((2..500).contains(&packets), "{summary}");
                assert!(summary["lost"].as_u64() > Some(0), "{summary}");
                assert_eq!(summary["accepted"], packets);
            } else {
                run.ended(0).says(&[
                    "ipq-cli: the receive buffer was full: packets were lost\n",
                    " accepted, 0 dropped, 1 error, ",
                    " lost\n",
                ]);
            }
        }
    });
}

#[test]
fn copy_and_range_say_how_much_is_wanted() {
    live("live::copy_and_range_say_how_much_is_wanted", &[ICMP], || {
        for (args, bytes, fragment) in [
            (&["--copy", "meta"][..], 0, "IP (no payload) -> accept"),
            (&["--range", "28", "--gso"], 28, "ICMP echo request, id "),
            (&["--range", "65535"], PING_LEN, "length 64 -> accept"),
        ] {
            let mut passer = ready(args);
            ping_is_answered("127.0.0.1");
            let line = passer.line();
            assert!(line.contains(fragment), "{line}");
            let bytes = format!("2 packets, {} bytes", 2 * bytes);
            passer.end_by(Signal::SIGINT).ended(0).says(&[&bytes]);
        }
    });
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_run_quietly_and_keeps_no_packet() {
    let test = "live::a_reader_that_has_seen_enough_ends_a_run_quietly_and_keeps_no_packet";
    live(test, &[UDP], || {
        let (sender, receiver) = udp();
        let mut passer = Started::ready_for_one_line(&mut passer(&[]));
        sender.send(&[0]).unwrap();
        passer.line();
        passer.until_closed();
        passer.pause();
        sender.send(&[1]).unwrap();
        sender.send(&[2]).unwrap();
        passer.signal(Signal::SIGCONT);
        let run = passer.end().was_silent();
        assert_eq!(run.stdout.lines().count(), 1);
        has_received(&receiver, 0..3);
    });
}
