//! What C reads out of a buffer that `ipq_read` has filled.
//!
//! The length of the buffer is not known here, so a message can only be held to what it says of itself; that this is true,
//! `ipq_read` has seen to. No more is read than a message of its kind has.

use core::ffi::{c_int, c_uchar};

use ipq_proto::ip_queue::{PACKET, PacketMsg};
use ipq_proto::netlink::{HEADER_LEN, Header, MessageType, RawHeader};
use ipq_proto::{Errno, Native};
use zerocopy::{FromBytes, NativeEndian};

use crate::error::{ErrorCode, Failure};

/// Bytes of a packet message up to the payload.
const PACKET_LEN: usize = HEADER_LEN + size_of::<PacketMsg<Native>>();

/// Where its data length is: the last word before the payload.
const DATA_LEN: usize = PACKET_LEN - size_of::<usize>();

/// Bytes of an error message that are always there: the error, and the header of the request.
const ERROR_LEN: usize = HEADER_LEN + size_of::<c_int>() + HEADER_LEN;

/// The type of the message in `buffer`.
///
/// # Safety
///
/// `buffer` is null or has a netlink header.
pub(crate) unsafe fn message_type(buffer: *const c_uchar) -> Result<c_int, Failure> {
    // SAFETY: the caller vouches for the header.
    let header = unsafe { header(buffer) }?;
    Ok(header.message_type.0.into())
}

/// Where the packet message in `buffer` is.
///
/// # Safety
///
/// `buffer` is null or has what `ipq_read` put there.
pub(crate) unsafe fn packet(buffer: *const c_uchar) -> Result<*mut c_uchar, Failure> {
    // SAFETY: a message begins with a header.
    let header = unsafe { header(buffer) }?;
    let payload_len = room(&header, PACKET, PACKET_LEN)?;
    // SAFETY: within the message, which is one of a packet and has at least that length.
    let place = unsafe { buffer.add(DATA_LEN) }.cast::<[u8; size_of::<usize>()]>();
    // SAFETY: those bytes are there.
    let data_len = usize::from_ne_bytes(unsafe { place.read() });
    if data_len > payload_len {
        return Err(lie("the packet claims more payload than the message has"));
    }
    // SAFETY: within the message.
    Ok(unsafe { buffer.add(HEADER_LEN) }.cast_mut())
}

/// The error number in the error message in `buffer`, positive.
///
/// # Safety
///
/// As [`packet`].
pub(crate) unsafe fn error_number(buffer: *const c_uchar) -> Result<c_int, Failure> {
    // SAFETY: a message begins with a header.
    let header = unsafe { header(buffer) }?;
    room(&header, MessageType::ERROR, ERROR_LEN)?;
    // SAFETY: within the message, which is an error and has at least that length.
    let place = unsafe { buffer.add(HEADER_LEN) }.cast::<[u8; size_of::<c_int>()]>();
    // SAFETY: those bytes are there.
    Ok(c_int::from_ne_bytes(unsafe { place.read() }).saturating_neg())
}

/// The header of the message in `buffer`.
unsafe fn header(buffer: *const c_uchar) -> Result<Header, Failure> {
    if buffer.is_null() {
        let words = "the buffer is NULL";
        return Err(Failure::new(ErrorCode::Implementation, Errno::EINVAL, words));
    }
    // SAFETY: the caller vouches for as many bytes, and any bytes are a header.
    let bytes = unsafe { buffer.cast::<[u8; HEADER_LEN]>().read() };
    RawHeader::<NativeEndian>::ref_from_bytes(&bytes)
        .map(Header::from)
        .map_err(|_| lie("the buffer has no netlink header"))
}

/// How many bytes follow the first `fixed_len` of a message that has to be of this type.
fn room(header: &Header, wanted: MessageType, fixed_len: usize) -> Result<usize, Failure> {
    if header.message_type != wanted {
        return Err(lie("the message in the buffer is of another type"));
    }
    let room = usize::try_from(header.len).ok().and_then(|len| len.checked_sub(fixed_len));
    room.ok_or_else(|| lie("the message in the buffer is too short for its type"))
}

fn lie(words: &'static str) -> Failure {
    Failure::new(ErrorCode::Implementation, Errno(libc::EBADMSG), words)
}
