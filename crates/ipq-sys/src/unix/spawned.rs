//! A server in this process: [`Spawned`].

use std::io::{self, PipeWriter};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::{env, fs};

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::unistd::mkdtemp;

use super::kernel::ServedKernel;
use super::listener::Listener;
use super::server::{Server, ServerOptions, ServerStatistics};

/// A server on a thread of this process, at a path that nobody else can reach: it is in a directory of its own, which
/// only this user may enter.
///
/// Ends when dropped. A process that is forked uses the server of its parent, as long as that lives.
#[derive(Debug)]
pub struct Spawned {
    directory: PathBuf,
    path: PathBuf,
    /// Closed to end the server.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<io::Result<ServerStatistics>>>,
    /// The process that has the thread.
    process: u32,
}

impl<K: ServedKernel + Send + 'static> Server<K> {
    /// Serves `kernel` on a thread of this process until what is returned is dropped. The thread takes no signals.
    ///
    /// # Errors
    ///
    /// If the directory, the socket or the thread cannot be made.
    pub fn spawn(kernel: K, options: ServerOptions) -> io::Result<Spawned> {
        let directory = env::temp_dir();
        let directory = mkdtemp(&directory.join("ipq-XXXXXX")).map_err(|errno| {
            let directory = directory.display();
            let error = io::Error::from(errno);
            let problem = format!(
                "making a folder for its socket in {directory}: {error}; TMPDIR can name another"
            );
            io::Error::new(error.kind(), problem)
        })?;
        let path = directory.join("kernel");
        let (reader, stop) = io::pipe()?;
        let listener = Listener::bind(&path).map_err(io::Error::other)?;
        let options = ServerOptions { keeps_on: true, ..options };
        let server = Self::new(kernel, listener, options);
        let run = move || server.run(Some(reader.as_fd())).map(|(_, statistics)| statistics);
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
        let thread = thread::Builder::new().name("ipq server".to_owned()).spawn(run);
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        let (stop, thread) = (Some(stop), Some(thread?));
        Ok(Spawned { directory, path, stop, thread, process: std::process::id() })
    }
}

impl Spawned {
    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the server, and says what it has seen.
    ///
    /// # Errors
    ///
    /// If the server failed.
    pub fn stop(mut self) -> io::Result<ServerStatistics> {
        self.end().unwrap_or_else(|| Ok(ServerStatistics::default()))
    }

    fn end(&mut self) -> Option<io::Result<ServerStatistics>> {
        drop(self.stop.take());
        let thread = self.thread.take()?;
        if std::process::id() != self.process {
            // A child has neither the thread nor the right to end it.
            core::mem::forget(thread);
            return None;
        }
        let panicked = |_| Err(io::Error::other("the server's thread has panicked"));
        let ended = thread.join().unwrap_or_else(panicked);
        // If it cannot be removed, it is empty and does no harm.
        let _ = fs::remove_dir(&self.directory);
        Some(ended)
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.end();
    }
}
