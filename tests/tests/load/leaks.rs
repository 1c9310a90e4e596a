//! Opened and closed, again and again: no descriptor, no thread and no memory is left, also where opening fails.

use core::cell::RefCell;
use core::net::{Ipv4Addr, SocketAddr};
use std::collections::BTreeSet;
use std::fs;
use std::process;

use ipq::{
    AsyncQueue, CopyMode, DefaultVerdict, Error, Options, Queue, QueuedPacket, SharedQueue,
    TransportName, Verdict, Workers,
};
use ipq_proto::Hook;
use ipq_sim::{Kernel, Match, Served, Target};
use ipq_sys::unix::{Client, Server, ServerOptions};
use ipq_tests::namespace::{self, Outcome};
use ipq_tests::programs::{Build, prefix, program, root};
use ipq_tests::running::Running;
use tokio::runtime::Builder;

use crate::length::rounds;
use crate::memory::resident;
use crate::real::network;
use crate::report::report;

/// How much more memory may be in use at the end: what allocators keep. A leak of a hundred bytes a time would be more.
const GROWTH: u64 = 1 << 20;

/// Who looks for what is left.
struct Watch<'a> {
    /// Waits until what was closed is closed at the other end too, if that is in this process.
    settle: &'a dyn Fn(),
}

/// Where nothing has another end here.
const WATCH: Watch<'_> = Watch { settle: &|| () };

impl Watch<'_> {
    /// What is left behind by doing something once is not more after doing it often.
    fn nothing_is_left(&self, what: &str, mut once: impl FnMut()) {
        let times = rounds(10_000, 500);
        // What is made once, and what an allocator keeps.
        for _ in 0..times / 10 {
            once();
        }
        let (before, memory) = (self.holdings(), resident(process::id()));
        for _ in 0..times {
            once();
        }
        assert_eq!(self.holdings(), before, "{what}, {times} times");
        let growth = resident(process::id()).saturating_sub(memory);
        report(&format!("leaks what={} times={times} growth={growth}", what.replace(' ', "_")));
        assert!(growth <= GROWTH, "{what}, {times} times: {growth} bytes");
    }

    fn holdings(&self) -> Holdings {
        (self.settle)();
        Holdings::now()
    }
}

/// What a process has of the system's.
#[derive(Debug, Eq, PartialEq)]
struct Holdings {
    descriptors: BTreeSet<String>,
    threads: usize,
}

impl Holdings {
    fn now() -> Self {
        let threads = fs::read_dir("/proc/self/task").unwrap().count();
        let names = fs::read_dir("/proc/self/fd").unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        Self { descriptors: names.collect(), threads }
    }
}

#[test]
fn on_the_real_kernel() {
    let name = concat!(module_path!(), "::on_the_real_kernel");
    namespace::run(name, || {
        network()?;
        each_session("real", &mut |number| {
            Queue::open(TransportName::Nfqueue { first: number, last: number }, Options::default())
        });
        taken(&|| Queue::open(TransportName::Nfqueue { first: 0, last: 3 }, Options::default()));
        Ok(())
    });
}

#[test]
fn on_a_simulated_kernel() {
    let name = concat!(module_path!(), "::on_a_simulated_kernel");
    namespace::run_alone(name, || {
        let kernel = Kernel::builder().count_only().build();
        each_session("simulated", &mut |number| {
            Queue::with_nfqueue(kernel.nfqueue_socket(), number..=number, Options::default())
        });
        WATCH.nothing_is_left("a simulated kernel with a packet", || {
            let kernel = Kernel::builder().build();
            kernel.rule(
                Hook::LocalOut,
                Match::any(),
                Target::Nfqueue { first: 0, last: 0, bypass: false },
            );
            let socket = kernel.local_host().udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
            assert!(socket.send(socket.address(), b"x"));
            let mut queue =
                Queue::with_nfqueue(kernel.nfqueue_socket(), 0..=0, Options::default()).unwrap();
            queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
            queue.run(|_| Verdict::Accept).unwrap();
            assert!(socket.receive().is_some());
        });
        let capture = root().join("tests/traffic/dns-badcookie.pcap");
        WATCH.nothing_is_left("a capture that is passed", || {
            let mut queue =
                Queue::open(TransportName::Sim(capture.clone()), Options::default()).unwrap();
            queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
            queue.run(|_| Verdict::Accept).unwrap();
        });
        WATCH.nothing_is_left("a capture that is not there", || {
            Queue::open(TransportName::Sim("/nowhere.pcap".into()), Options::default())
                .unwrap_err();
        });
        Ok(())
    });
}

#[test]
fn on_a_served_kernel() {
    let name = concat!(module_path!(), "::on_a_served_kernel");
    namespace::run_alone(name, || {
        let world = Served::from(Kernel::builder().count_only().build()).with_queues(Some(0..=0));
        let server = Server::spawn(world, ServerOptions::default()).unwrap();
        let path = server.path().to_owned();
        let client = RefCell::new(Client::connect(&path).unwrap());
        // The server, a thread of this process, has seen what was closed before when it answers.
        let settle = || drop(client.borrow_mut().kernel_status().unwrap());
        let watch = Watch { settle: &settle };
        let open = || Queue::open(TransportName::Unix(path.clone()), Options::default());
        // One of them only: the server says which queue a program takes.
        one_session(&watch, "served", &mut &open);
        watch.nothing_is_left("served: nobody there", || {
            let nobody = TransportName::Unix("/nowhere/kernel".into());
            Queue::open(nobody, Options::default()).unwrap_err();
        });
        let holder = open().unwrap();
        watch.nothing_is_left("served: a queue that is taken", || assert_is_taken(&open()));
        drop(holder);
        watch.nothing_is_left("a server", || {
            let world = Served::from(Kernel::builder().count_only().build());
            let server = Server::spawn(world, ServerOptions::default()).unwrap();
            let path = server.path().to_owned();
            drop(Queue::open(TransportName::Unix(path.clone()), Options::default()).unwrap());
            drop(server);
            assert!(!path.exists() && !path.parent().unwrap().exists());
        });
        Ok(())
    });
}

/// Opens a queue with this number.
type Open<'a> = &'a mut dyn FnMut(u16) -> Result<Queue, Error>;

/// Every kind of session.
fn each_session(kernel: &str, open: Open<'_>) {
    one_session(&WATCH, kernel, &mut || open(0));
    WATCH.nothing_is_left(&format!("{kernel}: workers"), || {
        let queues = (0..3).map(&mut *open).collect::<Result<_, _>>().unwrap();
        let workers = Workers::new(queues, DefaultVerdict::Drop).unwrap();
        workers.set_mode(CopyMode::Metadata).unwrap();
        workers.stop();
        workers.run(QueuedPacket::accept).unwrap();
        workers.close().unwrap();
    });
}

/// Every kind of session with one queue.
fn one_session(watch: &Watch<'_>, kernel: &str, open: &mut dyn FnMut() -> Result<Queue, Error>) {
    let mut opened = || {
        let mut queue = open().unwrap();
        queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
        queue
    };
    watch.nothing_is_left(&format!("{kernel}: a queue"), || drop(opened()));
    watch.nothing_is_left(&format!("{kernel}: a queue that is stopped"), || {
        let mut queue = opened();
        queue.stopper().unwrap().stop();
        queue.run(|_| Verdict::Accept).unwrap();
    });
    watch.nothing_is_left(&format!("{kernel}: a shared queue"), || {
        let queue = SharedQueue::new(opened(), DefaultVerdict::Drop).unwrap();
        let other = queue.clone();
        drop(queue);
        other.close().unwrap();
    });
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    watch.nothing_is_left(&format!("{kernel}: an asynchronous queue"), || {
        let queue = SharedQueue::new(opened(), DefaultVerdict::Drop).unwrap();
        queue.stopper().stop();
        runtime.block_on(async {
            assert!(AsyncQueue::new(queue).unwrap().next().await.is_none());
            // A runtime frees what it knew of descriptors when it next looks at those it has.
            tokio::task::yield_now().await;
        });
    });
}

/// Opening fails: the last of several queues has an owner.
fn taken(open_four: &dyn Fn() -> Result<Queue, Error>) {
    let last = TransportName::Nfqueue { first: 3, last: 3 };
    let holder = Queue::open(last, Options::default()).unwrap();
    WATCH.nothing_is_left("real: queues of which one is taken", || assert_is_taken(&open_four()));
    drop(holder);
    open_four().unwrap();
}

fn assert_is_taken(opened: &Result<Queue, Error>) {
    assert!(matches!(opened, Err(Error::QueueTaken { .. })), "{opened:?}");
}

#[test]
fn handles_of_libipq_on_the_real_kernel() {
    let name = concat!(module_path!(), "::handles_of_libipq_on_the_real_kernel");
    // What is built is built here, and not in a child that has another user.
    let _ = prefix();
    namespace::run(name, || {
        network()?;
        reopen("real", "nfqueue:0")
    });
}

#[test]
fn handles_of_libipq_on_a_served_kernel() {
    let name = concat!(module_path!(), "::handles_of_libipq_on_a_served_kernel");
    // As above: the child builds nothing.
    let _ = prefix();
    namespace::run_alone(name, || {
        let world = Served::from(Kernel::builder().count_only().build());
        let options = ServerOptions { keeps_on: true, ..ServerOptions::default() };
        let server = Server::spawn(world, options).unwrap();
        reopen("served", &format!("unix:{}", server.path().display()))
    });
}

/// Has a program in C open and close handles.
fn reopen(kernel: &str, transport: &str) -> Outcome {
    let times = rounds(10_000, 500);
    let program = program("reopen", Build::USUAL)?;
    let running = Running::start(transport, &[], &program, &[&times.to_string()]);
    let said = running.finish();
    let pages = said.split_whitespace().nth(1).and_then(|pages| pages.parse::<i64>().ok());
    let growth = pages.unwrap().max(0) * 4096;
    report(&format!("leaks what={kernel}:_handles_of_libipq times={times} growth={growth}"));
    Ok(())
}
