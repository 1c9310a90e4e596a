//! Requests, byte by byte, so that anything can be said: [`Request`].

use ipq_proto::netlink::padding;

pub(crate) const VERDICT: u16 = 0x301;
pub(crate) const CONFIG: u16 = 0x302;
pub(crate) const BATCH: u16 = 0x303;

pub(crate) const BIND: u8 = 1;
pub(crate) const UNBIND: u8 = 2;
pub(crate) const PF_BIND: u8 = 3;
pub(crate) const PF_UNBIND: u8 = 4;

pub(crate) const REQUEST: u16 = 1;
pub(crate) const ACK: u16 = 4;

/// A message to `nfnetlink_queue`: a request that wants an acknowledgement, unless said otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    message_type: u16,
    flags: u16,
    port_id: u32,
    /// What the header says of the length, if that is a lie.
    claimed: Option<u32>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(message_type: u16, queue: u16) -> Self {
        let body = [&[0, 0], &queue.to_be_bytes()[..]].concat();
        Self { message_type, flags: REQUEST | ACK, port_id: 0, claimed: None, body }
    }

    /// Without any bytes after the netlink header.
    pub(crate) fn bare(message_type: u16) -> Self {
        Self { body: Vec::new(), ..Self::new(message_type, 0) }
    }

    pub(crate) fn config(queue: u16) -> Self {
        Self::new(CONFIG, queue)
    }

    pub(crate) fn verdict(queue: u16, verdict: u32, id: u32) -> Self {
        Self::new(VERDICT, queue).decides(verdict, id)
    }

    pub(crate) fn batch(queue: u16, verdict: u32, id: u32) -> Self {
        Self::new(BATCH, queue).decides(verdict, id)
    }

    pub(crate) fn flags(self, flags: u16) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn port_id(self, port_id: u32) -> Self {
        Self { port_id, ..self }
    }

    pub(crate) fn claiming(self, len: u32) -> Self {
        Self { claimed: Some(len), ..self }
    }

    /// Appends bytes as they are.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.body.extend(bytes);
        self
    }

    /// Appends the header of an attribute, whatever follows.
    pub(crate) fn attribute_header(self, len: u16, kind: u16) -> Self {
        self.raw(&len.to_ne_bytes()).raw(&kind.to_ne_bytes())
    }

    /// Appends an attribute, without the padding after it.
    pub(crate) fn unpadded(self, kind: u16, data: &[u8]) -> Self {
        let len = u16::try_from(4 + data.len()).unwrap();
        self.attribute_header(len, kind).raw(data)
    }

    pub(crate) fn attribute(self, kind: u16, data: &[u8]) -> Self {
        self.unpadded(kind, data).raw(padding(data.len()))
    }

    pub(crate) fn command(self, command: u8, family: u16) -> Self {
        let [high, low] = family.to_be_bytes();
        self.attribute(1, &[command, 0, high, low])
    }

    pub(crate) fn bind(self) -> Self {
        self.command(BIND, 0)
    }

    pub(crate) fn unbind(self) -> Self {
        self.command(UNBIND, 0)
    }

    /// The copy mode.
    pub(crate) fn mode(self, mode: u8, range: u32) -> Self {
        self.attribute(2, &[&range.to_be_bytes()[..], &[mode]].concat())
    }

    pub(crate) fn max_length(self, packets: u32) -> Self {
        self.attribute(3, &packets.to_be_bytes())
    }

    pub(crate) fn mask(self, mask: u32) -> Self {
        self.attribute(4, &mask.to_be_bytes())
    }

    /// The queue's flags, without a mask.
    pub(crate) fn queue_flags(self, flags: u32) -> Self {
        self.attribute(5, &flags.to_be_bytes())
    }

    /// The same flags and mask.
    pub(crate) fn sets(self, flags: u32) -> Self {
        self.queue_flags(flags).mask(flags)
    }

    pub(crate) fn decides(self, verdict: u32, id: u32) -> Self {
        self.attribute(2, &[verdict.to_be_bytes(), id.to_be_bytes()].concat())
    }

    pub(crate) fn mark(self, mark: u32) -> Self {
        self.attribute(3, &mark.to_be_bytes())
    }

    pub(crate) fn replacement(self, packet: &[u8]) -> Self {
        self.attribute(10, packet)
    }

    /// The message, without padding at its end.
    pub(crate) fn bytes(&self, sequence: u32) -> Vec<u8> {
        let len = u32::try_from(16 + self.body.len()).unwrap();
        let len = self.claimed.unwrap_or(len);
        let mut message = len.to_ne_bytes().to_vec();
        message.extend(self.message_type.to_ne_bytes());
        message.extend(self.flags.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        message.extend(self.port_id.to_ne_bytes());
        message.extend(&self.body);
        message
    }
}
