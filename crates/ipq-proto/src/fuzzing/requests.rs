//! Requests to `nfnetlink_queue`, as their writers write them.

use std::vec::Vec;

use zerocopy::{ByteOrder, IntoBytes};

use super::round_trip::{decoded, framed};
use crate::CopyMode;
use crate::netlink::Header;
use crate::nfqueue::{
    CommandMsg, ConfigRequest, FlagsMsg, MarkAttribute, MaxLengthMsg, Message, ParamsMsg,
    VerdictMsg, VerdictRequest, payload_attribute_header,
};

/// Writes each thing that a configuration asks for as the request of its own that it would be, and reads it again.
pub(super) fn config<O: ByteOrder + 'static>(header: Header, request: ConfigRequest) {
    let queue = request.queue;
    let alone = ConfigRequest { queue, ..ConfigRequest::default() };
    let check = |written: Result<Vec<u8>, _>, meaning| {
        let written = written.expect("requests are short");
        assert_eq!(decoded::<O>(&written), Message::Config(meaning));
    };
    if let Some((command, family)) = request.command {
        let meaning = ConfigRequest { command: request.command, ..alone };
        check(framed(header, CommandMsg::<O>::new(queue, command, family), &[]), meaning);
    }
    if let Some((value, range)) = request.params
        && let Some(mode) = copy_mode(value, range)
    {
        let params = Some((value, mode.range()));
        let meaning = ConfigRequest { params, ..alone };
        check(framed(header, ParamsMsg::<O>::new(queue, mode), &[]), meaning);
    }
    if let Some(packets) = request.max_length {
        let meaning = ConfigRequest { max_length: Some(packets), ..alone };
        check(framed(header, MaxLengthMsg::<O>::new(queue, packets), &[]), meaning);
    }
    if let Some((flags, mask)) = request.flags.zip(request.mask) {
        let meaning = ConfigRequest { flags: Some(flags), mask: Some(mask), ..alone };
        check(framed(header, FlagsMsg::<O>::new(queue, flags, mask), &[]), meaning);
    }
}

/// The copy mode of this number; there are three.
fn copy_mode(value: u8, range: u32) -> Option<CopyMode> {
    let modes = [CopyMode::None, CopyMode::Metadata, CopyMode::Packet { range }];
    modes.into_iter().find(|mode| mode.value() == value)
}

/// A verdict with what may follow it. Of the priority, which programs do not set, there is no writer.
pub(super) fn verdict<O: ByteOrder + 'static>(
    header: Header,
    request: VerdictRequest<'_>,
) -> Vec<u8> {
    let mut trailing = Vec::new();
    if let Some(mark) = request.mark {
        trailing.extend(MarkAttribute::<O>::new(mark).as_bytes());
    }
    if let Some(priority) = request.priority {
        let head = crate::netlink::attribute::header::<O>(21, 4).expect("it is short");
        trailing.extend(head.into_iter().chain(priority.to_be_bytes()));
    }
    if let Some(replacement) = request.replacement {
        let head = payload_attribute_header::<O>(replacement.len()).expect("it was read so");
        trailing.extend(head.iter().chain(replacement));
    }
    let VerdictRequest { queue, id, verdict, .. } = request;
    framed(header, VerdictMsg::<O>::new(queue, id, verdict), &trailing).expect("it was read so")
}
