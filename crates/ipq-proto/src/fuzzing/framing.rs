//! Messages of a datagram, attributes of a message, attributes of attributes.

use core::iter::FusedIterator;

use zerocopy::{BigEndian, ByteOrder, LittleEndian};

use crate::DecodeError;
use crate::netlink::attribute::{self, Attribute, attributes, cut_attribute};
use crate::netlink::{ALIGNMENT, HEADER_LEN, Message, MessageType, Reply, messages};

/// How deep attributes are looked for in attributes.
const DEPTH: usize = 4;

/// Goes through `data` as messages, what is in them as attributes, and so on, in both byte orders.
///
/// # Panics
///
/// If an iterator does not end, goes back, leaves bytes out that are no padding, or gives what is not there.
pub fn netlink_framing(data: &[u8]) {
    in_order::<LittleEndian>(data);
    in_order::<BigEndian>(data);
}

fn in_order<O: ByteOrder + 'static>(data: &[u8]) {
    let mut end = 0;
    walk(messages::<O>(data), data.len() / HEADER_LEN, |Message { header, body, offset }| {
        assert_eq!(offset, end, "a gap or an overlap");
        let len = HEADER_LEN + body.len();
        assert_eq!(usize::try_from(header.len), Ok(len));
        assert_eq!(data.get(offset + HEADER_LEN..offset + len), Some(body));
        end = offset + len.next_multiple_of(ALIGNMENT);
        in_attributes::<O>(body, DEPTH);
        // Behind what every message of netfilter begins with.
        in_attributes::<O>(body.get(ALIGNMENT..).unwrap_or(&[]), DEPTH);
        if header.message_type == MessageType::ERROR {
            in_reply::<O>(body);
        }
    });
    in_attributes::<O>(data, DEPTH);
}

/// What an error repeats of its request is a message, cut or not, and attributes that explain the error may follow it.
fn in_reply<O: ByteOrder + 'static>(body: &[u8]) {
    let Ok(reply) = Reply::decode::<O>(body) else { return };
    assert_eq!(reply.errno().is_none(), reply.code == 0);
    assert!(body.ends_with(reply.rest));
    in_attributes::<O>(reply.rest, DEPTH);
    let repeated = usize::try_from(reply.request.len).unwrap_or(usize::MAX);
    let behind = repeated.saturating_sub(HEADER_LEN).checked_next_multiple_of(ALIGNMENT);
    if let Some(explanation) = behind.and_then(|behind| reply.rest.get(behind..)) {
        in_attributes::<O>(explanation, DEPTH);
    }
}

fn in_attributes<O: ByteOrder + 'static>(data: &[u8], depth: usize) {
    let mut end = 0;
    walk(attributes::<O>(data), data.len() / attribute::HEADER_LEN, |inner: Attribute<'_>| {
        assert_eq!(inner.offset, end, "a gap or an overlap");
        let start = inner.offset + attribute::HEADER_LEN;
        assert_eq!(data.get(start..start + inner.data.len()), Some(inner.data));
        end = inner.end();
        assert!(end > inner.offset && end.is_multiple_of(ALIGNMENT));
        if depth > 0 {
            in_attributes::<O>(inner.data, depth - 1);
        }
    });
    let rest = data.get(end..).unwrap_or(&[]);
    if let Some((cut, claimed)) = cut_attribute::<O>(rest) {
        assert_eq!(Some(cut.data), rest.get(attribute::HEADER_LEN..));
        assert!(claimed > cut.data.len(), "it was not cut");
    }
}

/// Takes all that there is, `most` at most and then one error, and then nothing for ever.
fn walk<T>(
    mut items: impl FusedIterator<Item = Result<T, DecodeError>>,
    most: usize,
    mut take: impl FnMut(T),
) {
    let mut count = 0;
    let mut failed = false;
    for item in items.by_ref() {
        assert!(!failed, "it went on after an error");
        match item {
            Ok(item) => take(item),
            Err(_) => failed = true,
        }
        count += usize::from(!failed);
        assert!(count <= most, "more than there are bytes for");
    }
    assert!(items.next().is_none(), "it went on after its end");
}
