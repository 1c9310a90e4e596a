//! The program's end: [`Client`], which carries system calls to a served kernel.

use core::fmt;
use core::time::Duration;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ipq_proto::{DeviceName, Errno, HardwareType};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket,
    sockopt,
};

use super::frame::{
    Answer, AnswerFlags, Call, Item, ItemHead, ItemKind, Items, MAX_FRAME_LEN, Request,
    SocketOption, Token,
};
use super::greeting::{Greeting, KernelInfo, Opening, Welcome};
use crate::wait::{Polled, Waited};
use crate::{Deadline, DeviceInfo, Protocol, syscall};

/// How many datagrams go into one request at most.
const MANY: usize = 256;

/// What a client knows its end of a data connection by: the same for all copies of the descriptor, in all processes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[doc(alias = "SO_COOKIE")]
pub struct SocketCookie(pub u64);

impl SocketCookie {
    /// The cookie of an open socket.
    ///
    /// # Errors
    ///
    /// `ENOTSOCK` if the descriptor is none of a socket, `ENOPROTOOPT` before Linux 4.12.
    pub fn of(descriptor: BorrowedFd<'_>) -> Result<Self, Errno> {
        syscall::cookie(descriptor).map(Self).map_err(number)
    }
}

/// A data connection that has just been opened: a netlink socket, not yet bound.
#[derive(Debug)]
pub struct Opened {
    /// What the program holds. Closed on exec(2), until told otherwise.
    pub descriptor: OwnedFd,
    /// What requests name it by.
    pub cookie: SocketCookie,
}

/// What a netlink socket is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Description {
    /// Its netlink protocol.
    pub protocol: Protocol,
    /// Its port id; 0 as long as it is not bound.
    pub port_id: u32,
}

/// How to receive.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReceiveFlags {
    /// Whether the datagram stays where it is.
    #[doc(alias = "MSG_PEEK")]
    pub peek: bool,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Datagram {
    /// How many bytes of it are in the buffer.
    pub len: usize,
    /// How long it was.
    #[doc(alias = "MSG_TRUNC")]
    pub datagram_len: usize,
    /// The port id of who sent it: 0 is the kernel.
    pub port_id: u32,
}

/// A control connection to a served kernel: each call is a round trip, and none waits for anything else than that.
///
/// After fork(2) the child connects anew with its first call, so that the two do not take each other's answers. Not
/// to be used from a signal handler. All errors are error numbers, as a system call would return them; when the server
/// is gone, that is `ECONNRESET`.
///
/// ```no_run
/// use ipq_sys::Protocol;
/// use ipq_sys::unix::{Client, ReceiveFlags};
///
/// let mut client = Client::connect("/tmp/ipq.socket")?;
/// let opened = client.open(Protocol::Firewall, true, false)?;
/// let port_id = client.bind(opened.cookie, std::process::id())?;
/// # let request = [];
/// client.send(opened.cookie, 0, &[std::io::IoSlice::new(&request)])?;
/// let mut buffer = vec![0; 4096];
/// // `EAGAIN` if nothing is there; then, poll(2) tells when that changes.
/// let datagram = client.receive((&opened.descriptor, opened.cookie), &mut buffer, ReceiveFlags::default())?;
/// # let _ = (port_id, datagram);
/// # Ok::<(), ipq_proto::Errno>(())
/// ```
pub struct Client {
    path: PathBuf,
    control: OwnedFd,
    /// The process that made the connection.
    process: u32,
    info: KernelInfo,
    sequence: u32,
    /// The request being made.
    frame: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    /// Connects to the server at `path`.
    ///
    /// # Errors
    ///
    /// What connect(2) says, `EACCES` if the socket is another user's, `EMFILE` if the server has too many clients,
    /// `EPROTO` if it is no server of this protocol.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Errno> {
        // A program may change its directory, and open another socket after that.
        let path = std::path::absolute(path).map_err(|_| Errno::ENOENT)?;
        let (control, info) = greet(&path, |_| Ok(Opening::Control))?;
        let process = std::process::id();
        let answer = vec![0; MAX_FRAME_LEN];
        Ok(Self { path, control, process, info, sequence: 0, frame: Vec::new(), answer })
    }

    /// Where the server is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor of the control connection, which a program that closes what it does not know should leave open.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// What it said of the kernel.
    pub fn info(&self) -> &KernelInfo {
        &self.info
    }

    /// Opens a connection for writing to a file: each send(2) or write(2) on it is one to the file, and nothing comes
    /// back. What was written is done before whatever any client asks for later.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the kernel does not have the file, `EACCES` if it is not to be written.
    pub fn open_file(&self, name: &str) -> Result<OwnedFd, Errno> {
        greet(&self.path, |_| Ok(Opening::File { name })).map(|(descriptor, _)| descriptor)
    }

    /// Opens a netlink socket, for a program with or without `CAP_NET_ADMIN`. If it `tells_end`, it becomes readable
    /// when nothing can come any more, which a real socket does not.
    ///
    /// # Errors
    ///
    /// `EPROTONOSUPPORT` if the kernel does not have the protocol; as [`connect`](Self::connect).
    #[doc(alias = "socket")]
    pub fn open(
        &self,
        protocol: Protocol,
        privileged: bool,
        tells_end: bool,
    ) -> Result<Opened, Errno> {
        let process = std::process::id();
        let opening = |descriptor: BorrowedFd<'_>| {
            let SocketCookie(cookie) = SocketCookie::of(descriptor)?;
            Ok(Opening::Data { protocol, cookie, process, privileged, tells_end })
        };
        let (descriptor, _) = greet(&self.path, opening).map_err(gone)?;
        let cookie = SocketCookie::of(descriptor.as_fd())?;
        Ok(Opened { descriptor, cookie })
    }

    /// What the netlink socket with this cookie is.
    ///
    /// # Errors
    ///
    /// `ENOTSOCK` if it is none of this kernel's.
    #[doc(alias = "getsockname")]
    pub fn describe(&mut self, socket: SocketCookie) -> Result<Description, Errno> {
        let (answer, _) = self.ask(Call::DESCRIBE, socket, [0, 0])?;
        let port_id = answer.result()?;
        let protocol = answer.count().try_into().ok().and_then(Protocol::from_number);
        Ok(Description { protocol: protocol.ok_or(BROKEN)?, port_id })
    }

    /// Binds a socket to a port id, or to a free one if that is 0; returns which.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` if another socket of the protocol has it, `EINVAL` if this one has another one.
    pub fn bind(&mut self, socket: SocketCookie, port_id: u32) -> Result<u32, Errno> {
        let (answer, _) = self.ask(Call::BIND, socket, [port_id, 0])?;
        answer.result()
    }

    /// Sends one datagram, given in parts, to a port id: 0 is the kernel.
    ///
    /// # Errors
    ///
    /// As sendmsg(2) on a netlink socket; `EMSGSIZE` if it does not fit into a frame.
    #[doc(alias = "sendmsg")]
    pub fn send(
        &mut self,
        socket: SocketCookie,
        port_id: u32,
        parts: &[IoSlice<'_>],
    ) -> Result<(), Errno> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > MAX_FRAME_LEN - Request::LEN - ItemHead::LEN {
            return Err(MESSAGE_TOO_LONG);
        }
        let len = u32::try_from(len).map_err(|_| MESSAGE_TOO_LONG)?;
        let head = ItemHead { kind: ItemKind::Datagram, port_id, datagram_len: len, len };
        self.begin(Call::SEND, socket, [1, 0]);
        self.frame.extend_from_slice(&head.to_bytes());
        for part in parts {
            self.frame.extend_from_slice(part);
        }
        self.call()?.0.result().map(|_| ())
    }

    /// Sends datagrams to the kernel, in one frame as far as they fit; returns how many were sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), if not even the first one was sent.
    #[doc(alias = "sendmmsg")]
    pub fn send_many(
        &mut self,
        socket: SocketCookie,
        datagrams: &[IoSlice<'_>],
    ) -> Result<usize, Errno> {
        self.begin(Call::SEND, socket, [0, 0]);
        let mut count = 0_u32;
        for datagram in datagrams.iter().take(MANY) {
            if self.frame.len() + ItemHead::LEN + datagram.len() > MAX_FRAME_LEN {
                break;
            }
            let datagram_len = u32::try_from(datagram.len()).map_err(|_| MESSAGE_TOO_LONG)?;
            let kind = ItemKind::Datagram;
            Item { kind, port_id: 0, datagram_len, bytes: datagram }.write(&mut self.frame);
            count += 1;
        }
        if count == 0 {
            return if datagrams.is_empty() { Ok(0) } else { Err(MESSAGE_TOO_LONG) };
        }
        let sent = self.call()?.0.result()?;
        Ok(usize::try_from(sent.min(count)).unwrap_or(0))
    }

    /// Receives one datagram, if one is there, into `buffer`. What does not fit is lost, unless it is only looked at.
    ///
    /// `socket` is a descriptor of the data connection, with its cookie.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if nothing is there, `ENOBUFS` once if the receive buffer was full, and what else recvmsg(2) says.
    #[doc(alias = "recvmsg")]
    pub fn receive(
        &mut self,
        socket: (impl AsFd, SocketCookie),
        buffer: &mut [u8],
        flags: ReceiveFlags,
    ) -> Result<Datagram, Errno> {
        let call = if flags.peek { Call::PEEK } else { Call::RECEIVE };
        let mut received = Err(Errno::EAGAIN);
        let buffer_len = buffer.len();
        self.receive_items(call, socket, [buffer_len, 1], |item| {
            received = match item.kind {
                ItemKind::Overrun => Err(Errno::ENOBUFS),
                ItemKind::Datagram => {
                    let len = item.bytes.len().min(buffer_len);
                    buffer[..len].copy_from_slice(&item.bytes[..len]);
                    let datagram_len = usize::try_from(item.datagram_len).unwrap_or(usize::MAX);
                    Ok(Datagram { len, datagram_len, port_id: item.port_id })
                }
            };
        })?;
        received
    }

    /// Receives what is there, as many as `lens` says second and each cut to what it says first, and hands it to `each`;
    /// says whether more can come.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if nothing is there and something may come, and what else recvmsg(2) says.
    #[doc(alias = "recvmmsg")]
    pub(super) fn receive_items(
        &mut self,
        call: Call,
        (descriptor, socket): (impl AsFd, SocketCookie),
        lens: [usize; 2],
        mut each: impl FnMut(Item<'_>),
    ) -> Result<More, Errno> {
        let arguments = lens.map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        let (answer, rest) = self.ask(call, socket, arguments)?;
        let mut count = 0;
        for item in Items::new(rest) {
            each(item.map_err(|_| BROKEN)?);
            count += 1;
        }
        if count != answer.count() {
            return Err(BROKEN);
        }
        if answer.flags().contains(AnswerFlags::DRAIN) {
            self.drain(descriptor.as_fd(), socket, answer.stale_before())?;
        }
        let ended = answer.flags().contains(AnswerFlags::ENDED);
        match answer.result() {
            Err(Errno::EAGAIN) if ended => Ok(More::Ended),
            result => result.map(|_| More::MayCome),
        }
    }

    /// Takes the stale token out of a data connection.
    fn drain(
        &mut self,
        descriptor: BorrowedFd<'_>,
        socket: SocketCookie,
        stale_before: u64,
    ) -> Result<(), Errno> {
        let take = |flags: MsgFlags| {
            let mut frame = [0; Token::LEN];
            let received =
                recv(descriptor.as_raw_fd(), &mut frame, flags | MsgFlags::MSG_DONTWAIT).ok()?;
            Token::parse(frame.get(..received)?)
        };
        while take(MsgFlags::MSG_PEEK).is_some_and(|number| number < stale_before) {
            // Another process may have taken it meanwhile, and this be a newer one.
            if take(MsgFlags::empty()).is_some_and(|number| number >= stale_before) {
                let (answer, _) = self.ask(Call::REARM, socket, [0, 0])?;
                return answer.result().map(|_| ());
            }
        }
        Ok(())
    }

    /// Says that the program is about to wait for a socket, so that simulated time may pass. To be called before a
    /// poll(2) that will wait and that no [`receive`](Self::receive) with `EAGAIN` went before.
    ///
    /// # Errors
    ///
    /// If the server is gone.
    #[doc(alias("poll", "select"))]
    pub fn waiting(&mut self, socket: SocketCookie) -> Result<(), Errno> {
        self.begin(Call::WAITING, socket, [0, 0]);
        self.send_frame()
    }

    /// The value of an option of a socket.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` if it has no such option.
    #[doc(alias = "getsockopt")]
    pub fn option(&mut self, socket: SocketCookie, option: SocketOption) -> Result<u32, Errno> {
        self.ask(Call::GET_OPTION, socket, [option.0, 0])?.0.result()
    }

    /// Sets an option of a socket.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` if it has no such option, `EPERM` if the program may not.
    #[doc(alias = "setsockopt")]
    pub fn set_option(
        &mut self,
        socket: SocketCookie,
        option: SocketOption,
        value: u32,
    ) -> Result<(), Errno> {
        self.ask(Call::SET_OPTION, socket, [option.0, value])?.0.result().map(|_| ())
    }

    /// What is in one of the kernel's files, such as `/proc/net/ip_queue` or `/proc/sys/net/ipv4/ip_queue_maxlen`.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the kernel does not have it.
    pub fn read_file(&mut self, name: &str) -> Result<Vec<u8>, Errno> {
        self.begin(Call::READ_FILE, SocketCookie(0), [0, 0]);
        self.frame.extend_from_slice(name.as_bytes());
        let (answer, contents) = self.call()?;
        answer.result()?;
        Ok(contents.to_vec())
    }

    /// Writes to one of the kernel's files, as with one write(2).
    ///
    /// # Errors
    ///
    /// `ENOENT` if the kernel does not have it, `EACCES` if it is not to be written, `EINVAL` if it does not take this.
    pub fn write_file(&mut self, name: &str, contents: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(name.len()).map_err(|_| MESSAGE_TOO_LONG)?;
        self.begin(Call::WRITE_FILE, SocketCookie(0), [len, 0]);
        self.frame.extend_from_slice(name.as_bytes());
        self.frame.extend_from_slice(contents);
        self.call()?.0.result().map(|_| ())
    }

    /// What the kernel calls its device number `index`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it has none.
    pub fn device(&mut self, index: u32) -> Result<DeviceInfo, Errno> {
        let (answer, name) = self.ask(Call::DEVICE, SocketCookie(0), [index, 0])?;
        let hw_type = u16::try_from(answer.result()?).map_err(|_| BROKEN)?;
        let name: [u8; DeviceName::LEN] = name.try_into().map_err(|_| BROKEN)?;
        Ok(DeviceInfo { name: DeviceName::from_wire(name), hw_type: HardwareType(hw_type) })
    }

    /// Waits until the descriptor of a data connection is readable, or the server is gone; says whether it was in time.
    ///
    /// # Errors
    ///
    /// `EINTR` if a signal came.
    pub fn wait(descriptor: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<bool, Errno> {
        let deadline = timeout.map_or(Deadline::Never, Deadline::At);
        match Polled::one(descriptor).wait(Duration::ZERO, deadline).map_err(number)? {
            Waited::Ready => Ok(true),
            Waited::Interrupted => Err(Errno::EINTR),
            Waited::TimedOut | Waited::Ended => Ok(false),
        }
    }

    /// Makes a request of a head alone, and returns its answer.
    fn ask(
        &mut self,
        call: Call,
        socket: SocketCookie,
        arguments: [u32; 2],
    ) -> Result<(Answer, &[u8]), Errno> {
        self.begin(call, socket, arguments);
        self.call()
    }

    /// Begins the frame of a request.
    fn begin(&mut self, call: Call, SocketCookie(socket): SocketCookie, arguments: [u32; 2]) {
        self.sequence = self.sequence.wrapping_add(1);
        let request = Request::new(call, socket, arguments, self.sequence);
        self.frame.clear();
        self.frame.extend_from_slice(request.as_head());
    }

    /// Sends the frame, and returns the answer to it, which it waits for.
    fn call(&mut self) -> Result<(Answer, &[u8]), Errno> {
        self.send_frame()?;
        let control = self.control.as_raw_fd();
        let received = retry(|| recv(control, &mut self.answer, MsgFlags::empty()));
        let received = received.map_err(number).map_err(gone)?;
        if received == 0 {
            return Err(GONE);
        }
        let frame = self.answer.get(..received).ok_or(BROKEN)?;
        let (answer, rest) = Answer::parse(frame).map_err(|_| BROKEN)?;
        // An answer to something else: whatever talks there does not talk this protocol.
        if answer.sequence() == self.sequence { Ok((answer, rest)) } else { Err(BROKEN) }
    }

    /// Sends the frame.
    fn send_frame(&mut self) -> Result<(), Errno> {
        if self.frame.len() > MAX_FRAME_LEN {
            return Err(MESSAGE_TOO_LONG);
        }
        self.connect_again()?;
        let control = self.control.as_raw_fd();
        let sent = retry(|| send(control, &self.frame, MsgFlags::MSG_NOSIGNAL));
        sent.map(|_| ()).map_err(number).map_err(gone)
    }

    /// Makes a connection of its own for a process that was forked.
    fn connect_again(&mut self) -> Result<(), Errno> {
        let process = std::process::id();
        if process != self.process {
            (self.control, self.info) =
                greet(&self.path, |_| Ok(Opening::Control)).map_err(gone)?;
            self.process = process;
        }
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Whether more can come after what was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum More {
    MayCome,
    Ended,
}

/// The server is gone.
const GONE: Errno = Errno::ECONNRESET;

/// What is at the other end does not keep to the protocol.
const BROKEN: Errno = Errno::EPROTO;

/// A datagram or a name does not fit into a frame.
const MESSAGE_TOO_LONG: Errno = Errno(libc::EMSGSIZE);

/// Opens a connection and says what it is for.
fn greet<'o>(
    path: &Path,
    opening: impl FnOnce(BorrowedFd<'_>) -> Result<Opening<'o>, Errno>,
) -> Result<(OwnedFd, KernelInfo), Errno> {
    let address = UnixAddr::new(path).map_err(number)?;
    let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
    let connection = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).map_err(number)?;
    // A frame is to fit in whatever the system's default is; where it may not be had, long frames fail with EMSGSIZE.
    let _ = setsockopt(&connection, sockopt::SndBuf, &(2 * MAX_FRAME_LEN));
    let opening = opening(connection.as_fd())?;
    let mut greeting = Greeting::new(opening).as_frame().to_vec();
    if let Opening::File { name } = opening {
        greeting.extend_from_slice(name.as_bytes());
    }
    let descriptor = connection.as_raw_fd();
    retry(|| connect(descriptor, &address)).map_err(number)?;
    // Whom the server refuses it tells at once, and closes: then this may fail, and what it said is still to be read.
    let _ = retry(|| send(descriptor, &greeting, MsgFlags::MSG_NOSIGNAL));
    let mut frame = [0; 256];
    let mut receive = || retry(|| recv(descriptor, &mut frame, MsgFlags::empty()));
    let received = match receive() {
        // That the greeting was not read is reported once, before what was said.
        Err(nix::errno::Errno::ECONNRESET) => receive(),
        received => received,
    };
    let received = received.map_err(number)?;
    if received == 0 {
        return Err(GONE);
    }
    let info = Welcome::parse(frame.get(..received).ok_or(BROKEN)?).map_err(|_| BROKEN)??;
    Ok((connection, info))
}

/// Makes a system call again when a signal came in between.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(nix::errno::Errno::EINTR) => (),
            done => return done,
        }
    }
}

/// An error number of ours.
fn number(errno: nix::errno::Errno) -> Errno {
    Errno(errno as i32)
}

/// What it means for who was connected that it cannot be connected or cannot send any more.
fn gone(errno: Errno) -> Errno {
    match errno.0 {
        libc::EPIPE | libc::ECONNREFUSED | libc::ENOENT | libc::ENOTCONN => GONE,
        _ => errno,
    }
}
