//! A client that says what it likes: [`Peer`].

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};

use crate::unix::MAX_FRAME_LEN;

/// A connection to a server, without anything that a client is bound to. It never waits.
#[derive(Debug)]
pub struct Peer(OwnedFd);

impl Peer {
    /// Connects to the server at `path`.
    ///
    /// # Errors
    ///
    /// If that is not possible, for example since nobody takes the connections that wait.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let descriptor = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        connect(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(Self(descriptor))
    }

    /// Says a frame; to a server that is gone, or that does not listen, nothing.
    pub fn say(&self, frame: &[u8]) {
        let _ = send(self.0.as_raw_fd(), frame, MsgFlags::MSG_NOSIGNAL);
    }

    /// The next frame; `None` if there is none, or the connection has ended.
    pub fn hear(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; MAX_FRAME_LEN];
        let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).ok()?;
        buffer.truncate(len);
        Some(buffer).filter(|frame| !frame.is_empty())
    }
}
