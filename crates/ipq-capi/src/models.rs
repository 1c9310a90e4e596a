//! Handles in every order in which the threads of a program can go on: `cargo xtask threads`.
//!
//! The locks, the sessions' counts and what each thread has of its own are loom's; the calls are those of C programs.

use core::ffi::c_int;
use core::ptr::null_mut;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::path::Path;

use ipq_proto::{DataModel, Family};
use ipq_sys::fuzzing::{Bytes, Said, Script};
use ipq_sys::{Clock, Deadline, Error, Protocol, Received, Transport};
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread;

use crate::calls::{ipq_destroy_handle, ipq_read, ipq_set_verdict};
use crate::error::{self, ErrorCode};
use crate::fork;
use crate::handle::Handle;
use crate::kernel::Kernel;
use crate::registry;
use crate::session::{Opened, Session};
use crate::shared::{Known, shared};
use crate::simulated;
use crate::sync::{Arc, Mutex};

/// A scripted transport in the middle of which another thread can come, and which notices that.
#[derive(Debug)]
struct Watched {
    script: Script,
    /// Whether a thread is in the middle of a call.
    is_busy: Arc<AtomicBool>,
    is_closed: Arc<AtomicBool>,
}

impl Watched {
    fn alone<T>(&mut self, call: impl FnOnce(&mut Script) -> T) -> T {
        assert!(!self.is_busy.swap(true, Ordering::Relaxed), "two threads in one transport");
        let done = call(&mut self.script);
        self.is_busy.store(false, Ordering::Relaxed);
        done
    }
}

impl Transport for Watched {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        self.alone(|script| script.send(parts))
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        self.alone(|script| script.receive(buffer, deadline))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.script.descriptor()
    }

    fn protocol(&self) -> Protocol {
        self.script.protocol()
    }

    fn port_id(&self) -> u32 {
        self.script.port_id()
    }

    fn now(&self) -> Clock {
        self.script.now()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        assert!(!self.is_busy.load(Ordering::Relaxed), "closed in the middle of a call");
        assert!(!self.is_closed.swap(true, Ordering::Relaxed), "closed twice");
    }
}

/// A handle as one thread passes it to others.
#[derive(Clone)]
struct Shared {
    address: usize,
    script: Script,
    is_busy: Arc<AtomicBool>,
    is_closed: Arc<AtomicBool>,
}

impl Shared {
    /// An open handle.
    fn open() -> Self {
        let script = Script::new(Protocol::Firewall, DataModel::NATIVE);
        script.state().has_descriptor = true;
        let is_busy = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::new(AtomicBool::new(false));
        let transport = Watched {
            script: script.clone(),
            is_busy: Arc::clone(&is_busy),
            is_closed: Arc::clone(&is_closed),
        };
        let process = std::process::id();
        let opened = Opened { process, family: Family::Ipv4, number: None, is_sole: false };
        let session = Session::new(Kernel::Plain(Box::new(transport)), opened).expect("it fits");
        let handle = registry::add(session).expect("no lock is held");
        Self { address: handle.addr(), script, is_busy, is_closed }
    }

    fn handle(&self) -> *mut Handle {
        core::ptr::with_exposed_provenance_mut(self.address)
    }

    /// Accepts a packet; says whether the verdict was sent, or else that the handle was none.
    fn accept(&self) -> bool {
        // SAFETY: there is no replacement.
        let sent = unsafe { ipq_set_verdict(self.handle(), 1, 1, 0, null_mut()) };
        assert!(sent > 0 || error::last_code() == ErrorCode::Implementation as c_int);
        sent > 0
    }

    /// Reads what is there.
    fn read(&self) -> isize {
        let mut buffer = [0; 128];
        // SAFETY: that many bytes, of this thread.
        unsafe { ipq_read(self.handle(), buffer.as_mut_ptr(), buffer.len(), -1) }
    }

    fn destroy(&self) -> bool {
        ipq_destroy_handle(self.handle()) == 0
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn sent(&self) -> usize {
        self.script.state().sent.len()
    }
}

#[test]
fn a_handle_is_destroyed_while_it_is_used() {
    loom::model(|| {
        let shared = Shared::open();
        let user = {
            let shared = shared.clone();
            thread::spawn(move || shared.accept())
        };
        assert!(shared.destroy());
        let was_sent = user.join().expect("it does not panic");
        assert_eq!(shared.sent(), usize::from(was_sent));
        assert!(shared.is_closed(), "the last call about it closes it");
        assert!(!shared.accept() && !shared.destroy(), "it is gone");
    });
}

#[test]
fn a_handle_is_destroyed_once() {
    loom::model(|| {
        let (shared, bystander) = (Shared::open(), Shared::open());
        let other = {
            let shared = shared.clone();
            thread::spawn(move || shared.destroy())
        };
        let here = shared.destroy();
        let there = other.join().expect("it does not panic");
        assert!(here != there && shared.is_closed());
        assert!(!bystander.is_closed() && bystander.destroy());
    });
}

#[test]
fn one_thread_reads_while_another_decides() {
    loom::model(|| {
        let shared = Shared::open();
        shared.script.state().lines.push_back(Said::Datagram(Bytes(vec![0; 16])));
        let decider = {
            let shared = shared.clone();
            thread::spawn(move || assert!(shared.accept()))
        };
        // What has the length 0 in its header makes no sense, and is the last error of this thread alone.
        assert_eq!(shared.read(), -1);
        assert_eq!(error::last_code(), ErrorCode::Receive as c_int);
        decider.join().expect("it does not panic");
        assert_eq!(shared.sent(), 1);
        assert!(shared.destroy() && shared.is_closed());
    });
}

#[test]
fn a_fork_finds_nothing_half_done() {
    loom::model(|| {
        let shared = Shared::open();
        let user = {
            let shared = shared.clone();
            thread::spawn(move || {
                assert!(shared.accept());
                assert!(shared.destroy());
            })
        };
        fork::take();
        assert!(!shared.is_busy.load(Ordering::Relaxed), "a child would have half a call");
        fork::give_back();
        user.join().expect("it does not panic");
        assert!(shared.is_closed());
    });
}

#[test]
fn a_fork_takes_every_lock() {
    loom::model(|| {
        let shared = Shared::open();
        let session =
            registry::find(shared.handle()).expect("no lock is held").expect("it is open");
        let are_free = || {
            let sessions = registry::sessions().try_lock().is_ok();
            [sessions, session.mutex().try_lock().is_ok(), simulated::known().try_lock().is_ok()]
        };
        fork::take();
        assert_eq!(are_free(), [false; 3]);
        fork::give_back();
        assert_eq!(are_free(), [true; 3]);
        assert!(shared.destroy());
    });
}

#[test]
fn handles_on_one_file_are_on_one_kernel() {
    loom::model(|| {
        let known = Arc::new((Mutex::new(Known::new()), AtomicU32::new(0)));
        let open = |known: &(Mutex<Known<u32>>, AtomicU32)| {
            let make = |_: &Path| Ok(known.1.fetch_add(1, Ordering::Relaxed));
            shared(&known.0, Path::new("kernel.toml"), make).expect("nothing fails")
        };
        let other = {
            let known = Arc::clone(&known);
            thread::spawn(move || open(&known))
        };
        let here = open(&known);
        let there = other.join().expect("it does not panic");
        assert!(std::sync::Arc::ptr_eq(&here, &there), "kernels {here} and {there} of one file");
    });
}
