//! A program on a simulated kernel's netfilter socket.

use std::io::IoSlice;

use ipq_proto::netlink::{Body, Flags, Framed, Header, MessageType, messages};
use ipq_proto::nfqueue::{
    CONFIG, Command, CommandMsg, FlagsMsg, MarkAttribute, MaxLengthMsg, Message, Packet, ParamsMsg,
    QueueFlags, VERDICT, VERDICT_BATCH, VerdictMsg, payload_attribute_header,
};
use ipq_proto::{CopyMode, Errno, Verdict};
use ipq_sim::{Kernel, Socket, SocketOptions};
use ipq_sys::{Deadline, Protocol, Received, Transport};
use zerocopy::{IntoBytes, LittleEndian};

/// A program with a socket of its own, on a kernel whose words are little-endian.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) socket: Socket,
    sequence: u32,
}

/// What a program receives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    Packet(Announced),
    /// An error, or an acknowledgement.
    Reply(Option<Errno>),
    Overrun,
}

/// A packet message.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Announced(Vec<u8>);

impl Announced {
    pub(super) fn packet(&self) -> Packet<'_> {
        let message = messages::<LittleEndian>(&self.0).next().unwrap().unwrap();
        match Message::decode::<LittleEndian>(&message) {
            Ok(Message::Packet(packet)) => packet,
            other => panic!("no packet but {other:?}"),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.packet().id
    }
}

impl core::fmt::Debug for Announced {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.packet().fmt(f)
    }
}

impl Program {
    pub(super) fn open(kernel: &Kernel) -> Self {
        Self::with(kernel, SocketOptions::default())
    }

    pub(super) fn with(kernel: &Kernel, options: SocketOptions) -> Self {
        let socket = kernel.open_socket_for(Protocol::Netfilter, options).unwrap();
        Self { socket, sequence: 0 }
    }

    /// Sends a request that wants an acknowledgement; gives the first answer.
    #[track_caller]
    pub(super) fn ask(
        &mut self,
        message_type: MessageType,
        body: impl Body<Order = LittleEndian>,
        trailing: &[u8],
    ) -> Option<Errno> {
        self.tell(message_type, Flags::REQUEST.union(Flags::ACK), body, trailing);
        self.answer()
    }

    #[track_caller]
    fn tell(
        &mut self,
        message_type: MessageType,
        flags: Flags,
        body: impl Body<Order = LittleEndian>,
        trailing: &[u8],
    ) {
        self.sequence += 1;
        let header = Header::new(message_type, flags, self.sequence, 0);
        let framed = Framed::new(header, body, trailing.len()).unwrap();
        let parts = [IoSlice::new(framed.as_bytes()), IoSlice::new(trailing)];
        self.socket.send(&parts).unwrap();
    }

    #[track_caller]
    pub(super) fn command(&mut self, queue: u16, command: Command, family: u16) -> Option<Errno> {
        self.ask(CONFIG, CommandMsg::new(queue, command, family), &[])
    }

    #[track_caller]
    pub(super) fn bind(&mut self, queue: u16) {
        assert_eq!(self.command(queue, Command::BIND, 0), None);
    }

    #[track_caller]
    pub(super) fn set_mode(&mut self, queue: u16, mode: CopyMode) {
        assert_eq!(self.ask(CONFIG, ParamsMsg::new(queue, mode), &[]), None);
    }

    #[track_caller]
    pub(super) fn set_max_length(&mut self, queue: u16, packets: u32) {
        assert_eq!(self.ask(CONFIG, MaxLengthMsg::new(queue, packets), &[]), None);
    }

    #[track_caller]
    pub(super) fn set_flags(&mut self, queue: u16, flags: QueueFlags) -> Option<Errno> {
        let all = QueueFlags(0x1f);
        self.ask(CONFIG, FlagsMsg::new(queue, flags, all), &[])
    }

    /// Decides on a packet, without an acknowledgement.
    #[track_caller]
    pub(super) fn verdict(&mut self, queue: u16, id: u32, verdict: Verdict) {
        self.tell(VERDICT, Flags::REQUEST, VerdictMsg::new(queue, id, verdict), &[]);
    }

    /// The same, for all packets up to one.
    #[track_caller]
    pub(super) fn batch(&mut self, queue: u16, id: u32, verdict: Verdict) {
        self.tell(VERDICT_BATCH, Flags::REQUEST, VerdictMsg::new(queue, id, verdict), &[]);
    }

    /// The same, and gives each its mark.
    #[track_caller]
    pub(super) fn verdict_with_mark(&mut self, queue: u16, id: u32, verdict: Verdict, mark: u32) {
        let mark = MarkAttribute::<LittleEndian>::new(mark);
        let body = VerdictMsg::new(queue, id, verdict);
        self.tell(VERDICT, Flags::REQUEST, body, mark.as_bytes());
    }

    /// Lets another packet go on instead.
    #[track_caller]
    pub(super) fn replace(&mut self, queue: u16, id: u32, replacement: &[u8]) {
        let header = payload_attribute_header::<LittleEndian>(replacement.len()).unwrap();
        let body = VerdictMsg::new(queue, id, Verdict::Accept);
        self.tell(VERDICT, Flags::REQUEST, body, &[&header, replacement].concat());
    }

    /// What is there to hear now; the kernel does not run.
    #[track_caller]
    pub(super) fn hear(&mut self) -> Option<Heard> {
        let mut buffer = vec![0; 0x2_0000];
        match self.socket.receive(&mut buffer, Deadline::Immediate).unwrap() {
            Received::Datagram { len } => Some(understand(&buffer[..len])),
            Received::Overrun => Some(Heard::Overrun),
            Received::TimedOut => None,
            other => panic!("a kernel never says {other:?}"),
        }
    }

    /// All there is to hear now.
    pub(super) fn hear_all(&mut self) -> Vec<Heard> {
        core::iter::from_fn(|| self.hear()).collect()
    }

    /// The packet that is announced now.
    #[track_caller]
    pub(super) fn packet(&mut self) -> Announced {
        match self.hear() {
            Some(Heard::Packet(packet)) => packet,
            other => panic!("no packet but {other:?}"),
        }
    }

    /// The ids of the packets that are announced now, by queue, and nothing else.
    #[track_caller]
    pub(super) fn ids(&mut self) -> Vec<(u16, u32)> {
        let id = |heard| match heard {
            Heard::Packet(packet) => (packet.packet().queue, packet.id()),
            other => panic!("no packet but {other:?}"),
        };
        self.hear_all().into_iter().map(id).collect()
    }

    /// The error of the reply that is there now; `None` for an acknowledgement.
    #[track_caller]
    pub(super) fn answer(&mut self) -> Option<Errno> {
        match self.hear() {
            Some(Heard::Reply(error)) => error,
            other => panic!("no reply but {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn hears_nothing(&mut self) {
        assert_eq!(self.hear(), None);
    }
}

#[track_caller]
fn understand(bytes: &[u8]) -> Heard {
    let message = messages::<LittleEndian>(bytes).next().unwrap().unwrap();
    match Message::decode::<LittleEndian>(&message).unwrap() {
        Message::Packet(_) => Heard::Packet(Announced(bytes.to_vec())),
        Message::Reply(reply) => Heard::Reply(reply.errno()),
        other => panic!("a kernel never says {other}"),
    }
}
