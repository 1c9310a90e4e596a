//! What comes from the kernel, in the words of a session.

use ipq_proto::DecodeError;
use ipq_proto::ip_queue::{self as ipq, Message as IpqMessage};
use ipq_proto::netlink::{HEADER_LEN, MessageType, Reply};
use ipq_proto::nfqueue::{self as nfq, Message as NfqMessage};
use ipq_sys::Received;

use super::{Front, Lane, Said};
use crate::nfqueue::Nfqueue;
use crate::{Event, Packet, PacketId, Refusal, ip_queue, nfqueue};

impl Lane {
    /// Whether what was received may be a packet that is [unwanted](Said::Unwanted), as far as a quick look tells.
    #[inline]
    pub(crate) fn may_be_unwanted(&self, received: Received, buffer: &[u8]) -> bool {
        match &self.front {
            Front::IpQueue(_) => false,
            Front::Nfqueue(nfqueue) => {
                let message = buffer.get(..received.len_in_buffer()).unwrap_or(buffer);
                !nfqueue.asks_for_hook_of(message)
            }
        }
    }

    /// Hands the packet that was received to `then`, if it is one that is asked for, and is all there; gives what that
    /// gives. What comes most often is moved least: whatever else it is, [`interpret`](Self::interpret) says.
    #[inline]
    pub(crate) fn packet<'b, T>(
        &mut self,
        received: Received,
        buffer: &'b [u8],
        then: impl FnOnce(&mut Self, Packet<'b>) -> T,
    ) -> Option<T> {
        let Received::Datagram { len } = received else { return None };
        let (model, datagram) = (self.transport.data_model(), buffer.get(..len)?);
        let packet = match &self.front {
            Front::IpQueue(family) => {
                Packet::of_ip_queue(*family, &ip_queue::decode_packet(model, datagram)?)
            }
            Front::Nfqueue(nfqueue) => {
                let body = nfqueue::packet_body(model, datagram).ok()??;
                let Ok(message) = &nfqueue::decode_packet(model, body) else { return None };
                nfqueue.describe(nfqueue.family_of(message)?, message, &*self.transport)
            }
        };
        Some(then(self, packet))
    }

    /// What was received says.
    pub(crate) fn interpret<'b>(
        &self,
        received: Received,
        buffer: &'b [u8],
    ) -> Result<Said<'b>, DecodeError> {
        // A transport that claims more than the buffer holds is not believed.
        let bytes = buffer.get(..received.len_in_buffer()).unwrap_or(buffer);
        Ok(Said::Event(match received {
            Received::Datagram { .. } => return self.interpret_datagram(bytes),
            Received::Truncated { datagram_len, .. } => {
                return Ok(self.interpret_cut(bytes, datagram_len));
            }
            Received::Overrun => Event::Overrun,
            Received::Foreign { port_id } => Event::Foreign { port_id },
            Received::Interrupted | Received::TimedOut | Received::Ended => Event::Interrupted,
        }))
    }

    fn interpret_datagram<'b>(&self, datagram: &'b [u8]) -> Result<Said<'b>, DecodeError> {
        let model = self.transport.data_model();
        let event = match &self.front {
            Front::IpQueue(family) => {
                let (header, message) = ipq::datagram(model, datagram)?;
                match message {
                    IpqMessage::Packet(packet) => {
                        Event::Packet(Packet::of_ip_queue(*family, &packet))
                    }
                    IpqMessage::Reply(reply) => self.interpret_reply(&reply),
                    _ => Event::Other(header.message_type),
                }
            }
            Front::Nfqueue(nfqueue) => {
                if let Some(body) = nfqueue::packet_body(model, datagram)? {
                    let packet = nfqueue::decode_packet(model, body);
                    let packet = packet.map_err(|error| error.at(HEADER_LEN))?;
                    return Ok(self.admit(nfqueue, &packet, Event::Packet));
                }
                let (header, message) = nfqueue::decode(model, datagram)?;
                match message {
                    NfqMessage::Reply(reply) => self.interpret_reply(&reply),
                    _ => Event::Other(header.message_type),
                }
            }
        };
        Ok(Said::Event(event))
    }

    /// What the beginning of a datagram of `message_len` bytes says, of which the rest is lost.
    fn interpret_cut<'b>(&self, beginning: &'b [u8], message_len: usize) -> Said<'b> {
        let model = self.transport.data_model();
        let cut = |packet| Event::Truncated { packet, message_len };
        // A message that is known not to be about a packet is none that was cut.
        let unread = |announcement| match nfqueue::message_type(model, beginning) {
            Some(other) if other != announcement => Event::Other(other),
            _ => cut(None),
        };
        Said::Event(match &self.front {
            Front::IpQueue(family) => match ip_queue::decode_cut(model, beginning) {
                Ok(IpqMessage::Packet(packet)) => cut(Some(Packet::of_ip_queue(*family, &packet))),
                Ok(IpqMessage::Reply(reply)) => self.interpret_reply(&reply),
                _ => unread(ipq::PACKET),
            },
            Front::Nfqueue(nfqueue) => match nfqueue::decode_cut(model, beginning) {
                Ok((_, NfqMessage::Packet(packet))) => {
                    return self.admit(nfqueue, &packet, |packet| cut(Some(packet)));
                }
                Ok((_, NfqMessage::Reply(reply))) => self.interpret_reply(&reply),
                _ => unread(nfq::PACKET),
            },
        })
    }

    /// A packet of `nfnetlink_queue`, if it is of a family that is asked for.
    fn admit<'b>(
        &self,
        nfqueue: &Nfqueue,
        message: &nfq::Packet<'b>,
        event: impl FnOnce(Packet<'b>) -> Event<'b>,
    ) -> Said<'b> {
        match nfqueue.family_of(message) {
            Some(family) => Said::Event(event(nfqueue.describe(family, message, &*self.transport))),
            None => Said::Unwanted(PacketId::in_nfqueue(message.queue, message.id)),
        }
    }

    fn interpret_reply(&self, reply: &Reply<'_>) -> Event<'static> {
        let Some(errno) = reply.errno() else { return Event::Other(MessageType::ERROR) };
        let model = self.transport.data_model();
        let packet = match &self.front {
            Front::IpQueue(family) => ip_queue::subject(model, *family, reply),
            Front::Nfqueue(_) => nfqueue::subject(model, reply),
        };
        Event::Refused(Refusal { errno, packet })
    }
}
