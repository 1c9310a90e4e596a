//! A program on the simulated kernel: what `benches/simulator.rs` and the program `simulate` measure.

use core::time::Duration;

use clap::ValueEnum;
use ipq::{Batch, CopyMode, Event, Families, Options, PacketId, Queue, Verdict};
use ipq_proto::{Family, Hook};
use ipq_sim::{Kernel, Match, Served, SocketOptions, Target};
use ipq_sys::Protocol;
use ipq_sys::unix::{Server, ServerOptions, Spawned, UnixSocket};

/// How many packets a program reads at once.
pub const BURST: usize = 64;

/// What the kernel speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Front {
    /// `ip_queue`.
    IpQueue,
    /// `nfnetlink_queue`.
    Nfqueue,
}

impl Front {
    /// Both.
    pub const ALL: [Self; 2] = [Self::IpQueue, Self::Nfqueue];

    /// The name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IpQueue => "`ip_queue`",
            Self::Nfqueue => "`nfnetlink_queue`",
        }
    }
}

/// Which packet a program decides on first.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Order {
    /// The one that came first.
    Arrival,
    /// The one that came last.
    Reverse,
}

/// A kernel that only counts what ends.
fn kernel() -> Kernel {
    let kernel = Kernel::builder().count_only().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    kernel
}

/// A kernel, and a session with a queue as long as need be.
///
/// # Panics
///
/// If the simulated kernel is not as it should be.
pub fn open(front: Front) -> (Kernel, Queue) {
    let kernel = kernel();
    let options = SocketOptions { receive_buffer: usize::MAX / 2, ..SocketOptions::default() };
    let mut queue = match front {
        Front::IpQueue => {
            let socket = kernel.open_socket(Family::Ipv4, options).expect("the module is there");
            kernel.set_queue_max_length(Family::Ipv4, u32::MAX);
            Queue::with(socket)
        }
        Front::Nfqueue => {
            let socket = kernel.open_socket_for(Protocol::Netfilter, options);
            let options = Options { max_length: Some(u32::MAX), ..Options::from(Families::Both) };
            Queue::with_nfqueue(socket.expect("the module is there"), 0..=0, options)
        }
    }
    .expect("nobody else has the queue");
    queue.set_mode(CopyMode::Packet { range: 2048 }).expect("a mode of every kernel");
    (kernel, queue)
}

/// The same behind a Unix socket, served by a thread of this program: `unix:` instead of `sim:`.
///
/// # Panics
///
/// If there can be no server.
pub fn open_served(front: Front) -> (Kernel, Queue, Spawned) {
    let kernel = kernel();
    let server = Server::spawn(Served::from(kernel.clone()), ServerOptions::default())
        .expect("a thread and a socket");
    let open = |protocol| {
        UnixSocket::open(server.path(), protocol, ipq_sys::SocketOptions::default())
            .expect("the module is there")
    };
    let mut queue = match front {
        Front::IpQueue => Queue::with(open(Protocol::ip_queue(Family::Ipv4))),
        Front::Nfqueue => {
            let options = Options::from(Families::Both);
            Queue::with_nfqueue(open(Protocol::Netfilter), 0..=0, options)
        }
    }
    .expect("nobody else has the queue");
    queue.set_mode(CopyMode::Packet { range: 2048 }).expect("a mode of every kernel");
    (kernel, queue, server)
}

/// A UDP datagram over the loopback, of 64 bytes with its headers.
///
/// # Panics
///
/// Never.
pub fn packet() -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(4000, 9);
    let mut packet = Vec::new();
    builder.write(&mut packet, &[b'x'; 64 - 28]).expect("a vector takes everything");
    packet
}

/// A program that accepts what comes, in batches.
#[derive(Debug)]
pub struct Program {
    queue: Queue,
    batch: Batch,
    decisions: Vec<(PacketId, Verdict)>,
    patience: Duration,
}

impl Program {
    /// A program that has `queue`.
    pub fn new(queue: Queue) -> Self {
        let batch = Batch::new(BURST, queue.buffer_len());
        Self { queue, batch, decisions: Vec::new(), patience: Duration::ZERO }
    }

    /// The same, whose kernel is in another thread or process, and may take a while.
    pub fn patient(queue: Queue) -> Self {
        Self { patience: Duration::from_secs(5), ..Self::new(queue) }
    }

    /// Reads `count` packets.
    ///
    /// # Panics
    ///
    /// If they do not come.
    pub fn read(&mut self, count: usize) {
        while self.decisions.len() < count {
            let Self { queue, batch, decisions, patience } = self;
            let read = queue.read_batch(batch, Some(*patience), |event| match event {
                Ok(Event::Packet(packet)) => decisions.push((packet.id(), Verdict::Accept)),
                other => panic!("no packet but {other:?}"),
            });
            assert_ne!(read.expect("the kernel is there"), 0, "packets are missing");
        }
    }

    /// Accepts all packets that were read.
    ///
    /// # Panics
    ///
    /// If the kernel is gone.
    pub fn decide(&mut self, order: Order) {
        if order == Order::Reverse {
            self.decisions.reverse();
        }
        self.queue.verdicts(&self.decisions).expect("the kernel is there");
        self.decisions.clear();
    }

    /// Lets `depth` packets be queued, reads all of them and accepts them.
    pub fn round(&mut self, kernel: &Kernel, packet: &[u8], depth: usize, order: Order) {
        (0..depth).for_each(|_| kernel.send(Family::Ipv4, packet));
        self.read(depth);
        self.decide(order);
    }
}
