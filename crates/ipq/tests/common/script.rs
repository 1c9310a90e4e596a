//! What a test has a scripted transport say.

use ipq_proto::{DataModel, Errno};
use ipq_sys::Protocol;
use ipq_sys::fuzzing::Bytes;
pub(crate) use ipq_sys::fuzzing::{Said, Script};

/// A 64-bit little-endian kernel that has nothing to say.
pub(crate) fn silent(protocol: Protocol) -> Script {
    Script::new(protocol, DataModel::Lp64Little)
}

/// One of `ip_queue` that says this.
pub(crate) fn saying(lines: impl IntoIterator<Item = Said>) -> Script {
    let script = silent(Protocol::Firewall);
    script.state().lines.extend(lines);
    script
}

/// A datagram.
pub(crate) fn datagram(bytes: Vec<u8>) -> Said {
    Said::Datagram(Bytes(bytes))
}

/// A socket that fails.
pub(crate) fn failed(errno: Errno) -> Said {
    Said::Failed(u8::try_from(errno.0).unwrap())
}

/// A whole message, as a 64-bit little-endian kernel sends it.
pub(crate) fn message(message_type: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + body.len()).unwrap();
    let mut message = len.to_le_bytes().to_vec();
    message.extend(message_type.to_le_bytes());
    message.extend(0_u16.to_le_bytes());
    message.extend(sequence.to_le_bytes());
    message.extend(0_u32.to_le_bytes());
    message.extend(body);
    message
}

/// An `NLMSG_ERROR` that answers a request with this header.
pub(crate) fn reply(code: i32, request: &[u8], rest: &[u8]) -> Vec<u8> {
    let sequence = u32::from_le_bytes(request[8..12].try_into().unwrap());
    message(2, sequence, &[&code.to_le_bytes(), request, rest].concat())
}

/// A packet message with little more than an id.
pub(crate) fn packet(id: u64, payload: &[u8]) -> Vec<u8> {
    let mut body = id.to_le_bytes().to_vec();
    body.resize(88, 0);
    body.extend((payload.len() as u64).to_le_bytes());
    body.extend(payload);
    message(0x13, 0, &body)
}
