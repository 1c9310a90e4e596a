//! `run`: to the end of a simulated kernel, over all that can come.

use ipq::{CopyMode, Errno, Error, Families, Family, Queue, QueueName, TransportName, Verdict};
use ipq_sim::capture::{Precision, Timestamp, Writer};
use ipq_sim::{Kernel, Match, SocketOptions, Target};

use crate::common::{
    Said, datagram, everywhere, failed, kernel, native, packet, replay, saying, send, session,
    session_with, udp,
};

#[test]
fn every_packet_gets_its_verdict_to_the_end() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let mut queue = session(&kernel, families);
        for family in families.iter() {
            replay(&kernel, family, &[0, 1, 2, 1000, 60_000]);
        }
        let mut seen = 0;
        queue
            .run(|packet| {
                seen += 1;
                if packet.payload().last() == Some(&2) { Verdict::Drop } else { Verdict::Accept }
            })
            .unwrap();
        let n = families.iter().count() as u64;
        assert_eq!(seen, 5 * n);
        let totals = kernel.totals();
        assert_eq!((totals.delivered, totals.dropped, totals.queued), (4 * n, n, 0));
        let statistics = queue.statistics();
        assert_eq!((statistics.accepted, statistics.dropped), (4 * n, n));
    });
}

#[test]
fn it_goes_on_where_it_stopped() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    for run in 1..=3 {
        send(&kernel, Family::Ipv4, b"x");
        queue.run(|_| Verdict::Accept).unwrap();
        assert_eq!(kernel.totals().delivered, run);
    }
}

#[test]
fn a_packet_may_be_queued_again_a_few_times() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv6);
    send(&kernel, Family::Ipv6, b"x");
    let mut rounds = 0;
    queue
        .run(|_| {
            rounds += 1;
            if rounds < 10 { Verdict::Repeat } else { Verdict::Accept }
        })
        .unwrap();
    assert_eq!((rounds, queue.statistics().other_verdicts), (10, 9));
    assert_eq!(kernel.totals().delivered, 1);
}

#[test]
fn it_survives_overruns_and_refusals() {
    let kernel = native();
    let options = SocketOptions { receive_buffer: 2240, ..SocketOptions::default() };
    let mut queue = session_with(&kernel, Families::Both, options);
    for _ in 0..12 {
        for family in Family::ALL {
            send(&kernel, family, b"x");
        }
    }
    queue
        .run(|packet| {
            // This verdict is refused, and the packet stays.
            if packet.family() == Family::Ipv4 { Verdict::Stolen } else { Verdict::Accept }
        })
        .unwrap();
    let statistics = queue.statistics();
    assert_eq!(statistics.overruns, 2);
    assert_eq!(statistics.refused, kernel.ip_queue_status(Family::Ipv4).unwrap().queue_length);
    assert!(statistics.refused > 0 && statistics.accepted > 0);
}

#[test]
fn it_survives_all_that_is_no_packet() {
    let script = saying([
        datagram(b"garbage".to_vec()),
        datagram(packet(1, b"one")),
        Said::Foreign(29),
        Said::Interrupted,
        Said::Overrun,
        datagram(packet(2, b"two")),
    ]);
    let mut queue = Queue::with(script.clone()).unwrap();
    queue.run(|_| Verdict::Accept).unwrap();
    assert_eq!(script.state().sent.len(), 2);
    let statistics = queue.statistics();
    assert_eq!((statistics.malformed, statistics.foreign, statistics.overruns), (1, 1, 1));
    assert_eq!((statistics.packets, statistics.accepted), (2, 2));
}

#[test]
fn it_ends_when_the_socket_fails() {
    let script = saying([datagram(packet(1, b"x")), failed(Errno(9)), failed(Errno(9))]);
    let mut queue = Queue::with(script).unwrap();
    let error = queue.run(|_| Verdict::Accept).unwrap_err();
    assert!(matches!(&error, Error::Transport(error) if error.errno == Errno(9)), "{error:?}");
    assert_eq!(queue.statistics().accepted, 1);
}

#[test]
fn it_ends_when_a_verdict_cannot_be_sent() {
    let script = saying([datagram(packet(1, b"x"))]);
    script.state().sendings.push_back(Err(Errno::EAGAIN));
    let mut queue = Queue::with(script).unwrap();
    let error = queue.run(|_| Verdict::Accept).unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    assert_eq!(queue.statistics().accepted, 0, "it was not sent");
}

#[test]
fn in_mode_none_there_is_nothing_to_do() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    queue.set_mode(CopyMode::None).unwrap();
    replay(&kernel, Family::Ipv4, &[0, 1000]);
    queue.run(|_| unreachable!("nothing is queued")).unwrap();
    assert_eq!(kernel.totals().dropped, 2);
}

#[test]
fn a_capture_is_a_kernel_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("both.pcap");
    let mut writer = Writer::new(Vec::new(), Precision::Microseconds).unwrap();
    for (ms, family) in [(0, Family::Ipv4), (5, Family::Ipv6), (9, Family::Ipv4)] {
        let timestamp = Timestamp::new(1_795_429_884, ms * 1_000_000).unwrap();
        writer.write(timestamp, &udp(family, b"captured")).unwrap();
    }
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    for (families, expected) in [(Families::Ipv4, 2), (Families::Ipv6, 1), (Families::Both, 3)] {
        let mut queue = Queue::open(TransportName::Sim(path.clone()), families).unwrap();
        assert!(queue.queues().eq(families.iter().map(QueueName::IpQueue)));
        queue.set_mode(CopyMode::Packet { range: 2048 }).unwrap();
        let mut hooks = Vec::new();
        queue
            .run(|packet| {
                hooks.push(packet.hook());
                Verdict::Accept
            })
            .unwrap();
        assert_eq!(hooks, vec![ipq::Hook::PreRouting; expected]);
    }
}

#[test]
fn an_application_is_tested_without_knowing_it() {
    /// What an application does with a queue, whatever is behind it.
    fn application(queue: &mut Queue) -> Result<(), Error> {
        queue.set_mode(CopyMode::Packet { range: 2048 })?;
        queue.run(|packet| match packet.payload().len() {
            0..=100 => Verdict::Accept,
            _ => Verdict::Drop,
        })
    }
    let kernel = Kernel::builder().seed(7).build();
    kernel.rule(ipq::Hook::LocalOut, Match::any(), Target::Queue);
    for len in [10, 50, 200, 1000] {
        kernel.send(Family::Ipv4, &udp(Family::Ipv4, &vec![0; len]));
    }
    let mut queue = Queue::with(kernel.socket(Family::Ipv4)).unwrap();
    // What was sent waits for the kernel to run, which it does while the application reads.
    application(&mut queue).unwrap();
    assert_eq!(kernel.delivered().len(), 2);
}
