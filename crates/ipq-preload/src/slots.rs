//! Notes about sockets by their cookies, for all threads and signal handlers at once: [`Slots`].

use crate::sync::{AtomicU64, Ordering};

/// How many bits there are to be noted of a socket.
pub(crate) const BITS: u32 = 12;

/// So many places, each with a cookie and what is noted of it in one word, or 0: no socket has the cookie 0, and no note is
/// zero.
///
/// A word is read as a whole and written as a whole, so that nothing is ever taken for a note about another socket. One that
/// needs the place takes it, and what was noted there is forgotten.
pub(crate) struct Slots<const COUNT: usize>(pub(crate) [AtomicU64; COUNT]);

impl<const COUNT: usize> Slots<COUNT> {
    /// What is noted of a socket.
    pub(crate) fn get(&self, cookie: u64) -> Option<u64> {
        note(self.slot(cookie).load(Ordering::Relaxed), cookie)
    }

    /// Notes something of a socket, but leaves the bits in `kept` as they are if it is noted already: another thread may have
    /// found it out at the same time, and gone on. What is noted of a cookie that is too large for a word is forgotten at once.
    pub(crate) fn put(&self, cookie: u64, bits: u64, kept: u64) {
        if cookie.leading_zeros() < BITS {
            return;
        }
        let update = |word| Some(cookie << BITS | bits | note(word, cookie).unwrap_or(0) & kept);
        let _ = self.slot(cookie).fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// Changes what is noted of a socket, if anything is.
    pub(crate) fn change(&self, cookie: u64, change: impl Fn(u64) -> u64) {
        let update = |word| note(word, cookie).map(|bits| cookie << BITS | change(bits));
        let _ = self.slot(cookie).fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// Everything that is noted: cookies and bits.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, u64)> {
        let words = self.0.iter().map(|slot| slot.load(Ordering::Relaxed));
        words.filter_map(|word| Some((word >> BITS, note(word, word >> BITS)?)))
    }

    fn slot(&self, cookie: u64) -> &AtomicU64 {
        let index = usize::try_from(cookie % COUNT as u64).unwrap_or(0);
        &self.0[index]
    }
}

/// The note in a word, if it is about this socket.
fn note(word: u64, cookie: u64) -> Option<u64> {
    (word >> BITS == cookie && word != 0).then_some(word & ((1 << BITS) - 1))
}
