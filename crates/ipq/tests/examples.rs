//! The examples, each run on a simulated kernel.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

#[cfg(feature = "tokio")]
#[expect(dead_code, reason = "a test has a `main` of its own")]
#[path = "../examples/asynchronous.rs"]
mod asynchronous;
#[expect(dead_code, reason = "a test has a `main` of its own")]
#[path = "../examples/delay_and_reorder.rs"]
mod delay_and_reorder;
#[expect(dead_code, reason = "a test has a `main` of its own")]
#[path = "../examples/log_to_pcapng.rs"]
mod log_to_pcapng;
#[expect(dead_code, reason = "a test has a `main` of its own")]
#[path = "../examples/multi_queue.rs"]
mod multi_queue;
#[expect(dead_code, reason = "a test has a `main` of its own")]
#[path = "../examples/passer.rs"]
mod passer;
#[expect(dead_code, reason = "a test has a `main` of its own")]
#[path = "../examples/port_firewall.rs"]
mod port_firewall;
#[expect(dead_code, reason = "a test has a `main` of its own")]
#[path = "../examples/rewriter.rs"]
mod rewriter;

use core::time::Duration;

use etherparse::PacketBuilder;
use ipq::{CopyMode, DefaultVerdict, Families, Family, Hook, Queue, Workers};
use ipq_sim::capture::{Entry, Reader};
use ipq_sim::{Kernel, Match, Target};

/// A kernel that queues what this host sends, and a session with its `ip_queue`.
fn ip_queue() -> (Kernel, Queue) {
    let kernel = Kernel::builder().seed(7).build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    let queue = Queue::with(kernel.socket(Family::Ipv4)).unwrap();
    (kernel, queue)
}

/// The same with queue 0 of `nfnetlink_queue`.
fn nfqueue() -> (Kernel, Queue) {
    let kernel = Kernel::builder().seed(7).build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(0));
    let queue = Queue::with_nfqueue(kernel.nfqueue_socket(), 0..=0, Families::Both).unwrap();
    (kernel, queue)
}

fn udp(port: u16, text: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let local = [127, 0, 0, 1];
    PacketBuilder::ipv4(local, local, 64).udp(40_000, port).write(&mut packet, text).unwrap();
    packet
}

/// What was delivered: the texts of datagrams, in order.
fn delivered(kernel: &Kernel) -> Vec<String> {
    kernel.run();
    let texts = kernel.delivered().into_iter().map(|outcome| outcome.data[28..].to_vec());
    texts.map(|text| String::from_utf8(text).unwrap()).collect()
}

#[test]
fn passer_prints_and_accepts() {
    for (kernel, mut queue) in [ip_queue(), nfqueue()] {
        for text in [&b"one"[..], b"two"] {
            kernel.send(Family::Ipv4, &udp(9, text));
        }
        let mut out = Vec::new();
        passer::pass(&mut queue, &mut out).unwrap();
        assert_eq!(delivered(&kernel), ["one", "two"]);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().count(), 2);
        assert!(out.lines().all(|line| line.ends_with("[>lo] 31 bytes")), "{out}");
    }
}

#[test]
fn port_firewall_drops_what_goes_to_its_ports() {
    let (kernel, mut queue) = nfqueue();
    for (port, text) in [(23, &b"telnet"[..]), (53, b"domain"), (445, b"files"), (24, b"24")] {
        kernel.send(Family::Ipv4, &udp(port, text));
    }
    let mut tcp = Vec::new();
    let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    PacketBuilder::ipv6(address, address, 64).tcp(1, 445, 0, 9).write(&mut tcp, b"x").unwrap();
    kernel.send(Family::Ipv6, &tcp);
    port_firewall::block(&mut queue, &[23, 445]).unwrap();
    assert_eq!(delivered(&kernel), ["domain", "24"]);
    assert_eq!(queue.statistics().dropped, 3);
}

#[test]
fn rewriter_replaces_every_text() {
    let (kernel, queue) = nfqueue();
    for text in [&b"hello, hello"[..], b"nothing", b"", b"hell"] {
        kernel.send(Family::Ipv4, &udp(9, text));
    }
    let snapshot = rewriter::rewrite(queue, b"hello", b"goodbye").unwrap();
    assert_eq!(delivered(&kernel), ["goodbye, goodbye", "nothing", "", "hell"]);
    assert_eq!((snapshot.statistics.accepted, snapshot.statistics.defaulted), (4, 0));
}

#[test]
fn delay_and_reorder_delays_and_reorders() {
    let (kernel, queue) = ip_queue();
    for text in [&b"1"[..], b"2", b"3", b"4"] {
        kernel.send(Family::Ipv4, &udp(9, text));
    }
    delay_and_reorder::delay_all(queue, Duration::from_millis(100)).unwrap();
    assert_eq!(delivered(&kernel), ["2", "4", "1", "3"]);
    assert_eq!(kernel.now(), Duration::from_millis(100));
}

#[test]
fn log_to_pcapng_writes_what_it_accepts() {
    let (kernel, mut queue) = nfqueue();
    for text in [&b"one"[..], b"two"] {
        kernel.send(Family::Ipv4, &udp(9, text));
    }
    let file = log_to_pcapng::log(&mut queue, Vec::new()).unwrap();
    assert_eq!(delivered(&kernel), ["one", "two"]);
    let packets: Vec<_> = Reader::new(file.as_slice())
        .unwrap()
        .map(|entry| match entry.unwrap() {
            Entry::Packet(packet) => packet.data,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(packets, [udp(9, b"one"), udp(9, b"two")]);
    let comment = b"queue 0 at LOCAL_OUT: accepted";
    assert_eq!(file.windows(comment.len()).filter(|window| window == comment).count(), 2);
}

#[cfg(feature = "tokio")]
#[test]
fn asynchronous_waits_for_no_slow_one() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    let (kernel, queue) = nfqueue();
    // The times they take: 300, 290, 320 milliseconds, and longer than anybody waits.
    for text in [&b"30"[..], b"9", b"long", &[b'x'; 100]] {
        kernel.send(Family::Ipv4, &udp(9, text));
    }
    let start = std::time::Instant::now();
    let snapshot = runtime.block_on(asynchronous::serve(queue)).unwrap();
    assert_eq!(delivered(&kernel), ["30", "long"]);
    let statistics = snapshot.statistics;
    assert_eq!((statistics.accepted, statistics.dropped, statistics.defaulted), (2, 2, 1));
    assert!(start.elapsed() < Duration::from_millis(900), "the clock is paused");
}

#[test]
fn multi_queue_counts_together() {
    let kernel = Kernel::builder().build();
    let target = Target::Nfqueue { first: 0, last: 3, bypass: false };
    kernel.rule(Hook::LocalOut, Match::any(), target);
    let open =
        |number| Queue::with_nfqueue(kernel.nfqueue_socket(), number..=number, Families::Both);
    let queues = (0..=3).map(open).collect::<Result<_, _>>().unwrap();
    let workers = Workers::new(queues, DefaultVerdict::Accept).unwrap();
    workers.set_mode(CopyMode::Packet { range: 64 }).unwrap();
    for host in 1..=20 {
        let mut packet = udp(9, b"x");
        packet[15] = host;
        packet[8] = if host % 4 == 0 { 1 } else { 64 };
        ipq::repair(&mut packet).unwrap();
        kernel.send(Family::Ipv4, &packet);
    }
    kernel.run();
    let text = multi_queue::work(&workers).unwrap();
    assert_eq!(delivered(&kernel).len(), 15);
    assert!(text.contains("ipq_accepted_total{program=\"multi_queue\"} 15\n"), "{text}");
    assert!(text.contains("ipq_dropped_total{program=\"multi_queue\"} 5\n"), "{text}");
    let queue = "ipq_kernel_queue_length{program=\"multi_queue\",queue=\"nfqueue:3\"} 0\n";
    assert!(text.contains(queue), "{text}");
}
