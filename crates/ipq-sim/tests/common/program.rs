//! A program on a simulated kernel's socket. It writes its requests byte by byte, so that it can say anything.

use core::time::Duration;
use std::io::IoSlice;

use ipq_proto::ip_queue::{Message, Timestamp, datagram};
use ipq_proto::netlink::{Header, MessageType};
use ipq_proto::{
    CopyMode, DataModel, Errno, EtherType, Family, HardwareAddress, HardwareType, Hook, Verdict,
};
use ipq_sim::{Kernel, Socket, SocketOptions};
use ipq_sys::{Deadline, Received, Transport};

pub(crate) const MODE: u16 = 0x11;
pub(crate) const VERDICT: u16 = 0x12;
pub(crate) const PACKET: u16 = 0x13;

pub(crate) const REQUEST: u16 = 1;
pub(crate) const MULTI: u16 = 2;
pub(crate) const ACK: u16 = 4;
pub(crate) const TRUNCATED: u16 = 0x20;

/// A program with a socket of its own.
#[derive(Debug)]
pub(crate) struct Program<T = Socket> {
    pub(crate) socket: T,
    model: DataModel,
    sequence: u32,
}

/// What a program receives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    Packet(Announced),
    Reply(Answer),
    Truncated { datagram: Vec<u8>, len: usize },
    Overrun,
}

/// A packet message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Announced {
    pub(crate) header: Header,
    pub(crate) id: u64,
    pub(crate) mark: u64,
    pub(crate) timestamp: Timestamp,
    pub(crate) hook: Hook,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) hw_protocol: EtherType,
    pub(crate) hw_type: HardwareType,
    pub(crate) hw_address: HardwareAddress,
    pub(crate) payload: Vec<u8>,
    pub(crate) datagram: Vec<u8>,
}

/// An `NLMSG_ERROR`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) header: Header,
    pub(crate) error: Option<Errno>,
    pub(crate) request: Header,
    pub(crate) rest: Vec<u8>,
    pub(crate) datagram: Vec<u8>,
}

impl Program {
    #[track_caller]
    pub(crate) fn open(kernel: &Kernel, family: Family, options: SocketOptions) -> Self {
        Self::on(kernel.open_socket(family, options).unwrap())
    }
}

impl<T: Transport> Program<T> {
    pub(crate) fn on(socket: T) -> Self {
        Self { model: socket.data_model(), socket, sequence: 0 }
    }

    pub(crate) fn port_id(&self) -> u32 {
        self.socket.port_id()
    }

    /// Sends the bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, datagram: &[u8]) {
        self.socket.send(&[IoSlice::new(datagram)]).unwrap();
    }

    /// Sends a request under the program's own port id.
    #[track_caller]
    pub(crate) fn request(&mut self, message_type: u16, flags: u16, body: &[u8]) {
        let port_id = self.port_id();
        self.request_as(port_id, message_type, flags, body);
    }

    /// Sends a request under any port id.
    #[track_caller]
    pub(crate) fn request_as(&mut self, port_id: u32, message_type: u16, flags: u16, body: &[u8]) {
        self.sequence += 1;
        let message = message(self.model, message_type, flags, self.sequence, port_id, body);
        self.send(&message);
    }

    /// Sets a mode, without an acknowledgement.
    #[track_caller]
    pub(crate) fn set_mode(&mut self, mode: CopyMode) {
        let body = mode_body(self.model, mode.value(), mode.range().into());
        self.request(MODE, REQUEST, &body);
    }

    /// Sends a verdict, without an acknowledgement.
    #[track_caller]
    pub(crate) fn verdict(&mut self, id: u64, verdict: Verdict) {
        let body = verdict_body(self.model, verdict.0, id, 0);
        self.request(VERDICT, REQUEST, &body);
    }

    /// Sends a verdict and a replacement, with an acknowledgement.
    #[track_caller]
    pub(crate) fn verdict_with(&mut self, id: u64, verdict: Verdict, replacement: &[u8]) {
        self.verdict_claiming(id, verdict, replacement.len() as u64, replacement);
        assert_eq!(self.answer(), None);
    }

    /// Sends a verdict whose data length says what it likes; wants an acknowledgement.
    #[track_caller]
    pub(crate) fn verdict_claiming(
        &mut self,
        id: u64,
        verdict: Verdict,
        data_len: u64,
        data: &[u8],
    ) {
        let body = [&verdict_body(self.model, verdict.0, id, data_len), data].concat();
        self.request(VERDICT, REQUEST | ACK, &body);
    }

    /// What is there to hear now; the kernel does not run.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Option<Heard> {
        self.hear_until(Deadline::Immediate)
    }

    /// What comes in that time, while the kernel runs.
    #[track_caller]
    pub(crate) fn hear_within(&mut self, time: Duration) -> Option<Heard> {
        let end = self.socket.now() + time;
        self.hear_until(Deadline::At(end))
    }

    #[track_caller]
    pub(crate) fn hear_until(&mut self, deadline: Deadline) -> Option<Heard> {
        let mut buffer = vec![0; 0x2_0000];
        match self.socket.receive(&mut buffer, deadline).unwrap() {
            Received::Datagram { len } => Some(self.understand(&buffer[..len])),
            Received::Truncated { len, datagram_len } => {
                Some(Heard::Truncated { datagram: buffer[..len].to_vec(), len: datagram_len })
            }
            Received::Overrun => Some(Heard::Overrun),
            Received::TimedOut | Received::Ended => None,
            other => panic!("a kernel never says {other:?}"),
        }
    }

    /// All there is to hear now.
    pub(crate) fn hear_all(&mut self) -> Vec<Heard> {
        core::iter::from_fn(|| self.hear()).collect()
    }

    /// The packet that is announced now.
    #[track_caller]
    pub(crate) fn packet(&mut self) -> Announced {
        match self.hear() {
            Some(Heard::Packet(packet)) => packet,
            other => panic!("no packet but {other:?}"),
        }
    }

    /// The packets that are announced now, and nothing else.
    #[track_caller]
    pub(crate) fn packets(&mut self) -> Vec<Announced> {
        let packet = |heard| match heard {
            Heard::Packet(packet) => packet,
            other => panic!("no packet but {other:?}"),
        };
        self.hear_all().into_iter().map(packet).collect()
    }

    /// The reply that is there now.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Answer {
        match self.hear() {
            Some(Heard::Reply(answer)) => answer,
            other => panic!("no reply but {other:?}"),
        }
    }

    /// The error of the reply that is there now; `None` for an acknowledgement.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Option<Errno> {
        self.reply().error
    }

    #[track_caller]
    pub(crate) fn hears_nothing(&mut self) {
        assert_eq!(self.hear(), None);
    }

    #[track_caller]
    fn understand(&self, bytes: &[u8]) -> Heard {
        let (header, message) = datagram(self.model, bytes).unwrap();
        match message {
            Message::Packet(packet) => Heard::Packet(Announced {
                header,
                id: packet.id,
                mark: packet.mark,
                timestamp: packet.timestamp,
                hook: packet.hook,
                input: packet.input_device.to_string(),
                output: packet.output_device.to_string(),
                hw_protocol: packet.hw_protocol,
                hw_type: packet.hw_type,
                hw_address: packet.hw_address,
                payload: packet.payload.to_vec(),
                datagram: bytes.to_vec(),
            }),
            Message::Reply(reply) => {
                assert_eq!(header.message_type, MessageType::ERROR);
                Heard::Reply(Answer {
                    header,
                    error: reply.errno(),
                    request: reply.request,
                    rest: reply.rest.to_vec(),
                    datagram: bytes.to_vec(),
                })
            }
            other => panic!("a kernel never says {other}"),
        }
    }
}

/// A whole message, its length as it is.
pub(crate) fn message(
    model: DataModel,
    message_type: u16,
    flags: u16,
    sequence: u32,
    port_id: u32,
    body: &[u8],
) -> Vec<u8> {
    let len = u32::try_from(16 + body.len()).unwrap();
    message_claiming(model, len, message_type, flags, sequence, port_id, body)
}

/// A message whose length says what it likes.
pub(crate) fn message_claiming(
    model: DataModel,
    len: u32,
    message_type: u16,
    flags: u16,
    sequence: u32,
    port_id: u32,
    body: &[u8],
) -> Vec<u8> {
    let short = |number: u16| {
        if model.is_big_endian() { number.to_be_bytes() } else { number.to_le_bytes() }
    };
    let mut message = int(model, len).to_vec();
    message.extend(short(message_type));
    message.extend(short(flags));
    message.extend(int(model, sequence));
    message.extend(int(model, port_id));
    message.extend(body);
    message
}

/// The body of an `IPQM_MODE`, as long as the union.
pub(crate) fn mode_body(model: DataModel, value: u8, range: u64) -> Vec<u8> {
    let mut body = vec![0; model.word_len()];
    body[0] = value;
    body.extend(word(model, range));
    body.extend(word(model, 0));
    body
}

/// The body of an `IPQM_VERDICT`, without what follows it.
pub(crate) fn verdict_body(model: DataModel, value: u32, id: u64, data_len: u64) -> Vec<u8> {
    let mut body = int(model, value).to_vec();
    body.resize(model.word_len(), 0);
    body.extend(word(model, id));
    body.extend(word(model, data_len));
    body
}

fn int(model: DataModel, number: u32) -> [u8; 4] {
    if model.is_big_endian() { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn word(model: DataModel, number: u64) -> Vec<u8> {
    match (model.word_len(), model.is_big_endian()) {
        (4, _) => int(model, u32::try_from(number).unwrap()).to_vec(),
        (_, false) => number.to_le_bytes().to_vec(),
        (_, true) => number.to_be_bytes().to_vec(),
    }
}
