//! What is lost is seen: snapshots, as text, as JSON, and as Prometheus reads them.

use ipq::{
    Errno, Error, Families, Family, Hook, KernelStatus, Options, PacketId, Queue, Snapshot,
    Statistics, Verdict, prometheus,
};
use ipq_proto::DataModel;
use ipq_sim::{Kernel, Match, SocketOptions, Target};
use ipq_sys::Protocol;
use serde_json::json;

use crate::common::{WHOLE, kernel, next_packet, send, session_with};
use crate::exposition::parse;

/// A session that has lost something in every way that there is, and its kernel: a full receive buffer, a full queue.
fn lossy_ip_queue() -> (Queue, Kernel) {
    let kernel = kernel(DataModel::NATIVE);
    let options = SocketOptions { receive_buffer: 2240, ..SocketOptions::default() };
    let mut queue = session_with(&kernel, Family::Ipv4, options);
    for _ in 0..6 {
        send(&kernel, Family::Ipv4, b"x");
    }
    kernel.set_queue_max_length(Family::Ipv4, 2);
    send(&kernel, Family::Ipv4, b"x");
    queue.run(|_| Verdict::Accept).unwrap();
    (queue, kernel)
}

/// The same with queue 3 of `nfnetlink_queue`.
fn lossy_nfqueue() -> (Queue, Kernel) {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(3));
    let options = SocketOptions { receive_buffer: 2240, ..SocketOptions::default() };
    let socket = kernel.open_socket_for(Protocol::Netfilter, options).unwrap();
    let options = Options { max_length: Some(6), ..Options::default() };
    let mut queue = Queue::with_nfqueue(socket, 3..=3, options).unwrap();
    queue.set_mode(WHOLE).unwrap();
    for _ in 0..5 {
        send(&kernel, Family::Ipv4, b"x");
    }
    queue.run(|_| Verdict::Accept).unwrap();
    send(&kernel, Family::Ipv4, b"x");
    queue.run(|_| Verdict::Accept).unwrap();
    (queue, kernel)
}

#[test]
fn a_snapshot_has_what_both_sides_have_counted() {
    let (queue, kernel) = lossy_ip_queue();
    let snapshot = queue.snapshot();
    let status = kernel.ip_queue_status(Family::Ipv4).unwrap();
    assert_eq!(snapshot.kernel.ip_queues, [status]);
    assert_eq!(snapshot.statistics, queue.statistics());
    assert!(status.netlink_dropped > 0 && status.queue_dropped > 0, "{status}");
    assert_eq!(snapshot.packets_lost(), u64::from(status.netlink_dropped + status.queue_dropped));
    assert!(snapshot.statistics.overruns > 0);

    let (queue, kernel) = lossy_nfqueue();
    let snapshot = queue.snapshot();
    let [status] = kernel.nfqueue_status().try_into().unwrap();
    assert_eq!(snapshot.kernel.nfqueues, [status]);
    assert_eq!(snapshot.statistics.lost, u64::from(status.user_dropped));
    assert_eq!(snapshot.packets_lost(), snapshot.statistics.lost);
    assert!(snapshot.packets_lost() > 0);
}

#[test]
fn a_snapshot_is_about_the_queues_of_its_session() {
    let kernel = Kernel::builder().build();
    let open = |number| {
        Queue::with_nfqueue(kernel.nfqueue_socket(), number..=number, Families::Both).unwrap()
    };
    let (one, two) = (open(1), open(2));
    for (queue, number) in [(one, 1), (two, 2)] {
        let queues = queue.snapshot().kernel.nfqueues;
        assert_eq!(queues.iter().map(|queue| queue.queue).collect::<Vec<_>>(), [number]);
    }
}

#[test]
fn late_verdicts_are_told_from_those_for_packets_that_never_were() {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(3));
    let mut queue = Queue::with_nfqueue(kernel.nfqueue_socket(), 3..=3, Families::Both).unwrap();
    queue.set_mode(WHOLE).unwrap();
    send(&kernel, Family::Ipv4, b"x");
    let (id, _) = next_packet(&mut queue);
    for id in [id, id, PacketId::in_nfqueue(3, 1000)] {
        queue.verdict(id, Verdict::Accept).unwrap();
    }
    let elsewhere = queue.verdict(PacketId::in_nfqueue(4, 1), Verdict::Accept);
    assert!(matches!(elsewhere, Err(Error::WrongQueue(_))));
    queue.run(|_| Verdict::Accept).unwrap();
    let statistics = queue.statistics();
    assert_eq!((statistics.late_verdicts, statistics.unknown_verdicts), (1, 2));
    assert_eq!(statistics.refused, 2, "{}", Errno::ENOENT);
}

#[test]
fn it_reads_well() {
    let (queue, _) = lossy_nfqueue();
    let text = queue.snapshot().to_string();
    let expected = "\
packets   5 read, 145 bytes, 0 truncated
verdicts  5 accepted, 0 dropped, 0 other, 0 by default
refused   0 requests, 0 late verdicts, 0 for unknown packets
lost      1 packets, 1 overruns, 0 unclaimed, 0 malformed, 0 foreign
queue 3   0 waiting, 0 dropped by a full queue, 1 by a full receive buffer
";
    assert_eq!(text, expected);
    let (queue, _) = lossy_ip_queue();
    let text = queue.snapshot().to_string();
    let last = text.lines().last().unwrap();
    let start = "ip_queue  0 of 2 waiting, ";
    assert!(last.starts_with(start) && last.ends_with(" by a full receive buffer"), "{last}");
    let problem =
        KernelStatus { problems: vec!["reading x: no".to_owned()], ..KernelStatus::default() };
    let mut snapshot = Snapshot::default();
    snapshot.kernel = problem;
    assert!(snapshot.to_string().ends_with("\nkernel    reading x: no\n"));
}

#[test]
fn it_serializes_with_every_counter() {
    let (queue, kernel) = lossy_ip_queue();
    let value = serde_json::to_value(queue.snapshot()).unwrap();
    for (name, _, number) in queue.statistics().iter() {
        assert_eq!(value["statistics"][name], number, "{name}");
    }
    let status = kernel.ip_queue_status(Family::Ipv4).unwrap();
    let expected = json!({
        "family": "ipv4",
        "peer_port_id": status.peer_port_id,
        "copy_mode": 2,
        "copy_range": 0,
        "queue_length": 0,
        "queue_max_length": 2,
        "queue_dropped": status.queue_dropped,
        "netlink_dropped": status.netlink_dropped,
    });
    assert_eq!(value["kernel"]["ip_queues"], json!([expected]));
    let (queue, _) = lossy_nfqueue();
    let value = serde_json::to_value(queue.snapshot()).unwrap();
    assert_eq!(value["kernel"]["nfqueues"][0]["user_dropped"], 1);
}

#[test]
fn sums_are_of_every_counter() {
    let (one, _) = lossy_ip_queue();
    let (other, _) = lossy_nfqueue();
    let sum: Statistics = [one.statistics(), other.statistics()].into_iter().sum();
    let numbers =
        |statistics: Statistics| statistics.iter().map(|entry| entry.2).collect::<Vec<_>>();
    let each = numbers(one.statistics()).into_iter().zip(numbers(other.statistics()));
    assert_eq!(numbers(sum), each.map(|(one, other)| one + other).collect::<Vec<_>>());
}

#[test]
fn prometheus_reads_every_counter_and_every_label() {
    let (queue, _) = lossy_nfqueue();
    let odd = "a\\b\"c\nd,e=\"}é";
    let text = queue.snapshot().to_prometheus(&[("host", odd), ("9 é", ""), ("", "empty")]);
    let samples = parse(&text);
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let common = [label("host", odd), label("_9__", ""), label("_", "empty")];
    for (name, _, number) in queue.statistics().iter() {
        assert_eq!(samples[&(format!("ipq_{name}_total"), common.to_vec())], number, "{name}");
    }
    let labels = [&common[..], &[label("queue", "nfqueue:3")]].concat();
    assert_eq!(samples[&("ipq_kernel_user_dropped_total".to_owned(), labels)], 1);
}

#[test]
fn prometheus_reads_several_queues_and_none() {
    let kernel = kernel(DataModel::NATIVE);
    let _queue = session_with(&kernel, Families::Both, SocketOptions::default());
    let samples = parse(&prometheus::text(None, &kernel.status(), &[]));
    assert_eq!(samples.len(), 2 * 4, "{samples:?}");
    for queue in ["ip_queue", "ip6_queue"] {
        let labels = vec![("queue".to_owned(), queue.to_owned())];
        assert_eq!(samples[&("ipq_kernel_queue_max_length".to_owned(), labels)], 1024);
    }
    assert_eq!(prometheus::text(None, &KernelStatus::default(), &[]), "");
}
