//! What the threads of a program share, in every order in which they can go on: `cargo xtask threads`.
//!
//! These are the very modules of the library, over loom's atomics. They are built here and not as the library, which would
//! take the place of the C library's functions in this process.

#![cfg(ipq_loom)]

#[path = "../src/lock.rs"]
mod lock;
#[path = "../src/slots.rs"]
mod slots;

use loom::sync::Arc;
use loom::thread;

use lock::Lock;
use slots::Slots;
use sync::{AtomicU32, AtomicU64, Ordering};

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

/// futex(2) as it is documented: whether the word has the value, and falling asleep, is one step for all who wake.
mod raw {
    use loom::sync::{Condvar, Mutex};

    use super::sync::{AtomicU32, Ordering};

    loom::lazy_static! {
        static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }

    pub(crate) fn futex_wait(word: &AtomicU32, value: u32) {
        let step = SLEEPERS.0.lock().expect("no model panics in it");
        if word.load(Ordering::Relaxed) == value {
            drop(SLEEPERS.1.wait(step));
        }
    }

    pub(crate) fn futex_wake(_: &AtomicU32) {
        let _step = SLEEPERS.0.lock().expect("no model panics in it");
        SLEEPERS.1.notify_one();
    }
}

/// So many threads add one each, which none of them can do alone in one step. Who sleeps on and on is a deadlock, which loom
/// finds. A thread is made to stop for another one no more often than `stops`, if that is said.
fn count_up(threads: u32, stops: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = stops;
    model.check(move || {
        let shared = Arc::new((Lock(AtomicU32::new(0)), AtomicU32::new(0)));
        let count = |shared: &(Lock, AtomicU32)| {
            let (lock, number) = shared;
            lock.take();
            number.store(number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            lock.give_back();
        };
        let others = (1..threads).map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || count(&shared))
        });
        let others: Vec<_> = others.collect();
        count(&shared);
        for other in others {
            other.join().expect("it does not panic");
        }
        assert_eq!(shared.1.load(Ordering::Relaxed), threads);
        assert_eq!(shared.0.0.load(Ordering::Relaxed), 0, "nobody has the lock");
    });
}

#[test]
fn two_threads_have_the_connection_in_turn() {
    count_up(2, None);
}

#[test]
fn three_threads_have_the_connection_in_turn() {
    count_up(3, Some(3));
}

/// One place for two sockets.
fn one_slot() -> Arc<Slots<1>> {
    Arc::new(Slots([AtomicU64::new(0)]))
}

const KIND: u64 = 0b11;
const FLAG: u64 = 0b100;

#[test]
fn a_note_is_never_taken_for_that_of_another_socket() {
    loom::model(|| {
        let slots = one_slot();
        slots.put(7, 1, !KIND);
        let other = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || {
                slots.put(8, 2, !KIND);
                slots.change(8, |note| note | FLAG);
                assert!(slots.get(8).is_none_or(|note| note == 2 | FLAG));
            })
        };
        assert!(slots.get(7).is_none_or(|note| note == 1));
        let known = slots.all().all(|known| [(7, 1), (8, 2), (8, 2 | FLAG)].contains(&known));
        assert!(known, "half of one note and half of another");
        // Who looks again may find it forgotten, and notes it again.
        slots.put(7, 1, !KIND);
        assert!(slots.get(7).is_none_or(|note| note == 1));
        other.join().expect("it does not panic");
    });
}

#[test]
fn a_flag_that_is_set_stays_when_another_thread_finds_out_what_the_socket_is() {
    loom::model(|| {
        let slots = one_slot();
        let look = |slots: &Slots<1>| {
            if slots.get(7).is_none() {
                slots.put(7, 1, !KIND);
            }
        };
        let other = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || look(&slots))
        };
        look(&slots);
        slots.change(7, |note| note | FLAG);
        other.join().expect("it does not panic");
        assert_eq!(slots.get(7), Some(1 | FLAG));
    });
}

#[test]
fn two_flags_of_a_socket_are_set_at_once() {
    loom::model(|| {
        let slots = one_slot();
        slots.put(7, 1, !KIND);
        let other = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || slots.change(7, |note| note | FLAG))
        };
        slots.change(7, |note| note | FLAG << 1);
        other.join().expect("it does not panic");
        assert_eq!(slots.get(7), Some(1 | FLAG | FLAG << 1));
    });
}
