//! The programs, one by one: what they print, and what becomes of the packets.

use ipq_proto::Family::{self, Ipv4, Ipv6};
use ipq_tests::namespace::{Outcome, Skipped};

use crate::network::Network;
use ipq_tests::programs::{Build, program, root};
use ipq_tests::running::Running;

on_every_kernel! {
    passes_packets_with_every_call,
    allocates_nothing_for_a_packet,
    serves_two_families_in_one_loop,
    decides_later_in_another_order_and_in_other_threads,
    replaces_packets,
    takes_a_small_range,
    keeps_within_a_short_buffer,
    goes_on_in_a_child,
    forks_while_threads_are_inside,
    has_a_descriptor_like_any,
    ends_waiting_at_signals,
    goes_on_under_signals,
    says_what_is_wrong_in_the_program,
    has_more_than_the_original,
}

/// Runs a program in every build: starts it, waits until it is ready for packets, and lets `go_on` see to them.
fn in_every_build(
    network: &mut dyn Network,
    name: &str,
    arguments: &[&str],
    go_on: impl Fn(&mut dyn Network, Running),
) -> Outcome {
    for build in Build::ALL {
        let program = program(name, build)?;
        let mut running = Running::start(&network.transport(), &[], &program, arguments);
        running.wait_for("ready");
        go_on(network, running);
    }
    Ok(())
}

/// Sends packets with these texts.
fn send(network: &mut dyn Network, family: Family, texts: &[&str]) {
    for text in texts {
        network.send(family, text);
    }
}

/// Texts of the packets that arrive.
fn arrived(network: &mut dyn Network) -> Vec<String> {
    core::iter::from_fn(|| network.receive()).collect()
}

fn passes_packets_with_every_call(network: &mut dyn Network) -> Outcome {
    for (family, version, bytes) in [(Ipv4, 4, 33), (Ipv6, 6, 53)] {
        let argument = version.to_string();
        in_every_build(network, "passer", &[&argument, "2"], |network, running| {
            for text in ["hello", "world"] {
                network.send(family, text);
            }
            let printed = running.finish();
            let packet = format!(
                "packet LOCAL_OUT in= out=lo protocol=0000 mark=0 bytes={bytes} version={version}\n"
            );
            let expected = format!(
                "refused: No such file or directory\nready\n{packet}{packet}\
                 read at once: Timeout\nread in 1000 microseconds: Timeout\ndone\n"
            );
            assert_eq!(printed, expected);
            assert_eq!(arrived(network), ["hello", "world"]);
        })?;
    }
    Ok(())
}

/// The allocator that counts is the program's, and takes the place of the C library's; so not in a static program.
fn allocates_nothing_for_a_packet(network: &mut dyn Network) -> Outcome {
    const TEXTS: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    for (family, version) in [(Ipv4, "4"), (Ipv6, "6")] {
        let program = program("allocations", Build::USUAL)?;
        let mut running = Running::start(
            &network.transport(),
            &[],
            &program,
            &[version, &TEXTS.len().to_string()],
        );
        for ready in ["ready", "warm"] {
            running.wait_for(ready);
            send(network, family, &TEXTS);
        }
        let printed = running.finish();
        assert!(printed.contains("\nallocated 0 times\n"), "{printed}");
        assert_eq!(arrived(network).len(), 2 * 6);
    }
    Ok(())
}

fn serves_two_families_in_one_loop(network: &mut dyn Network) -> Outcome {
    in_every_build(network, "two_families", &["3"], |network, running| {
        for text in ["1", "2", "3"] {
            network.send(Ipv6, text);
            network.send(Ipv4, text);
        }
        let printed = running.finish();
        let expected = "a second one: Unable to bind netlink socket\nready\n\
                        IPv4: 3 packets\nIPv6: 3 packets\n";
        assert_eq!(printed, expected);
        assert_eq!(arrived(network).len(), 6);
    })
}

fn decides_later_in_another_order_and_in_other_threads(network: &mut dyn Network) -> Outcome {
    in_every_build(network, "delayed", &["9"], |network, running| {
        send(network, Ipv4, &["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
        assert_eq!(running.finish(), "ready\ndecided 9 packets\n");
        // The threads take the last first; which of them is quicker, nobody knows.
        let mut arrived = arrived(network);
        arrived.sort();
        assert_eq!(arrived, ["0", "1", "3", "4", "6", "7"]);
    })
}

fn replaces_packets(network: &mut dyn Network) -> Outcome {
    in_every_build(network, "replacer", &["2"], |network, running| {
        send(network, Ipv4, &["hello", "even more"]);
        let printed = running.finish();
        assert_eq!(printed, "ready\nreplaced 33 bytes by 34\nreplaced 37 bytes by 38\n");
        assert_eq!(arrived(network), ["HELLO!", "EVEN MORE!"]);
    })
}

fn takes_a_small_range(network: &mut dyn Network) -> Outcome {
    in_every_build(network, "small_range", &["2"], |network, running| {
        send(network, Ipv4, &["hello", "even more"]);
        assert_eq!(running.finish(), "ready\n21 of 33 bytes\n21 of 37 bytes\n");
        assert!(arrived(network).is_empty());
    })
}

fn keeps_within_a_short_buffer(network: &mut dyn Network) -> Outcome {
    in_every_build(network, "short_buffer", &["2"], |network, running| {
        send(network, Ipv4, &["hello", "even more"]);
        let expected = "19 bytes: Receive buffer size invalid\nready\n\
                        33 bytes of packet: Received message truncated\n\
                        37 bytes of packet: Received message truncated\n";
        assert_eq!(running.finish(), expected);
        assert_eq!(arrived(network), ["hello", "even more"]);
    })
}

fn goes_on_in_a_child(network: &mut dyn Network) -> Outcome {
    in_every_build(network, "forks", &["2"], |network, mut running| {
        send(network, Ipv4, &["1", "2"]);
        running.wait_for("again");
        send(network, Ipv4, &["3", "4"]);
        running.wait_for("once more");
        send(network, Ipv4, &["5"]);
        let printed = running.finish();
        for line in [
            "child: 2 verdicts over packets that the parent read\n",
            "child: 2 packets of its own\n",
            "done\n",
        ] {
            assert!(printed.contains(line), "{printed}");
        }
        assert_eq!(arrived(network), ["1", "2", "3", "4", "5"]);
    })
}

fn forks_while_threads_are_inside(network: &mut dyn Network) -> Outcome {
    let program = program("busy_forks", Build::USUAL)?;
    let running = Running::start(&network.transport(), &[], &program, &["100"]);
    assert_eq!(running.finish(), "100 children\n");
    Ok(())
}

fn has_a_descriptor_like_any(network: &mut dyn Network) -> Outcome {
    let size = if network.has_receive_buffer() { "larger" } else { "" };
    in_every_build(network, "descriptor", &["4"], |network, running| {
        send(network, Ipv4, &["1", "2", "3", "4"]);
        let printed = running.finish();
        assert!(printed.contains(&format!("receive buffer: {size}")), "{printed}");
        let non_blocking = "non-blocking: Failed to receive netlink message\n";
        assert!(
            printed.ends_with(&format!("ready\n{non_blocking}accepted 4 packets\n")),
            "{printed}"
        );
        assert_eq!(arrived(network), ["1", "2", "3", "4"]);
    })
}

fn ends_waiting_at_signals(network: &mut dyn Network) -> Outcome {
    for build in Build::ALL {
        let running = Running::start(&network.transport(), &[], &program("signals", build)?, &[]);
        let expected = "for ever: 1 signal, Failed to receive netlink message\n\
                        with a time-out: 1 signal, Unknown error\n\
                        with a time-out and SA_RESTART: 1 signal, Unknown error\n\
                        for ever, with SA_RESTART: 3 signals, Failed to receive netlink message\n";
        assert_eq!(running.finish(), expected);
    }
    Ok(())
}

fn goes_on_under_signals(network: &mut dyn Network) -> Outcome {
    in_every_build(network, "bombarded", &["200"], |network, running| {
        for number in 0..200 {
            network.send(Ipv4, &number.to_string());
        }
        assert_eq!(running.finish(), "ready\naccepted 200 packets\n");
        assert_eq!(arrived(network).len(), 200);
    })
}

fn says_what_is_wrong_in_the_program(network: &mut dyn Network) -> Outcome {
    for build in Build::ALL {
        let running = Running::start(&network.transport(), &[], &program("misuse", build)?, &[]);
        assert_eq!(running.finish(), include_str!("../../c/misuse.txt"));
    }
    Ok(())
}

fn has_more_than_the_original(network: &mut dyn Network) -> Outcome {
    let transport = network.transport();
    let (mark, packets) = if network.has_marks() { ("0x17", 71) } else { ("0", 71) };
    in_every_build(network, "additions", &[&transport, "70", mark], |network, running| {
        for number in 0..packets {
            network.send(Ipv4, &number.to_string());
        }
        let printed = running.finish();
        let statistics =
            "packets 71 verdicts 71 refused 0 truncated 0 overruns 0 foreign 0 malformed 0\n";
        assert!(printed.ends_with(statistics), "{printed}");
        let refused = "a mark: Operation not supported\n";
        assert_eq!(printed.contains(refused), !network.has_marks(), "{printed}");
        let texts: Vec<_> = (0..packets).map(|number| number.to_string()).collect();
        assert_eq!(arrived(network), texts);
    })
}

/// The kernel of the transport `sim:FILE` is in the program itself.
#[test]
fn passes_the_packets_of_a_capture_and_ends() {
    let capture = root().join("tests/traffic/dns-badcookie.pcap");
    let transport = format!("sim:{}", capture.display());
    let run = || {
        for build in Build::ALL {
            let running = Running::start(&transport, &[], &program("until_end", build)?, &["4"]);
            assert_eq!(running.finish(), "4 packets, Received EOF on netlink socket\n");
        }
        Ok(())
    };
    if let Err(Skipped(reason)) = run() {
        eprintln!("skipped: programs::passes_the_packets_of_a_capture_and_ends: {reason}");
    }
}
