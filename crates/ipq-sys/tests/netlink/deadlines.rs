//! Waiting for a message, for a time and for a signal.

use core::sync::atomic::AtomicBool;
use core::time::Duration;
use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use ipq_sys::{Batch, Clock, Deadline, NetlinkSocket, Received, Transport, Waited, wait_any};
use nix::sys::pthread::{Pthread, pthread_kill};
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, NetlinkAddr, sendmsg};

use crate::support::{answer, assert_works, far_off, later, open, ping, send};

/// Receives in both ways, and asserts that they agree.
fn receive(socket: &mut NetlinkSocket, deadline: Deadline) -> Received {
    let received = socket.receive(&mut [0; 64], deadline).unwrap();
    let mut batch = Batch::new(2, 64);
    socket.receive_many(&mut batch, deadline).unwrap();
    assert_eq!(batch.iter().collect::<Vec<_>>(), [(received, &[][..])]);
    received
}

#[test]
fn does_not_wait_for_what_is_past() {
    let mut socket = open();
    let (now, much_later) = (socket.now(), later(&socket, Duration::from_secs(30)));
    for deadline in [Deadline::Immediate, Deadline::At(Clock::ZERO), Deadline::At(now)] {
        assert_eq!(receive(&mut socket, deadline), Received::TimedOut, "{deadline:?}");
    }
    assert!(socket.now() < much_later, "something waited");
}

#[test]
fn takes_what_is_there_although_the_deadline_is_past() {
    let mut socket = open();
    for deadline in [Deadline::Immediate, Deadline::At(Clock::ZERO), Deadline::At(socket.now())] {
        send(&mut socket, &ping(1));
        let received = socket.receive(&mut [0; 64], deadline);
        assert_eq!(received, Ok(Received::Datagram { len: 36 }), "{deadline:?}");
    }
}

#[test]
fn waits_until_the_deadline_and_not_less() {
    let mut socket = open();
    for wait in [1, 900, 5_000, 20_000].map(Duration::from_micros) {
        let deadline = later(&socket, wait);
        let received = socket.receive(&mut [0; 64], Deadline::At(deadline));
        assert_eq!(received, Ok(Received::TimedOut));
        assert!(socket.now() >= deadline, "waited less than {wait:?}");

        let deadline = later(&socket, wait);
        let mut batch = Batch::new(1, 64);
        socket.receive_many(&mut batch, Deadline::At(deadline)).unwrap();
        assert_eq!(batch.iter().next(), Some((Received::TimedOut, &[][..])));
        assert!(socket.now() >= deadline, "waited less than {wait:?}");

        let deadline = later(&socket, wait);
        let waited =
            wait_any([&mut socket as &mut dyn Transport].into_iter(), None, Deadline::At(deadline));
        assert_eq!(waited, Ok(Waited::TimedOut));
        assert!(socket.now() >= deadline, "waited less than {wait:?}");
    }
    assert_works(&mut socket);
}

#[test]
fn has_a_clock_that_goes_on() {
    let [first, second] = [open(), open()];
    let times = [first.now(), second.now(), first.now(), second.now()];
    assert!(times.is_sorted() && times[0] > Clock::ZERO, "{times:?}");
}

#[test]
fn wakes_up_for_a_message() {
    const ROUNDS: u32 = 200;
    let mut socket = open();
    let sender = socket.descriptor().unwrap().try_clone_to_owned().unwrap();
    let (go, gone) = channel::<u32>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for sequence in gone {
                let request = ping(sequence);
                let kernel = NetlinkAddr::new(0, 0);
                let parts = [IoSlice::new(&request)];
                sendmsg(sender.as_raw_fd(), &parts, &[], MsgFlags::empty(), Some(&kernel)).unwrap();
            }
        });
        let mut batch = Batch::new(2, 64);
        for round in 0..ROUNDS {
            go.send(round).unwrap();
            if round % 2 == 0 {
                let received = socket.receive(&mut [0; 64], far_off(&socket));
                assert_eq!(received, Ok(Received::Datagram { len: 36 }));
            } else {
                let deadline = far_off(&socket);
                socket.receive_many(&mut batch, deadline).unwrap();
                assert_eq!(batch.iter().next().unwrap().0, Received::Datagram { len: 36 });
            }
        }
        drop(go);
    });
    assert_works(&mut socket);
}

/// Sends signals to a thread that runs `wait` until it is done.
fn interrupted<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    /// One every millisecond: after a minute it will never be done.
    const SIGNALS: u32 = 60_000;
    let seen = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(signal_hook::consts::SIGUSR1, seen).unwrap();
    let (alive, done) = channel::<()>();
    let waiter = thread::spawn(move || {
        let outcome = wait();
        drop(alive);
        outcome
    });
    let mut signals = 0;
    while done.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
        signals += 1;
        assert!(signals < SIGNALS, "no signal ends the wait");
        let _ = pthread_kill(waiter.as_pthread_t() as Pthread, Signal::SIGUSR1);
    }
    let outcome = waiter.join().unwrap();
    signal_hook::low_level::unregister(handler);
    outcome
}

/// Deadlines that only a signal ends. The largest one is more than poll(2) takes.
const ENDLESS: [Deadline; 2] = [Deadline::Never, Deadline::At(Clock::MAX)];

#[test]
fn is_interrupted_by_a_signal() {
    for deadline in ENDLESS {
        let mut socket = open();
        let received = interrupted(move || {
            let received = socket.receive(&mut [0; 64], deadline);
            (received, socket)
        });
        let (received, mut socket) = received;
        assert_eq!(received, Ok(Received::Interrupted), "{deadline:?}");
        send(&mut socket, &ping(9));
        assert_eq!(answer(&mut socket).sequence, 9);
    }
}

#[test]
fn is_interrupted_by_a_signal_with_nothing_in_the_batch() {
    for deadline in ENDLESS {
        let mut socket = open();
        let (received, batch) = interrupted(move || {
            let mut batch = Batch::new(4, 64);
            (socket.receive_many(&mut batch, deadline), batch)
        });
        assert_eq!(received, Ok(()), "{deadline:?}");
        assert_eq!(batch.iter().collect::<Vec<_>>(), [(Received::Interrupted, &[][..])]);
    }
}

#[test]
fn is_interrupted_by_a_signal_among_several_sockets() {
    for deadline in ENDLESS {
        let mut sockets = [open(), open()];
        let waited = interrupted(move || {
            wait_any(sockets.iter_mut().map(|socket| socket as &mut dyn Transport), None, deadline)
        });
        assert_eq!(waited, Ok(Waited::Interrupted), "{deadline:?}");
    }
}
