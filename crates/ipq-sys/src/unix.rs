//! A kernel behind a Unix socket: a [`Server`] has it, and each operation of a [`Client`] is one system call carried to it.
//!
//! # The kinds of connections
//!
//! All are of the type `SOCK_SEQPACKET`, to the same path. The first frame of a connection is a [`Greeting`], which says
//! what it is for; the server answers with a [`Welcome`], or with one that has an error number, and closes.
//!
//! A **data connection** is one netlink socket, and its descriptor is what the program holds. The netlink socket lives as
//! long as any copy of the descriptor, so dup(2), fork(2), exec(2), passing it on and the death of the program do what they
//! do to a real one. It carries no messages. It carries *readiness*: while the netlink socket is readable there is exactly
//! one [`Token`] in it, so poll(2), select(2) and epoll(7) tell the truth, and messages wait in the kernel alone, where
//! the receive buffer is counted, overruns are noticed and `MSG_PEEK` leaves them.
//!
//! A **control connection** carries [`Request`]s, each of which the server answers with an [`Answer`] at once and in order;
//! only [`Call::WAITING`] has no answer. Requests name their netlink socket by the `SO_COOKIE` of the client's end of
//! its data connection, so that whoever has the descriptor can use it over a control connection of its own.
//!
//! A connection for a **file** takes what is written to it as written to that file, for programs that write(2) by themselves.
//!
//! # Tokens
//!
//! Tokens are numbered. Each answer says which numbers are [stale](Answer::stale_before); a client to which an answer says
//! [`DRAIN`](AnswerFlags::DRAIN) takes the stale token out of the data connection. One that took a token that is not stale
//! (two processes did this at the same time) says so with [`Call::REARM`], and the server puts another one in.
//!
//! # Time
//!
//! A simulated kernel that runs as fast as it can must not let time pass while a program works on what it has read. The
//! server takes a program to be at work from when it receives a message until it finds nothing to receive, or says
//! [`Call::WAITING`], which is what to send before a poll(2) that will wait; and if it does neither, until it has been
//! quiet for a while.
//!
//! A program that has sent something since it last received, and receives again, has nothing left to do but what comes
//! next. Time passes before it is answered, so that it gets that with the same call. One that receives again and again
//! without sending finds an end (`EAGAIN`) of what is there, as it may want to answer all of it together.
//!
//! Frames are in the byte order of the machine and have the same layout for programs of 32 and of 64 bits. No frame is
//! longer than [`MAX_FRAME_LEN`]. Either side checks all that the other says.

mod calls;
mod client;
mod connection;
mod files;
mod frame;
mod greeting;
mod kernel;
mod listener;
mod pace;
mod server;
mod socket;
mod spawned;

pub use client::{Client, Datagram, Description, Opened, ReceiveFlags, SocketCookie};
pub use files::{KernelFile, sysctl_number};
pub use frame::{
    Answer, AnswerFlags, Call, FrameError, Item, ItemHead, ItemKind, Items, MAX_FRAME_LEN, Request,
    SocketOption, Token,
};
pub use greeting::{Greeting, KernelInfo, Opening, Welcome};
pub use kernel::{Opener, ServedKernel, SocketId};
pub use listener::{ListenError, Listener};
pub use pace::Speed;
pub use server::{Server, ServerOptions, ServerStatistics};
pub use socket::UnixSocket;
pub use spawned::Spawned;
