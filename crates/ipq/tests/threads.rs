//! What threads share, used by several at once: a shared queue, workers, stoppers, tasks, a simulated kernel and its server.
//!
//! Without libtest, of whose threads the thread sanitizer knows only half: `cargo xtask threads` runs it under that. As an
//! ordinary test it shows that every packet gets one verdict whoever gives it, and that nothing hangs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::mpsc::channel;
use std::thread;

use etherparse::PacketBuilder;
use ipq::{
    AsyncQueue, CopyMode, DefaultVerdict, Families, Family, Hook, Options, Queue, QueuedPacket,
    SharedQueue, Statistics, TransportName, Verdict, Workers,
};
use ipq_sim::{Action, Kernel, Match, Served, Target};
use ipq_sys::unix::{Client, Server, ServerOptions, Spawned, Speed};
use tokio::runtime::Builder;

/// How often each is done, unless the environment says it.
const ROUNDS: u32 = 5;

/// How many packets are sent each time.
const PACKETS: u64 = 200;

/// When the last thing happens in a served kernel: until then no program is told that nothing will.
const END: Duration = Duration::from_hours(24);

fn main() {
    let rounds = std::env::var("IPQ_THREADS_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let parts: [(&str, fn()); 6] = [
        ("a shared queue, a simulated kernel", shared_simulated),
        ("a shared queue, a served kernel", shared_served),
        ("a shared queue that is closed meanwhile", closed_meanwhile),
        ("workers", workers),
        ("stoppers", stoppers),
        ("tasks", tasks),
    ];
    for (name, part) in parts {
        (0..rounds).for_each(|_| part());
        println!("{name}: {rounds} times");
    }
}

/// Sends a datagram from this address of the loopback's.
fn send(kernel: &Kernel, number: u64) {
    let mut packet = Vec::new();
    let last = u8::try_from(number % 200).unwrap();
    let builder = PacketBuilder::ipv4([127, 0, 0, 1 + last], [127, 0, 0, 1], 64).udp(1, 2);
    builder.write(&mut packet, &number.to_be_bytes()).unwrap();
    kernel.send(Family::Ipv4, &packet);
}

/// A kernel that queues what this host sends in so many queues.
fn kernel(queues: u16) -> Kernel {
    let kernel = Kernel::builder().count_only().build();
    let target = Target::Nfqueue { first: 0, last: queues - 1, bypass: false };
    kernel.rule(Hook::LocalOut, Match::any(), target);
    kernel
}

fn open(kernel: &Kernel, number: u16) -> Queue {
    let socket = kernel.nfqueue_socket();
    let mut queue = Queue::with_nfqueue(socket, number..=number, Families::Both).unwrap();
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    queue
}

/// One that another thread serves, who wants to be told when there is something to do.
fn serve(kernel: &Kernel) -> Spawned {
    kernel.at(END, Action::KillAll);
    let served = Served::from(kernel.clone()).with_queues(Some(0..=0));
    let options = ServerOptions { speed: Speed::Times(1.0), ..ServerOptions::default() };
    Server::spawn(served, options).unwrap()
}

fn open_served(server: &Spawned) -> Queue {
    let name = TransportName::Unix(server.path().to_owned());
    let mut queue = Queue::open(name, Options::default()).unwrap();
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    queue
}

/// Decides on a packet in this way or that.
fn settle(number: u64, packet: QueuedPacket) {
    match number % 3 {
        0 => packet.accept().unwrap(),
        1 => packet.discard().unwrap(),
        _ => drop(packet),
    }
}

/// Looks at all that can be looked at.
fn look(queue: &SharedQueue) {
    let statistics = queue.statistics();
    assert!(statistics.packets >= statistics.accepted.saturating_sub(PACKETS));
    let _ = (queue.held(), queue.snapshot(), queue.is_stopped());
}

fn assert_all_decided(statistics: &Statistics) {
    assert_eq!(statistics.packets, PACKETS);
    assert_eq!(statistics.accepted + statistics.dropped, PACKETS);
    assert_eq!((statistics.refused, statistics.malformed), (0, 0));
}

/// One thread sends, two take and decide, one decides on what it is handed, one looks.
fn share(queue: &SharedQueue, taken: &AtomicU64, send_one: impl Fn(u64) + Sync) {
    let (hand_over, handed_over) = channel::<QueuedPacket>();
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| (0..PACKETS).for_each(&send_one));
        scope.spawn(move || handed_over.iter().for_each(|packet| packet.accept().unwrap()));
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                look(queue);
            }
        });
        let takers = [hand_over.clone(), hand_over].map(|hand_over| {
            scope.spawn(move || {
                while taken.load(Ordering::Relaxed) < PACKETS {
                    let Some(packet) = queue.next(Some(Duration::from_millis(1))).unwrap() else {
                        continue;
                    };
                    match taken.fetch_add(1, Ordering::Relaxed) {
                        number if number % 4 == 0 => hand_over.send(packet).unwrap(),
                        number => settle(number, packet),
                    }
                }
            })
        });
        for taker in takers {
            taker.join().unwrap();
        }
        is_over.store(true, Ordering::Release);
    });
}

fn shared_simulated() {
    let kernel = kernel(1);
    let queue = SharedQueue::new(open(&kernel, 0), DefaultVerdict::Accept).unwrap();
    share(&queue, &AtomicU64::new(0), |number| send(&kernel, number));
    assert_all_decided(&queue.close().unwrap().statistics);
    assert_eq!(kernel.totals().queued, 0);
}

fn shared_served() {
    let kernel = kernel(1);
    let server = serve(&kernel);
    let queue = SharedQueue::new(open_served(&server), DefaultVerdict::Accept).unwrap();
    share(&queue, &AtomicU64::new(0), |number| {
        send(&kernel, number);
        Client::connect(server.path()).unwrap().kernel_status().unwrap();
    });
    assert_all_decided(&queue.close().unwrap().statistics);
    assert_eq!(kernel.totals().queued, 0);
}

/// Two threads wait, for ever; a third has a packet in its hand; the queue is closed under all of them.
fn closed_meanwhile() {
    let kernel = kernel(1);
    let server = serve(&kernel);
    send(&kernel, 0);
    let queue = SharedQueue::new(open_served(&server), DefaultVerdict::Drop).unwrap();
    send(&kernel, 1);
    let mut client = Client::connect(server.path()).unwrap();
    client.kernel_status().unwrap();
    let held = queue.next(None).unwrap().unwrap();
    thread::scope(|scope| {
        let waiters =
            [(); 2].map(|()| scope.spawn(|| queue.next(None).map(|packet| packet.is_none())));
        let decided = scope.spawn(move || held.accept().is_ok());
        let end = queue.close().unwrap().statistics;
        let decided = decided.join().unwrap();
        assert_eq!((end.accepted == 1, end.defaulted == 1), (decided, !decided));
        for waiter in waiters {
            // Nothing, or that it is closed.
            assert!(waiter.join().unwrap().unwrap_or(true));
        }
    });
    client.kernel_status().unwrap();
    assert_eq!(kernel.totals().queued, 0);
}

fn workers() {
    let kernel = kernel(3);
    let queues = (0..3).map(|number| open(&kernel, number)).collect();
    let workers = Workers::new(queues, DefaultVerdict::Accept).unwrap();
    (0..PACKETS).for_each(|number| send(&kernel, number));
    let numbers = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let run = |packet: QueuedPacket| {
                settle(numbers.fetch_add(1, Ordering::Relaxed), packet);
                Ok::<_, ipq::Error>(())
            };
            workers.run(run).unwrap();
            workers.decide(|_| Verdict::Accept).unwrap();
        });
        scope.spawn(|| workers.queues().iter().for_each(look));
        scope.spawn(|| workers.snapshot());
    });
    assert_all_decided(&workers.close().unwrap().statistics);
}

/// Several threads stop a queue that waits.
fn stoppers() {
    let kernel = kernel(1);
    let server = serve(&kernel);
    let mut queue = open_served(&server);
    let stopper = queue.stopper().unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| stopper.clone().stop());
        }
        scope.spawn(|| while !stopper.is_stopped() {});
        queue.run(|_| Verdict::Accept).unwrap();
    });
    assert!(queue.is_stopped());
}

/// Tasks on several threads, each with a clone of the queue.
fn tasks() {
    let kernel = kernel(1);
    let server = serve(&kernel);
    let queue = SharedQueue::new(open_served(&server), DefaultVerdict::Accept).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    let taken = std::sync::Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (queue, taken) = (queue.clone(), std::sync::Arc::clone(&taken));
            runtime.spawn(async move {
                let stopper = queue.stopper();
                let mut packets = AsyncQueue::new(queue).unwrap();
                while let Some(packet) = packets.next().await {
                    let number = taken.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(async move { settle(number, packet.unwrap()) }).await.unwrap();
                    if number + 1 == PACKETS {
                        stopper.stop();
                    }
                }
            })
        })
        .collect();
    let mut client = Client::connect(server.path()).unwrap();
    for number in 0..PACKETS {
        send(&kernel, number);
        client.kernel_status().unwrap();
    }
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    assert_all_decided(&queue.close().unwrap().statistics);
}
