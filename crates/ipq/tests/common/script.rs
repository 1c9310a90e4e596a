//! A transport that says what a test tells it to.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use core::time::Duration;

use ipq_proto::{DataModel, Errno};
use ipq_sys::{Clock, Deadline, Error, Operation, Protocol, Received, Stepped, Transport};

/// What comes of one attempt to receive.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Datagram(Vec<u8>),
    Foreign(u32),
    Interrupted,
    Overrun,
    Error(Errno),
}

/// A transport, and the test's hold on it: clones are the same one.
///
/// Each attempt to receive takes a millisecond of its own clock.
#[derive(Clone, Debug)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Debug)]
pub(crate) struct State {
    protocol: Protocol,
    pub(crate) model: DataModel,
    pub(crate) now: Clock,
    /// What is still to be said.
    pub(crate) lines: VecDeque<Said>,
    /// What is said again and again once nothing else is left.
    pub(crate) refrain: Option<Said>,
    /// Whether a request that asks for an acknowledgement gets one, behind all that is still to be said.
    pub(crate) acknowledges: bool,
    /// What was sent to it.
    pub(crate) sent: Vec<Vec<u8>>,
    /// What becomes of the next attempts to send.
    pub(crate) refusals: VecDeque<Errno>,
}

impl Script {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self(Arc::new(Mutex::new(State {
            protocol,
            model: DataModel::Lp64Little,
            now: Duration::ZERO,
            lines: VecDeque::new(),
            refrain: None,
            acknowledges: true,
            sent: Vec::new(),
            refusals: VecDeque::new(),
        })))
    }

    pub(crate) fn saying(lines: impl IntoIterator<Item = Said>) -> Self {
        let script = Self::new(Protocol::Firewall);
        script.state().lines.extend(lines);
        script
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Transport for Script {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        let mut state = self.state();
        let protocol = state.protocol;
        if let Some(errno) = state.refusals.pop_front() {
            return Err(Error { operation: Operation::Send, protocol, errno });
        }
        let datagram: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if state.acknowledges && datagram[6] & 4 != 0 {
            let acknowledgement = reply(0, &datagram[..16], &[]);
            state.lines.push_back(Said::Datagram(acknowledgement));
        }
        state.sent.push(datagram);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        let mut state = self.state();
        state.now += Duration::from_millis(1);
        let Some(said) = state.lines.pop_front().or_else(|| state.refrain.clone()) else {
            return Ok(match deadline {
                Deadline::Never => Received::Ended,
                Deadline::Immediate => Received::TimedOut,
                Deadline::At(time) => {
                    state.now = state.now.max(time);
                    Received::TimedOut
                }
            });
        };
        Ok(match said {
            Said::Datagram(datagram) => {
                let len = datagram.len().min(buffer.len());
                buffer[..len].copy_from_slice(&datagram[..len]);
                if len == datagram.len() {
                    Received::Datagram { len }
                } else {
                    Received::Truncated { len, datagram_len: datagram.len() }
                }
            }
            Said::Foreign(port_id) => Received::Foreign { port_id },
            Said::Interrupted => Received::Interrupted,
            Said::Overrun => Received::Overrun,
            Said::Error(errno) => {
                let protocol = state.protocol;
                return Err(Error { operation: Operation::Receive, protocol, errno });
            }
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
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

    fn step(&mut self, deadline: Deadline) -> Result<Stepped, Error> {
        let mut state = self.state();
        if !state.lines.is_empty() || state.refrain.is_some() {
            return Ok(Stepped::Progressed);
        }
        Ok(match deadline {
            Deadline::Never => Stepped::Ended,
            Deadline::Immediate => Stepped::TimedOut,
            Deadline::At(time) => {
                state.now = state.now.max(time);
                Stepped::TimedOut
            }
        })
    }

    fn now(&self) -> Clock {
        self.state().now
    }
}

/// A whole message, as a 64-bit little-endian kernel sends it.
pub(crate) fn message(message_type: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + body.len()).unwrap();
    let mut message = len.to_le_bytes().to_vec();
    message.extend(message_type.to_le_bytes());
    message.extend(0_u16.to_le_bytes());
    message.extend(sequence.to_le_bytes());
    message.extend(0_u32.to_le_bytes());
    message.extend(body);
    message
}

/// An `NLMSG_ERROR` that answers a request with this header.
pub(crate) fn reply(code: i32, request: &[u8], rest: &[u8]) -> Vec<u8> {
    let sequence = u32::from_le_bytes(request[8..12].try_into().unwrap());
    message(2, sequence, &[&code.to_le_bytes(), request, rest].concat())
}

/// A packet message with little more than an id.
pub(crate) fn packet(id: u64, payload: &[u8]) -> Vec<u8> {
    let mut body = id.to_le_bytes().to_vec();
    body.resize(88, 0);
    body.extend((payload.len() as u64).to_le_bytes());
    body.extend(payload);
    message(0x13, 0, &body)
}
