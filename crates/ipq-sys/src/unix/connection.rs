//! The server's ends of its connections: [`Connection`].

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::frame::{AnswerFlags, MAX_FRAME_LEN, Token};
use super::kernel::SocketId;
use crate::Protocol;

/// A connection, as the server sees it.
#[derive(Debug)]
pub(super) struct Connection {
    descriptor: OwnedFd,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// It has not yet said what it is for.
    New,
    /// Requests come by it. An answer for which there was no room is kept, and no other request read meanwhile.
    Control { unsent: Option<Vec<u8>> },
    /// What comes by it is written to the file of this name.
    File(String),
    /// It is a netlink socket.
    Data(Data),
    /// It has ended, and is forgotten at the end of the round.
    Gone,
}

/// A data connection.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) socket: SocketId,
    pub(super) protocol: Protocol,
    /// What the client knows it by.
    pub(super) cookie: u64,
    /// The process that opened it.
    pub(super) process: u32,
    /// Whether it becomes readable when nothing can come any more.
    pub(super) tells_end: bool,
    /// The number of the token that is in the connection.
    token: Option<u64>,
    /// The number of the next token.
    next_token: u64,
    /// Since when the program has been at work, as far as is known; `None` while it waits.
    pub(super) at_work: Option<Instant>,
    /// Whether the program has sent something since it last received something.
    pub(super) has_answered: bool,
}

/// What came by a connection.
pub(super) enum Came {
    /// A frame of so many bytes.
    Frame(usize),
    /// Nothing yet.
    Nothing,
    /// Its end.
    End,
    /// A frame that is longer than any may be.
    TooLong,
}

impl Connection {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self { descriptor, kind: Kind::New }
    }

    /// The netlink socket that it is, if it is one.
    pub(super) fn data(&mut self) -> Option<&mut Data> {
        match &mut self.kind {
            Kind::Data(data) => Some(data),
            Kind::New | Kind::Control { .. } | Kind::File(_) | Kind::Gone => None,
        }
    }

    /// The netlink socket that it is, if that is one that was not readable.
    pub(super) fn unsignalled(&self) -> Option<SocketId> {
        match &self.kind {
            Kind::Data(data) if data.token.is_none() => Some(data.socket),
            _ => None,
        }
    }

    /// What to wait for.
    pub(super) fn to_poll(&self) -> PollFd<'_> {
        let flags = match &self.kind {
            Kind::Control { unsent: Some(_) } => PollFlags::POLLOUT,
            Kind::Gone => PollFlags::empty(),
            _ => PollFlags::POLLIN,
        };
        PollFd::new(self.descriptor.as_fd(), flags)
    }

    /// Ends it, for the client at once.
    pub(super) fn end(&mut self) {
        self.kind = Kind::Gone;
        // If it cannot be shut down, the client is gone already.
        let _ = shutdown(self.descriptor.as_raw_fd(), Shutdown::Both);
    }

    /// Sends this text, behind which nothing comes.
    pub(super) fn show(&self, text: &[u8]) {
        // Who does not read it is not to be waited for.
        let _ = self.send(text);
        let _ = shutdown(self.descriptor.as_raw_fd(), Shutdown::Write);
    }

    /// Takes the next frame into `buffer`.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Came {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let attempt = |buffer: &mut [u8]| recv(self.descriptor.as_raw_fd(), buffer, flags);
        let received = match attempt(buffer) {
            // The client has closed it with something unread, and what it wrote before is still to come.
            Err(Errno::ECONNRESET) => attempt(buffer),
            received => received,
        };
        match received {
            // An empty frame, which nobody has a reason to send, looks the same.
            Ok(0) => Came::End,
            Ok(len) if len > MAX_FRAME_LEN => Came::TooLong,
            Ok(len) => Came::Frame(len),
            Err(Errno::EAGAIN | Errno::EINTR) => Came::Nothing,
            Err(_) => Came::End,
        }
    }

    /// Sends a frame; says whether it is sent. `EAGAIN` if there is no room.
    pub(super) fn send(&self, frame: &[u8]) -> nix::Result<()> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        send(self.descriptor.as_raw_fd(), frame, flags).map(|_| ())
    }

    /// Sends the answer to a request, now or when there is room; says whether the client is still there.
    pub(super) fn answer(&mut self, frame: &[u8]) -> bool {
        match self.send(frame) {
            Ok(()) => true,
            Err(Errno::EAGAIN) => {
                self.kind = Kind::Control { unsent: Some(frame.to_vec()) };
                true
            }
            Err(_) => false,
        }
    }

    /// Sends the answer that was kept; says whether the client is still there.
    pub(super) fn answer_again(&mut self) -> bool {
        let Kind::Control { unsent } = &mut self.kind else { return true };
        match unsent.take() {
            Some(frame) => self.answer(&frame),
            None => true,
        }
    }

    /// Puts a token into a data connection that is to be readable and has none.
    pub(super) fn signal(&mut self, is_readable: bool) {
        let Kind::Data(data) = &mut self.kind else { return };
        if !is_readable || data.token.is_some() {
            return;
        }
        let token = Token::new(data.next_token);
        data.token = Some(data.next_token);
        data.next_token += 1;
        // If the client is gone, that is noticed where it is read from. If there is no room, it is full of tokens that
        // nobody took, and readable.
        let _ = self.send(token.as_frame());
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Data {
    pub(super) fn new(
        socket: SocketId,
        protocol: Protocol,
        (cookie, process): (u64, u32),
        tells_end: bool,
    ) -> Self {
        Self {
            socket,
            protocol,
            cookie,
            process,
            tells_end,
            token: None,
            next_token: 0,
            at_work: Some(Instant::now()),
            has_answered: false,
        }
    }

    /// What the answer to a receive says of tokens, now that the socket is readable or not: an old one is stale.
    ///
    /// Where no token was put in and the program gets something, it is not sent to look for one. One that another process
    /// has not taken out although it was to is found by whoever gets nothing.
    pub(super) fn tokens(&mut self, is_readable: bool, gets_something: bool) -> (u64, AnswerFlags) {
        let may_hold_one = self.token.is_some() || !gets_something;
        if !is_readable {
            self.token = None;
        }
        let stale_before = self.token.unwrap_or(self.next_token);
        let drains = !is_readable && may_hold_one;
        (stale_before, if drains { AnswerFlags::DRAIN } else { AnswerFlags::default() })
    }

    /// The client took the token by mistake: there is to be another one.
    pub(super) fn forget_token(&mut self) {
        self.token = None;
    }

    /// That its program made a request: if it is at work, it goes on.
    pub(super) fn works_on(&mut self) {
        if self.at_work.is_some() {
            self.at_work = Some(Instant::now());
        }
    }
}
