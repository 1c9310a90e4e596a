//! What is said first over a connection: [`Greeting`] and [`Welcome`].

use core::ops::RangeInclusive;

use ipq_proto::{DataModel, Errno};
use zerocopy::byteorder::native_endian::{I32, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::frame::FrameError;
use crate::Protocol;

/// How a [`Greeting`] and a [`Welcome`] begin.
const MAGIC: [u8; 8] = *b"ipqserve";

/// The version of this protocol. Client and server have the same one, or do not talk.
const VERSION: u32 = 1;

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening<'a> {
    /// Requests.
    Control,
    /// Writing to a file: each frame after the greeting is one write(2), without an answer.
    File {
        /// Its name.
        name: &'a str,
    },
    /// One netlink socket.
    Data {
        /// Its netlink protocol, as socket(2) takes it. The kernel refuses those it does not have.
        protocol: Protocol,
        /// What the client knows its end of the connection by.
        #[doc(alias = "SO_COOKIE")]
        cookie: u64,
        /// The process id of the program: the port id that the socket gets if it sends before it is bound.
        process: u32,
        /// Whether the program is to be taken for one with `CAP_NET_ADMIN`.
        privileged: bool,
        /// Whether the socket becomes readable when nothing can come any more.
        tells_end: bool,
    },
}

/// The first frame of a client. The name of a file follows it.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Greeting {
    magic: [u8; 8],
    cookie: U64,
    version: U32,
    kind: U32,
    protocol: I32,
    process: U32,
    privileged: U32,
    tells_end: U32,
}

impl Greeting {
    const CONTROL: u32 = 1;
    const DATA: u32 = 2;
    const FILE: u32 = 3;

    /// The greeting that says this, but for the name of a file.
    pub fn new(opening: Opening<'_>) -> Self {
        let control = Self {
            magic: MAGIC,
            cookie: U64::ZERO,
            version: VERSION.into(),
            kind: Self::CONTROL.into(),
            protocol: I32::ZERO,
            process: U32::ZERO,
            privileged: U32::ZERO,
            tells_end: U32::ZERO,
        };
        match opening {
            Opening::Control => control,
            Opening::File { .. } => Self { kind: Self::FILE.into(), ..control },
            Opening::Data { protocol, cookie, process, privileged, tells_end } => Self {
                cookie: cookie.into(),
                kind: Self::DATA.into(),
                protocol: protocol.number().into(),
                process: process.into(),
                privileged: u32::from(privileged).into(),
                tells_end: u32::from(tells_end).into(),
                ..control
            },
        }
    }

    /// What the first frame of a connection says.
    ///
    /// # Errors
    ///
    /// If it is none, or of another version of this protocol.
    pub fn parse(frame: &[u8]) -> Result<Opening<'_>, FrameError> {
        let wrong = |problem| FrameError { what: "greeting", problem };
        let (greeting, rest) =
            Self::read_from_prefix(frame).map_err(|_| wrong("it is too short"))?;
        if greeting.magic != MAGIC {
            return Err(wrong("it is of no client of ipq"));
        }
        if greeting.version != VERSION {
            return Err(wrong("it is of another version"));
        }
        let flag = |value: U32| match value.get() {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(wrong("a flag is neither 0 nor 1")),
        };
        let kind = greeting.kind.get();
        if kind != Self::FILE && !rest.is_empty() {
            return Err(wrong("something follows it"));
        }
        match kind {
            Self::FILE => {
                let name = core::str::from_utf8(rest).map_err(|_| wrong("the name is no UTF-8"))?;
                Ok(Opening::File { name })
            }
            Self::CONTROL => Ok(Opening::Control),
            Self::DATA => Ok(Opening::Data {
                protocol: Protocol::from_number(greeting.protocol.get())
                    .ok_or_else(|| wrong("there is no such netlink protocol"))?,
                cookie: greeting.cookie.get(),
                process: greeting.process.get(),
                privileged: flag(greeting.privileged)?,
                tells_end: flag(greeting.tells_end)?,
            }),
            _ => Err(wrong("there is no such connection")),
        }
    }

    /// Its bytes.
    pub fn as_frame(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What a client learns of the kernel when it connects.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KernelInfo {
    /// Word size and byte order of its messages.
    pub model: DataModel,
    /// The netlink protocols that are served; others are not for this kernel.
    pub protocols: Vec<Protocol>,
    /// The queues of `nfnetlink_queue` that a program is wanted for, if it has no opinion; `None` if that is `ip_queue`.
    pub queues: Option<RangeInclusive<u16>>,
}

/// The first frame of the server.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Welcome {
    magic: [u8; 8],
    version: U32,
    errno: I32,
    model: U32,
    /// A bit for each of [`PROTOCOLS`].
    protocols: U32,
    has_queues: U32,
    queues: [U32; 2],
}

/// The protocols in the order of their bits.
const PROTOCOLS: [Protocol; 3] = [Protocol::Firewall, Protocol::Ip6Firewall, Protocol::Netfilter];

impl Welcome {
    /// That the connection is taken, by this kernel, or refused.
    pub fn new(answer: Result<&KernelInfo, Errno>) -> Self {
        let refused = Self {
            magic: MAGIC,
            version: VERSION.into(),
            errno: answer.as_ref().err().map_or(0, |errno| errno.0).into(),
            model: U32::ZERO,
            protocols: U32::ZERO,
            has_queues: U32::ZERO,
            queues: [U32::ZERO; 2],
        };
        let Ok(KernelInfo { model, protocols, queues }) = answer else { return refused };
        let position = DataModel::ALL.iter().position(|other| other == model);
        let bits = PROTOCOLS.iter().enumerate().filter(|(_, other)| protocols.contains(other));
        let ends = queues.as_ref().map_or([0, 0], |queues| [*queues.start(), *queues.end()]);
        Self {
            model: position.and_then(|position| position.try_into().ok()).unwrap_or(0).into(),
            protocols: bits.fold(0, |bits, (bit, _)| bits | 1 << bit).into(),
            has_queues: u32::from(queues.is_some()).into(),
            queues: ends.map(|end| u32::from(end).into()),
            ..refused
        }
    }

    /// What the first frame of a server says: what the kernel is, or why the connection is refused.
    ///
    /// # Errors
    ///
    /// If it is none, or of another version of this protocol.
    pub fn parse(frame: &[u8]) -> Result<Result<KernelInfo, Errno>, FrameError> {
        let wrong = |problem| FrameError { what: "welcome", problem };
        let welcome = Self::read_from_bytes(frame).map_err(|_| wrong("its length is wrong"))?;
        if welcome.magic != MAGIC {
            return Err(wrong("it is of no server of ipq"));
        }
        if welcome.version != VERSION {
            return Err(wrong("it is of another version"));
        }
        if welcome.errno != 0 {
            return Ok(Err(Errno(welcome.errno.get())));
        }
        let model = usize::try_from(welcome.model.get()).ok();
        let model = model.and_then(|position| DataModel::ALL.get(position));
        let model = *model.ok_or_else(|| wrong("there is no such data model"))?;
        let is_served = |bit: usize| welcome.protocols.get() & (1 << bit) != 0;
        let protocols = PROTOCOLS.iter().enumerate().filter(|&(bit, _)| is_served(bit));
        let protocols = protocols.map(|(_, &protocol)| protocol).collect();
        let queues =
            match (welcome.has_queues.get(), welcome.queues.map(|end| end.get().try_into())) {
                (0, _) => None,
                (1, [Ok(first), Ok(last)]) if first <= last => Some(first..=last),
                _ => return Err(wrong("there are no such queues")),
            };
        Ok(Ok(KernelInfo { model, protocols, queues }))
    }

    /// Its bytes.
    pub fn as_frame(&self) -> &[u8] {
        self.as_bytes()
    }
}
