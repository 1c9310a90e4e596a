//! What the module makes of a request, before it looks at its queue: [`Listener`].

use super::{BASE, MAX, MODE, ModeRequest, VERDICT, VerdictRequest};
use crate::abi::{Abi, AbiVisitor, DataModel};
use crate::errno::Errno;
use crate::netfilter::CopyMode;
use crate::netlink::{Flags, Message, MessageType};

/// The value of `MSG_TRUNC`, which the kernel looks for among the flags of the header.
const TRUNCATED: Flags = Flags(0x20);

/// The part of the kernel's module that hears requests: it knows who the peer is and what the peer wants.
///
/// The order of the checks is part of the protocol (spec/ip_queue-kernel.md), and so is that a request makes its sender
/// the peer even if it fails later.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Listener {
    /// The port id of the program that gets the packets, as it wrote it into the header of its first request.
    pub peer: Option<u32>,
    /// How much of each packet it gets.
    pub mode: CopyMode,
}

/// A request that was well-formed and allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Accepted<'a> {
    /// A type that is ignored without a reply.
    Nothing,
    /// The new mode, already in force.
    Mode,
    /// A verdict, yet to be carried out.
    Verdict(VerdictRequest<'a>),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The error of the reply.
    pub errno: Errno,
    /// Whether this comes before the sender's privileges count.
    pub is_before_privileges: bool,
}

impl Listener {
    /// The first message of `datagram`, which is all that the module reads, and what it asks for; `None` if there is no
    /// message to answer.
    ///
    /// `privileged` says whether the sender has `CAP_NET_ADMIN`.
    pub fn hear<'a>(
        &mut self,
        model: DataModel,
        privileged: bool,
        datagram: &'a [u8],
    ) -> Option<(Message<'a>, Result<Accepted<'a>, Refused>)> {
        struct Hear<'l, 'a> {
            listener: &'l mut Listener,
            privileged: bool,
            datagram: &'a [u8],
        }
        impl<'a> AbiVisitor for Hear<'_, 'a> {
            type Output = Option<(Message<'a>, Result<Accepted<'a>, Refused>)>;

            fn visit<A: Abi>(self) -> Self::Output {
                let (message, _) = Message::decode::<A::Order>(self.datagram).ok()?;
                let accepted = match check_header(&message) {
                    Err(errno) => Err(Refused { errno, is_before_privileges: true }),
                    Ok(false) => Ok(Accepted::Nothing),
                    Ok(true) => self
                        .listener
                        .accept::<A>(self.privileged, &message)
                        .map_err(|errno| Refused { errno, is_before_privileges: false }),
                };
                Some((message, accepted))
            }
        }
        model.with(Hear { listener: self, privileged, datagram })
    }

    /// What a message asks for whose header is in order.
    fn accept<'a, A: Abi>(
        &mut self,
        privileged: bool,
        message: &Message<'a>,
    ) -> Result<Accepted<'a>, Errno> {
        if !privileged {
            return Err(Errno::EPERM);
        }
        let sender = message.header.port_id;
        if *self.peer.get_or_insert(sender) != sender {
            return Err(Errno::EBUSY);
        }
        let malformed = |_| Errno::EINVAL;
        // Both messages have the length of the union they share, so a short one fails here whatever its type.
        let verdict = VerdictRequest::decode::<A>(message.body).map_err(malformed)?;
        match message.header.message_type {
            MODE => {
                let request = ModeRequest::decode::<A>(message.body).map_err(malformed)?;
                self.mode = request.copy_mode().ok_or(Errno::EINVAL)?;
                Ok(Accepted::Mode)
            }
            VERDICT if verdict.verdict.is_allowed() => Ok(Accepted::Verdict(verdict)),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// Whether a message is to be read any further, by its header alone.
fn check_header(message: &Message<'_>) -> Result<bool, Errno> {
    let header = &message.header;
    let is_pid = i32::try_from(header.port_id).is_ok_and(|pid| pid > 0);
    if !is_pid || !header.flags.contains(Flags::REQUEST) || header.flags.contains(Flags::MULTI) {
        return Err(Errno::EINVAL);
    }
    if header.flags.contains(TRUNCATED) {
        return Err(Errno::ECOMM);
    }
    if header.message_type < MessageType::NOOP || header.message_type >= MAX {
        return Err(Errno::EINVAL);
    }
    Ok(header.message_type > BASE)
}
