//! What `nfnetlink_queue` makes of a message from user space, before it looks at its queues.

use ipq_proto::netlink::attribute::attributes;
use ipq_proto::netlink::{Message, MessageType};
use ipq_proto::nfqueue::{
    CONFIG, ConfigRequest, Generic, PACKET, SUBSYSTEM, VERDICT, VERDICT_BATCH, VerdictRequest,
};
use ipq_proto::{DecodeError, Errno};
use zerocopy::ByteOrder;

/// The error number of the kernel for what it does not support itself; no program has a name for it.
#[doc(alias = "ENOTSUPP")]
const NOT_SUPPORTED: Errno = Errno(524);

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

/// How many bytes at the end of some attributes are not sound.
fn unsound_len<O: ByteOrder>(bytes: &[u8]) -> usize {
    let mut attributes = attributes::<O>(bytes);
    let unsound = attributes.find_map(Result::err);
    unsound.map_or(0, |error| bytes.len() - error.offset)
}
