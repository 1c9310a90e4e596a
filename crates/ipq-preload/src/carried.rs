//! A netlink socket that is carried: [`Carried`], and how its descriptor is told from others.

use core::ffi::c_int;

use ipq_proto::Errno;
use ipq_sys::Protocol;
use ipq_sys::unix::{
    Answer, AnswerFlags, Call, ItemHead, ItemKind, MAX_FRAME_LEN, Opening, Request, SocketOption,
    Token,
};
use libc::iovec;

use crate::control::Control;
use crate::files::OpenFile;
use crate::known::{self, Kind};
use crate::parts::{Incoming, Outgoing};
use crate::setting::{Setting, setting};
use crate::{answer, raw, real};

/// The longest datagram that fits into a frame, in bytes.
const LONGEST: usize = MAX_FRAME_LEN - longer(Request::LEN, Answer::LEN) - ItemHead::LEN;

const fn longer(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

/// A descriptor that is to be treated otherwise than it is.
#[derive(Clone, Copy)]
pub(crate) enum Ours {
    /// A netlink socket that is carried.
    Socket(Carried),
    /// A file of the served kernel, open for writing.
    File(OpenFile),
}

/// What a descriptor is, if it is one of ours. Everything else is passed on.
pub(crate) fn ours(fd: c_int) -> Option<Ours> {
    if !known::may_be() {
        return None;
    }
    answer::aside(|| {
        let setting = setting()?;
        let cookie = raw::cookie(fd).ok()?;
        match known::known(cookie).or_else(|| ask_what(setting, fd, cookie))? {
            Kind::Carried { protocol, is_dgram } => {
                Some(Ours::Socket(Carried { fd, protocol, is_dgram, setting, cookie }))
            }
            Kind::File { index } => OpenFile::new(setting, index).map(Ours::File),
            Kind::Foreign => None,
        }
    })
    .flatten()
}

/// The netlink socket that a descriptor is, if it is carried.
pub(crate) fn carried(fd: c_int) -> Option<Carried> {
    match ours(fd)? {
        Ours::Socket(socket) => Some(socket),
        Ours::File(_) => None,
    }
}

/// Has the server say what a socket is that this process has not opened itself. `None` if it does not say.
fn ask_what(setting: &'static Setting, fd: c_int, cookie: u64) -> Option<Kind> {
    let is_like_ours = raw::socket_option(fd, libc::SO_DOMAIN) == Ok(libc::AF_UNIX)
        && raw::socket_option(fd, libc::SO_TYPE) == Ok(libc::SOCK_SEQPACKET);
    let kind = if is_like_ours {
        match setting.control.question(setting, (Call::DESCRIBE, cookie, [0, 0])) {
            Ok(answer) => match answer.result() {
                Ok(_) => {
                    let number = c_int::try_from(answer.count()).ok()?;
                    let protocol = Protocol::from_number(number)?;
                    Kind::Carried { protocol, is_dgram: false }
                }
                Err(_) => Kind::Foreign,
            },
            Err(_) => return None,
        }
    } else {
        Kind::Foreign
    };
    known::remember(cookie, kind);
    Some(kind)
}

/// A descriptor of a netlink socket that is carried.
#[derive(Clone, Copy)]
pub(crate) struct Carried {
    pub(crate) fd: c_int,
    pub(crate) protocol: Protocol,
    pub(crate) is_dgram: bool,
    pub(crate) setting: &'static Setting,
    pub(crate) cookie: u64,
}

/// A datagram that was received.
#[derive(Clone, Copy)]
pub(crate) struct Datagram {
    /// How much of it there is now, in bytes.
    pub(crate) len: usize,
    /// How long it was.
    pub(crate) whole_len: usize,
    /// Who sent it.
    pub(crate) port_id: u32,
}

impl Carried {
    /// Opens a netlink socket, with these flags of its descriptor.
    pub(crate) fn open(
        setting: &'static Setting,
        protocol: Protocol,
        is_dgram: bool,
        flags: c_int,
    ) -> Result<c_int, Errno> {
        let process = raw::process_id();
        let (fd, cookie) = Control::open(setting, flags & libc::SOCK_CLOEXEC, |cookie| {
            Opening::Data { protocol, cookie, process, privileged: true, tells_end: false }
        })?;
        if flags & libc::SOCK_NONBLOCK != 0 {
            let before = raw::status_flags(fd)?;
            raw::set_status_flags(fd, before | libc::O_NONBLOCK)?;
        }
        known::remember(cookie, Kind::Carried { protocol, is_dgram });
        Ok(fd)
    }

    fn ask(&self, call: Call, arguments: [u32; 2]) -> Result<Answer, Errno> {
        self.setting.control.question(self.setting, (call, self.cookie, arguments))
    }

    /// Its port id; 0 as long as it is not bound.
    pub(crate) fn port_id(&self) -> Result<u32, Errno> {
        self.ask(Call::DESCRIBE, [0, 0])?.result()
    }

    /// Binds it to a port id, or if that is 0 to a free one.
    pub(crate) fn bind(&self, port_id: u32) -> Result<(), Errno> {
        self.ask(Call::BIND, [port_id, 0])?.result().map(drop)
    }

    /// The value of an option that the served kernel has to know.
    pub(crate) fn option(&self, option: SocketOption) -> Result<u32, Errno> {
        self.ask(Call::GET_OPTION, [option.0, 0])?.result()
    }

    /// Sets such an option.
    pub(crate) fn set_option(&self, option: SocketOption, value: u32) -> Result<(), Errno> {
        self.ask(Call::SET_OPTION, [option.0, value])?.result().map(drop)
    }

    /// Tells the served kernel that the program is about to wait for it.
    pub(crate) fn tell_waiting(&self) {
        tell_waiting(self.setting, self.cookie);
    }

    /// Sends a datagram, given in parts, to a port id; returns its length.
    ///
    /// # Safety
    ///
    /// As [`Outgoing::extend`] until it returns.
    pub(crate) unsafe fn send(&self, port_id: u32, parts: &[iovec]) -> Result<usize, Errno> {
        let len = total(parts)?;
        let item_len =
            u32::try_from(len).ok().filter(|_| len <= LONGEST).ok_or(Errno(libc::EMSGSIZE))?;
        let head =
            ItemHead { kind: ItemKind::Datagram, port_id, datagram_len: item_len, len: item_len };
        let head = head.to_bytes();
        let mut more = Outgoing::new();
        more.push(&head);
        // SAFETY: of the parts the caller says so.
        unsafe { more.extend(parts) };
        let question = (Call::SEND, self.cookie, [1, 0]);
        let (answer, _) =
            self.setting.control.ask(self.setting, question, more, Incoming::new())?;
        answer.result().map(|_| len)
    }

    /// Receives a datagram into these parts, with the flags of recv(2).
    ///
    /// # Safety
    ///
    /// As [`Incoming::extend`] until it returns.
    pub(crate) unsafe fn receive(&self, parts: &[iovec], flags: c_int) -> Result<Datagram, Errno> {
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        loop {
            // SAFETY: as here.
            match unsafe { self.try_receive(parts, flags & libc::MSG_PEEK != 0) } {
                Err(Errno::EAGAIN) if flags & libc::MSG_DONTWAIT == 0 => self.wait()?,
                received => return received,
            }
        }
    }

    /// The same, without waiting: `EAGAIN` if nothing is there.
    ///
    /// # Safety
    ///
    /// As [`Incoming::extend`] until it returns.
    unsafe fn try_receive(&self, parts: &[iovec], is_peek: bool) -> Result<Datagram, Errno> {
        let room = total(parts)?.min(LONGEST);
        let call = if is_peek { Call::PEEK } else { Call::RECEIVE };
        let arguments = [u32::try_from(room).unwrap_or(u32::MAX), 1];
        let mut head = [0; ItemHead::LEN];
        let mut into = Incoming::new();
        into.push(&mut head);
        // SAFETY: of the parts the caller says so.
        unsafe { into.extend(parts) };
        let question = (call, self.cookie, arguments);
        let (answer, len) =
            self.setting.control.ask(self.setting, question, Outgoing::new(), into)?;
        if answer.flags().contains(AnswerFlags::DRAIN) {
            self.take_tokens(answer.stale_before())?;
        }
        answer.result()?;
        let broken = Errno(libc::EPROTO);
        let (item, _) = ItemHead::parse(head.get(..len.min(ItemHead::LEN)).unwrap_or_default())
            .map_err(|_| broken)?;
        match item.kind {
            ItemKind::Overrun => Err(Errno::ENOBUFS),
            ItemKind::Datagram => {
                let whole_len = usize::try_from(item.datagram_len).unwrap_or(usize::MAX);
                let len = (len - ItemHead::LEN).min(room);
                Ok(Datagram { len, whole_len, port_id: item.port_id })
            }
        }
    }

    /// Waits for a token. As the descriptor is what the program holds, it waits no longer than `SO_RCVTIMEO` says, not at
    /// all with `O_NONBLOCK`, and is interrupted by signals or not, just as the program wants it.
    fn wait(&self) -> Result<(), Errno> {
        let mut token = [0_u8; Token::LEN];
        let (place, len) = (token.as_mut_ptr().cast(), token.len());
        // SAFETY: the buffer is as long as is said.
        match unsafe { real::recv(self.fd, place, len, libc::MSG_PEEK) } {
            0 => Err(Errno::ECONNREFUSED),
            len if len < 0 => Err(answer::errno()),
            _ => Ok(()),
        }
    }

    /// Takes stale tokens out of the descriptor, which is then no longer readable.
    fn take_tokens(&self, stale_before: u64) -> Result<(), Errno> {
        let take = |flags| {
            let mut token = [0; Token::LEN];
            let len = raw::receive(self.fd, &mut token, flags | libc::MSG_DONTWAIT).ok()?;
            Token::parse(token.get(..len)?)
        };
        while take(libc::MSG_PEEK).is_some_and(|number| number < stale_before) {
            // Another thread or process may have taken it meanwhile, and this be a newer one.
            if take(0).is_some_and(|number| number >= stale_before) {
                return self.ask(Call::REARM, [0, 0])?.result().map(drop);
            }
        }
        Ok(())
    }
}

/// Tells the served kernel that the program is about to wait for this socket.
pub(crate) fn tell_waiting(setting: &Setting, cookie: u64) {
    setting.control.tell(setting, (Call::WAITING, cookie, [0, 0]));
}

/// The length of these parts together.
fn total(parts: &[iovec]) -> Result<usize, Errno> {
    let total = parts.iter().try_fold(0_usize, |total, part| total.checked_add(part.iov_len));
    total.filter(|&total| isize::try_from(total).is_ok()).ok_or(Errno::EINVAL)
}
