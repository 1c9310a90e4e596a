//! What `nfnetlink_queue` makes of a message from user space, before it looks at its queues.

use ipq_proto::netlink::attribute::{self, attributes};
use ipq_proto::netlink::{Message, MessageType};
use ipq_proto::nfqueue::{
    CONFIG, ConfigRequest, Generic, PACKET, SUBSYSTEM, VERDICT, VERDICT_BATCH, VerdictRequest,
};
use ipq_proto::{DecodeError, Errno};
use zerocopy::ByteOrder;

/// The error number of the kernel for what it does not support itself; no program has a name for it.
#[doc(alias = "ENOTSUPP")]
const NOT_SUPPORTED: Errno = Errno(524);

/// The type of the attribute for a VLAN tag.
#[doc(alias = "NFQA_VLAN")]
const VLAN: u16 = 19;

/// A request that is well-formed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request<'a> {
    Config(ConfigRequest),
    /// A verdict, or none where the attribute is missing, and whether it is for a batch; and the queue.
    Verdict {
        queue: u16,
        verdict: Option<VerdictRequest<'a>>,
        is_batch: bool,
    },
    /// Nothing to be done, which is acknowledged all the same.
    Nothing,
}

/// Reads `message`.
///
/// What the attributes say counts up to the first one whose length lies; that and unknown ones are passed over. One
/// that is shorter than its type is an error.
pub(super) fn read<'a, O: ByteOrder + 'a>(message: &Message<'a>) -> Result<Request<'a>, Errno> {
    let message_type = message.header.message_type;
    let Ok((generic, rest)) = Generic::split(message.body) else { return Ok(Request::Nothing) };
    let too_short = |_: DecodeError| Errno::ERANGE;
    // Up to the first attribute that lies the body is sound, so whatever is wrong with it is too short.
    let sound = rest.len() - unsound_len::<O>(rest);
    let body = &message.body[..size_of::<Generic>() + sound];
    match message_type {
        CONFIG => ConfigRequest::decode::<O>(body).map(Request::Config).map_err(too_short),
        VERDICT | VERDICT_BATCH => {
            let verdict = VerdictRequest::decode::<O>(body).map_err(too_short)?;
            let is_batch = message_type == VERDICT_BATCH;
            if !is_batch && has_cut_vlan::<O>(&rest[..sound]) {
                return Err(Errno::ERANGE);
            }
            Ok(Request::Verdict { queue: generic.queue(), verdict, is_batch })
        }
        PACKET => Err(NOT_SUPPORTED),
        other if is_of_subsystem(other) => Err(Errno::EINVAL),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn is_of_subsystem(message_type: MessageType) -> bool {
    message_type.0 >> 8 == u16::from(SUBSYSTEM)
}

/// Whether a VLAN tag, which is for bridges alone, is too short for the attributes that it is made of.
fn has_cut_vlan<O: ByteOrder>(bytes: &[u8]) -> bool {
    let mut attributes = attributes::<O>(bytes).map_while(Result::ok);
    attributes.any(|attribute| {
        attribute.kind == VLAN && (1..attribute::HEADER_LEN).contains(&attribute.data.len())
    })
}

/// How many bytes at the end of some attributes are not sound.
fn unsound_len<O: ByteOrder>(bytes: &[u8]) -> usize {
    let mut attributes = attributes::<O>(bytes);
    let unsound = attributes.find_map(Result::err);
    unsound.map_or(0, |error| bytes.len() - error.offset)
}
