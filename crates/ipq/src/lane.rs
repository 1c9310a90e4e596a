//! One socket of a session: [`Lane`].

use core::time::Duration;
use std::collections::VecDeque;
use std::io::IoSlice;

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self as wire, Message, ModeMsg, VerdictMsg};
use ipq_proto::netlink::{self, Flags, Framed, Header};
use ipq_proto::{Abi, CopyMode, DecodeError, Errno, Family, Verdict};
use ipq_sys::{Clock, Deadline, Received, Transport};
use zerocopy::IntoBytes;

use crate::{Error, Event, Packet, PacketId, Refusal};

/// How long the kernel has to answer a request. It answers while the request is being sent, so this only guards
/// against something that is no kernel.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The `ip_queue` of one family.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) family: Family,
    /// The copy mode that the kernel last agreed to.
    pub(crate) mode: CopyMode,
    transport: Box<dyn Transport>,
    sequence: u32,
    /// What came while an answer was awaited, in order.
    backlog: VecDeque<Stashed>,
}

/// Something received that nobody has asked for yet.
#[derive(Debug)]
struct Stashed {
    received: Received,
    bytes: Box<[u8]>,
}

impl Lane {
    pub(crate) fn new(family: Family, transport: Box<dyn Transport>) -> Self {
        Self { family, mode: CopyMode::None, transport, sequence: 0, backlog: VecDeque::new() }
    }

    pub(crate) fn transport(&mut self) -> &mut (dyn Transport + 'static) {
        &mut *self.transport
    }

    pub(crate) fn now(&self) -> Clock {
        self.transport.now()
    }

    /// Sets the copy mode and waits for the kernel's answer.
    ///
    /// A full receive buffer has no room for the answer. So once that is reported and the buffer is empty, the
    /// request is sent again.
    pub(crate) fn set_mode(&mut self, mode: CopyMode, scratch: &mut [u8]) -> Result<(), Error> {
        let header = self.header(wire::MODE, Flags::REQUEST.union(Flags::ACK));
        let model = self.transport.data_model();
        let end = self.transport.now().saturating_add(ANSWER_TIMEOUT);
        loop {
            model.with(SendMode { transport: &mut *self.transport, header, mode })?;
            match self.await_answer(header.sequence, end, scratch)? {
                Some(Ok(())) => {
                    self.mode = mode;
                    return Ok(());
                }
                Some(Err(errno)) => {
                    return Err(Error::ModeRefused { mode, family: self.family, errno });
                }
                None => (),
            }
        }
    }

    /// Waits until `end` for the answer to a request; `None` if it may have been lost. What else comes goes to the
    /// backlog.
    fn await_answer(
        &mut self,
        sequence: u32,
        end: Clock,
        scratch: &mut [u8],
    ) -> Result<Option<Result<(), Errno>>, Error> {
        let model = self.transport.data_model();
        let mut deadline = Deadline::At(end);
        // The clock is asked as well, for a peer that never stops talking.
        while self.transport.now() < end {
            let received = self.transport.receive(scratch, deadline)?;
            let bytes = &scratch[..received.len_in_buffer()];
            if let Received::Datagram { .. } = received
                && let Ok((_, Message::Reply(reply))) = wire::datagram(model, bytes)
                && reply.request.sequence == sequence
            {
                return Ok(Some(reply.errno().map_or(Ok(()), Err)));
            }
            match received {
                Received::TimedOut | Received::Ended if deadline == Deadline::Immediate => {
                    return Ok(None);
                }
                Received::TimedOut | Received::Ended => break,
                Received::Interrupted => continue,
                Received::Overrun => deadline = Deadline::Immediate,
                _ => (),
            }
            self.backlog.push_back(Stashed { received, bytes: bytes.into() });
        }
        Err(Error::NoAnswer { family: self.family })
    }

    /// Decides over a packet.
    pub(crate) fn send_verdict(
        &mut self,
        number: u64,
        verdict: Verdict,
        replacement: &[u8],
    ) -> Result<(), Error> {
        let header = self.header(wire::VERDICT, Flags::REQUEST);
        let model = self.transport.data_model();
        let transport = &mut *self.transport;
        model.with(SendVerdict { transport, header, number, verdict, replacement })
    }

    fn header(&mut self, message_type: netlink::MessageType, flags: Flags) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        Header::new(message_type, flags, self.sequence, self.transport.port_id())
    }

    /// Receives what came while an answer was awaited, or else what comes before `deadline`.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<Received, Error> {
        let Some(Stashed { received, bytes }) = self.backlog.pop_front() else {
            return Ok(self.transport.receive(buffer, deadline)?);
        };
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok(match received {
            Received::Datagram { len: datagram_len } if datagram_len > len => {
                Received::Truncated { len, datagram_len }
            }
            Received::Truncated { datagram_len, .. } => Received::Truncated { len, datagram_len },
            other => other,
        })
    }

    /// What a datagram says.
    pub(crate) fn interpret<'b>(&self, datagram: &'b [u8]) -> Result<Event<'b>, DecodeError> {
        let (header, message) = wire::datagram(self.transport.data_model(), datagram)?;
        Ok(match message {
            Message::Packet(packet) => Event::Packet(Packet::new(self.family, packet)),
            Message::Reply(reply) => self.interpret_reply(&reply),
            _ => Event::Other(header.message_type),
        })
    }

    /// What the beginning of a datagram of `message_len` bytes says, of which the rest is lost.
    pub(crate) fn interpret_cut<'b>(&self, beginning: &'b [u8], message_len: usize) -> Event<'b> {
        struct Decode<'b>(&'b [u8]);
        impl<'b> AbiVisitor for Decode<'b> {
            type Output = Result<Message<'b>, DecodeError>;

            fn visit<A: Abi>(self) -> Self::Output {
                let message = netlink::Message::decode_cut::<A::Order>(self.0)?;
                match message.header.message_type {
                    wire::PACKET => {
                        wire::Packet::decode_cut::<A>(message.body).map(Message::Packet)
                    }
                    // What a refusal repeats of the request may be cut anywhere.
                    _ => Message::decode::<A>(&message),
                }
            }
        }
        match self.transport.data_model().with(Decode(beginning)) {
            Ok(Message::Packet(packet)) => {
                Event::Truncated { packet: Some(Packet::new(self.family, packet)), message_len }
            }
            Ok(Message::Reply(reply)) => self.interpret_reply(&reply),
            _ => Event::Truncated { packet: None, message_len },
        }
    }

    fn interpret_reply(&self, reply: &netlink::Reply<'_>) -> Event<'static> {
        match reply.errno() {
            Some(errno) => Event::Refused(Refusal { errno, packet: self.subject(reply) }),
            None => Event::Other(netlink::MessageType::ERROR),
        }
    }

    /// The packet that a refused request was about: the kernel repeats the request.
    fn subject(&self, reply: &netlink::Reply<'_>) -> Option<PacketId> {
        struct Decode<'b>(&'b [u8]);
        impl AbiVisitor for Decode<'_> {
            type Output = Option<u64>;

            fn visit<A: Abi>(self) -> Self::Output {
                wire::VerdictRequest::decode::<A>(self.0).ok().map(|request| request.id)
            }
        }
        if reply.request.message_type != wire::VERDICT {
            return None;
        }
        let number = self.transport.data_model().with(Decode(reply.rest))?;
        Some(PacketId::new(self.family, number))
    }
}

struct SendMode<'t> {
    transport: &'t mut dyn Transport,
    header: Header,
    mode: CopyMode,
}

impl AbiVisitor for SendMode<'_> {
    type Output = Result<(), Error>;

    fn visit<A: Abi>(self) -> Self::Output {
        let message = ModeMsg::<A>::new(self.mode);
        let framed = Framed::new(self.header, message, 0).map_err(Error::Number)?;
        Ok(self.transport.send(&[IoSlice::new(framed.as_bytes())])?)
    }
}

struct SendVerdict<'t> {
    transport: &'t mut dyn Transport,
    header: Header,
    number: u64,
    verdict: Verdict,
    replacement: &'t [u8],
}

impl AbiVisitor for SendVerdict<'_> {
    type Output = Result<(), Error>;

    fn visit<A: Abi>(self) -> Self::Output {
        let Self { header, number, verdict, replacement, .. } = self;
        let len = replacement.len();
        let message = VerdictMsg::<A>::new(number, verdict, len as u64).map_err(Error::Number)?;
        let framed = Framed::new(header, message, len).map_err(Error::Number)?;
        let head = IoSlice::new(framed.as_bytes());
        let sent = match replacement {
            [] => self.transport.send(&[head]),
            replacement => self.transport.send(&[head, IoSlice::new(replacement)]),
        };
        Ok(sent?)
    }
}
