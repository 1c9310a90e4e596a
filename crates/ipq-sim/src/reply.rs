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
    /// The flags of an acknowledgement, which differ between kernels.
    pub(crate) acknowledged: Flags,
}

/// Writes `answer` to the end of `buffer`: an error with all of the request, or an acknowledgement with its header.
///
/// The header gives the length without padding; the datagram is padded to 4 all the same.
pub(crate) fn write(model: DataModel, answer: Answer<'_>, buffer: &mut Vec<u8>) {
    struct Write<'m, 'b>(Answer<'m>, &'b mut Vec<u8>);
    impl AbiVisitor for Write<'_, '_> {
        type Output = ();

        fn visit<A: Abi>(self) {
            let Self(Answer { request, port_id, error, acknowledged }, buffer) = self;
            let (code, rest, flags) = match error {
                Some(errno) => (-errno.0, request.body, Flags::NONE),
                None => (0, &[][..], acknowledged),
            };
            let header = Header::new(MessageType::ERROR, flags, request.header.sequence, port_id);
            let body = ErrorMsg::<A::Order>::new(code, request.header);
            let framed = Framed::new(header, body, rest.len());
            let framed = framed.expect("a request is far below 4 GiB");
            buffer.extend_from_slice(framed.as_bytes());
            buffer.extend_from_slice(rest);
            buffer.extend_from_slice(padding(rest.len()));
        }
    }
    model.with(Write(answer, buffer));
}
