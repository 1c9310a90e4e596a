//! One open queue: [`Session`].

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use core::time::Duration;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use ipq_proto::ip_queue::{Message, datagram};
use ipq_proto::{DataModel, Errno, Family};
use ipq_sys::{Deadline, Received};

use crate::critical::{Locked, lock};
use crate::error::{Detail, ErrorCode, Failure, report};
use crate::handle::{Handle, Visible};
use crate::kernel::Kernel;
use crate::statistics::{Counters, Statistics};
use crate::sync::Mutex;
use crate::wait::{Until, Waited, wait};

/// A queue that a program has open.
///
/// Its kernel is locked only while it is asked for what is there, or given what is to be sent: waiting is done on its
/// descriptor, so that verdicts can be set meanwhile.
#[derive(Debug)]
pub(crate) struct Session {
    visible: Visible,
    kernel: Mutex<Kernel>,
    descriptor: RawFd,
    port_id: u32,
    sequence: AtomicU32,
    pub(crate) last_error: AtomicI32,
    pub(crate) counters: Counters,
    opened: Opened,
}

/// How a session was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Opened {
    /// By which process.
    pub(crate) process: u32,
    pub(crate) family: Family,
    /// The queue of `nfnetlink_queue` that was asked for.
    pub(crate) number: Option<u16>,
    /// Whether as the only one of its family in the process, as `ipq_create_handle` does.
    pub(crate) is_sole: bool,
}

/// What came of a read.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Read {
    /// A message of this length.
    Message(usize),
    /// Nothing in time.
    Nothing,
    /// Nothing before a signal came.
    Interrupted,
}

impl Session {
    /// A session over a transport that has a descriptor.
    pub(crate) fn new(mut kernel: Kernel, opened: Opened) -> Result<Self, Failure> {
        let transport = kernel.transport();
        let unfit = |words| Failure::new(ErrorCode::Socket, Errno::EOPNOTSUPP, words);
        if transport.data_model() != DataModel::NATIVE {
            return Err(unfit("the kernel's words are not those of this program"));
        }
        let descriptor = transport.descriptor().map(|descriptor| descriptor.as_raw_fd());
        let descriptor = descriptor.ok_or_else(|| unfit("the transport has no descriptor"))?;
        let port_id = transport.port_id();
        Ok(Self {
            visible: Visible::new(descriptor, port_id),
            kernel: Mutex::new(kernel),
            descriptor,
            port_id,
            sequence: AtomicU32::new(0),
            last_error: AtomicI32::new(0),
            counters: Counters::default(),
            opened,
        })
    }

    pub(crate) const fn handle(&self) -> *mut Handle {
        self.visible.as_ptr()
    }

    pub(crate) fn is_of(&self, handle: *const Handle) -> bool {
        core::ptr::eq(self.visible.as_ptr(), handle)
    }

    pub(crate) const fn opened(&self) -> Opened {
        self.opened
    }

    pub(crate) fn kernel(&self) -> Result<Locked<'_, Kernel>, Failure> {
        lock(&self.kernel)
    }

    /// The lock itself, for fork(2).
    pub(crate) const fn mutex(&self) -> &Mutex<Kernel> {
        &self.kernel
    }

    pub(crate) const fn port_id(&self) -> u32 {
        self.port_id
    }

    /// The number of the next request.
    pub(crate) fn next_sequence(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Reads one message; `timeout` is that of `ipq_read`.
    pub(crate) fn read(&self, buffer: &mut [u8], timeout: c_int) -> Result<Read, Failure> {
        let until = Until::from_timeout(timeout);
        loop {
            let (received, kept_until) = self.look(buffer)?;
            match received {
                Received::TimedOut | Received::Interrupted => (),
                Received::Datagram { len } => return self.take_in(&buffer[..len]),
                other => return Err(self.refuse(other, buffer.len())),
            }
            match wait(self.descriptor, until, kept_until) {
                Ok(Waited::Ready) => (),
                Ok(Waited::TimedOut) => return Ok(self.nothing(ErrorCode::Timeout)),
                Ok(Waited::Interrupted) => {
                    self.nothing(ErrorCode::None);
                    return Ok(Read::Interrupted);
                }
                Err(errno) => return Err(self.not_received(errno)),
            }
        }
    }

    /// Looks at what is there, and until when the transport keeps something back.
    fn look(&self, buffer: &mut [u8]) -> Result<(Received, Option<Instant>), Failure> {
        let mut kernel = self.kernel()?;
        let transport = kernel.transport();
        let received = transport
            .receive(buffer, Deadline::Immediate)
            .map_err(|error| Failure::transport(ErrorCode::Receive, error))?;
        let kept_until = transport.due().map(|due| {
            let longer = due.saturating_sub(transport.now());
            // Until it is certainly due, on a clock that may tick otherwise.
            Instant::now() + longer.max(Duration::from_micros(1))
        });
        Ok((received, kept_until))
    }

    /// A message came: it is counted, and what makes no sense refused.
    fn take_in(&self, message: &[u8]) -> Result<Read, Failure> {
        if message.is_empty() {
            return Err(Failure::plain(ErrorCode::EndOfFile));
        }
        match datagram(DataModel::NATIVE, message) {
            Ok((_, Message::Packet(packet))) => self.counters.packet(packet.payload.len()),
            Ok((_, Message::Reply(reply))) if reply.errno().is_some() => self.counters.refused(),
            Ok(_) => (),
            Err(lie) => {
                self.counters.malformed();
                return Err(Failure {
                    code: ErrorCode::Receive,
                    errno: Some(Errno(libc::EBADMSG)),
                    detail: Detail::Said(lie.to_string()),
                });
            }
        }
        Ok(Read::Message(message.len()))
    }

    /// What came was no message for this buffer.
    fn refuse(&self, received: Received, buffer_len: usize) -> Failure {
        match received {
            Received::Truncated { datagram_len, .. } => {
                self.counters.truncated();
                Failure {
                    code: ErrorCode::ReceivedTruncated,
                    errno: None,
                    detail: Detail::Cut { message_len: datagram_len, buffer_len },
                }
            }
            Received::Foreign { port_id } => {
                self.counters.foreign();
                Failure {
                    code: ErrorCode::Receive,
                    errno: None,
                    detail: Detail::Foreign { port_id },
                }
            }
            Received::Overrun => self.not_received(Errno(libc::ENOBUFS)),
            Received::Ended => Failure {
                code: ErrorCode::EndOfFile,
                errno: None,
                detail: Detail::Words("the simulated kernel has nothing left to do"),
            },
            Received::Datagram { .. } | Received::Interrupted | Received::TimedOut => {
                Failure::plain(ErrorCode::None)
            }
        }
    }

    /// Receiving failed.
    fn not_received(&self, errno: Errno) -> Failure {
        let words = match errno.0 {
            libc::ENOBUFS => {
                self.counters.overrun();
                "the receive buffer was full and packets were lost; reading can go on: read quicker, or raise SO_RCVBUF"
            }
            libc::EINTR => "a signal came; reading can go on",
            libc::EAGAIN => "the descriptor was made non-blocking and nothing is there",
            _ => "",
        };
        Failure::new(ErrorCode::Receive, errno, words)
    }

    /// There is nothing, for the reason `code`.
    fn nothing(&self, code: ErrorCode) -> Read {
        self.last_error.store(code as c_int, Ordering::Relaxed);
        report(Failure::plain(code));
        Read::Nothing
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.counters.now()
    }
}

#[cfg(test)]
mod tests;
