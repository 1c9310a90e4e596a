//! The server's end: [`Server`], which has a kernel and carries out what clients ask of it.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipq_proto::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::unistd::geteuid;

use super::connection::{Came, Connection, Data, Kind};
use super::frame::MAX_FRAME_LEN;
use super::greeting::{Greeting, Opening, Welcome};
use super::kernel::{Opener, ServedKernel, SocketId};
use super::listener::Listener;
use super::pace::{Pace, Speed};
use crate::{Deadline, Stepped, syscall};

/// How often the kernel is stepped before clients are looked at again.
const STEPS: u32 = 1024;

/// How a [`Server`] serves.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// How fast simulated time passes.
    pub speed: Speed,
    /// Whether it passes from the beginning, and not only from when the first program wants packets.
    pub starts_now: bool,
    /// Whether to go on serving when nothing can happen any more and the last client has gone.
    pub keeps_on: bool,
    /// How long a program may be quiet until it is taken to wait, although it did not say so.
    pub patience: Duration,
    /// How many connections there may be.
    pub max_connections: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            speed: Speed::Max,
            starts_now: false,
            keeps_on: false,
            patience: Duration::from_millis(250),
            max_connections: 1024,
        }
    }
}

/// What a [`Server`] has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServerStatistics {
    /// Connections that were taken.
    pub connections: u64,
    /// Netlink sockets that were opened.
    pub sockets: u64,
    /// Requests that were carried out.
    pub requests: u64,
    /// Connections of other users, and ones too many.
    pub refused: u64,
    /// Connections that were ended because a frame made no sense.
    pub broken: u64,
}

/// A kernel that other processes use by a Unix socket.
///
/// One thread, one loop, no wait but for clients and for simulated time. The same requests in the same order find the same
/// kernel.
#[derive(Debug)]
pub struct Server<K> {
    pub(super) kernel: K,
    listener: Listener,
    options: ServerOptions,
    pace: Pace,
    pub(super) connections: Vec<Connection>,
    pub(super) statistics: ServerStatistics,
    has_started: bool,
    /// Whether descriptors ran out, until a connection closes.
    is_full: bool,
    /// The request being looked at, and the answer being written.
    pub(super) request: Vec<u8>,
    pub(super) answer: Vec<u8>,
}

/// What to do with a connection after what came by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Stays,
    Ends,
    /// It ends since a frame made no sense.
    Breaks,
}

/// What poll(2) found readable.
#[derive(Debug, Default)]
struct Ready {
    stop: bool,
    listener: bool,
    /// Positions of connections.
    connections: Vec<usize>,
}

impl<K: ServedKernel> Server<K> {
    /// A server that has `kernel`, for clients that come by `listener`.
    pub fn new(kernel: K, listener: Listener, options: ServerOptions) -> Self {
        Self {
            kernel,
            listener,
            pace: Pace::new(options.speed),
            options,
            connections: Vec::new(),
            statistics: ServerStatistics::default(),
            has_started: false,
            is_full: false,
            request: vec![0; MAX_FRAME_LEN],
            answer: Vec::new(),
        }
    }

    /// Serves until nothing can happen any more and the last client has gone, or until `stop` is readable. Returns the
    /// kernel, with all its sockets closed, and what was seen.
    ///
    /// # Errors
    ///
    /// If poll(2) fails.
    pub fn run(mut self, stop: Option<BorrowedFd<'_>>) -> io::Result<(K, ServerStatistics)> {
        while self.round(stop, None)? {}
        Ok(self.end())
    }

    /// Lets time pass, and serves whoever came meanwhile; waits for that no longer than `at_most`. Says whether to go on.
    pub(crate) fn round(
        &mut self,
        stop: Option<BorrowedFd<'_>>,
        at_most: Option<Duration>,
    ) -> io::Result<bool> {
        let timeout = self.let_time_pass();
        if self.is_done() {
            return Ok(false);
        }
        let timeout = timeout.into_iter().chain(at_most).min();
        let ready = self.poll(stop, timeout)?;
        if ready.stop {
            return Ok(false);
        }
        self.serve(&ready.connections)?;
        if ready.listener {
            self.accept();
        }
        Ok(true)
    }

    /// Closes all sockets; returns the kernel, and what was seen.
    pub(crate) fn end(mut self) -> (K, ServerStatistics) {
        for connection in &mut self.connections {
            if let Some(data) = connection.data() {
                self.kernel.close(data.socket);
            }
        }
        (self.kernel, self.statistics)
    }

    /// Lets the kernel run as far as it may now; returns how long to wait for clients at most.
    fn let_time_pass(&mut self) -> Option<Duration> {
        let timeout = if self.starts() { self.run_kernel(Deadline::Never) } else { None };
        self.signal_all();
        timeout
    }

    /// Whether time has begun to pass, or does now.
    fn starts(&mut self) -> bool {
        self.has_started = self.has_started || self.options.starts_now || self.kernel.has_program();
        self.has_started
    }

    /// Lets the kernel run as far as it may, and not beyond `end` where it waits for programs.
    fn run_kernel(&mut self, end: Deadline) -> Option<Duration> {
        if self.pace.waits_for_programs() {
            for _ in 0..STEPS {
                if self.is_any_readable() {
                    return None;
                }
                if let Some(rest) = self.work_left() {
                    return Some(rest);
                }
                if self.kernel.step(end) != Stepped::Progressed {
                    return None;
                }
            }
            return Some(Duration::ZERO);
        }
        for _ in 0..STEPS {
            let limit = self.pace.limit(self.kernel.now());
            if self.kernel.step(limit) != Stepped::Progressed {
                return self.kernel.next_event().map(|event| self.pace.until(event));
            }
        }
        Some(Duration::ZERO)
    }

    /// Whether a program has something to receive.
    fn is_any_readable(&mut self) -> bool {
        let Self { connections, kernel, .. } = self;
        let mut sockets = connections.iter_mut().filter_map(Connection::data);
        sockets.any(|data| kernel.is_readable(data.socket))
    }

    /// How much longer a program may be at work until it is taken to wait; `None` if all wait.
    fn work_left(&mut self) -> Option<Duration> {
        let patience = self.options.patience;
        let mut longest = None;
        for data in self.connections.iter_mut().filter_map(Connection::data) {
            let rest = data.at_work.and_then(|since| patience.checked_sub(since.elapsed()));
            if rest.is_none() {
                data.at_work = None;
            }
            longest = longest.max(rest);
        }
        longest
    }

    /// The sockets of the program that opened this one.
    pub(super) fn program(&mut self, position: usize) -> impl Iterator<Item = &mut Data> {
        let process = self.connections[position].data().map(|data| data.process);
        let all = self.connections.iter_mut().filter_map(Connection::data);
        all.filter(move |data| Some(data.process) == process)
    }

    /// The program that opened this socket waits, and so does not work on what it has from its others.
    pub(super) fn waits(&mut self, position: usize) {
        self.program(position).for_each(|data| data.at_work = None);
    }

    /// Whether a program that receives asks for what comes next: it has answered what it had, and time waits for it.
    ///
    /// One that has not may be collecting all there is before it answers, and is to find an end of it.
    pub(super) fn asks_for_next(&mut self, position: usize) -> bool {
        let has_answered = self.connections[position].data().is_some_and(|data| data.has_answered);
        has_answered && self.pace.waits_for_programs() && self.starts()
    }

    /// Lets time pass until a program has something to receive, or what happens in this moment happen if it
    /// `has_something`. Says whether this socket has something now.
    ///
    /// So a program gets what it would otherwise have to wait for with another call or two, and what comes together it
    /// gets together, no more than it asks for.
    pub(super) fn look_ahead(&mut self, socket: SocketId, has_something: bool) -> bool {
        let now = Deadline::At(self.kernel.now());
        let _ = self.run_kernel(if has_something { now } else { Deadline::Never });
        self.kernel.is_readable(socket)
    }

    /// Puts tokens where something became readable.
    pub(super) fn signal_all(&mut self) {
        for position in 0..self.connections.len() {
            let Some(data) = self.connections[position].data() else { continue };
            let (socket, tells_end) = (data.socket, data.tells_end);
            let is_readable =
                self.kernel.is_readable(socket) || (tells_end && self.is_over_for(position));
            self.connections[position].signal(is_readable);
        }
    }

    /// Whether nothing can come any more to the program that has this socket.
    pub(super) fn is_over_for(&mut self, position: usize) -> bool {
        if !self.has_started || self.is_any_readable() {
            return false;
        }
        let Some(process) = self.connections[position].data().map(|data| data.process) else {
            return false;
        };
        let all = self.connections.iter_mut().filter_map(Connection::data);
        let own: Vec<SocketId> =
            all.filter(|data| data.process == process).map(|data| data.socket).collect();
        !self.kernel.may_come(&own)
    }

    /// Whether all is over and everybody gone.
    fn is_done(&mut self) -> bool {
        let is_served_out = self.has_started && self.connections.is_empty();
        is_served_out && !self.options.keeps_on && !self.kernel.may_come(&[])
    }

    /// Waits for clients.
    fn poll(&self, stop: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> io::Result<Ready> {
        const FIRST: usize = 2;
        let listener = if self.is_full { PollFlags::empty() } else { PollFlags::POLLIN };
        let nothing = (self.listener.as_fd(), PollFlags::empty());
        let (stop, stopped) = stop.map_or(nothing, |stop| (stop, PollFlags::POLLIN));
        let mut entries =
            vec![PollFd::new(stop, stopped), PollFd::new(self.listener.as_fd(), listener)];
        // They are looked at in this order: what was done before a request that is found is found with it.
        let (requests, others): (Vec<_>, Vec<_>) =
            (0..self.connections.len()).partition(|&position| self.is_for_requests(position));
        let order = [requests, others].concat();
        entries.extend(order.iter().map(|&position| self.connections[position].to_poll()));
        // A kernel of real sockets: what becomes readable there makes a round of the loop.
        let sockets = self.connections.iter().filter_map(Connection::unsignalled);
        let descriptors = sockets.filter_map(|socket| self.kernel.descriptor(socket));
        entries.extend(descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)));
        wait_for(&mut entries, timeout)?;
        let connections = order.into_iter().zip(entries.iter().skip(FIRST));
        Ok(Ready {
            stop: is_ready(&entries[0]),
            listener: is_ready(&entries[1]),
            connections: positions(connections),
        })
    }

    /// Whether requests come by a connection, or a greeting.
    fn is_for_requests(&self, position: usize) -> bool {
        matches!(self.connections[position].kind, Kind::Control { .. } | Kind::New)
    }

    /// Looks at what came by the connections at these positions.
    ///
    /// What was closed or written to a file before a request was made is done before the request is carried out, so that
    /// programs find what they did in the order in which they did it.
    fn serve(&mut self, ready: &[usize]) -> io::Result<()> {
        let (requests, others): (Vec<usize>, Vec<usize>) =
            ready.iter().partition(|&&position| self.is_for_requests(position));
        if requests.is_empty() || others.is_empty() {
            for position in requests.into_iter().chain(others) {
                self.look_at(position);
            }
        } else {
            self.look_at_all_others()?;
            for position in requests {
                self.look_at(position);
            }
        }
        let before = self.connections.len();
        self.connections.retain(|connection| !matches!(connection.kind, Kind::Gone));
        self.is_full &= self.connections.len() == before;
        Ok(())
    }

    /// Looks at everything that came by connections other than those for requests.
    fn look_at_all_others(&mut self) -> io::Result<()> {
        let others =
            |connection: &Connection| matches!(connection.kind, Kind::Data(_) | Kind::File(_));
        loop {
            let (indices, mut entries): (Vec<_>, Vec<_>) = self
                .connections
                .iter()
                .enumerate()
                .filter(|(_, connection)| others(connection))
                .map(|(position, connection)| (position, connection.to_poll()))
                .unzip();
            wait_for(&mut entries, Some(Duration::ZERO))?;
            let ready = positions(indices.into_iter().zip(&entries));
            drop(entries);
            if ready.is_empty() {
                return Ok(());
            }
            for position in ready {
                self.look_at(position);
            }
        }
    }

    /// Looks at what came by a connection, which may be its end.
    fn look_at(&mut self, position: usize) {
        let fate = self.take_in(position);
        if fate == Fate::Stays {
            return;
        }
        self.statistics.broken += u64::from(fate == Fate::Breaks);
        let connection = &mut self.connections[position];
        if let Some(data) = connection.data() {
            self.kernel.close(data.socket);
        }
        // What is closed says so to the client, who must not wait for the end of the round.
        connection.end();
    }

    fn take_in(&mut self, position: usize) -> Fate {
        let connection = &mut self.connections[position];
        if let Kind::Control { unsent: Some(_) } = connection.kind {
            return if connection.answer_again() { Fate::Stays } else { Fate::Ends };
        }
        let len = match connection.receive(&mut self.request) {
            Came::Frame(len) => len,
            Came::Nothing => return Fate::Stays,
            Came::End => return Fate::Ends,
            Came::TooLong => return Fate::Breaks,
        };
        match connection.kind {
            Kind::New => self.greet(position, len),
            Kind::Control { .. } => self.carry_out(position, len),
            Kind::File(ref name) => {
                // There is nobody to tell, as with what close(2) returns.
                let _ = self.kernel.write_file(name, &self.request[..len]);
                Fate::Stays
            }
            // Nothing is to be said there.
            Kind::Data(_) | Kind::Gone => Fate::Breaks,
        }
    }

    /// A connection says what it is for.
    fn greet(&mut self, position: usize, len: usize) -> Fate {
        let Ok(opening) = Greeting::parse(&self.request[..len]) else { return Fate::Breaks };
        let opened = match opening {
            Opening::Control => Ok(Kind::Control { unsent: None }),
            Opening::File { name } => {
                self.kernel.check_writable(name).map(|()| Kind::File(name.to_owned()))
            }
            Opening::Data { protocol, cookie, process, privileged, tells_end } => {
                if self.find(cookie).is_some() {
                    return Fate::Breaks;
                }
                let data = |socket| Data::new(socket, protocol, (cookie, process), tells_end);
                let opened = self.kernel.open(protocol, Opener { process, privileged });
                opened.map(|socket| Kind::Data(data(socket)))
            }
        };
        let info = self.kernel.info();
        let welcome = Welcome::new(opened.as_ref().map(|_| &info).map_err(|&errno| errno));
        let connection = &mut self.connections[position];
        let is_there = connection.send(welcome.as_frame()).is_ok();
        let Ok(kind) = opened else { return Fate::Ends };
        self.statistics.sockets += u64::from(matches!(kind, Kind::Data(_)));
        if let Kind::File(name) = &kind {
            // It can be read once, up to its end.
            connection.show(&self.kernel.read_file(name).unwrap_or_default());
        }
        connection.kind = kind;
        if is_there { Fate::Stays } else { Fate::Ends }
    }

    /// The position of the data connection that its client knows by this cookie.
    pub(super) fn find(&mut self, cookie: u64) -> Option<usize> {
        let is_it = |connection: &mut Connection| {
            connection.data().is_some_and(|data| data.cookie == cookie)
        };
        self.connections.iter_mut().position(is_it)
    }

    /// Takes the connections that wait.
    fn accept(&mut self) {
        loop {
            match syscall::accept(self.listener.as_fd()) {
                Ok(descriptor) => self.take(descriptor),
                Err(nix::errno::Errno::EINTR | nix::errno::Errno::ECONNABORTED) => (),
                Err(nix::errno::Errno::EAGAIN) => return,
                Err(_) => {
                    self.is_full = true;
                    return;
                }
            }
        }
    }

    /// Takes a connection, or says why not.
    fn take(&mut self, descriptor: OwnedFd) {
        let allowed = match getsockopt(&descriptor, sockopt::PeerCredentials) {
            Ok(peer) if peer.uid() == geteuid().as_raw() || peer.uid() == 0 => Ok(()),
            _ => Err(Errno::EACCES),
        };
        let room = self.connections.len() < self.options.max_connections;
        let connection = Connection::new(descriptor);
        match allowed.and(if room { Ok(()) } else { Err(Errno::EMFILE) }) {
            Ok(()) => {
                let _ = setsockopt(&connection, sockopt::SndBuf, &(2 * MAX_FRAME_LEN));
                self.statistics.connections += 1;
                self.connections.push(connection);
            }
            Err(errno) => {
                self.statistics.refused += 1;
                // Whoever does not read it finds the connection closed.
                let _ = connection.send(Welcome::new(Err(errno)).as_frame());
            }
        }
    }
}

/// Waits until one of these is ready.
fn wait_for(entries: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    match ppoll(entries, timeout.map(TimeSpec::from_duration), None) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_ready(entry: &PollFd<'_>) -> bool {
    entry.any().unwrap_or(false)
}

/// The positions of those that are ready.
fn positions<'e>(entries: impl Iterator<Item = (usize, &'e PollFd<'e>)>) -> Vec<usize> {
    entries.filter(|(_, entry)| is_ready(entry)).map(|(position, _)| position).collect()
}
