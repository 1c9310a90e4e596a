//! Shared queues: every packet is settled exactly once, by whichever thread, or by default.

use std::thread;

use ipq::{
    CopyMode, DefaultVerdict, Errno, Error, Families, Family, Hook, PacketId, Queue, QueuedPacket,
    SharedQueue, Verdict,
};
use ipq_proto::DataModel;
use ipq_sim::{Fate, Kernel, Match, Reason, Target};
use ipq_sys::Protocol;

use crate::common::{
    MS, Said, WHOLE, datagram, everywhere, kernel, native, packet, replay, saying, send, session,
    silent, udp_payload,
};

/// A shared queue over a kernel's `ip_queue`.
#[track_caller]
fn shared(kernel: &Kernel, families: impl Into<Families>, default: DefaultVerdict) -> SharedQueue {
    SharedQueue::new(session(kernel, families), default).unwrap()
}

/// The same over queue 3 of `nfnetlink_queue`.
#[track_caller]
fn shared_nfqueue(default: DefaultVerdict) -> (SharedQueue, Kernel) {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(3));
    let mut queue = Queue::with_nfqueue(kernel.nfqueue_socket(), 3..=3, Families::Both).unwrap();
    queue.set_mode(WHOLE).unwrap();
    (SharedQueue::new(queue, default).unwrap(), kernel)
}

fn take(queue: &SharedQueue) -> QueuedPacket {
    queue.next(None).unwrap().expect("a packet")
}

fn text(packet: &QueuedPacket) -> Vec<u8> {
    udp_payload(&packet.packet())
}

/// How many packets were delivered and dropped, and how many wait.
fn totals(kernel: &Kernel) -> [u64; 3] {
    let totals = kernel.totals();
    [totals.delivered, totals.dropped, totals.queued]
}

#[test]
fn a_packet_keeps_all_that_was_said_of_it() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let queue = shared(&kernel, families, DefaultVerdict::Drop);
        for family in families.iter() {
            replay(&kernel, family, &[5]);
            let held = take(&queue);
            let packet = held.packet();
            assert_eq!((packet.id(), packet.family()), (held.id(), family));
            assert_eq!(packet.input_device().to_str(), Some("eth0"));
            assert_eq!((packet.hook(), text(&held).len()), (Hook::PreRouting, 8));
            assert!(packet.timestamp().is_some() && !held.is_truncated());
            held.accept().unwrap();
        }
    });
}

#[test]
fn a_packet_that_nobody_decides_over_gets_the_default() {
    for (default, expected) in
        [(DefaultVerdict::Accept, [1, 0, 0]), (DefaultVerdict::Drop, [0, 1, 0])]
    {
        let kernel = native();
        let queue = shared(&kernel, Family::Ipv4, default);
        send(&kernel, Family::Ipv4, b"x");
        let packet = take(&queue);
        assert_eq!((queue.held(), totals(&kernel)), (1, [0, 0, 1]));
        drop(packet);
        kernel.run();
        assert_eq!((queue.held(), totals(&kernel)), (0, expected));
        let statistics = queue.statistics();
        assert_eq!([statistics.accepted, statistics.dropped], [expected[0], expected[1]]);
        assert_eq!(statistics.defaulted, 1);
    }
}

#[test]
fn a_verdict_is_no_default() {
    let (queue, kernel) = shared_nfqueue(DefaultVerdict::Accept);
    for _ in 0..4 {
        send(&kernel, Family::Ipv4, b"x");
    }
    take(&queue).accept().unwrap();
    take(&queue).discard().unwrap();
    take(&queue).settle(Verdict::Stop).unwrap();
    take(&queue).settle_marked(Verdict::Accept, 7).unwrap();
    kernel.run();
    assert_eq!(totals(&kernel), [3, 1, 0]);
    assert_eq!(kernel.delivered().last().unwrap().mark, 7);
    let statistics = queue.statistics();
    assert_eq!((statistics.defaulted, statistics.refused, queue.held()), (0, 0, 0));
}

#[test]
fn a_thread_that_panics_leaves_its_packet_to_the_default() {
    let (queue, kernel) = shared_nfqueue(DefaultVerdict::Drop);
    send(&kernel, Family::Ipv4, b"x");
    let packet = take(&queue);
    thread::spawn(move || {
        let _held = packet;
        panic!("on purpose");
    })
    .join()
    .unwrap_err();
    kernel.run();
    assert_eq!((totals(&kernel), queue.statistics().defaulted), ([0, 1, 0], 1));
}

#[test]
fn a_verdict_that_cannot_be_sent_is_repeated() {
    let script = saying([datagram(packet(1, b"x")), datagram(packet(2, b"y"))]);
    let queue =
        SharedQueue::new(Queue::with(script.clone()).unwrap(), DefaultVerdict::Drop).unwrap();
    script.state().sendings.extend([Errno::EAGAIN, Errno::EAGAIN, Errno(9)].map(Err));
    let mut packet = take(&queue);
    for temporary in [true, true, false] {
        let unsettled = packet.accept().unwrap_err();
        assert_eq!(unsettled.error().is_temporary(), temporary, "{unsettled}");
        assert!(matches!(unsettled.error(), Error::Transport(_)));
        packet = unsettled.into_packet();
    }
    assert_eq!((script.state().sent.len(), queue.held()), (0, 1));
    packet.accept().unwrap();
    assert_eq!((script.state().sent.len(), queue.held()), (1, 0));
    let statistics = queue.statistics();
    assert_eq!((statistics.accepted, statistics.defaulted), (1, 0));
    // Given up, it gets the default.
    script.state().sendings.push_back(Err(Errno::EAGAIN));
    let error: Error = take(&queue).accept().unwrap_err().into();
    assert!(error.is_temporary());
    assert_eq!((queue.statistics().dropped, queue.statistics().defaulted), (1, 1));
}

#[test]
fn a_default_that_cannot_be_sent_is_sent_later() {
    let script = saying([datagram(packet(1, b"x")), datagram(packet(2, b"y"))]);
    let queue =
        SharedQueue::new(Queue::with(script.clone()).unwrap(), DefaultVerdict::Drop).unwrap();
    let first = take(&queue);
    // More often than it is tried at once.
    script.state().sendings.extend([Err(Errno::EAGAIN); 1500]);
    drop(first);
    assert_eq!((script.state().sent.len(), queue.statistics().defaulted), (0, 0));
    let second = take(&queue);
    assert_eq!((script.state().sent.len(), queue.statistics().defaulted), (1, 1));
    second.accept().unwrap();
}

#[test]
fn verdicts_come_from_other_threads_late_and_out_of_order() {
    let (queue, kernel) = shared_nfqueue(DefaultVerdict::Drop);
    for number in 0..40_u8 {
        send(&kernel, Family::ALL[usize::from(number % 2)], &[number]);
    }
    let mut packets: Vec<_> = (0..40).map(|_| take(&queue)).collect();
    packets.reverse();
    let mut threads = Vec::new();
    while !packets.is_empty() {
        let some: Vec<_> = packets.drain(..packets.len().min(7)).collect();
        threads.push(thread::spawn(move || {
            some.into_iter().try_for_each(|packet| match text(&packet)[0] {
                number if number % 4 == 0 => packet.discard(),
                _ => packet.accept(),
            })
        }));
    }
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    kernel.run();
    assert_eq!(totals(&kernel), [30, 10, 0]);
    let snapshot = queue.close().unwrap();
    assert_eq!((snapshot.statistics.refused, snapshot.statistics.defaulted), (0, 0));
}

#[test]
fn closing_settles_what_is_held_and_what_nobody_has_read() {
    for (default, expected) in
        [(DefaultVerdict::Accept, [6, 1, 0]), (DefaultVerdict::Drop, [1, 6, 0])]
    {
        for is_nfqueue in [false, true] {
            let (queue, kernel) = if is_nfqueue {
                shared_nfqueue(default)
            } else {
                let kernel = native();
                (shared(&kernel, Family::Ipv4, default), kernel)
            };
            for _ in 0..7 {
                send(&kernel, Family::Ipv4, b"x");
            }
            let held = [take(&queue), take(&queue)];
            let decided = take(&queue);
            match default {
                DefaultVerdict::Accept => decided.discard().unwrap(),
                DefaultVerdict::Drop => decided.accept().unwrap(),
            }
            let snapshot = queue.close().unwrap();
            kernel.run();
            assert_eq!(totals(&kernel), expected, "{is_nfqueue}");
            assert_eq!((snapshot.statistics.defaulted, snapshot.statistics.packets), (6, 7));
            assert_eq!(queue.close().unwrap(), snapshot);
            // Nothing is settled twice.
            for packet in held {
                let unsettled = packet.accept().unwrap_err();
                assert!(matches!(unsettled.error(), Error::Closed), "{unsettled}");
            }
            assert!(matches!(queue.next(None), Err(Error::Closed)));
            assert_eq!(queue.snapshot(), snapshot);
            assert_eq!(kernel.status().nfqueues, []);
        }
    }
}

#[test]
fn the_last_one_to_go_closes_the_queue() {
    let (queue, kernel) = shared_nfqueue(DefaultVerdict::Accept);
    for _ in 0..3 {
        send(&kernel, Family::Ipv4, b"x");
    }
    let packet = take(&queue);
    drop(queue);
    assert_eq!(totals(&kernel), [0, 0, 3], "the packet still needs it");
    drop(packet);
    kernel.run();
    assert_eq!(totals(&kernel), [3, 0, 0]);
}

#[test]
fn a_forgotten_packet_is_settled_when_the_queue_closes() {
    let kernel = native();
    let queue = shared(&kernel, Family::Ipv4, DefaultVerdict::Accept);
    send(&kernel, Family::Ipv4, b"x");
    core::mem::forget(take(&queue));
    queue.close().unwrap();
    kernel.run();
    assert_eq!(totals(&kernel), [1, 0, 0]);
}

#[test]
fn a_verdict_never_hits_another_packet_with_the_same_id() {
    let script = saying([datagram(packet(5, b"x")), datagram(packet(5, b"y"))]);
    let queue =
        SharedQueue::new(Queue::with(script.clone()).unwrap(), DefaultVerdict::Drop).unwrap();
    // The kernel has thrown the first one away, since its device went down, and uses its id again.
    let (first, second) = (take(&queue), take(&queue));
    assert_eq!(first.id(), second.id());
    first.accept().unwrap();
    assert_eq!((script.state().sent.len(), queue.statistics().late_verdicts), (0, 1));
    second.discard().unwrap();
    assert_eq!((script.state().sent.len(), queue.statistics().dropped), (1, 1));
}

#[test]
fn a_verdict_that_is_too_late_is_counted() {
    let (queue, kernel) = shared_nfqueue(DefaultVerdict::Drop);
    send(&kernel, Family::Ipv4, b"x");
    let packet = take(&queue);
    kernel.device_down("lo");
    packet.accept().unwrap();
    assert!(queue.next(None).unwrap().is_none());
    let statistics = queue.statistics();
    assert_eq!((statistics.late_verdicts, statistics.refused), (1, 1));
    assert_eq!(kernel.take_outcomes()[0].fate, Fate::Dropped(Reason::DeviceDown));
}

#[test]
fn what_is_no_packet_is_counted_and_passed_over() {
    let script = saying([
        datagram(b"garbage".to_vec()),
        Said::Foreign(29),
        Said::Interrupted,
        Said::Overrun,
        datagram(packet(2, b"two")),
    ]);
    let queue = SharedQueue::new(Queue::with(script).unwrap(), DefaultVerdict::Drop).unwrap();
    take(&queue).accept().unwrap();
    assert!(queue.next(Some(MS)).unwrap().is_none());
    let statistics = queue.statistics();
    assert_eq!((statistics.malformed, statistics.foreign, statistics.overruns), (1, 1, 1));
}

#[test]
fn the_session_inside_can_be_used() {
    let kernel = native();
    let queue = shared(&kernel, Family::Ipv4, DefaultVerdict::Drop);
    queue.with_queue(|queue| queue.set_mode(CopyMode::Metadata)).unwrap().unwrap();
    send(&kernel, Family::Ipv4, b"x");
    let packet = take(&queue);
    assert!(packet.packet().payload().is_empty());
    let id = packet.id();
    core::mem::forget(packet);
    queue.with_queue(|queue| queue.verdict(id, Verdict::Accept)).unwrap().unwrap();
    kernel.run();
    assert_eq!(totals(&kernel), [1, 0, 0]);
}

#[test]
fn a_cut_packet_says_so_and_cannot_replace_itself() {
    let (queue, kernel) = shared_nfqueue(DefaultVerdict::Drop);
    queue.with_queue(|queue| queue.set_mode(CopyMode::Packet { range: 30 })).unwrap().unwrap();
    send(&kernel, Family::Ipv4, b"a longer text");
    let packet = take(&queue);
    let unsettled = packet.rewrite(|_| unreachable!("it is cut")).unwrap_err();
    let said = unsettled.to_string();
    assert!(said.contains("only 30 of its 41 bytes were copied"), "{said}");
    unsettled.into_packet().accept().unwrap();
    kernel.run();
    assert_eq!(totals(&kernel), [1, 0, 0]);
}

#[test]
fn packets_of_a_model_of_any_words_are_found_again() {
    for model in DataModel::ALL {
        let kernel = Kernel::builder().data_model(model).build();
        kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(3));
        let mut queue =
            Queue::with_nfqueue(kernel.nfqueue_socket(), 3..=3, Families::Both).unwrap();
        queue.set_mode(WHOLE).unwrap();
        let queue = SharedQueue::new(queue, DefaultVerdict::Drop).unwrap();
        send(&kernel, Family::Ipv6, b"text");
        let packet = take(&queue);
        assert_eq!((packet.id(), text(&packet)), (PacketId::in_nfqueue(3, 1), b"text".to_vec()));
        packet.accept().unwrap();
    }
    assert!(matches!(Queue::with(silent(Protocol::Netfilter)), Err(Error::WrongProtocol(_))));
}
