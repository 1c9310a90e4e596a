//! How a kernel answers a request: `NLMSG_ERROR`.

use ipq_proto::abi::AbiVisitor;
use ipq_proto::netlink::{ErrorMsg, Flags, Framed, Header, Message, MessageType, padding};
use ipq_proto::{Abi, DataModel, Errno};
use zerocopy::IntoBytes;

/// An answer to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'m> {
    pub(crate) request: &'m Message<'m>,
    /// The port id of the socket that sent it.
    pub(crate) port_id: u32,
    /// What is wrong with it; `None` to acknowledge it.
    pub(crate) error: Option<Errno>,
    pub(crate) manner: Manner,
}

/// How answers look, which differs between kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// The flags of an acknowledgement.
    pub(crate) acknowledged: Flags,
    /// Whether the header's length counts the padding.
    pub(crate) counts_padding: bool,
}

impl Manner {
    /// That of Linux 3.4, the last one with `ip_queue`.
    pub(crate) const OLD: Self = Self { acknowledged: Flags::NONE, counts_padding: false };
    /// That of Linux 6.18.
    pub(crate) const TODAY: Self = Self { acknowledged: CAPPED, counts_padding: true };
}

/// An acknowledgement does not repeat the body of the request, and says so.
#[doc(alias = "NLM_F_CAPPED")]
const CAPPED: Flags = Flags(0x100);

/// Writes `answer` to the end of `buffer`: an error with all of the request, or an acknowledgement with its header.
///
/// The datagram is padded to 4, whatever the header says of its length.
pub(crate) fn write(model: DataModel, answer: Answer<'_>, buffer: &mut Vec<u8>) {
    struct Write<'m, 'b>(Answer<'m>, &'b mut Vec<u8>);
    impl AbiVisitor for Write<'_, '_> {
        type Output = ();

        fn visit<A: Abi>(self) {
            let Self(Answer { request, port_id, error, manner }, buffer) = self;
            let (code, rest, flags) = match error {
                Some(errno) => (-errno.0, request.body, Flags::NONE),
                None => (0, &[][..], manner.acknowledged),
            };
            let header = Header::new(MessageType::ERROR, flags, request.header.sequence, port_id);
            let body = ErrorMsg::<A::Order>::new(code, request.header);
            let padding = padding(rest.len());
            let counted = if manner.counts_padding { padding.len() } else { 0 };
            let framed = Framed::new(header, body, rest.len() + counted);
            let framed = framed.expect("a request is far below 4 GiB");
            buffer.extend_from_slice(framed.as_bytes());
            buffer.extend_from_slice(rest);
            buffer.extend_from_slice(padding);
        }
    }
    model.with(Write(answer, buffer));
}
