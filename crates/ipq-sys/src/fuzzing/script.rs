//! A transport that says what it is told to: [`Script`].

use core::time::Duration;
use std::collections::VecDeque;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arbitrary::Arbitrary;
use ipq_proto::abi::AbiVisitor;
use ipq_proto::netlink::{self, ErrorMsg, Flags, Framed, Header, MessageType};
use ipq_proto::{Abi, DataModel, Errno};
use zerocopy::IntoBytes;

use super::Bytes;
use crate::{Clock, Deadline, Error, Operation, Protocol, Received, Stepped, Transport};

/// What comes of one attempt to receive.
#[derive(Arbitrary, Clone, Debug)]
pub enum Said {
    /// These bytes, as many as the buffer holds.
    Datagram(Bytes),
    /// The beginning of a datagram that had so many bytes more.
    Beginning(Bytes, u16),
    /// More than there is: what a transport must not say.
    Lie(u32, u32),
    /// The kernel's answer to the request that was sent last: this error number, or 0.
    Answer(u8),
    /// A datagram of another process.
    Foreign(u32),
    /// A signal.
    Interrupted,
    /// A receive buffer that was full.
    Overrun,
    /// Nothing.
    TimedOut,
    /// Nothing ever again.
    Ended,
    /// A socket that failed, with this error number.
    Failed(u8),
}

/// A transport of a kernel that is made up. Clones are the same one.
///
/// Each attempt to receive takes a millisecond of its clock, so that whoever waits for something comes to an end.
#[derive(Clone, Debug)]
pub struct Script(Arc<Mutex<State>>, Arc<File>);

/// What is behind a [`Script`].
#[derive(Debug)]
pub struct State {
    protocol: Protocol,
    /// Its word size and byte order.
    pub model: DataModel,
    /// What its clock says.
    pub now: Clock,
    /// What is still to be said.
    pub lines: VecDeque<Said>,
    /// What is said again and again once nothing else is left.
    pub refrain: Option<Said>,
    /// What becomes of the next attempts to send; of those after them, nothing bad.
    pub sendings: VecDeque<Result<(), Errno>>,
    /// What was sent and not yet looked at.
    pub sent: Vec<Vec<u8>>,
    /// Whether a request that asks for an acknowledgement gets one, behind all that is still to be said.
    pub acknowledges: bool,
    /// Whether there is a descriptor, which is always readable. Nothing is waited for then.
    pub has_descriptor: bool,
    last: Vec<u8>,
}

impl Script {
    /// A kernel that has nothing to say.
    ///
    /// # Panics
    ///
    /// If `/dev/null` cannot be opened.
    pub fn new(protocol: Protocol, model: DataModel) -> Self {
        let state = State {
            protocol,
            model,
            now: Duration::ZERO,
            lines: VecDeque::new(),
            refrain: None,
            sendings: VecDeque::new(),
            sent: Vec::new(),
            acknowledges: true,
            has_descriptor: false,
            last: Vec::new(),
        };
        let null = File::open("/dev/null").expect("/dev/null is there");
        Self(Arc::new(Mutex::new(state)), Arc::new(null))
    }

    /// What it has to say, and what it was told.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The answer to a request.
    fn answer(&self, request: &[u8], errno: u8) -> Vec<u8> {
        self.model.with(Answer { request, code: -i32::from(errno) })
    }

    fn asks_for_answer(&self, request: &[u8]) -> bool {
        struct Flagged<'a>(&'a [u8]);
        impl AbiVisitor for Flagged<'_> {
            type Output = bool;

            fn visit<A: Abi>(self) -> bool {
                netlink::Message::decode::<A::Order>(self.0)
                    .is_ok_and(|(message, _)| message.header.flags.contains(Flags::ACK))
            }
        }
        self.model.with(Flagged(request))
    }

    /// What is received where nothing is said.
    fn silence(&mut self, deadline: Deadline) -> Received {
        match deadline {
            _ if self.has_descriptor => Received::Ended,
            Deadline::Never => Received::Ended,
            Deadline::Immediate => Received::TimedOut,
            Deadline::At(time) => {
                self.now = self.now.max(time);
                Received::TimedOut
            }
        }
    }
}

/// An `NLMSG_ERROR` that repeats a request.
struct Answer<'a> {
    request: &'a [u8],
    code: i32,
}

impl AbiVisitor for Answer<'_> {
    type Output = Vec<u8>;

    fn visit<A: Abi>(self) -> Vec<u8> {
        let Ok((request, _)) = netlink::Message::decode::<A::Order>(self.request) else {
            return Vec::new();
        };
        let body = ErrorMsg::<A::Order>::new(self.code, request.header);
        let rest = if self.code == 0 { &[] } else { request.body };
        let header = Header::new(MessageType::ERROR, Flags::NONE, request.header.sequence, 0);
        let framed = Framed::new(header, body, rest.len()).expect("it was a datagram");
        [framed.as_bytes(), rest].concat()
    }
}

/// Puts as much of a datagram into the buffer as it holds.
fn put(datagram: &[u8], datagram_len: usize, buffer: &mut [u8]) -> Received {
    let len = datagram.len().min(buffer.len());
    buffer[..len].copy_from_slice(&datagram[..len]);
    if len == datagram_len {
        Received::Datagram { len }
    } else {
        Received::Truncated { len, datagram_len }
    }
}

impl Transport for Script {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        let mut state = self.state();
        let protocol = state.protocol;
        if let Some(Err(errno)) = state.sendings.pop_front() {
            return Err(Error { operation: Operation::Send, protocol, errno });
        }
        let request = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
        if state.acknowledges && state.asks_for_answer(&request) {
            let answer = Said::Datagram(Bytes(state.answer(&request, 0)));
            state.lines.push_back(answer);
        }
        state.last.clone_from(&request);
        state.sent.push(request);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        let mut state = self.state();
        state.now += Duration::from_millis(1);
        let Some(said) = state.lines.pop_front().or_else(|| state.refrain.clone()) else {
            return Ok(state.silence(deadline));
        };
        Ok(match said {
            Said::Datagram(bytes) => put(&bytes, bytes.len(), buffer),
            Said::Beginning(bytes, missing) => {
                put(&bytes, bytes.len() + usize::from(missing) + 1, buffer)
            }
            Said::Lie(len, datagram_len) => {
                let (len, datagram_len) = (len as usize, datagram_len as usize);
                if datagram_len == 0 {
                    Received::Datagram { len }
                } else {
                    Received::Truncated { len, datagram_len }
                }
            }
            Said::Answer(errno) => {
                let answer = state.answer(&state.last, errno);
                put(&answer, answer.len(), buffer)
            }
            Said::Foreign(port_id) => Received::Foreign { port_id },
            Said::Interrupted => Received::Interrupted,
            Said::Overrun => Received::Overrun,
            Said::TimedOut => Received::TimedOut,
            Said::Ended => Received::Ended,
            Said::Failed(errno) => {
                let (operation, errno) = (Operation::Receive, Errno(errno.into()));
                return Err(Error { operation, protocol: state.protocol, errno });
            }
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.state().has_descriptor.then(|| self.1.as_fd())
    }

    fn step(&mut self, deadline: Deadline) -> Result<Stepped, Error> {
        let mut state = self.state();
        state.now += Duration::from_millis(1);
        if !state.lines.is_empty() || state.refrain.is_some() {
            return Ok(Stepped::Progressed);
        }
        Ok(match state.silence(deadline) {
            Received::Ended => Stepped::Ended,
            _ => Stepped::TimedOut,
        })
    }

    fn protocol(&self) -> Protocol {
        self.state().protocol
    }

    fn port_id(&self) -> u32 {
        4711
    }

    fn data_model(&self) -> DataModel {
        self.state().model
    }

    fn now(&self) -> Clock {
        self.state().now
    }
}
