//! Ctrl-C and SIGTERM: [`Stop`].

use core::sync::atomic::{AtomicBool, Ordering};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// Whether a signal has asked for the end.
#[derive(Debug)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on, the first signal is remembered and makes the descriptor readable, so that nobody who waits for it
    /// misses the signal; a second one ends the program at once.
    pub(crate) fn on_signals() -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        let is_asked_for = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&is_asked_for))?;
            flag::register(signal, Arc::clone(&is_asked_for))?;
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok((Self(is_asked_for), reader.into()))
    }

    /// Whether there was a signal.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
