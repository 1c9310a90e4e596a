//! A kernel that is served on a thread of this program: [`Host`].

use std::io::{self, PipeWriter};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::{env, fs};

use ipq_sys::unix::{Listener, ServedKernel, Server, ServerOptions};
use nix::unistd::mkdtemp;

/// A kernel that is served on a thread of this program, in a directory that only this user may enter.
pub(super) struct Host<K> {
    directory: PathBuf,
    path: PathBuf,
    /// Closed to end the server.
    stop: PipeWriter,
    thread: JoinHandle<io::Result<K>>,
}

impl<K: ServedKernel + Send + 'static> Host<K> {
    /// Begins to serve it.
    pub(super) fn start(kernel: K) -> io::Result<Self> {
        let directory = mkdtemp(&env::temp_dir().join("ipq-XXXXXX"))?;
        let path = directory.join("kernel");
        let listener = Listener::bind(&path).map_err(io::Error::other)?;
        let (reader, stop) = io::pipe()?;
        let options = ServerOptions { keeps_on: true, ..ServerOptions::default() };
        let serve = move || {
            let server = Server::new(kernel, listener, options);
            server.run(Some(reader.as_fd())).map(|(kernel, _)| kernel)
        };
        let thread = thread::Builder::new().name("ipq server".to_owned()).spawn(serve)?;
        Ok(Self { directory, path, stop, thread })
    }

    /// Where it is served.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the server, and gives the kernel back.
    pub(super) fn stop(self) -> io::Result<K> {
        drop(self.stop);
        let panicked = |_| Err(io::Error::other("the server's thread has panicked"));
        let kernel = self.thread.join().unwrap_or_else(panicked);
        // If it cannot be removed, it is empty and does no harm.
        let _ = fs::remove_dir(&self.directory);
        kernel
    }
}
