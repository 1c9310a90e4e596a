//! Stopping: reads end at once, and what is left is settled.

use std::io::Write;
use std::sync::mpsc;
use std::thread;

use ipq::{DefaultVerdict, Event, Family, Queue, SharedQueue, Verdict};

use crate::common::{datagram, native, packet, saying, send, session, silent};

#[test]
fn a_stopped_queue_reads_nothing_more() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    let stopper = queue.stopper().unwrap();
    send(&kernel, Family::Ipv4, b"x");
    assert!(!queue.is_stopped());
    stopper.stop();
    stopper.clone().stop();
    assert!(queue.is_stopped() && queue.stopper().unwrap().is_stopped());
    let mut buffer = vec![0; queue.buffer_len()];
    for _ in 0..3 {
        assert!(matches!(queue.read(&mut buffer, None), Ok(Some(Event::Interrupted))));
    }
    queue.run(|_| unreachable!("it is stopped")).unwrap();
    assert!(matches!(queue.try_read(&mut buffer), Ok(Some(Event::Packet(_)))));
}

#[test]
fn a_run_ends_after_the_batch_in_which_it_was_stopped() {
    let mut script = Vec::new();
    script.extend((1..=1000).map(|id| datagram(packet(id, b"x"))));
    let script = saying(script);
    let mut queue = Queue::with(script.clone()).unwrap();
    let stopper = queue.stopper().unwrap();
    let mut seen = 0;
    queue
        .run(|_| {
            seen += 1;
            stopper.stop();
            Verdict::Accept
        })
        .unwrap();
    assert!((1..=64).contains(&seen), "{seen}");
    assert_eq!(script.state().sent.len(), seen, "all of it was decided");
}

/// What a signal handler does, who knows only the descriptor.
#[test]
fn what_is_written_ends_reads_even_under_a_flood() {
    let script = silent(ipq_sys::Protocol::Firewall);
    script.state().refrain = Some(datagram(packet(1, b"x")));
    let mut queue = Queue::with(script).unwrap();
    let stopper = queue.stopper().unwrap();
    std::fs::File::from(stopper.writer().unwrap()).write_all(b"!").unwrap();
    assert!(!stopper.is_stopped(), "nobody has looked yet");
    queue.run(|_| Verdict::Accept).unwrap();
    assert!(stopper.is_stopped());
}

#[test]
fn the_rest_is_settled_on_request() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    for _ in 0..3 {
        send(&kernel, Family::Ipv4, b"x");
    }
    queue.stopper().unwrap().stop();
    queue.settle_rest(DefaultVerdict::Accept).unwrap();
    kernel.run();
    assert_eq!((kernel.totals().delivered, queue.statistics().defaulted), (3, 3));
    drop(queue);
    assert_eq!(kernel.totals().dropped, 0);
}

#[test]
fn a_flood_does_not_keep_a_queue_open() {
    let script = silent(ipq_sys::Protocol::Firewall);
    script.state().refrain = Some(datagram(packet(1, b"x")));
    let mut queue = Queue::with(script).unwrap();
    queue.settle_rest(DefaultVerdict::Drop).unwrap();
    assert_eq!(queue.statistics().defaulted, 1 << 16);
}

#[test]
fn any_thread_stops_a_shared_queue() {
    let kernel = native();
    let queue = SharedQueue::new(session(&kernel, Family::Ipv4), DefaultVerdict::Accept).unwrap();
    for _ in 0..4 {
        send(&kernel, Family::Ipv4, b"x");
    }
    let stopper = queue.stopper();
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn({
        let queue = queue.clone();
        move || {
            queue.run(|packet| {
                sender.send(packet).unwrap();
                stopper.stop();
            })
        }
    });
    reader.join().unwrap().unwrap();
    assert_eq!(receiver.iter().count(), 1);
    let snapshot = queue.close().unwrap();
    kernel.run();
    assert_eq!((kernel.totals().delivered, snapshot.statistics.defaulted), (4, 4));
}
