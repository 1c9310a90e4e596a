//! Where programs have a queue: [`Ground`], on the real kernel and on a served one.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use ipq::{Error, KernelStatus, NfqueueStatus, Options, Queue, TransportName};
use ipq_proto::Hook;
use ipq_sim::{Action, Kernel, Match, Protocol, Served, Target};
use ipq_sys::unix::{Client, Server, ServerOptions, Spawned, Speed};
use ipq_tests::namespace::Skipped;
use ipq_tests::programs::cli;

use crate::account::{MARKERS, number};
use crate::real::{lost_behind, network, queue_datagrams};

/// How long to wait for what must come. Only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A kernel with one queue, and programs that accept all that is in it.
pub(crate) trait Ground {
    /// Which kernel it is.
    fn kernel(&self) -> &'static str;

    /// Starts a program that takes the queue.
    fn start(&mut self) -> Child;

    /// What the kernel says of the queue; `None` if nobody has it.
    fn queue(&mut self) -> Option<NfqueueStatus>;

    /// Takes the queue for this process.
    fn claim(&self) -> Result<Queue, Error>;

    /// Sends a datagram with this number.
    fn send(&mut self, number: u64);

    /// How many datagrams have arrived so far.
    fn arrived(&mut self) -> u64;

    /// Whether the datagram with this number has.
    fn has_arrived(&mut self, marker: u64) -> bool;
}

/// What `look` finds, once it does; `None` if that is not before some seconds are over.
pub(crate) fn until<T: Found>(mut look: impl FnMut() -> T) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = look();
        if found.is_it() {
            return Some(found);
        }
        if start.elapsed() > PATIENCE {
            return None;
        }
        thread::yield_now();
    }
}

/// What can be waited for.
pub(crate) trait Found {
    fn is_it(&self) -> bool;
}

impl Found for bool {
    fn is_it(&self) -> bool {
        *self
    }
}

impl<T> Found for Option<T> {
    fn is_it(&self) -> bool {
        self.is_some()
    }
}

/// The command-line program that accepts all of a queue.
pub(crate) fn passer(transport: &str) -> Child {
    let mut command = Command::new(cli());
    command.args(["passer", "--quiet", "--transport", transport]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// The real kernel, in a network of its own.
pub(crate) struct RealGround {
    start: Box<dyn FnMut() -> Child>,
    from: UdpSocket,
    to: UdpSocket,
    sent: u64,
    received: Received,
}

/// What has arrived.
#[derive(Debug, Default)]
struct Received {
    count: u64,
    last_marker: u64,
}

impl Received {
    fn note(&mut self, datagram: &[u8]) {
        self.count += 1;
        let number = number(datagram);
        if number >= MARKERS {
            self.last_marker = number;
        }
    }
}

impl RealGround {
    pub(crate) fn new(start: Box<dyn FnMut() -> Child>) -> Result<Self, Skipped> {
        network()?;
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (from, to) = (bind(), bind());
        for socket in [&from, &to] {
            socket.set_nonblocking(true).unwrap();
        }
        queue_datagrams(to.local_addr().unwrap().port(), 1)?;
        if let [problem, ..] = &KernelStatus::read().problems[..] {
            return Err(Skipped(problem.clone()));
        }
        Ok(Self { start, from, to, sent: 0, received: Received::default() })
    }

    fn receive(&mut self) {
        let mut buffer = [0; 64];
        loop {
            match self.to.recv(&mut buffer) {
                Ok(len) => self.received.note(&buffer[..len]),
                Err(error) if is_full(&error) => break,
                Err(error) => panic!("receiving: {error}"),
            }
        }
    }

    fn to(&self) -> SocketAddr {
        self.to.local_addr().unwrap()
    }
}

impl Ground for RealGround {
    fn kernel(&self) -> &'static str {
        "real"
    }

    fn start(&mut self) -> Child {
        (self.start)()
    }

    fn queue(&mut self) -> Option<NfqueueStatus> {
        KernelStatus::read().nfqueues.into_iter().find(|queue| queue.queue == 0)
    }

    fn claim(&self) -> Result<Queue, Error> {
        Queue::open(TransportName::Nfqueue { first: 0, last: 0 }, Options::default())
    }

    fn send(&mut self, number: u64) {
        // The kernel lets a socket have only so many packets that wait.
        while let Err(error) = self.from.send_to(&number.to_be_bytes(), self.to()) {
            assert!(is_full(&error), "sending: {error}");
            self.receive();
            thread::yield_now();
        }
        self.sent += 1;
        // Often enough for the receiver's buffer, and seldom enough for the program to have something to do.
        if self.sent.is_multiple_of(64) {
            self.receive();
        }
    }

    fn arrived(&mut self) -> u64 {
        self.receive();
        self.received.count + lost_behind(self.to().port())
    }

    fn has_arrived(&mut self, marker: u64) -> bool {
        self.arrived();
        self.received.last_marker == marker
    }
}

/// A simulated kernel that this process serves. Simulated time passes as time does.
pub(crate) struct ServedGround {
    kernel: Kernel,
    from: ipq_sim::UdpSocket,
    to: ipq_sim::UdpSocket,
    server: Spawned,
    /// By whom the server is told that there is something to do.
    client: Client,
    sent: u64,
    received: Received,
}

/// When the last thing happens: as long as something is to happen, no program is told that nothing will.
const END: Duration = Duration::from_hours(24);

impl ServedGround {
    pub(crate) fn new() -> Self {
        let kernel = Kernel::builder().seed(7).count_only().build();
        let target = Target::Nfqueue { first: 0, last: 0, bypass: false };
        kernel.rule(Hook::LocalOut, Match::protocol(Protocol::UDP), target);
        kernel.at(END, Action::KillAll);
        let here = kernel.local_host();
        let socket = || here.udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let (from, to) = (socket(), socket());
        let world = Served::from(kernel.clone()).with_queues(Some(0..=0));
        let options = ServerOptions { speed: Speed::Times(1.0), ..ServerOptions::default() };
        let server = Server::spawn(world, options).unwrap();
        let client = Client::connect(server.path()).unwrap();
        Self { kernel, from, to, server, client, sent: 0, received: Received::default() }
    }
}

impl Ground for ServedGround {
    fn kernel(&self) -> &'static str {
        "served"
    }

    fn start(&mut self) -> Child {
        passer(&format!("unix:{}", self.server.path().display()))
    }

    fn queue(&mut self) -> Option<NfqueueStatus> {
        let queues = self.client.kernel_status().unwrap().nfqueues;
        queues.into_iter().find(|queue| queue.queue == 0)
    }

    fn claim(&self) -> Result<Queue, Error> {
        Queue::open(TransportName::Unix(self.server.path().to_owned()), Options::default())
    }

    fn send(&mut self, number: u64) {
        assert!(self.from.send(self.to.address(), &number.to_be_bytes()));
        self.sent += 1;
        // Not each time, so that the program has something to do.
        if self.sent.is_multiple_of(16) {
            self.arrived();
        }
    }

    fn arrived(&mut self) -> u64 {
        self.queue();
        while let Some((datagram, _)) = self.to.receive() {
            self.received.note(&datagram);
        }
        let totals = self.kernel.totals();
        assert_eq!(totals.entered, totals.delivered + totals.dropped + totals.queued);
        self.received.count
    }

    fn has_arrived(&mut self, marker: u64) -> bool {
        self.arrived();
        self.received.last_marker == marker
    }
}

/// Whether a system call failed because there is no room for now.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
