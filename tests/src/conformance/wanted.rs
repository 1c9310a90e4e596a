//! A datagram from the kernel as it was recorded: [`Wanted`], and what about it is not compared.

use ipq_proto::ip_queue::{PacketMsg, VERDICT, datagram};
use ipq_proto::netlink;

use super::ids::Ids;
use super::{Log, MODEL, Model};
use crate::recording::{Packet, Received};

/// The bytes of a packet message before its payload, netlink header included.
pub(super) const PACKET_HEAD: usize = netlink::HEADER_LEN + size_of::<PacketMsg<Model>>();

/// Where the id is in a packet message.
const ID_OF_PACKET: usize = netlink::HEADER_LEN;

/// Where the request is in a reply: behind the error number.
const REQUEST: usize = netlink::HEADER_LEN + 4;

/// Where the id is in a verdict: behind the verdict's word.
pub(super) const ID_OF_VERDICT: usize = netlink::HEADER_LEN + 8;

/// A datagram of known bytes, which must be found, and others.
#[derive(Debug)]
pub(super) struct Wanted(Vec<Option<u8>>);

impl Wanted {
    /// The datagram of `received`: the bytes that were printed, and those that follow from the fields that were.
    ///
    /// Not wanted are the bytes behind the end of the message.
    pub(super) fn new(received: &Received) -> Self {
        let mut wanted = Self(vec![None; received.len]);
        let header = &received.header;
        wanted.put(0, &header.len.to_le_bytes());
        wanted.put(4, &header.message_type.to_le_bytes());
        wanted.put(6, &header.flags.to_le_bytes());
        wanted.put(8, &header.seq.to_le_bytes());
        wanted.put(12, &header.pid.to_le_bytes());
        if let Some((code, _)) = received.error {
            wanted.put(netlink::HEADER_LEN, &code.to_le_bytes());
        }
        if let Some(packet) = &received.packet {
            wanted.put_packet(packet);
        }
        wanted.put(0, &received.bytes);
        let end = match &received.packet {
            Some(packet) => usize::try_from(packet.data_len).ok().map(|len| PACKET_HEAD + len),
            None => usize::try_from(header.len).ok(),
        };
        let rubbish = end.and_then(|end| wanted.0.get_mut(end..));
        rubbish.into_iter().flatten().for_each(|byte| *byte = None);
        wanted
    }

    /// The fields of a packet message that every recording program printed, at the offsets of [`PacketMsg`] with 64-bit
    /// words and the netlink header before them.
    fn put_packet(&mut self, packet: &Packet) {
        self.put(ID_OF_PACKET, &packet.id.to_le_bytes());
        self.put(24, &packet.mark.to_le_bytes());
        self.put(48, &packet.hook.to_le_bytes());
        for (at, name) in [(52, &packet.indev), (68, &packet.outdev)] {
            self.put(at, name.as_bytes());
            self.put(at + name.len(), &[0]);
        }
        self.put(104, &packet.data_len.to_le_bytes());
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (place, &byte) in self.0.iter_mut().skip(at).zip(bytes) {
            *place = Some(byte);
        }
    }

    /// Puts the ids of the simulated kernel into the place of the recorded ones.
    fn translate(&mut self, received: &Received, found: &[u8], ids: &mut Ids, log: &mut Log) {
        if let (Some(packet), Some(here)) = (&received.packet, id_at(found, ID_OF_PACKET)) {
            if let Err(other) = ids.announced(packet.id, here) {
                log.differs("an id of its own", format!("the id of {other:#x}, which waits"));
            }
            self.put(ID_OF_PACKET, &here.to_le_bytes());
        } else if let Some(request) = received.bytes.get(REQUEST..)
            && let Some(recorded) = verdict_id(request)
        {
            self.put(REQUEST + ID_OF_VERDICT, &ids.here(recorded).to_le_bytes());
        }
    }

    /// Compares the recorded datagram with `found`.
    pub(super) fn compare(received: &Received, found: &[u8], ids: &mut Ids, log: &mut Log) {
        let mut wanted = Self::new(received);
        wanted.translate(received, found, ids, log);
        if wanted.0.len() != found.len() {
            let found = format!("{} bytes: {}", found.len(), describe(found));
            return log.differs(format!("a datagram of {} bytes", wanted.0.len()), found);
        }
        let bytes = wanted.0.iter().zip(found).enumerate();
        let mut differing = bytes.filter_map(|(at, (wanted, &found))| {
            wanted.filter(|&wanted| wanted != found).map(|wanted| (at, wanted, found))
        });
        if let Some((at, wanted, byte)) = differing.next() {
            let more = match differing.count() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let message = describe(found);
            log.differs(
                format!("byte {at} {wanted:#04x}"),
                format!("{byte:#04x}{more}: {message}"),
            );
        }
    }
}

/// The message in a datagram, for a person.
pub(super) fn describe(bytes: &[u8]) -> String {
    match datagram(MODEL, bytes) {
        Ok((_, message)) => message.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The id in a verdict; `None` if `request` is none, or too short for it.
pub(super) fn verdict_id(request: &[u8]) -> Option<u64> {
    let is_verdict = request.get(4..6)? == VERDICT.0.to_le_bytes();
    id_at(request, ID_OF_VERDICT).filter(|_| is_verdict)
}

/// The id at an offset.
pub(super) fn id_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|field| u64::from_le_bytes(*field))
}
