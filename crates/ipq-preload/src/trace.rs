//! The conversation, for whoever wants to see it: a line for each call that is carried, or a record of a capture for each
//! datagram. Both are added to a file with one system call, so that threads and processes do not mix them up.

use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};
use core::time::Duration;
use std::time::SystemTime;

use ipq_proto::netlink::{self, HEADER_LEN};
use ipq_proto::{DataModel, Errno, abi, ip_queue, nfqueue};
use ipq_sys::Protocol;
use libc::iovec;

use crate::carried::{Carried, Datagram};
use crate::parts::Outgoing;
use crate::raw;
use crate::setting::Setting;

/// The longest line, in bytes. What is beyond that is left out.
const LONGEST_LINE: usize = 1024;

/// How much of a datagram is looked at, in bytes, to say what is in it.
const LOOKED_AT: usize = 4096;

/// Tells that a socket was opened.
pub(crate) fn opened(setting: &Setting, protocol: Protocol, opened: Result<c_int, Errno>) {
    if let Some(file) = lines(setting) {
        add(file, |line| {
            write!(line, "socket {protocol} = ")?;
            result(line, opened)
        });
    }
}

/// Tells that a socket was bound to a port id.
pub(crate) fn bound(socket: &Carried, port_id: u32, bound: Result<(), Errno>) {
    if let Some(file) = lines(socket.setting) {
        add(file, |line| {
            write!(line, "bind {} to {port_id} = ", socket.fd)?;
            result(line, bound.map(|()| 0))
        });
    }
}

/// Tells that a datagram was sent.
///
/// # Safety
///
/// The parts name memory that may be read, if it was sent.
pub(crate) unsafe fn sent(
    socket: &Carried,
    port_id: u32,
    parts: &[iovec],
    sent: Result<usize, Errno>,
) {
    let Some(file) = socket.setting.trace.as_deref() else { return };
    if is_capture(file) {
        if let Ok(len) = sent {
            // SAFETY: the caller's.
            unsafe { record(file, socket.protocol, Direction::ToKernel, parts, [len, len]) };
        }
        return;
    }
    let mut start = [0; LOOKED_AT];
    // SAFETY: the caller's, and nothing is read if it was not sent.
    let start = unsafe { gather(parts, sent.unwrap_or(0), &mut start) };
    add(file, |line| {
        write!(line, "send {}", socket.fd)?;
        if port_id != 0 {
            write!(line, " to {port_id}")?;
        }
        if let Ok(len) = sent {
            contents(line, socket.protocol, start, len)?;
        }
        write!(line, " = ")?;
        result(line, sent)
    });
}

/// Tells that a datagram was received.
///
/// # Safety
///
/// The parts name memory that may be read, if it was received.
pub(crate) unsafe fn received(
    socket: &Carried,
    parts: &[iovec],
    flags: c_int,
    received: Result<Datagram, Errno>,
) {
    let Some(file) = socket.setting.trace.as_deref() else { return };
    let is_peek = flags & libc::MSG_PEEK != 0;
    if is_capture(file) {
        if let (Ok(Datagram { len, whole_len, .. }), false) = (received, is_peek) {
            // SAFETY: the caller's.
            unsafe {
                record(file, socket.protocol, Direction::ToProgram, parts, [len, whole_len]);
            };
        }
        return;
    }
    let mut start = [0; LOOKED_AT];
    // SAFETY: the caller's, and nothing is read if it was not received.
    let start = unsafe { gather(parts, received.map_or(0, |datagram| datagram.len), &mut start) };
    add(file, |line| {
        write!(line, "{} {}", if is_peek { "peek" } else { "recv" }, socket.fd)?;
        if let Ok(Datagram { port_id, whole_len, .. }) = received {
            if port_id != 0 {
                write!(line, " from {port_id}")?;
            }
            contents(line, socket.protocol, start, whole_len)?;
        }
        write!(line, " = ")?;
        result(line, received.map(|datagram| datagram.len))
    });
}

/// The file, if lines are wanted.
fn lines(setting: &Setting) -> Option<&CStr> {
    setting.trace.as_deref().filter(|file| !is_capture(file))
}

/// Whether the conversation is to be a capture.
fn is_capture(file: &CStr) -> bool {
    file.to_bytes().ends_with(b".pcap")
}

/// The first bytes of these parts, `len` at most and no more than there is room for.
///
/// # Safety
///
/// They name memory that may be read, for `len` bytes together.
unsafe fn gather<'a>(parts: &[iovec], len: usize, room: &'a mut [u8]) -> &'a [u8] {
    let len = len.min(room.len());
    let mut done = 0;
    for part in parts {
        let taken = part.iov_len.min(len - done);
        if taken > 0 {
            let to = room[done..done + taken].as_mut_ptr();
            // SAFETY: the part has as many bytes that may be read, as the caller says, there is room for them, and nobody
            // else has that room.
            unsafe { core::ptr::copy(part.iov_base.cast_const().cast(), to, taken) };
            done += taken;
        }
    }
    &room[..done]
}

/// Writes what a datagram says of which these are the first bytes.
fn contents(line: &mut Line, protocol: Protocol, start: &[u8], datagram_len: usize) -> fmt::Result {
    let cut = datagram_len > start.len();
    if cut || start.len() < HEADER_LEN {
        write!(line, ": {datagram_len} bytes")?;
        return match netlink::Message::decode_cut::<NativeOrder>(start) {
            Ok(message) => write!(line, ", of which the first: {}", message.header),
            Err(_) => Ok(()),
        };
    }
    for message in netlink::messages::<NativeOrder>(start) {
        let message = match message {
            Ok(message) => message,
            Err(error) => return write!(line, ": {error}"),
        };
        match protocol {
            Protocol::Netfilter => match nfqueue::Message::decode::<NativeOrder>(&message) {
                Ok(said) => write!(line, ": {said}")?,
                Err(error) => write!(line, ": {error}")?,
            },
            Protocol::Firewall | Protocol::Ip6Firewall => {
                match ip_queue::datagram(DataModel::NATIVE, start) {
                    Ok((_, said)) => write!(line, ": {said}")?,
                    Err(error) => write!(line, ": {error}")?,
                }
            }
        }
        write!(line, ", seq {}", message.header.sequence)?;
    }
    Ok(())
}

/// The byte order of this machine.
type NativeOrder = <abi::Native as abi::Abi>::Order;

fn result(line: &mut Line, result: Result<impl fmt::Display, Errno>) -> fmt::Result {
    match result {
        Ok(value) => write!(line, "{value}"),
        Err(errno) => write!(line, "{errno}"),
    }
}

/// A line that is being written.
struct Line {
    text: [u8; LONGEST_LINE],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One byte is kept for the end of the line.
        let room = &mut self.text[self.len..LONGEST_LINE - 1];
        let taken = text.len().min(room.len());
        room[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

/// Adds a line.
fn add(file: &CStr, write: impl FnOnce(&mut Line) -> fmt::Result) {
    let mut line = Line { text: [0; LONGEST_LINE], len: 0 };
    let now = now();
    let (seconds, microseconds) = (now.as_secs(), now.subsec_micros());
    // A line takes everything that is written to it.
    let _ = write!(line, "{seconds}.{microseconds:06} [{}] ", raw::thread_id());
    let _ = write(&mut line);
    line.text[line.len] = b'\n';
    append(file, |fd| raw::write(fd, &line.text[..=line.len]).map(drop));
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Adds something to the end of the file. What cannot be added is left out: the program goes on.
fn append(file: &CStr, add: impl FnOnce(c_int) -> Result<(), Errno>) {
    const FLAGS: c_int = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
    if let Ok(fd) = raw::open(file, FLAGS, 0o644) {
        let _ = add(fd);
        raw::close(fd);
    }
}

/// Where a datagram goes.
#[derive(Clone, Copy)]
enum Direction {
    ToProgram = 0,
    ToKernel = 4,
}

/// Adds a record to a capture of the link type `LINKTYPE_NETLINK`, of a datagram of which so many bytes are there, and that
/// was so long.
///
/// # Safety
///
/// The parts name memory that may be read, for the first of the lengths together.
unsafe fn record(
    file: &CStr,
    protocol: Protocol,
    direction: Direction,
    parts: &[iovec],
    lens: [usize; 2],
) {
    const ARPHRD_NETLINK: u16 = 824;
    const HEADER_LEN: u32 = 16;
    let now = now();
    let [len, datagram_len] = lens.map(|len| u32::try_from(len).unwrap_or(u32::MAX));
    let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
    let head = [seconds, now.subsec_micros(), len + HEADER_LEN, datagram_len + HEADER_LEN];
    let protocol = u16::try_from(protocol.number()).unwrap_or_default();
    let link = [direction as u16, ARPHRD_NETLINK, 0, 0, 0, 0, 0, protocol];
    let mut bytes = [0; 32];
    for (to, from) in bytes.chunks_exact_mut(4).zip(head) {
        to.copy_from_slice(&from.to_ne_bytes());
    }
    for (to, from) in bytes[16..].chunks_exact_mut(2).zip(link) {
        to.copy_from_slice(&from.to_be_bytes());
    }
    let mut record = Outgoing::new();
    let mut rest = lens[0];
    for part in parts {
        let taken = [iovec { iov_base: part.iov_base, iov_len: part.iov_len.min(rest) }];
        rest -= taken[0].iov_len;
        // SAFETY: the caller's, for no more than `lens[0]` bytes together.
        unsafe { record.extend(&taken) };
    }
    append(file, |fd| record.write(fd, &bytes));
}
