//! How reading is ended from elsewhere: [`Stopper`].

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipq_sys::wait_readable;

use crate::sync::{Arc, AtomicBool, Ordering};

/// Ends the reads of a queue, from any thread or from a signal. Clones end the same reads.
///
/// A read that waits returns at once, and so does every later one: stopping is for good. What happens to packets that
/// are still queued is up to whoever closes the queue, see [`Queue::settle_rest`](crate::Queue::settle_rest) and
/// [`SharedQueue::close`](crate::SharedQueue::close).
///
/// ```
/// # use ipq::{CopyMode, Families, Queue, Verdict};
/// # let kernel = ipq_sim::Kernel::builder().build();
/// # let socket = kernel.nfqueue_socket();
/// let mut queue = Queue::with_nfqueue(socket, 0..=0, Families::Both)?;
/// queue.set_mode(CopyMode::Metadata)?;
/// let stopper = queue.stopper()?;
/// std::thread::spawn(move || stopper.stop());
/// queue.run(|_| Verdict::Accept)?;
/// # Ok::<(), ipq::Error>(())
/// ```
///
/// With signals, by the crate signal-hook, and without a thread for it:
///
/// ```
/// # let kernel = ipq_sim::Kernel::builder().build();
/// # let mut queue = ipq::Queue::with_nfqueue(kernel.nfqueue_socket(), 0..=0, ipq::Families::Both)?;
/// use signal_hook::consts::{SIGINT, SIGTERM};
///
/// let stopper = queue.stopper()?;
/// for signal in [SIGINT, SIGTERM] {
///     signal_hook::low_level::pipe::register(signal, stopper.writer()?)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stopper(Arc<State>);

#[derive(Debug)]
struct State {
    is_stopped: AtomicBool,
    /// Readable once reading is to end.
    reader: PipeReader,
    writer: PipeWriter,
}

impl Stopper {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self(Arc::new(State { is_stopped: AtomicBool::new(false), reader, writer })))
    }

    /// Ends reading. Once is enough, and more does nothing.
    ///
    /// It sets a flag and writes a byte into a pipe, so a signal handler may call it.
    pub fn stop(&self) {
        if !self.0.is_stopped.swap(true, Ordering::SeqCst) {
            // A pipe that is full is readable already.
            let _ = (&self.0.writer).write(&[0]);
        }
    }

    /// Whether reading has been ended.
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped.load(Ordering::SeqCst)
    }

    /// A descriptor that ends reading when something is written to it: for handlers of signals, for a parent process, for
    /// whatever else knows how to write.
    ///
    /// # Errors
    ///
    /// If this process has no descriptor left.
    pub fn writer(&self) -> io::Result<OwnedFd> {
        self.0.writer.try_clone().map(OwnedFd::from)
    }

    /// A descriptor that becomes readable when reading is to end.
    #[cfg(feature = "tokio")]
    pub(crate) fn reader(&self) -> io::Result<OwnedFd> {
        self.0.reader.try_clone().map(OwnedFd::from)
    }

    /// Becomes readable when reading is to end.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }

    /// The same as [`is_stopped`](Self::is_stopped), but looks for what was written to the [writer](Self::writer) too.
    pub(crate) fn look(&self) -> bool {
        let written = || wait_readable([self.descriptor()], Some(core::time::Duration::ZERO));
        if !self.is_stopped() && written().unwrap_or(false) {
            self.0.is_stopped.store(true, Ordering::SeqCst);
        }
        self.is_stopped()
    }
}
