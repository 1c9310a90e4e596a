//! A shared queue in every order in which its threads can go on: `cargo xtask threads`.
//!
//! The lock, the counts of clones and the stopper's flag are loom's; the simulated kernel behind them is the usual one, and
//! its own lock is never held while another thread goes on.

#![cfg(ipq_loom)]
#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use core::time::Duration;
use std::cell::Cell;
use std::sync::Arc;

use ipq::{
    CopyMode, DefaultVerdict, Error, Families, Family, Hook, Queue, QueuedPacket, SharedQueue,
    Statistics,
};
use ipq_sim::{Kernel, Match, Target};
use loom::thread::{self, JoinHandle};

/// A kernel in which so many packets wait, and its queue; packets that nobody decides on are dropped.
fn waiting(packets: u8) -> (Kernel, SharedQueue) {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Nfqueue { first: 0, last: 0, bypass: false });
    let mut queue = Queue::with_nfqueue(kernel.nfqueue_socket(), 0..=0, Families::Both).unwrap();
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    for number in 0..packets {
        let mut packet = Vec::new();
        let builder = etherparse::PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64);
        builder.udp(1, 2).write(&mut packet, &[number]).unwrap();
        kernel.send(Family::Ipv4, &packet);
        kernel.run();
    }
    (kernel, SharedQueue::new(queue, DefaultVerdict::Drop).unwrap())
}

/// Takes what is there.
fn take(queue: &SharedQueue) -> Result<Option<QueuedPacket>, Error> {
    queue.next(Some(Duration::ZERO))
}

/// Each packet has ended by one verdict, and the session has counted it.
fn assert_each_has_one(kernel: &Kernel, statistics: &Statistics, packets: u64) {
    kernel.run();
    let totals = kernel.totals();
    assert_eq!((totals.delivered + totals.dropped, totals.queued), (packets, 0));
    assert_eq!(statistics.accepted, totals.delivered, "{statistics:?}");
    assert_eq!(statistics.accepted + statistics.dropped, packets, "{statistics:?}");
    assert_eq!((statistics.refused, statistics.late_verdicts), (0, 0), "{statistics:?}");
}

/// Starts a thread of a model, with room for what a kernel does in it.
fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::Builder::new().stack_size(STACK).spawn(body).unwrap()
}

/// The stack of a thread, in words.
const STACK: usize = 1 << 17;

/// Runs a model in every order, and says how many there were.
fn model(name: &str, body: impl Fn() + Sync + Send + 'static) {
    thread_local!(static ORDERS: Cell<u64> = const { Cell::new(0) });
    ORDERS.set(0);
    let body = Arc::new(body);
    loom::model(move || {
        ORDERS.set(ORDERS.get() + 1);
        let body = Arc::clone(&body);
        // A thread of its own, for its stack.
        spawn(move || body()).join().unwrap();
    });
    println!("{name}: {} orders", ORDERS.get());
}

#[test]
fn a_verdict_while_the_queue_is_closed() {
    model("a verdict while the queue is closed", || {
        let (kernel, queue) = waiting(1);
        let packet = take(&queue).unwrap().unwrap();
        let decider = spawn(move || packet.accept().is_ok());
        let end = queue.close().unwrap().statistics;
        let is_accepted = decider.join().unwrap();
        assert_eq!((end.accepted, end.defaulted), (is_accepted.into(), (!is_accepted).into()));
        assert_each_has_one(&kernel, &end, 1);
    });
}

#[test]
fn a_packet_let_go_while_the_queue_is_closed() {
    model("a packet let go while the queue is closed", || {
        let (kernel, queue) = waiting(1);
        let packet = take(&queue).unwrap().unwrap();
        let other = spawn(move || drop(packet));
        let end = queue.close().unwrap().statistics;
        other.join().unwrap();
        assert_eq!(end.defaulted, 1);
        assert_each_has_one(&kernel, &end, 1);
    });
}

#[test]
fn two_threads_take_two_packets() {
    model("two threads take two packets", || {
        let (kernel, queue) = waiting(2);
        let other = queue.clone();
        let taker = spawn(move || take(&other).unwrap().map(QueuedPacket::accept));
        let mine = take(&queue).unwrap().map(QueuedPacket::discard);
        assert!(mine.is_some_and(|settled| settled.is_ok()), "there is one for each");
        assert!(taker.join().unwrap().is_some_and(|settled| settled.is_ok()));
        let end = queue.close().unwrap().statistics;
        assert_eq!((end.accepted, end.dropped), (1, 1));
        assert_each_has_one(&kernel, &end, 2);
    });
}

#[test]
fn one_takes_while_another_closes() {
    model("one takes while another closes", || {
        let (kernel, queue) = waiting(2);
        let other = queue.clone();
        let taker = spawn(move || match take(&other) {
            // Whether the verdict comes before the end is the other's to say.
            Ok(Some(packet)) => packet.accept().is_ok(),
            Ok(None) | Err(Error::Closed) => false,
            Err(error) => panic!("{error}"),
        });
        let end = queue.close().unwrap().statistics;
        assert_eq!(end.accepted == 1, taker.join().unwrap());
        assert!(queue.is_stopped());
        assert_each_has_one(&kernel, &end, 2);
    });
}

#[test]
fn the_last_of_clones_and_packets_closes() {
    model("the last of clones and packets closes", || {
        let (kernel, queue) = waiting(2);
        let packet = take(&queue).unwrap().unwrap();
        let other = spawn(move || packet.accept().is_ok());
        // The unread one gets the default, whoever is last.
        drop(queue);
        assert!(other.join().unwrap(), "a packet keeps its queue open");
        kernel.run();
        let totals = kernel.totals();
        assert_eq!((totals.delivered, totals.dropped, totals.queued), (1, 1, 0));
        assert!(kernel.nfqueue_status().is_empty(), "it is closed");
    });
}

#[test]
fn stopped_while_it_takes() {
    model("stopped while it takes", || {
        let (kernel, queue) = waiting(1);
        let stopper = queue.stopper();
        let stopping = spawn(move || stopper.stop());
        let taken = take(&queue).unwrap();
        stopping.join().unwrap();
        assert!(queue.is_stopped() && take(&queue).unwrap().is_none(), "stopping is for good");
        let is_taken = taken.is_some();
        if let Some(packet) = taken {
            packet.accept().unwrap();
        }
        let end = queue.close().unwrap().statistics;
        assert_eq!(end.accepted, u64::from(is_taken));
        assert_each_has_one(&kernel, &end, 1);
    });
}

#[test]
fn looked_at_while_two_decide() {
    model("looked at while two decide", || {
        let (kernel, queue) = waiting(2);
        let packets = [take(&queue).unwrap().unwrap(), take(&queue).unwrap().unwrap()];
        let deciders = packets.map(|packet| spawn(move || packet.accept().unwrap()));
        let (held, now) = (queue.held(), queue.statistics());
        assert!(now.accepted <= 2 && held <= 2);
        deciders.into_iter().for_each(|decider| decider.join().unwrap());
        assert_eq!(queue.held(), 0);
        assert_each_has_one(&kernel, &queue.close().unwrap().statistics, 2);
    });
}
