//! Netlink framing: the header, the messages of a datagram, and what an `NLMSG_ERROR` says.
//!
//! Source: netlink(7), `linux/netlink.h`. Everything is in the byte order of the kernel that speaks.

pub mod attribute;

use core::fmt;
use core::marker::PhantomData;

use zerocopy::byteorder::{I32, U16, U32};
use zerocopy::{ByteOrder, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Errno;
use crate::error::{DecodeError, EncodeError, Problem};

/// Messages start at multiples of this many bytes.
#[doc(alias = "NLMSG_ALIGNTO")]
pub const ALIGNMENT: usize = 4;

/// Bytes in a netlink header.
#[doc(alias = "NLMSG_HDRLEN")]
pub const HEADER_LEN: usize = size_of::<RawHeader<zerocopy::NativeEndian>>();

/// The zero bytes that fill a message of `len` bytes up to the next multiple of [`ALIGNMENT`]: 0 to 3.
#[doc(alias = "NLMSG_ALIGN")]
pub fn padding(len: usize) -> &'static [u8] {
    const ZEROES: [u8; ALIGNMENT] = [0; ALIGNMENT];
    match len % ALIGNMENT {
        0 => &[],
        over => ZEROES.get(over..).unwrap_or(&[]),
    }
}

/// The type of a netlink message. Numbers below 16 mean the same in every protocol.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageType(pub u16);

impl MessageType {
    /// To be ignored.
    #[doc(alias = "NLMSG_NOOP")]
    pub const NOOP: Self = Self(1);
    /// The answer to a request: an error, or with error 0 an acknowledgement.
    #[doc(alias = "NLMSG_ERROR")]
    pub const ERROR: Self = Self(2);
    /// The end of a reply of several messages.
    #[doc(alias = "NLMSG_DONE")]
    pub const DONE: Self = Self(3);
    /// Data were lost.
    #[doc(alias = "NLMSG_OVERRUN")]
    pub const OVERRUN: Self = Self(4);
    /// The first type that belongs to a protocol.
    #[doc(alias = "NLMSG_MIN_TYPE")]
    pub const MIN_TYPE: Self = Self(0x10);

    /// The name of a type that is the same in every protocol.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NOOP => "NLMSG_NOOP",
            Self::ERROR => "NLMSG_ERROR",
            Self::DONE => "NLMSG_DONE",
            Self::OVERRUN => "NLMSG_OVERRUN",
            _ => return None,
        })
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageType({self})")
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

/// The flags of a netlink header, any combination.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Flags(pub u16);

impl Flags {
    /// No flag: what the kernel sends.
    pub const NONE: Self = Self(0);
    /// A request. The kernel refuses a message without it.
    #[doc(alias = "NLM_F_REQUEST")]
    pub const REQUEST: Self = Self(1);
    /// Part of a reply of several messages.
    #[doc(alias = "NLM_F_MULTI")]
    pub const MULTI: Self = Self(2);
    /// Wants an acknowledgement even on success.
    #[doc(alias = "NLM_F_ACK")]
    pub const ACK: Self = Self(4);

    /// Whether all of `other`'s flags are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A netlink header, free of byte order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[doc(alias = "nlmsghdr")]
pub struct Header {
    /// Length of the whole message in bytes, this header included, as claimed.
    pub len: u32,
    /// What the message is.
    pub message_type: MessageType,
    /// Its flags.
    pub flags: Flags,
    /// A number that the reply repeats.
    pub sequence: u32,
    /// The port id of the sender, as claimed; 0 in messages from the kernel.
    pub port_id: u32,
}

impl Header {
    /// A header without a length: [`Framed::new`] computes it.
    pub const fn new(message_type: MessageType, flags: Flags, sequence: u32, port_id: u32) -> Self {
        Self { len: 0, message_type, flags, sequence, port_id }
    }
}

/// `len 40 type 0x11 flags 0x1 seq 7 pid 29`.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, message_type, flags, sequence, port_id } = self;
        write!(f, "len {len} type {message_type} flags {flags} seq {sequence} pid {port_id}")
    }
}

/// A netlink header on the wire: 16 bytes, alignment 1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
#[doc(alias = "nlmsghdr")]
pub struct RawHeader<O: ByteOrder> {
    len: U32<O>,
    message_type: U16<O>,
    flags: U16<O>,
    sequence: U32<O>,
    port_id: U32<O>,
}

impl<O: ByteOrder> From<Header> for RawHeader<O> {
    fn from(header: Header) -> Self {
        Self {
            len: header.len.into(),
            message_type: header.message_type.0.into(),
            flags: header.flags.0.into(),
            sequence: header.sequence.into(),
            port_id: header.port_id.into(),
        }
    }
}

impl<O: ByteOrder> From<&RawHeader<O>> for Header {
    fn from(raw: &RawHeader<O>) -> Self {
        Self {
            len: raw.len.get(),
            message_type: MessageType(raw.message_type.get()),
            flags: Flags(raw.flags.get()),
            sequence: raw.sequence.get(),
            port_id: raw.port_id.get(),
        }
    }
}

/// The fixed part of a message, after the netlink header.
pub trait Body: IntoBytes + Immutable + Unaligned {
    /// The byte order it is in, and its header with it.
    type Order: ByteOrder + 'static;
}

/// A netlink header and the fixed part of what follows it, ready to be sent.
///
/// A message that goes on, with a replacement or a payload, is sent as these bytes and then the others.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
pub struct Framed<B: Body> {
    header: RawHeader<B::Order>,
    body: B,
}

impl<B: Body> Framed<B> {
    /// `header` and `body`, with the length set for `trailing_len` more bytes.
    ///
    /// # Errors
    ///
    /// If the length does not fit the header's 32 bits.
    pub fn new(header: Header, body: B, trailing_len: usize) -> Result<Self, EncodeError> {
        let [head, trailing] =
            [size_of::<Self>(), trailing_len].map(|len| u64::try_from(len).unwrap_or(u64::MAX));
        let whole = head.saturating_add(trailing);
        let len =
            u32::try_from(whole).map_err(|_| EncodeError::new::<u32>("message length", whole))?;
        Ok(Self { header: Header { len, ..header }.into(), body })
    }

    /// The body.
    pub const fn body(&self) -> &B {
        &self.body
    }
}

/// The messages in `datagram`, in the byte order `O`.
///
/// The iterator ends after the first error, and never looks further than the datagram: the last message may lack
/// its padding, and a length that lies is an error.
pub fn messages<O: ByteOrder>(datagram: &[u8]) -> Messages<'_, O> {
    Messages { rest: datagram, offset: 0, order: PhantomData }
}

/// Iterator over the messages of a datagram, made by [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a, O> {
    rest: &'a [u8],
    offset: usize,
    order: PhantomData<O>,
}

/// One message of a datagram: its header, and the bytes up to the length it claims.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Message<'a> {
    /// The header.
    pub header: Header,
    /// What follows the header, without padding.
    pub body: &'a [u8],
    /// Where the header starts in the datagram, in bytes.
    pub offset: usize,
}

impl<'a, O: ByteOrder + 'a> Iterator for Messages<'a, O> {
    type Item = Result<Message<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let offset = self.offset;
        match Message::decode::<O>(self.rest) {
            Ok((message, rest)) => {
                self.offset = offset.saturating_add(self.rest.len().saturating_sub(rest.len()));
                self.rest = rest;
                Some(Ok(Message { offset, ..message }))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error.at(offset)))
            }
        }
    }
}

impl<'a, O: ByteOrder + 'a> core::iter::FusedIterator for Messages<'a, O> {}

impl<'a> Message<'a> {
    /// The first message in `bytes`, and the bytes after it and its padding.
    ///
    /// # Errors
    ///
    /// If there is no whole header, or its length is less than 16 or more than there is.
    pub fn decode<O: ByteOrder + 'a>(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        const WHAT: &str = "netlink header";
        let (raw, _) = RawHeader::<O>::ref_from_prefix(bytes)
            .map_err(|_| DecodeError::too_short(WHAT, HEADER_LEN, bytes.len()))?;
        let header = Header::from(raw);
        let claimed = u64::from(header.len);
        let lies = |problem| DecodeError { what: WHAT, offset: 0, problem };

        let too_much = lies(Problem::ClaimsTooMuch { claimed, have: bytes.len() });
        let len = usize::try_from(header.len).map_err(|_| too_much)?;
        let (message, rest) = bytes.split_at_checked(len).ok_or(too_much)?;
        let too_little = lies(Problem::ClaimsTooLittle { claimed, least: HEADER_LEN });
        let body = message.get(HEADER_LEN..).ok_or(too_little)?;

        let rest = rest.get(padding(len).len()..).unwrap_or(&[]);
        Ok((Self { header, body, offset: 0 }, rest))
    }

    /// The message of a datagram of which only the beginning was received (`MSG_TRUNC`): its body is what is there.
    ///
    /// # Errors
    ///
    /// If there is no whole header.
    pub fn decode_cut<O: ByteOrder + 'a>(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (raw, body) = RawHeader::<O>::ref_from_prefix(bytes)
            .map_err(|_| DecodeError::too_short("netlink header", HEADER_LEN, bytes.len()))?;
        Ok(Self { header: raw.into(), body, offset: 0 })
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} at {}, {} bytes)", self.header, self.offset, self.body.len())
    }
}

/// The fixed part of an `NLMSG_ERROR` on the wire: 20 bytes. What is left of the request follows it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
#[doc(alias = "nlmsgerr")]
pub struct ErrorMsg<O: ByteOrder> {
    code: I32<O>,
    request: RawHeader<O>,
}

impl<O: ByteOrder> ErrorMsg<O> {
    /// Answers `request` with `code`: 0, or a negative error number.
    pub fn new(code: i32, request: Header) -> Self {
        Self { code: code.into(), request: request.into() }
    }
}

impl<O: ByteOrder + 'static> Body for ErrorMsg<O> {
    type Order = O;
}

/// What the kernel answered to a request (`NLMSG_ERROR`).
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Reply<'a> {
    /// The code on the wire: 0 for success, else an error number, negated.
    pub code: i32,
    /// The header of the request.
    pub request: Header,
    /// The rest of the request; the kernel repeats it only when it reports an error.
    pub rest: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The body of an `NLMSG_ERROR`.
    ///
    /// # Errors
    ///
    /// If it is shorter than 20 bytes.
    pub fn decode<O: ByteOrder + 'a>(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (raw, rest) = ErrorMsg::<O>::ref_from_prefix(body).map_err(|_| {
            DecodeError::too_short("error message", size_of::<ErrorMsg<O>>(), body.len())
        })?;
        Ok(Self { code: raw.code.get(), request: Header::from(&raw.request), rest })
    }

    /// The error, positive; `None` for an acknowledgement.
    pub const fn errno(&self) -> Option<Errno> {
        match self.code {
            0 => None,
            code => Some(Errno(code.saturating_abs())),
        }
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("code", &self.code)
            .field("request", &self.request)
            .field("rest_len", &self.rest.len())
            .finish()
    }
}

/// `acknowledgement of seq 7`, or `ENOENT (no such file or directory) for seq 7`.
impl fmt::Display for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno() {
            None => write!(f, "acknowledgement of seq {}", self.request.sequence),
            Some(errno) => write!(f, "{errno} for seq {}", self.request.sequence),
        }
    }
}

const _: () = {
    type Any = zerocopy::LittleEndian;
    assert!(size_of::<RawHeader<Any>>() == 16);
    assert!(core::mem::offset_of!(RawHeader<Any>, message_type) == 4);
    assert!(core::mem::offset_of!(RawHeader<Any>, flags) == 6);
    assert!(core::mem::offset_of!(RawHeader<Any>, sequence) == 8);
    assert!(core::mem::offset_of!(RawHeader<Any>, port_id) == 12);
    assert!(size_of::<ErrorMsg<Any>>() == 20);
    assert!(core::mem::offset_of!(ErrorMsg<Any>, request) == 4);
};
