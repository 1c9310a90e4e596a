//! A simulated kernel in this process. While a program works on one packet, several more are sent, and simulated time
//! passes.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::sync::Mutex;

use ipq::{Options, Queue, Stopper};
use ipq_proto::Hook;
use ipq_sim::{Kernel, Match, Protocol, SocketOptions, Target, UdpSocket};
use ipq_sys::Transport;
use ipq_tests::namespace::{self, Outcome};

use crate::account::{Arrivals, MARKERS, number};
use crate::memory::Memory;
use crate::world::{Flood, World};

/// How many packets stand for a second of a real flood.
const PACKETS_A_SECOND: u64 = 10_000;

/// How many come while a program works on one.
const AT_ONCE: u64 = 3;

/// What a program's work takes.
const WORK: Duration = Duration::from_micros(10);

/// A receive buffer that never fills, where a test does not ask for one.
const LARGE: usize = 32 << 20;

/// From how many addresses is sent.
const SENDERS: u8 = 16;

/// Runs `body`, the whole of the test with this path, on a simulated kernel, in a process of its own.
pub(crate) fn run(path: &str, body: impl FnOnce(&mut dyn World) -> Outcome) {
    namespace::run_alone(path, || body(&mut Simulated::new()));
}

#[derive(Debug)]
struct Simulated {
    kernel: Kernel,
    senders: Vec<UdpSocket>,
    receiver: UdpSocket,
    flow: Mutex<Option<Flow>>,
}

/// Packets, sent and to be sent.
#[derive(Debug)]
struct Flow {
    sent: u64,
    /// How many there are but for markers.
    total: u64,
    /// Whether one has arrived that was sent after all of them.
    is_marked: bool,
    arrivals: Arrivals,
    memory: Memory,
}

impl Simulated {
    fn new() -> Self {
        let kernel = Kernel::builder().seed(7).count_only().build();
        let here = kernel.local_host();
        let socket = |last| here.udp(SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), 0)));
        let receiver = here.udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let senders = (0..SENDERS).map(socket).collect();
        Self { kernel, senders, receiver, flow: Mutex::default() }
    }

    /// Sends the next packets, lets time pass, and takes what has arrived.
    fn go_on(&self) {
        let mut flow = self.flow.lock().unwrap();
        let flow = flow.as_mut().unwrap();
        for _ in 0..AT_ONCE.min(flow.total.saturating_sub(flow.sent)) {
            self.send(flow, flow.sent);
        }
        if flow.sent >= flow.total && !flow.is_marked {
            // The program works on what it has, so there is room for it.
            self.send(flow, MARKERS + flow.sent);
        }
        self.kernel.advance(WORK);
        self.take_arrivals(flow);
    }

    fn send(&self, flow: &mut Flow, number: u64) {
        let sender = &self.senders[usize::try_from(flow.sent).unwrap() % self.senders.len()];
        assert!(sender.send(self.receiver.address(), &number.to_be_bytes()));
        flow.sent += 1;
        if flow.sent.is_multiple_of(1 << 10) {
            flow.memory.sample(flow.sent > flow.total / 4);
        }
    }

    fn take_arrivals(&self, flow: &mut Flow) {
        while let Some((datagram, _)) = self.receiver.receive() {
            let number = number(&datagram);
            flow.arrivals.note(number);
            flow.is_marked |= number >= MARKERS;
        }
    }
}

impl World for Simulated {
    fn kernel(&self) -> &'static str {
        "simulated"
    }

    fn spread(&mut self, queues: u16) -> Outcome {
        let target = Target::Nfqueue { first: 0, last: queues - 1, bypass: false };
        let condition =
            Match::protocol(Protocol::UDP).destination_port(self.receiver.address().port());
        self.kernel.rule(Hook::LocalOut, condition, target);
        Ok(())
    }

    fn open(&self, number: u16, options: Options) -> Queue {
        let socket_options = SocketOptions {
            receive_buffer: options.receive_buffer.unwrap_or(LARGE),
            ..SocketOptions::default()
        };
        let mut socket =
            self.kernel.open_socket_for(ipq_sys::Protocol::Netfilter, socket_options).unwrap();
        socket.report_overruns(!options.ignore_overruns).unwrap();
        Queue::with_nfqueue(socket, number..=number, options).unwrap()
    }

    /// It ends by itself: nothing is left to happen.
    fn begin(&mut self, seconds: u64, memory: Memory, _: Vec<Stopper>) {
        let total = seconds * PACKETS_A_SECOND;
        let flow = Flow { sent: 0, total, is_marked: false, arrivals: Arrivals::of(total), memory };
        *self.flow.get_mut().unwrap() = Some(flow);
        self.go_on();
    }

    fn work(&self) {
        self.go_on();
    }

    fn over(&mut self) {
        self.kernel.run();
    }

    fn end(&mut self, _: u64) -> Flood {
        self.over();
        let mut flow = self.flow.get_mut().unwrap().take().unwrap();
        self.take_arrivals(&mut flow);
        assert!(flow.is_marked, "the program ended before the flood");
        assert_eq!(self.kernel.totals().delivered, flow.arrivals.delivered);
        Flood {
            sent: flow.sent,
            refused: 0,
            arrivals: flow.arrivals,
            lost_behind: 0,
            memory: flow.memory,
        }
    }
}
