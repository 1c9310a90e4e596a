//! What the module makes of a datagram from user space.

use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self, MODE, ModeRequest, VERDICT, VerdictRequest};
use ipq_proto::netlink::{Flags, Message, MessageType};
use ipq_proto::{Abi, DataModel, Errno};

use super::IpQueue;

/// The value of `MSG_TRUNC`, which the kernel looks for among the flags of the header.
const TRUNCATED: Flags = Flags(0x20);

/// A request that was well-formed and allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Accepted<'a> {
    /// A type that is ignored without a reply.
    Nothing,
    /// The new mode, already in force.
    Mode,
    /// A verdict, yet to be carried out.
    Verdict(VerdictRequest<'a>),
}

/// The first message of `datagram`, which is all that the module reads, and what it asks for; `None` if there is
/// no message to answer.
///
/// The order of the checks is part of the behaviour, and so is that a request makes its sender the peer even if
/// it fails later.
pub(crate) fn receive<'a>(
    queue: &mut IpQueue,
    model: DataModel,
    privileged: bool,
    datagram: &'a [u8],
) -> Option<(Message<'a>, Result<Accepted<'a>, Errno>)> {
    struct Receive<'q, 'a> {
        queue: &'q mut IpQueue,
        privileged: bool,
        datagram: &'a [u8],
    }
    impl<'a> AbiVisitor for Receive<'_, 'a> {
        type Output = Option<(Message<'a>, Result<Accepted<'a>, Errno>)>;

        fn visit<A: Abi>(self) -> Self::Output {
            let (message, _) = Message::decode::<A::Order>(self.datagram).ok()?;
            let accepted = match admit(self.queue, self.privileged, &message) {
                Ok(true) => interpret::<A>(self.queue, &message),
                Ok(false) => Ok(Accepted::Nothing),
                Err(errno) => Err(errno),
            };
            Some((message, accepted))
        }
    }
    model.with(Receive { queue, privileged, datagram })
}

/// Whether a message is to be read any further, by its header alone.
fn admit(queue: &mut IpQueue, privileged: bool, message: &Message<'_>) -> Result<bool, Errno> {
    let header = &message.header;
    let is_pid = i32::try_from(header.port_id).is_ok_and(|pid| pid > 0);
    if !is_pid || !header.flags.contains(Flags::REQUEST) || header.flags.contains(Flags::MULTI) {
        return Err(Errno::EINVAL);
    }
    if header.flags.contains(TRUNCATED) {
        return Err(Errno::ECOMM);
    }
    if header.message_type < MessageType::NOOP || header.message_type >= ip_queue::MAX {
        return Err(Errno::EINVAL);
    }
    if header.message_type <= ip_queue::BASE {
        return Ok(false);
    }
    if !privileged {
        return Err(Errno::EPERM);
    }
    match queue.peer {
        Some(peer) if peer != header.port_id => Err(Errno::EBUSY),
        _ => {
            queue.peer = Some(header.port_id);
            Ok(true)
        }
    }
}

/// Reads the body of a message from the peer.
fn interpret<'a, A: Abi>(
    queue: &mut IpQueue,
    message: &Message<'a>,
) -> Result<Accepted<'a>, Errno> {
    let malformed = |_| Errno::EINVAL;
    // Both messages have the length of the union they share, so a short one fails here whatever its type.
    let verdict = VerdictRequest::decode::<A>(message.body).map_err(malformed)?;
    match message.header.message_type {
        MODE => {
            let request = ModeRequest::decode::<A>(message.body).map_err(malformed)?;
            queue.mode = request.copy_mode().ok_or(Errno::EINVAL)?;
            Ok(Accepted::Mode)
        }
        VERDICT if verdict.verdict.is_allowed() => Ok(Accepted::Verdict(verdict)),
        _ => Err(Errno::EINVAL),
    }
}
