//! Two families on one queue of `nfnetlink_queue`: [`Sorter`].
//!
//! `ip_queue` had a socket for each family. A queue of `nfnetlink_queue` has one socket for both, and rules for both may
//! well name the same queue, as `-j QUEUE` does. So that each handle has a socket of its own, which is readable when a
//! packet of its family waits and never else, the queue is given to a thread that sorts: it has each packet queued again, in
//! a queue of its family.

use core::sync::atomic::{AtomicU16, Ordering};
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ipq::{CopyMode, Families, Options, Queue, TransportName};
use ipq_bridge::Bridge;
use ipq_proto::{Errno, Family, Verdict};
use ipq_sys::{ClaimError, NetlinkSocket};

use crate::error::{Detail, ErrorCode, Failure};

/// How many queues are tried before giving up.
const ATTEMPTS: u16 = 256;

/// The thread that sorts the packets of a queue. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Sorter {
    /// Which queue has the packets of which family.
    queues: Arc<[AtomicU16; 2]>,
    /// Closed to end the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    /// The process that has the thread: after fork(2), one of them.
    process: u32,
}

impl Sorter {
    /// Has the packets of the queue `number` queued again, in these of `queues`.
    pub(crate) fn start(number: u16, queues: [u16; 2]) -> Result<Self, Failure> {
        let name = TransportName::Nfqueue { first: number, last: number };
        let options = Options { ignore_overruns: true, ..Options::from(Families::Both) };
        let mut queue = Queue::open(name, options).map_err(unstarted)?;
        queue.set_mode(CopyMode::Metadata).map_err(unstarted)?;
        let (reader, stop) = io::pipe().map_err(unstarted)?;
        queue.interrupt_on(OwnedFd::from(reader));
        let queues = Arc::new(queues.map(AtomicU16::new));
        let targets = Arc::clone(&queues);
        let thread = spawn(move || {
            // It ends where its socket fails: then packets are dropped, as without a program.
            let _ = queue.run(|packet| {
                Verdict::to_queue(targets[index(packet.family())].load(Ordering::Relaxed))
            });
        })?;
        let process = std::process::id();
        Ok(Self { queues, stop: Some(stop), thread: Some(thread), process })
    }

    /// Has the packets of a family queued in another queue from now on.
    pub(crate) fn redirect(&self, family: Family, number: u16) {
        self.queues[index(family)].store(number, Ordering::Relaxed);
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        if std::process::id() == self.process {
            let _ = thread.join();
        } else {
            // A child has not got the thread.
            core::mem::forget(thread);
        }
    }
}

/// Starts a thread that takes no signals: these are the program's.
fn spawn(body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    // SAFETY: a sigset_t is integers, for which all zero bytes are a value.
    let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
    let mut before = all;
    // SAFETY: it writes a sigset_t, which `all` is.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: it reads one set and writes the other.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let thread = thread::Builder::new().name("libipq sorter".to_owned()).spawn(body);
    // SAFETY: it reads a set, and writes nothing where there is null.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut()) };
    thread.map_err(unstarted)
}

/// Opens a queue that nobody else has, as if it were the one that was asked for.
pub(crate) fn open_anywhere(
    family: Family,
    options: ipq_bridge::Options,
) -> Result<Bridge<NetlinkSocket>, ClaimError> {
    anywhere(|number| ipq_bridge::open(number, family, options))
}

/// Moves a bridge to a queue that nobody else has.
pub(crate) fn move_anywhere(bridge: &mut Bridge<NetlinkSocket>) -> Result<(), ClaimError> {
    anywhere(|number| bridge.move_to(number))
}

/// Tries the last queues there are, which rules hardly ever name, from the very last.
fn anywhere<T>(mut take: impl FnMut(u16) -> Result<T, ClaimError>) -> Result<T, ClaimError> {
    let mut number = u16::MAX;
    loop {
        match take(number) {
            Err(ClaimError::QueueTaken { .. }) if number > u16::MAX - ATTEMPTS => number -= 1,
            taken => return taken,
        }
    }
}

const fn index(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}

fn unstarted(error: impl core::fmt::Display) -> Failure {
    let said = format!("sharing a queue between two families: {error}");
    Failure { code: ErrorCode::Bind, errno: Some(Errno::EADDRINUSE), detail: Detail::Said(said) }
}
