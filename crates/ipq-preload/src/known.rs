//! What this process knows of sockets, by what the kernel knows them by: [`known`] and [`remember`].
//!
//! A descriptor's number says little: a program closes it and has something else there, duplicates it, inherits it. A
//! cookie is the same for all descriptors of a socket, in all processes, and is never given to another. So what is known of a
//! cookie is true for ever, and if it is forgotten, the server is asked again.

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering};

use ipq_sys::Protocol;

use crate::slots::Slots;
use crate::sync::AtomicU64;

/// What a socket is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// None of ours: the program's own business.
    Foreign,
    /// A netlink socket that is carried.
    Carried {
        /// Its netlink protocol.
        protocol: Protocol,
        /// Whether it was opened as `SOCK_DGRAM`, and not as `SOCK_RAW`: netlink makes no difference, but tells it.
        is_dgram: bool,
    },
    /// A file of the served kernel, open for writing.
    File {
        /// Which one, of all that there are.
        index: u8,
    },
}

/// An option of a netlink socket that is on or off and that changes nothing of what the queues send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NetlinkFlag(u64);

impl NetlinkFlag {
    /// The flag that this option of the level `SOL_NETLINK` is.
    pub(crate) fn of(name: c_int) -> Option<Self> {
        let position = match name {
            libc::NETLINK_PKTINFO => 0,
            libc::NETLINK_BROADCAST_ERROR => 1,
            libc::NETLINK_LISTEN_ALL_NSID => 2,
            libc::NETLINK_CAP_ACK => 3,
            libc::NETLINK_EXT_ACK => 4,
            libc::NETLINK_GET_STRICT_CHK => 5,
            _ => return None,
        };
        Some(Self(1 << (KIND_BITS + position)))
    }
}

/// How many sockets are known at once. A power of two.
const COUNT: usize = 512;

/// The bits of a note that say what the socket is. Above them are its flags.
const KIND_BITS: u32 = 6;
const KIND: u64 = (1 << KIND_BITS) - 1;

static SOCKETS: Slots<COUNT> = Slots([const { AtomicU64::new(0) }; COUNT]);

/// Whether this process may have a socket that is carried. Before that, nothing else is looked at.
static MAY_BE: AtomicBool = AtomicBool::new(false);

/// Whether this process may have a descriptor of ours.
pub(crate) fn may_be() -> bool {
    MAY_BE.load(Ordering::Relaxed)
}

/// From now on, this process may have one.
pub(crate) fn expect_some() {
    MAY_BE.store(true, Ordering::Relaxed);
}

/// This process has none, as was found out before the program started.
pub(crate) fn expect_none() {
    MAY_BE.store(false, Ordering::Relaxed);
}

/// What is known of the socket with this cookie.
pub(crate) fn known(cookie: u64) -> Option<Kind> {
    unpack(SOCKETS.get(cookie)?)
}

/// Remembers what the socket with this cookie is, in place of another one. A cookie too large for a note is not remembered.
pub(crate) fn remember(cookie: u64, kind: Kind) {
    if kind != Kind::Foreign {
        expect_some();
    }
    SOCKETS.put(cookie, pack(kind), !KIND);
}

/// Whether a flag of the socket with this cookie is on.
pub(crate) fn has_flag(cookie: u64, NetlinkFlag(flag): NetlinkFlag) -> bool {
    SOCKETS.get(cookie).is_some_and(|note| note & flag != 0)
}

/// Turns a flag of the socket with this cookie on or off.
pub(crate) fn set_flag(cookie: u64, NetlinkFlag(flag): NetlinkFlag, is_on: bool) {
    SOCKETS.change(cookie, |note| if is_on { note | flag } else { note & !flag });
}

/// The cookies of the netlink sockets that are known to be carried; some of them may be closed.
pub(crate) fn carried_ones() -> impl Iterator<Item = u64> {
    let carried = |(_, note): &(u64, u64)| matches!(unpack(*note), Some(Kind::Carried { .. }));
    SOCKETS.all().filter(carried).map(|(cookie, _)| cookie)
}

const FOREIGN: u64 = 1;
const DGRAM: u64 = 16;
const FILE: u64 = 32;

fn pack(kind: Kind) -> u64 {
    match kind {
        Kind::Foreign => FOREIGN,
        // 3, 12 and 13.
        Kind::Carried { protocol, is_dgram } => {
            u64::from(protocol.number().unsigned_abs()) | if is_dgram { DGRAM } else { 0 }
        }
        Kind::File { index } => FILE | u64::from(index),
    }
}

fn unpack(note: u64) -> Option<Kind> {
    let bits = note & KIND;
    if bits == FOREIGN {
        return Some(Kind::Foreign);
    }
    if bits & FILE != 0 {
        return u8::try_from(bits & !FILE).ok().map(|index| Kind::File { index });
    }
    let number = c_int::try_from(bits & !DGRAM).ok()?;
    let protocol = Protocol::from_number(number)?;
    Some(Kind::Carried { protocol, is_dgram: bits & DGRAM != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_every_kind() {
        let carried =
            [Protocol::Firewall, Protocol::Ip6Firewall, Protocol::Netfilter].into_iter().flat_map(
                |protocol| [true, false].map(|is_dgram| Kind::Carried { protocol, is_dgram }),
            );
        let files = (0..5).map(|index| Kind::File { index });
        for (kind, cookie) in carried.chain(files).chain([Kind::Foreign]).zip(1000..) {
            assert_eq!(known(cookie), None);
            remember(cookie, kind);
            assert_eq!(known(cookie), Some(kind));
        }
        assert_eq!(carried_ones().filter(|cookie| (1000..1006).contains(cookie)).count(), 6);
    }

    #[test]
    fn forgets_rather_than_confuses() {
        let kind = Kind::Carried { protocol: Protocol::Firewall, is_dgram: false };
        remember(7, kind);
        let same_slot = 7 + COUNT as u64;
        assert_eq!(known(same_slot), None);
        remember(same_slot, Kind::Foreign);
        assert_eq!((known(7), known(same_slot)), (None, Some(Kind::Foreign)));
        remember(u64::MAX, kind);
        assert_eq!(known(u64::MAX), None);
        assert_eq!(known(0), None);
    }
}
