//! TCP between simulated hosts: [`TcpListener`], [`TcpStream`] and whole [`Transfer`]s.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Duration;

use super::endpoint::Endpoint;
use super::{EndpointIndex, Host};
use crate::kernel::Kernel;

/// Room in either direction, in bytes, and so as much as may be under way. More is no faster on links as short as these,
/// and takes longer to recover from losses.
const BUFFER_LEN: usize = 64 << 10;

/// How long a connection is kept alive to which nobody answers.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A connection, as its endpoint keeps it.
#[derive(Debug)]
pub(super) struct Stream {
    handle: SocketHandle,
    /// What is yet to be sent.
    outgoing: VecDeque<u8>,
    /// What has come and nobody has taken.
    incoming: Vec<u8>,
    /// Whether it is to be closed once all is sent.
    closes: bool,
    /// Whether it is to be closed once the other end has closed.
    follows: bool,
}

/// What waits for connections.
#[derive(Debug)]
pub(super) struct Listener {
    port: u16,
    handle: SocketHandle,
    /// Connections that nobody has taken.
    accepted: VecDeque<usize>,
    follows: bool,
}

fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER_LEN]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_timeout(Some(TIMEOUT));
    socket
}

impl Endpoint {
    /// Listens at `port`.
    ///
    /// # Panics
    ///
    /// If something listens there already.
    fn listen(&mut self, port: u16, follows: bool) -> usize {
        let taken = self.listeners.iter().any(|(_, listener)| listener.port == port);
        assert!(!taken, "something listens at {} already", self.at(port));
        let handle = self.listening(port);
        self.listeners.insert(Listener { port, handle, accepted: VecDeque::new(), follows })
    }

    fn listening(&mut self, port: u16) -> SocketHandle {
        let mut socket = socket();
        socket.listen(port).expect("a new socket can listen at any port but 0");
        self.tcp_sockets().add(socket)
    }

    fn connect(&mut self, to: SocketAddr) -> usize {
        let port = self.free_port();
        let handle = self.tcp_sockets().add(socket());
        let (socket, context) = self.connecting(handle);
        socket.connect(context, to, port).expect("a new socket can connect to any port but 0");
        self.streams.insert(Stream::new(handle, false))
    }

    /// Connects to `to`, sends `bytes` and closes.
    pub(super) fn send_stream(&mut self, to: SocketAddr, bytes: &[u8]) {
        let index = self.connect(to);
        let stream = &mut self.streams[index];
        stream.outgoing.extend(bytes);
        stream.closes = true;
    }

    /// Moves bytes between the streams and their sockets, and takes new connections; says whether anything moved.
    pub(super) fn pump(&mut self) -> bool {
        let mut moved = false;
        for listener in 0..self.listeners.capacity() {
            moved |= self.accept(listener);
        }
        let mut streams = core::mem::take(&mut self.streams);
        for (_, stream) in &mut streams {
            moved |= stream.pump(self.tcp_sockets().get_mut(stream.handle));
        }
        self.streams = streams;
        moved
    }

    /// Makes a stream of what a listener's socket has become, and has another one listen.
    fn accept(&mut self, index: usize) -> bool {
        let Some(&Listener { port, handle, follows, .. }) = self.listeners.get(index) else {
            return false;
        };
        let socket = self.tcp_sockets().get::<Socket<'_>>(handle);
        if matches!(socket.state(), State::Listen | State::SynReceived) {
            return false;
        }
        let next = self.listening(port);
        let stream = self.streams.insert(Stream::new(handle, follows));
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.handle = next;
            listener.accepted.push_back(stream);
        }
        true
    }
}

impl Stream {
    fn new(handle: SocketHandle, follows: bool) -> Self {
        let (outgoing, incoming) = (VecDeque::new(), Vec::new());
        Self { handle, outgoing, incoming, closes: false, follows }
    }

    fn pump(&mut self, socket: &mut Socket<'_>) -> bool {
        let mut moved = false;
        while socket.can_send() && !self.outgoing.is_empty() {
            let (next, _) = self.outgoing.as_slices();
            let Ok(sent) = socket.send_slice(next) else { break };
            self.outgoing.drain(..sent);
            moved |= sent > 0;
        }
        while socket.can_recv() {
            let Self { incoming, .. } = self;
            let taken = socket.recv(|bytes| {
                incoming.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            moved |= taken.is_ok();
        }
        let other_end_closed = socket.state() == State::CloseWait;
        let is_done =
            self.outgoing.is_empty() && (self.closes || (self.follows && other_end_closed));
        if is_done && matches!(socket.state(), State::Established | State::CloseWait) {
            socket.close();
            moved = true;
        }
        socket.set_timeout(Some(TIMEOUT).filter(|_| awaits_an_answer(socket)));
        moved
    }
}

/// Whether the other end is to say something, and its silence means that it is gone. A connection may be idle for ever.
fn awaits_an_answer(socket: &Socket<'_>) -> bool {
    match socket.state() {
        State::Established | State::CloseWait => socket.send_queue() > 0,
        State::FinWait2 | State::TimeWait | State::Closed | State::Listen => false,
        State::SynSent | State::SynReceived | State::FinWait1 | State::Closing | State::LastAck => {
            true
        }
    }
}

/// Waits for connections at a port of a host, from [`Host::listen`].
#[derive(Clone, Debug)]
pub struct TcpListener {
    kernel: Kernel,
    endpoint: EndpointIndex,
    index: usize,
    address: SocketAddr,
}

/// One end of a TCP connection.
///
/// What is sent goes out, and what comes is kept, as the kernel runs. Nothing here waits.
#[derive(Clone, Debug)]
pub struct TcpStream {
    kernel: Kernel,
    endpoint: EndpointIndex,
    index: usize,
}

/// Bytes on their way over a TCP connection of their own, from [`Host::transfer`].
#[derive(Clone, Debug)]
pub struct Transfer {
    listener: TcpListener,
    sender: TcpStream,
    receiver: Option<TcpStream>,
}

impl Host {
    /// Listens at `address`, one of this host's; at a free port, if its port is 0.
    ///
    /// # Panics
    ///
    /// If it is none of this host's addresses, or something listens there.
    pub fn listen(&self, address: SocketAddr) -> TcpListener {
        self.listen_and(address, false)
    }

    pub(crate) fn listen_and(&self, address: SocketAddr, follows: bool) -> TcpListener {
        let (kernel, mut machine, endpoint) = self.endpoint(address.ip());
        let here = machine.endpoints.get(endpoint);
        let port = if address.port() == 0 { here.free_port() } else { address.port() };
        let index = here.listen(port, follows);
        let address = here.at(port);
        TcpListener { kernel, endpoint, index, address }
    }

    /// Connects to `address`.
    ///
    /// # Panics
    ///
    /// If this host has no address of that family, or the port is 0.
    pub fn connect(&self, address: SocketAddr) -> TcpStream {
        assert_ne!(address.port(), 0, "nothing listens at port 0");
        let from = self.address_towards(address.ip());
        let (kernel, mut machine, endpoint) = self.endpoint(from);
        let index = machine.endpoints.get(endpoint).connect(address);
        machine.plan_poll(endpoint);
        TcpStream { kernel, endpoint, index }
    }

    /// Sends `bytes` to `address` of another host, which listens there at a free port, over a connection of their own.
    /// It goes on by itself as the kernel runs, and the connection is closed at the end.
    ///
    /// # Panics
    ///
    /// If it is none of the other host's addresses, or this one has none of that family.
    pub fn transfer(&self, to: &Self, address: IpAddr, bytes: &[u8]) -> Transfer {
        let listener = to.listen_and(SocketAddr::new(address, 0), true);
        let sender = self.connect(listener.address());
        sender.send(bytes);
        sender.close();
        Transfer { listener, sender, receiver: None }
    }
}

impl TcpListener {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection; `None` if there is none yet.
    pub fn accept(&self) -> Option<TcpStream> {
        let Self { kernel, endpoint, index, .. } = self.clone();
        let mut machine = kernel.lock();
        let index = machine.endpoints.get(endpoint).listeners[index].accepted.pop_front()?;
        drop(machine);
        Some(TcpStream { kernel, endpoint, index })
    }
}

impl TcpStream {
    /// Sends `bytes` after those that were sent before.
    pub fn send(&self, bytes: &[u8]) {
        self.with(|stream, _| stream.outgoing.extend(bytes));
        self.kernel.lock().plan_poll(self.endpoint);
    }

    /// Takes what has come.
    pub fn receive(&self) -> Vec<u8> {
        self.with(|stream, _| core::mem::take(&mut stream.incoming))
    }

    /// How many bytes have come and have not been taken.
    pub fn received_len(&self) -> usize {
        self.with(|stream, _| stream.incoming.len())
    }

    /// Closes this direction once all is sent.
    pub fn close(&self) {
        self.with(|stream, _| stream.closes = true);
        self.kernel.lock().plan_poll(self.endpoint);
    }

    /// Whether the connection is there, and the other end has not closed it.
    pub fn is_open(&self) -> bool {
        self.with(|_, state| {
            matches!(state, State::Established | State::FinWait1 | State::FinWait2)
        })
    }

    /// Whether the other end has sent all it ever will.
    pub fn is_finished(&self) -> bool {
        self.with(|_, state| {
            matches!(
                state,
                State::CloseWait
                    | State::Closing
                    | State::LastAck
                    | State::TimeWait
                    | State::Closed
            )
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Stream, State) -> T) -> T {
        let mut machine = self.kernel.lock();
        let endpoint = machine.endpoints.get(self.endpoint);
        let handle = endpoint.streams[self.index].handle;
        let state = endpoint.tcp_sockets().get::<Socket<'_>>(handle).state();
        look(&mut endpoint.streams[self.index], state)
    }
}

impl Transfer {
    /// How many bytes have arrived.
    pub fn received_len(&mut self) -> usize {
        self.receiver().map_or(0, TcpStream::received_len)
    }

    /// All that arrived, once the sender has closed and everything is there; `None` before.
    pub fn received(&mut self) -> Option<Vec<u8>> {
        let receiver = self.receiver().filter(|receiver| receiver.is_finished())?;
        Some(receiver.receive())
    }

    /// The end that sends.
    pub fn sender(&self) -> &TcpStream {
        &self.sender
    }

    fn receiver(&mut self) -> Option<&TcpStream> {
        if self.receiver.is_none() {
            self.receiver = self.listener.accept();
        }
        self.receiver.as_ref()
    }
}
