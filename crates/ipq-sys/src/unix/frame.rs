//! What is said over the connections: fixed heads, and items behind them.
//!
//! All heads are of alignment 1 and without padding, so that they are the same for every program of this machine.

use core::fmt;

use ipq_proto::Errno;
use zerocopy::byteorder::native_endian::{I32, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The longest frame, in bytes: less than any Linux lets a socket send unless it was told otherwise.
pub const MAX_FRAME_LEN: usize = 128 << 10;

/// A frame that makes no sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameError {
    /// What it should have been.
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.problem)
    }
}

impl core::error::Error for FrameError {}

/// What is in a data connection while its netlink socket is readable.
#[derive(
    Clone,
    Copy,
    Debug,
    Eq,
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    PartialEq,
    Unaligned
)]
#[repr(C)]
pub struct Token {
    number: U64,
}

impl Token {
    /// The length of its frame in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The token of this number.
    pub fn new(number: u64) -> Self {
        Self { number: number.into() }
    }

    /// The number of the token in this frame; `None` if it is none.
    pub fn parse(frame: &[u8]) -> Option<u64> {
        Some(Self::read_from_bytes(frame).ok()?.number.get())
    }

    /// Its bytes.
    pub fn as_frame(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What a [`Request`] asks for: a system call, more or less. Open, because a client may ask for anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Call(pub u32);

impl Call {
    /// What is this socket? Answered with its port id as value, and its protocol as count.
    #[doc(alias = "getsockname")]
    pub const DESCRIBE: Self = Self(1);
    /// Bind it to the port id of the first argument, or to a free one if that is 0. Answered with the port id.
    #[doc(alias = "bind")]
    pub const BIND: Self = Self(2);
    /// Send the datagrams that follow as [`Item`]s. Answered with how many were sent as value; the error number is that of
    /// the first, or else the next request meets it again.
    #[doc(alias("sendmsg", "sendmmsg"))]
    pub const SEND: Self = Self(3);
    /// Receive datagrams of at most as many bytes as the first argument says, and no more of them than the second says.
    /// Answered with `EAGAIN` if nothing is there; else with [`Item`]s.
    #[doc(alias("recvmsg", "recvmmsg"))]
    pub const RECEIVE: Self = Self(4);
    /// Receive one datagram, and leave it where it is.
    #[doc(alias = "MSG_PEEK")]
    pub const PEEK: Self = Self(5);
    /// The program waits for the socket. Has no answer.
    #[doc(alias("poll", "select"))]
    pub const WAITING: Self = Self(6);
    /// The client took a token that was not stale.
    pub const REARM: Self = Self(7);
    /// The value of the [`SocketOption`] that the first argument says.
    #[doc(alias = "getsockopt")]
    pub const GET_OPTION: Self = Self(8);
    /// Set it to the second argument.
    #[doc(alias = "setsockopt")]
    pub const SET_OPTION: Self = Self(9);
    /// The contents of the file whose name follows, as bytes.
    #[doc(alias("open", "read"))]
    pub const READ_FILE: Self = Self(10);
    /// Write to a file: its name follows, as long as the first argument says, and then what to write.
    #[doc(alias = "write")]
    pub const WRITE_FILE: Self = Self(11);
    /// The device whose index is the first argument. Answered with the type of its link layer as value and its name as
    /// bytes.
    #[doc(alias = "if_indextoname")]
    pub const DEVICE: Self = Self(12);
}

/// An option of a netlink socket that the kernel has to know. Open, because a client may ask for any.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SocketOption(pub u32);

impl SocketOption {
    /// The size of the receive buffer. As with a real socket, twice of what is asked for is given, and told.
    #[doc(alias = "SO_RCVBUF")]
    pub const RECEIVE_BUFFER: Self = Self(1);
    /// The same, beyond the limit of the system.
    #[doc(alias = "SO_RCVBUFFORCE")]
    pub const RECEIVE_BUFFER_FORCE: Self = Self(2);
    /// Whether a full receive buffer goes unreported: 1 or 0.
    #[doc(alias = "NETLINK_NO_ENOBUFS")]
    pub const IGNORE_OVERRUNS: Self = Self(3);
    /// The error number that the next receive would report, which it then does not.
    #[doc(alias = "SO_ERROR")]
    pub const ERROR: Self = Self(4);
}

/// The head of a frame that a client sends over a control connection.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Request {
    socket: U64,
    call: U32,
    sequence: U32,
    arguments: [U32; 2],
}

impl Request {
    /// The length of the head in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A request about the socket with this cookie; 0 if it is about none.
    pub fn new(call: Call, socket: u64, arguments: [u32; 2], sequence: u32) -> Self {
        Self {
            socket: socket.into(),
            call: call.0.into(),
            sequence: sequence.into(),
            arguments: arguments.map(U32::new),
        }
    }

    /// The head of a frame, and what follows it.
    ///
    /// # Errors
    ///
    /// If the frame is too short.
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        Self::read_from_prefix(frame)
            .map_err(|_| FrameError { what: "request", problem: "it is too short" })
    }

    /// What it asks for.
    pub fn call(&self) -> Call {
        Call(self.call.get())
    }

    /// The cookie of the socket that it is about.
    pub fn socket(&self) -> u64 {
        self.socket.get()
    }

    /// What repeats in its answer.
    pub fn sequence(&self) -> u32 {
        self.sequence.get()
    }

    /// What it says further.
    pub fn arguments(&self) -> [u32; 2] {
        self.arguments.map(U32::get)
    }

    /// Its bytes.
    pub fn as_head(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What an [`Answer`] tells beside its value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AnswerFlags(pub u32);

impl AnswerFlags {
    /// The token is stale that the client's data connection may have in it.
    pub const DRAIN: Self = Self(1);
    /// Nothing can come any more.
    pub const ENDED: Self = Self(2);

    /// Whether all of `other` is said.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The head of a frame that a server sends over a control connection.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Answer {
    stale_before: U64,
    sequence: U32,
    errno: I32,
    value: U32,
    count: U32,
    flags: U32,
}

impl Answer {
    /// The length of the head in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The answer to the request with this sequence number.
    pub fn new(sequence: u32) -> Self {
        Self { sequence: sequence.into(), ..Self::default() }
    }

    /// With what came of it.
    #[must_use]
    pub fn with_result(self, result: Result<u32, Errno>) -> Self {
        Self {
            value: result.unwrap_or(0).into(),
            errno: result.err().map_or(0, |errno| errno.0).into(),
            ..self
        }
    }

    /// With so many items behind it.
    #[must_use]
    pub fn with_count(self, count: u32) -> Self {
        Self { count: count.into(), ..self }
    }

    /// With what it says of tokens and the end.
    #[must_use]
    pub fn with_state(self, stale_before: u64, flags: AnswerFlags) -> Self {
        Self { stale_before: stale_before.into(), flags: flags.0.into(), ..self }
    }

    /// The head of a frame, and what follows it.
    ///
    /// # Errors
    ///
    /// If the frame is too short.
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        Self::read_from_prefix(frame)
            .map_err(|_| FrameError { what: "answer", problem: "it is too short" })
    }

    /// What came of the request.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn result(&self) -> Result<u32, Errno> {
        match self.errno.get() {
            0 => Ok(self.value.get()),
            errno => Err(Errno(errno)),
        }
    }

    /// The sequence number of the request.
    pub fn sequence(&self) -> u32 {
        self.sequence.get()
    }

    /// How many items follow.
    pub fn count(&self) -> u32 {
        self.count.get()
    }

    /// Tokens with lower numbers are stale.
    pub fn stale_before(&self) -> u64 {
        self.stale_before.get()
    }

    /// What it tells beside.
    pub fn flags(&self) -> AnswerFlags {
        AnswerFlags(self.flags.get())
    }

    /// Its bytes.
    pub fn as_head(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What an [`Item`] is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum ItemKind {
    /// A datagram, with its bytes.
    Datagram = 1,
    /// The receive buffer was full.
    #[doc(alias = "ENOBUFS")]
    Overrun = 2,
}

/// A datagram on its way, or what came in place of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Item<'a> {
    /// What it is.
    pub kind: ItemKind,
    /// The port id of who sent it, or of who is to get it.
    pub port_id: u32,
    /// The length that the datagram had, in bytes: more than there are here if it was cut.
    pub datagram_len: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What precedes the bytes of an [`Item`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ItemHead {
    /// What it is.
    pub kind: ItemKind,
    /// The port id of who sent it, or of who is to get it.
    pub port_id: u32,
    /// The length that the datagram had, in bytes.
    pub datagram_len: u32,
    /// How many bytes of it follow: no more than that.
    pub len: u32,
}

/// The same, on its way.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct WireItemHead {
    kind: U32,
    port_id: U32,
    datagram_len: U32,
    len: U32,
}

impl ItemHead {
    /// Its length in a frame, in bytes.
    pub const LEN: usize = size_of::<WireItemHead>();

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let head = WireItemHead {
            kind: (self.kind as u32).into(),
            port_id: self.port_id.into(),
            datagram_len: self.datagram_len.into(),
            len: self.len.into(),
        };
        zerocopy::transmute!(head)
    }

    /// The head at the beginning of `bytes`, and what follows it.
    ///
    /// # Errors
    ///
    /// If it is too short, of no known kind, or has more bytes than its datagram.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        let wrong = |problem| FrameError { what: "item", problem };
        let (head, rest) =
            WireItemHead::read_from_prefix(bytes).map_err(|_| wrong("it is too short"))?;
        let kind = match head.kind.get() {
            1 => ItemKind::Datagram,
            2 => ItemKind::Overrun,
            _ => return Err(wrong("there is no such kind")),
        };
        let (datagram_len, len) = (head.datagram_len.get(), head.len.get());
        if datagram_len < len {
            return Err(wrong("it is longer than its datagram"));
        }
        Ok((Self { kind, port_id: head.port_id.get(), datagram_len, len }, rest))
    }
}

impl Item<'_> {
    /// Writes it.
    ///
    /// # Panics
    ///
    /// If it is longer than 4 GiB.
    pub fn write(&self, frame: &mut Vec<u8>) {
        let len = u32::try_from(self.bytes.len()).expect("an item is shorter than a frame");
        let Self { kind, port_id, datagram_len, .. } = *self;
        frame.extend_from_slice(&ItemHead { kind, port_id, datagram_len, len }.to_bytes());
        frame.extend_from_slice(self.bytes);
    }
}

/// The items of a frame, one after the other. Ends with the first that makes no sense, or with what is left over.
#[derive(Clone, Debug)]
pub struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// The items in what follows a head.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn read(&mut self) -> Result<Item<'a>, FrameError> {
        let (ItemHead { kind, port_id, datagram_len, len }, rest) = ItemHead::parse(self.0)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (bytes, rest) = rest
            .split_at_checked(len)
            .ok_or(FrameError { what: "item", problem: "it ends before its bytes" })?;
        self.0 = rest;
        Ok(Item { kind, port_id, datagram_len, bytes })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.0 = &[];
        }
        Some(read)
    }
}
