//! What the environment says, once and for all, when the library is loaded.

use core::ffi::{CStr, c_int};
use core::mem::{offset_of, zeroed};
use std::ffi::CString;
use std::sync::OnceLock;

use ipq_sys::Protocol;
use libc::{sockaddr_un, socklen_t};

use crate::control::Control;

/// Names the Unix socket of the served kernel. Without it, the library does nothing.
const SERVER: &CStr = c"IPQ_PRELOAD_SERVER";

/// Names the netlink protocols that are carried there, with commas between them. Without it, all that there are.
const PROTOCOLS: &CStr = c"IPQ_PRELOAD_PROTOCOLS";

/// Names a file to which each call that is carried adds a line, or a record if it is a capture.
const TRACE: &CStr = c"IPQ_PRELOAD_TRACE";

/// What the environment says.
pub(crate) struct Setting {
    pub(crate) control: Control,
    /// Where the server is.
    pub(crate) address: sockaddr_un,
    pub(crate) address_len: socklen_t,
    carried: [bool; 3],
    /// Where the conversation is written to.
    pub(crate) trace: Option<CString>,
}

static SETTING: OnceLock<Option<Setting>> = OnceLock::new();

/// What the environment said when the library was loaded; `None` if it is not to do anything.
pub(crate) fn setting() -> Option<&'static Setting> {
    SETTING.get()?.as_ref()
}

/// Reads the environment. To be called once, before the program starts.
pub(crate) fn read() {
    let _ = SETTING.set(Setting::from_environment());
}

impl Setting {
    fn from_environment() -> Option<Self> {
        let (address, address_len) = unix_address(&variable(SERVER)?)?;
        let protocols = variable(PROTOCOLS);
        let is_carried = |protocol: Protocol| match &protocols {
            None => true,
            Some(list) => {
                let mut numbers = list.to_bytes().split(|&byte| byte == b',');
                numbers.any(|number| parse(number) == Some(protocol.number()))
            }
        };
        let carried = ALL.map(is_carried);
        let control = Control::new()?;
        Some(Self { control, address, address_len, carried, trace: variable(TRACE) })
    }

    /// The protocol of this number, if sockets of it are carried.
    pub(crate) fn carries(&self, number: c_int) -> Option<Protocol> {
        let mut protocols = ALL.iter().zip(self.carried);
        protocols
            .find(|(protocol, carried)| *carried && protocol.number() == number)
            .map(|(&protocol, _)| protocol)
    }
}

const ALL: [Protocol; 3] = [Protocol::Firewall, Protocol::Netfilter, Protocol::Ip6Firewall];

/// A number in decimal digits.
fn parse(digits: &[u8]) -> Option<c_int> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// The value of a variable that is there and not empty: a copy, as the program may change its environment.
fn variable(name: &CStr) -> Option<CString> {
    // SAFETY: the name ends in NUL. The program has not started, so nobody changes the environment meanwhile.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: getenv(3) gives a text that ends in NUL.
    let value = unsafe { CStr::from_ptr(value) };
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// The address of a Unix socket with this path; `None` if it is too long for one.
fn unix_address(path: &CStr) -> Option<(sockaddr_un, socklen_t)> {
    // SAFETY: integers, for which zero is a value.
    let mut address: sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).ok()?;
    let path = path.to_bytes_with_nul();
    if path.len() > address.sun_path.len() {
        return None;
    }
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = from.cast_signed();
    }
    let len = offset_of!(sockaddr_un, sun_path) + path.len();
    Some((address, socklen_t::try_from(len).ok()?))
}
