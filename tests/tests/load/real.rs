//! The kernel that runs the tests, in a network of its own: datagrams over the loopback device, which its
//! `nfnetlink_queue` queues where they are sent.

use core::hint::black_box;
use core::net::{Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::fs;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ipq::{Options, Queue, Stopper, TransportName};
use ipq_tests::namespace::{self, Outcome, Skipped, tool};

use crate::account::{Arrivals, MARKERS, number};
use crate::memory::Memory;
use crate::world::{Flood, World};

/// How long to wait for what must come. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long until it is looked again whether something is over.
const MOMENT: Duration = Duration::from_millis(20);

/// From how many addresses is sent. The kernel lets each socket have only so many packets that wait.
const SENDERS: u8 = 16;

/// How many datagrams a second cannot be sent.
const LIMIT: u64 = 1_000_000;

/// Runs `body`, the whole of the test with this path, in a network of its own.
pub(crate) fn run(path: &str, body: impl FnOnce(&mut dyn World) -> Outcome) {
    namespace::run(path, || Real::new().and_then(|mut world| body(&mut world)));
}

/// The real thing.
#[derive(Debug)]
struct Real {
    to: SocketAddr,
    receiver: Option<UdpSocket>,
    progress: Arc<Progress>,
    sending: Option<JoinHandle<Totals>>,
    sent: Option<Totals>,
    receiving: Option<JoinHandle<Arrivals>>,
}

/// What was sent.
#[derive(Debug)]
struct Totals {
    sent: u64,
    refused: u64,
    memory: Memory,
}

/// What the receiving thread says to others.
#[derive(Debug, Default)]
struct Progress {
    delivered: AtomicU64,
    is_over: AtomicBool,
}

impl Real {
    fn new() -> Result<Self, Skipped> {
        network()?;
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        receiver.set_read_timeout(Some(MOMENT)).unwrap();
        Ok(Self {
            to: receiver.local_addr().unwrap(),
            receiver: Some(receiver),
            progress: Arc::default(),
            sending: None,
            sent: None,
            receiving: None,
        })
    }
}

impl World for Real {
    fn kernel(&self) -> &'static str {
        "real"
    }

    fn spread(&mut self, queues: u16) -> Outcome {
        queue_datagrams(self.to.port(), queues)
    }

    fn open(&self, number: u16, options: Options) -> Queue {
        Queue::open(TransportName::Nfqueue { first: number, last: number }, options).unwrap()
    }

    fn begin(&mut self, seconds: u64, memory: Memory, programs: Vec<Stopper>) {
        let (arrived, markers) = channel();
        let (receiver, progress) = (self.receiver.take().unwrap(), Arc::clone(&self.progress));
        let arrivals = Arrivals::of(seconds * LIMIT);
        self.receiving =
            Some(thread::spawn(move || receive(&receiver, arrivals, &progress, &arrived)));
        let to = self.to;
        self.sending = Some(thread::spawn(move || {
            let mut sender = FloodSender::new(to);
            sender.flood(Duration::from_secs(seconds), &memory);
            sender.mark_the_end(&markers);
            programs.iter().for_each(Stopper::stop);
            Totals { sent: sender.sent, refused: sender.refused, memory }
        }));
    }

    fn work(&self) {
        // Some microseconds, on any machine: a flood has a processor of its own, and a packet costs less to send.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for turn in 0..black_box(4000) {
            hash = (hash ^ turn).wrapping_mul(0x0100_0000_01b3);
        }
        black_box(hash);
    }

    fn over(&mut self) {
        if let Some(sending) = self.sending.take() {
            self.sent = Some(sending.join().unwrap());
        }
    }

    fn end(&mut self, kept: u64) -> Flood {
        self.over();
        let Totals { sent, refused, memory } = self.sent.take().unwrap();
        let lost_behind = || lost_behind(self.to.port());
        let start = Instant::now();
        while self.progress.delivered.load(Ordering::Relaxed) + lost_behind() + kept < sent
            && start.elapsed() < PATIENCE
        {
            thread::yield_now();
        }
        // The receiver's socket takes its count with it.
        let lost_behind = lost_behind();
        self.progress.is_over.store(true, Ordering::Relaxed);
        let arrivals = self.receiving.take().unwrap().join().unwrap();
        Flood { sent, refused, arrivals, lost_behind, memory }
    }
}

/// Makes the namespace that this process is in ready for packets.
pub(crate) fn network() -> Outcome {
    tool("ip", &["link", "set", "lo", "up"])?;
    // A kernel without nfnetlink_queue has nothing to test.
    let name = TransportName::Nfqueue { first: u16::MAX, last: u16::MAX };
    let opened = Queue::open(name, Options::default());
    opened.map(|_| ()).map_err(|error| Skipped(error.to_string()))
}

/// Has the kernel queue what is sent to this port, in so many queues from 0 on.
pub(crate) fn queue_datagrams(port: u16, queues: u16) -> Outcome {
    let (port, balance) = (port.to_string(), format!("0:{}", queues - 1));
    let which = match queues {
        1 => ["--queue-num", "0"],
        _ => ["--queue-balance", &balance],
    };
    let rule = ["-w", "-A", "OUTPUT", "-p", "udp", "--dport", &port, "-j", "NFQUEUE"];
    let rule = [&rule[..], &which].concat();
    tool("iptables-nft", &rule).or_else(|_| tool("iptables-legacy", &rule))
}

/// Sends as fast as it can.
struct FloodSender {
    sockets: Vec<UdpSocket>,
    to: SocketAddr,
    sent: u64,
    refused: u64,
}

impl FloodSender {
    fn new(to: SocketAddr) -> Self {
        let bind = |number| UdpSocket::bind((Ipv4Addr::new(127, 0, 1, number), 0)).unwrap();
        Self { sockets: (0..SENDERS).map(bind).collect(), to, sent: 0, refused: 0 }
    }

    fn send(&mut self, socket: usize, number: u64) {
        use nix::libc::{ENOBUFS, EPERM, ESRCH};
        self.sent += 1;
        match self.sockets[socket].send_to(&number.to_be_bytes(), self.to) {
            Ok(_) => (),
            // What netfilter drops on the way out may be an error of the call.
            Err(error) if matches!(error.raw_os_error(), Some(EPERM | ENOBUFS | ESRCH)) => {
                self.refused += 1;
            }
            Err(error) => panic!("sending: {error}"),
        }
    }

    fn flood(&mut self, time: Duration, memory: &Memory) {
        let start = Instant::now();
        loop {
            memory.sample(start.elapsed() > time / 4);
            for _ in 0..256 {
                for socket in 0..self.sockets.len() {
                    self.send(socket, self.sent);
                }
                if start.elapsed() > time {
                    return memory.sample(true);
                }
            }
        }
    }

    /// Sends from each address until something from there has arrived: what came before it in the queue is decided then.
    fn mark_the_end(&mut self, arrived: &Receiver<u64>) {
        let mut missing: Vec<_> = (0..self.sockets.len()).collect();
        let start = Instant::now();
        while !missing.is_empty() {
            assert!(start.elapsed() < PATIENCE, "nothing arrives any more");
            for &socket in &missing {
                self.send(socket, MARKERS + socket as u64);
            }
            while let Ok(marker) = arrived.recv_timeout(MOMENT) {
                missing.retain(|&socket| MARKERS + socket as u64 != marker);
            }
        }
    }
}

/// Counts what arrives, until all is over.
fn receive(
    receiver: &UdpSocket,
    mut arrivals: Arrivals,
    progress: &Progress,
    markers: &Sender<u64>,
) -> Arrivals {
    let mut buffer = [0; 64];
    while !progress.is_over.load(Ordering::Relaxed) {
        match receiver.recv(&mut buffer) {
            Ok(len) => {
                let number = number(&buffer[..len]);
                arrivals.note(number);
                progress.delivered.store(arrivals.delivered, Ordering::Relaxed);
                if number >= MARKERS {
                    let _ = markers.send(number);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) => panic!("receiving: {error}"),
        }
    }
    arrivals
}

/// How many datagrams for this port were accepted and lost: by the loopback device, and because the receiver's buffer was
/// full.
pub(crate) fn lost_behind(port: u16) -> u64 {
    let column = |path: &str, begins: &str, column: usize| {
        let text = fs::read_to_string(path).unwrap();
        let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = text.lines().map(columns).find(|line| line.iter().any(|word| word == begins));
        line.map_or(0, |line| line[column].parse::<u64>().unwrap())
    };
    let address = format!("0100007F:{port:04X}");
    column("/proc/self/net/dev", "lo:", 4) + column("/proc/self/net/udp", &address, 12)
}
