//! Traffic between hosts that goes on by itself as the kernel runs: [`Flow`], as scenarios have it.

use core::net::{IpAddr, SocketAddr};

use ipq_sys::Clock;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{icmp, udp};

use super::endpoint::Endpoint;
use super::ping::{HEADER_LEN, ROOM, is_reply, request};
use super::{EndpointIndex, Host};
use crate::kernel::Kernel;
use crate::machine::{Event, Machine};

/// All flows of a kernel.
#[derive(Debug, Default)]
pub(crate) struct Flows(Vec<Flow>);

/// What one host sends to another, one after the other.
#[derive(Debug)]
struct Flow {
    from: EndpointIndex,
    load: Load,
    left: u64,
    interval: Clock,
    sent: u64,
}

/// What is sent.
#[derive(Debug)]
enum Load {
    /// Echo requests, from a socket with this identifier.
    Ping { to: IpAddr, handle: SocketHandle, ident: u16, data: Vec<u8> },
    /// Datagrams.
    Datagram { to: SocketAddr, handle: SocketHandle, payload: Vec<u8> },
    /// All of it, over a TCP connection.
    Stream { to: SocketAddr, bytes: Vec<u8> },
}

/// When something is sent, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    /// The first time.
    pub(crate) at: Clock,
    /// How often.
    pub(crate) count: u64,
    /// How long after the one before.
    pub(crate) interval: Clock,
}

/// Takes what a socket for datagrams receives, and counts it, so that its buffer never overflows.
#[derive(Debug)]
pub(super) struct Sink {
    handle: SocketHandle,
    /// What is sent to it.
    expected: Vec<u8>,
    kind: SinkKind,
    counts: SinkCounts,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SinkKind {
    /// Answers to echo requests.
    Ping,
    Datagram,
    /// Datagrams, each of which is sent back.
    Echo,
}

/// What a [`Sink`] has received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct SinkCounts {
    /// Datagrams.
    pub(crate) received: u64,
    /// Those of them that were as they were sent.
    pub(crate) intact: u64,
}

/// Names a sink.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SinkIndex(EndpointIndex, usize);

/// Datagrams or echo requests under way.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    kernel: Kernel,
    flow: usize,
    /// Where the datagrams arrive; `None` for echo requests, which are answered by the other host's stack.
    there: Option<SinkIndex>,
    /// Where the answers arrive.
    here: SinkIndex,
}

impl Host {
    /// Sends echo requests with these data to `to`.
    pub(crate) fn keep_pinging(&self, to: IpAddr, data: &[u8], beat: Beat) -> Exchange {
        let (kernel, mut machine, from) = self.endpoint(self.address_towards(to));
        let here = machine.endpoints.get(from);
        let ident = here.free_port();
        let buffer =
            || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; ROOM]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(ident)).expect("a new socket can be bound");
        let handle = here.datagram_sockets().add(socket);
        let sink = SinkIndex(from, here.sink_of_pings(handle, data));
        let load = Load::Ping { to, handle, ident, data: data.to_vec() };
        let flow = machine.start_flow(from, load, beat);
        drop(machine);
        Exchange { kernel, flow, there: None, here: sink }
    }

    /// Sends datagrams with this payload and netfilter mark to `to` of another host, which may send them back.
    pub(crate) fn keep_sending(
        &self,
        there: &Self,
        to: SocketAddr,
        (payload, mark): (&[u8], u32),
        echoes: bool,
        beat: Beat,
    ) -> Exchange {
        let (_, mut machine, receiver) = there.endpoint(to.ip());
        let kind = if echoes { SinkKind::Echo } else { SinkKind::Datagram };
        let arrival = SinkIndex(receiver, machine.endpoints.get(receiver).drain(to, payload, kind));
        drop(machine);

        let (kernel, mut machine, from) = self.endpoint(self.address_towards(to.ip()));
        let here = machine.endpoints.get(from);
        let port = here.free_port();
        let address = here.at(port);
        let sink = here.drain(address, payload, SinkKind::Datagram);
        if mark != 0 {
            here.set_mark(port, mark);
        }
        let handle = here.sinks[sink].handle;
        let load = Load::Datagram { to, handle, payload: payload.to_vec() };
        let flow = machine.start_flow(from, load, beat);
        drop(machine);
        Exchange { kernel, flow, there: Some(arrival), here: SinkIndex(from, sink) }
    }

    /// Connects to `to` at a time, sends `bytes` and closes.
    pub(crate) fn keep_streaming(&self, to: SocketAddr, bytes: Vec<u8>, at: Clock) {
        let (_, mut machine, from) = self.endpoint(self.address_towards(to.ip()));
        let load = Load::Stream { to, bytes };
        machine.start_flow(from, load, Beat { at, count: 1, interval: Clock::ZERO });
    }
}

impl Exchange {
    /// How many were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.kernel.lock().flows.0[self.flow].sent
    }

    /// What arrived; nothing of echo requests, which the other host's stack receives.
    pub(crate) fn arrived(&self) -> SinkCounts {
        self.there.map(|sink| self.counts(sink)).unwrap_or_default()
    }

    /// What came back.
    pub(crate) fn answers(&self) -> SinkCounts {
        self.counts(self.here)
    }

    fn counts(&self, SinkIndex(endpoint, sink): SinkIndex) -> SinkCounts {
        self.kernel.lock().endpoints.get(endpoint).sink_counts(sink)
    }
}

impl Machine {
    fn start_flow(&mut self, from: EndpointIndex, load: Load, beat: Beat) -> usize {
        let Beat { at, count, interval } = beat;
        let index = self.flows.0.len();
        self.flows.0.push(Flow { from, load, left: count, interval, sent: 0 });
        if count > 0 {
            let at = at.max(self.now());
            self.plan(at, Event::Flow(index));
        }
        index
    }

    /// Sends what is next in a flow. One at a time, so that the sender's buffer never overflows.
    pub(crate) fn continue_flow(&mut self, index: usize) {
        let flow = &mut self.flows.0[index];
        flow.load.send(self.endpoints.get(flow.from), flow.sent);
        flow.sent += 1;
        flow.left -= 1;
        let Flow { from, left, interval, .. } = *flow;
        self.plan_poll(from);
        if left > 0 {
            let time = self.now().saturating_add(interval);
            self.plan(time, Event::Flow(index));
        }
    }
}

impl Load {
    fn send(&self, from: &mut Endpoint, number: u64) {
        match self {
            Self::Ping { to, handle, ident, data } => {
                let seq_no = u16::try_from(number % (1 << 16)).unwrap_or_default();
                let request = request(from.address, *to, (*ident, seq_no), data);
                let socket = from.datagram_sockets().get_mut::<icmp::Socket<'_>>(*handle);
                socket.send_slice(&request, (*to).into()).expect("the one before has left");
            }
            Self::Datagram { to, handle, payload } => {
                let socket = from.datagram_sockets().get_mut::<udp::Socket<'_>>(*handle);
                socket.send_slice(payload, *to).expect("the one before has left");
            }
            Self::Stream { to, bytes } => from.send_stream(*to, bytes),
        }
    }
}

impl Endpoint {
    /// Has the answers to the requests of a socket taken.
    pub(super) fn sink_of_pings(&mut self, handle: SocketHandle, data: &[u8]) -> usize {
        self.add_sink(handle, data, SinkKind::Ping)
    }

    /// What a sink has received.
    pub(super) fn sink_counts(&self, sink: usize) -> SinkCounts {
        self.sinks[sink].counts
    }

    fn add_sink(&mut self, handle: SocketHandle, expected: &[u8], kind: SinkKind) -> usize {
        let (expected, counts) = (expected.to_vec(), SinkCounts::default());
        self.sinks.push(Sink { handle, expected, kind, counts });
        self.sinks.len() - 1
    }

    /// A socket for UDP at an address, and what takes all that it receives.
    fn drain(&mut self, address: SocketAddr, expected: &[u8], kind: SinkKind) -> usize {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; ROOM]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(address).expect("a new socket can be bound to any port but 0");
        let handle = self.datagram_sockets().add(socket);
        self.add_sink(handle, expected, kind)
    }

    /// Takes what has come for the sinks.
    pub(super) fn empty_sinks(&mut self) {
        let mut sinks = core::mem::take(&mut self.sinks);
        for sink in &mut sinks {
            sink.empty(self);
        }
        self.sinks = sinks;
    }
}

impl Sink {
    fn empty(&mut self, endpoint: &mut Endpoint) {
        if self.kind == SinkKind::Ping {
            let socket = endpoint.datagram_sockets().get_mut::<icmp::Socket<'_>>(self.handle);
            while let Ok((answer, _)) = socket.recv() {
                // Who talks to itself receives its requests as well.
                if !is_reply(answer) {
                    continue;
                }
                self.counts.received += 1;
                self.counts.intact += u64::from(answer.get(HEADER_LEN..) == Some(&self.expected));
            }
            return;
        }
        let socket = endpoint.datagram_sockets().get_mut::<udp::Socket<'_>>(self.handle);
        while let Ok((payload, from)) = socket.recv() {
            self.counts.received += 1;
            self.counts.intact += u64::from(payload == self.expected);
            if self.kind == SinkKind::Echo {
                let payload = payload.to_vec();
                socket.send_slice(&payload, from.endpoint).expect("the one before has left");
            }
        }
    }
}
