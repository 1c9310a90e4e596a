//! The queue of one family between the two protocols: [`Station`].

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self, Accepted, Listener};
use ipq_proto::netlink::{
    ErrorMsg, Flags, Framed, HEADER_LEN, Header, Message, MessageType, Reply, padding,
};
use ipq_proto::nfqueue::{self, MAX_PAYLOAD, MaxLengthMsg, VerdictMsg};
use ipq_proto::{Abi, CopyMode, DataModel, Errno, Family, Verdict};
use ipq_sys::{Devices, Transport};
use zerocopy::{ByteOrder, IntoBytes};

use crate::carried::{self, Note, Order, Returned};
use crate::cut::Cut;
use crate::packet;

/// What the module knows, and how its requests and messages are those of `nfnetlink_queue`.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) family: Family,
    /// The number of the queue below.
    pub(crate) number: u16,
    /// The port id of the program's socket, which replies are addressed to.
    pub(crate) port_id: u32,
    pub(crate) listener: Listener,
    /// Packets that were received, less those that were decided. A verdict that will be refused counts until it is, so that
    /// it may be less than none for a while.
    pub(crate) undecided: i64,
    /// How many bytes of a packet are told, of what is copied: less than all of it where a queue is shared with one who
    /// wants more.
    pub(crate) copied: usize,
    devices: Devices,
}

/// A request that was heard.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) message: Message<'a>,
    pub(crate) order: Order,
    pub(crate) note: Note,
}

/// What a datagram from the kernel is for the program.
#[derive(Debug)]
pub(crate) enum Said {
    /// A datagram; it has been written.
    Datagram,
    /// Nothing: the answer to a request of the bridge's own.
    Nothing,
    /// That a packet waits which is of another family.
    Unwanted { id: u32 },
    /// Nothing that makes sense.
    Malformed,
}

impl Station {
    pub(crate) fn new(family: Family, number: u16, port_id: u32) -> Self {
        let (listener, devices) = (Listener::default(), Devices::default());
        Self { family, number, port_id, listener, undecided: 0, copied: usize::MAX, devices }
    }

    /// Hears a request and says what the kernel is to be asked for it; `None` for what is ignored. If it is a verdict, its
    /// packet gets the `mark`.
    pub(crate) fn hear<'a>(
        &mut self,
        model: DataModel,
        privileged: bool,
        datagram: &'a [u8],
        mark: Option<u32>,
    ) -> Option<Heard<'a>> {
        let before = self.listener;
        let (message, heard) = self.listener.hear(model, privileged, datagram)?;
        let mut note = Note {
            refused: None,
            is_before_privileges: false,
            claims: before.peer != self.listener.peer,
            prior_mode: before.mode,
        };
        let order = match heard {
            Ok(Accepted::Nothing) => return None,
            Ok(Accepted::Mode) => Order::Mode(self.mode_below()),
            Ok(Accepted::Verdict(verdict)) => self.order(&verdict, mark).unwrap_or_else(|errno| {
                note.refused = Some(errno);
                Order::Answer
            }),
            Err(refused) => {
                note.refused = Some(refused.errno);
                note.is_before_privileges = refused.is_before_privileges;
                Order::Answer
            }
        };
        if let Order::Verdict { .. } = order {
            self.undecided = self.undecided.saturating_sub(1);
        }
        Some(Heard { message, order, note })
    }

    /// Appends to `out` what is to be sent for a request.
    pub(crate) fn append(&self, model: DataModel, heard: &Heard<'_>, out: &mut Vec<u8>) {
        let Heard { message, order, note } = heard;
        let Self { number: queue, family, .. } = *self;
        model.with(Append { out, queue, order: *order, original: message, note, family });
    }

    /// The copy mode of the queue below. A peer that is not there gets nothing.
    pub(crate) fn mode_below(&self) -> CopyMode {
        let is_here = self.listener.peer == Some(self.port_id);
        if is_here { self.listener.mode } else { CopyMode::None }
    }

    /// What a verdict means below.
    fn order(
        &self,
        request: &ip_queue::VerdictRequest<'_>,
        mark: Option<u32>,
    ) -> Result<Order, Errno> {
        // No packet has another id, so none has this one.
        let id = u32::try_from(request.id).map_err(|_| Errno::ENOENT)?;
        let verdict = match request.verdict {
            Verdict::Queue => Verdict::to_queue(self.number),
            verdict => verdict,
        };
        // One shorter than an IP header is ignored, silently.
        let replacement = request.replacement().map(<[u8]>::len);
        Ok(match replacement.filter(|&len| len >= self.family.header_len()) {
            None => Order::Verdict { id, verdict, mark, replaces: false },
            Some(len) if len <= MAX_PAYLOAD as usize => {
                Order::Verdict { id, verdict, mark, replaces: true }
            }
            Some(_) => Order::Verdict { id, verdict: Verdict::Drop, mark: None, replaces: false },
        })
    }

    /// Writes into `to` what a datagram from the kernel says to the program.
    ///
    /// Of a packet message only the beginning may be there; `missing_len` is how much of it is not.
    pub(crate) fn translate<T: Transport + ?Sized>(
        &mut self,
        transport: &T,
        datagram: &[u8],
        missing_len: usize,
        to: &mut Cut<'_>,
    ) -> Said {
        let model = transport.data_model();
        model.with(Translate { station: self, transport, datagram, missing_len, to })
    }

    fn translate_packet<A: Abi, T: Transport + ?Sized>(
        &mut self,
        transport: &T,
        body: &[u8],
        missing_len: usize,
        to: &mut Cut<'_>,
    ) -> Said {
        let decoded = match missing_len {
            0 => nfqueue::Packet::decode::<A::Order>(body),
            _ => nfqueue::Packet::decode_cut::<A::Order>(body),
        };
        let Ok(packet) = decoded else { return Said::Malformed };
        if packet.ip_family() != Some(self.family) {
            return Said::Unwanted { id: packet.id };
        }
        self.undecided = self.undecided.saturating_add(1);
        let mut packet = packet::describe(self.family, &packet, &mut self.devices, transport);
        let copied_len = (packet.payload.len() + missing_len).min(self.copied);
        packet.payload = &packet.payload[..packet.payload.len().min(copied_len)];
        packet::write::<A>(&packet, copied_len, to);
        Said::Datagram
    }

    fn translate_reply<O: ByteOrder + 'static>(
        &mut self,
        reply: &Reply<'_>,
        to: &mut Cut<'_>,
    ) -> Said {
        let Some(errno) = reply.errno() else {
            let peer = self.listener.peer.unwrap_or(0);
            let Some(header) = carried::original_header(reply.request, peer) else {
                return Said::Nothing;
            };
            return write_reply::<O>(self.port_id, None, header, [].into_iter(), to);
        };
        let Some(returned) = Returned::find::<O>(reply.rest) else { return Said::Nothing };
        let errno = self.settle(&returned, errno);
        let body = core::iter::once(returned.fixed).chain(returned.rest::<O>());
        write_reply::<O>(self.port_id, Some(errno), returned.header, body, to)
    }

    /// What a request is refused with, after what it should not have done is undone.
    fn settle(&mut self, returned: &Returned<'_>, errno: Errno) -> Errno {
        let Note { refused, is_before_privileges, claims, prior_mode } = returned.note;
        let message_type = returned.header.message_type;
        if refused.is_none() && message_type == ip_queue::VERDICT {
            self.undecided = self.undecided.saturating_add(1);
        }
        if errno != Errno::EPERM || is_before_privileges {
            return refused.unwrap_or(errno);
        }
        if claims {
            self.listener.peer = None;
        }
        if refused.is_none() && message_type == ip_queue::MODE {
            self.listener.mode = prior_mode;
        }
        errno
    }
}

/// The reply to a request that is refused without asking the kernel, to `port_id`.
pub(crate) fn refusal(model: DataModel, heard: &Heard<'_>, port_id: u32) -> Vec<u8> {
    struct Refuse<'h>(&'h Heard<'h>, u32);
    impl AbiVisitor for Refuse<'_> {
        type Output = Vec<u8>;

        fn visit<A: Abi>(self) -> Vec<u8> {
            let Self(Heard { message, note, .. }, port_id) = self;
            let head_len = HEADER_LEN + size_of::<ErrorMsg<A::Order>>();
            let body_len = message.body.len();
            let mut reply = vec![0; head_len + body_len + padding(body_len).len()];
            let body = core::iter::once(message.body);
            let mut to = Cut::new(&mut reply);
            write_reply::<A::Order>(port_id, note.refused, message.header, body, &mut to);
            reply
        }
    }
    model.with(Refuse(heard, port_id))
}

/// Appends what is to be sent for a request.
struct Append<'o> {
    out: &'o mut Vec<u8>,
    queue: u16,
    order: Order,
    original: &'o Message<'o>,
    note: &'o Note,
    family: Family,
}

impl AbiVisitor for Append<'_> {
    type Output = ();

    fn visit<A: Abi>(self) {
        let Self { out, queue, order, original, note, family } = self;
        carried::append::<A>(out, queue, order, original, note, family);
    }
}

/// Translates a datagram from the kernel.
struct Translate<'s, 'b, T: ?Sized> {
    station: &'s mut Station,
    transport: &'s T,
    datagram: &'s [u8],
    missing_len: usize,
    to: &'s mut Cut<'b>,
}

impl<T: Transport + ?Sized> AbiVisitor for Translate<'_, '_, T> {
    type Output = Said;

    fn visit<A: Abi>(self) -> Said {
        let Self { station, transport, datagram, missing_len, to } = self;
        let message = match missing_len {
            0 => Message::decode::<A::Order>(datagram).map(|(message, _)| message),
            _ => Message::decode_cut::<A::Order>(datagram),
        };
        let Ok(Message { header, body, .. }) = message else { return Said::Malformed };
        match header.message_type {
            nfqueue::PACKET => station.translate_packet::<A, T>(transport, body, missing_len, to),
            MessageType::ERROR => match Reply::decode::<A::Order>(body) {
                Ok(reply) => station.translate_reply::<A::Order>(&reply, to),
                Err(_) => Said::Malformed,
            },
            _ => Said::Nothing,
        }
    }
}

/// Appends to `out` the verdict over a packet that no program is asked about.
pub(crate) fn append_verdict(
    model: DataModel,
    queue: u16,
    id: u32,
    verdict: Verdict,
    out: &mut Vec<u8>,
) {
    struct Decide<'o>(u16, u32, Verdict, &'o mut Vec<u8>);
    impl AbiVisitor for Decide<'_> {
        type Output = ();

        fn visit<A: Abi>(self) {
            let Self(queue, id, verdict, out) = self;
            let body = VerdictMsg::<A::Order>::new(queue, id, verdict);
            carried::append_plain(out, nfqueue::VERDICT, body);
        }
    }
    model.with(Decide(queue, id, verdict, out));
}

/// Appends to `out` the request that `packets` may wait at most.
pub(crate) fn append_max_length(model: DataModel, queue: u16, packets: u32, out: &mut Vec<u8>) {
    struct MaxLength<'o>(u16, u32, &'o mut Vec<u8>);
    impl AbiVisitor for MaxLength<'_> {
        type Output = ();

        fn visit<A: Abi>(self) {
            let Self(queue, packets, out) = self;
            let body = MaxLengthMsg::<A::Order>::new(queue, packets);
            carried::append_plain(out, nfqueue::CONFIG, body);
        }
    }
    model.with(MaxLength(queue, packets, out));
}

/// Writes an `NLMSG_ERROR` to `port_id`: an acknowledgement with the header of the request, or an error with all of it.
fn write_reply<'a, O: ByteOrder + 'static>(
    port_id: u32,
    errno: Option<Errno>,
    request: Header,
    body: impl Iterator<Item = &'a [u8]>,
    to: &mut Cut<'_>,
) -> Said {
    let body_len = (request.len as usize).saturating_sub(HEADER_LEN);
    let rest_len = if errno.is_some() { body_len } else { 0 };
    let code = errno.map_or(0, |errno| -errno.0);
    let header = Header::new(MessageType::ERROR, Flags::NONE, request.sequence, port_id);
    let Ok(framed) = Framed::new(header, ErrorMsg::<O>::new(code, request), rest_len) else {
        return Said::Malformed;
    };
    to.put(framed.as_bytes());
    let start = to.len();
    body.for_each(|piece| to.put(piece));
    // Of a request that is longer than what the kernel's answer was received into.
    to.skip(rest_len.saturating_sub(to.len() - start));
    to.put(padding(rest_len));
    Said::Datagram
}
