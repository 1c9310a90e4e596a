//! A socket whose conversation meets faults: [`FaultySocket`].

use std::io::IoSlice;

use ipq_proto::Errno;
use ipq_sys::unix::Datagram;
use ipq_sys::{Clock, Deadline, Received, Stepped, Transport};

use crate::fault::Faulty;
use crate::socket::Socket;

/// A socket whose conversation meets faults, for a program in another process.
#[derive(Debug)]
pub(super) struct FaultySocket {
    transport: Faulty<Socket>,
    /// What was looked at and left: faults strike a message once.
    looked_at: Option<Message>,
}

#[derive(Debug)]
struct Message {
    datagram: Datagram,
    bytes: Vec<u8>,
}

/// Room for any message.
const LONGEST_MESSAGE: usize = 1 << 17;

impl FaultySocket {
    pub(super) fn new(transport: Faulty<Socket>) -> Self {
        Self { transport, looked_at: None }
    }

    pub(super) fn send(&mut self, datagram: &[u8]) -> Result<(), Errno> {
        self.transport.send(&[IoSlice::new(datagram)]).map_err(|error| error.errno)
    }

    pub(super) fn receive(&mut self, buffer: &mut [u8], peek: bool) -> Result<Datagram, Errno> {
        let message = match self.looked_at.take() {
            Some(message) => message,
            None => self.next()?,
        };
        let Message { datagram, bytes } = &message;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        let datagram = Datagram { len, ..*datagram };
        if peek {
            self.looked_at = Some(message);
        }
        Ok(datagram)
    }

    fn next(&mut self) -> Result<Message, Errno> {
        let mut bytes = vec![0; LONGEST_MESSAGE];
        let received = self.transport.receive(&mut bytes, Deadline::Immediate);
        bytes.truncate(received.map_or(0, Received::len_in_buffer));
        let (datagram_len, port_id) = match received.map_err(|error| error.errno)? {
            Received::Datagram { len } => (len, 0),
            Received::Truncated { datagram_len, .. } => (datagram_len, 0),
            Received::Foreign { port_id } => (0, port_id),
            Received::Overrun => return Err(Errno::ENOBUFS),
            Received::Interrupted => return Err(Errno::EINTR),
            Received::TimedOut | Received::Ended => return Err(Errno::EAGAIN),
        };
        let datagram = Datagram { len: bytes.len(), datagram_len, port_id };
        Ok(Message { datagram, bytes })
    }

    /// Whether there is something to receive, be it that it has died.
    pub(super) fn is_readable(&mut self) -> bool {
        self.looked_at.is_some() || self.step(Deadline::Immediate) == Stepped::Progressed
    }

    pub(super) fn due(&self) -> Option<Clock> {
        self.transport.due()
    }

    pub(super) fn step(&mut self, deadline: Deadline) -> Stepped {
        self.transport.step(deadline).unwrap_or(Stepped::Progressed)
    }
}
