//! Simulated kernels of this process, for `sim:FILE`: [`open`].
//!
//! A simulated kernel has no descriptor, and runs only while somebody waits for it. So it is served on a thread, as
//! `ipq-cli sim serve` serves one to other processes, and the handles of this process are its clients.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use ipq_proto::{Errno, Family};
use ipq_sim::{Served, Simulation};
use ipq_sys::SocketOptions;
use ipq_sys::unix::{Server, ServerOptions, Spawned, UnixSocket};

use crate::critical::lock;
use crate::error::{Detail, ErrorCode, Failure};

/// A kernel of this process: the file that it came from, and who serves it as long as a handle needs it.
struct Known {
    file: PathBuf,
    process: u32,
    server: Weak<Spawned>,
}

/// Those there are: handles on the same file are handles on the same kernel.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// Opens the `ip_queue` of `family` in the kernel of `file`. The kernel ends when nobody has what is returned beside the
/// socket any more.
pub(crate) fn open(
    file: &Path,
    family: Family,
    options: SocketOptions,
) -> Result<(UnixSocket, Arc<Spawned>), Failure> {
    let server = match known(file)? {
        Some(server) => server,
        None => serve(file)?,
    };
    let protocol = ipq_sys::Protocol::ip_queue(family);
    let socket = UnixSocket::open(server.path(), protocol, options);
    let socket = socket.map_err(|error| Failure::transport(ErrorCode::Socket, error))?;
    Ok((socket, server))
}

/// The kernel of this file, if there is one; those that have ended are forgotten.
fn known(file: &Path) -> Result<Option<Arc<Spawned>>, Failure> {
    let process = std::process::id();
    let mut known = lock(&KNOWN)?;
    known.retain(|kernel| kernel.server.strong_count() > 0);
    let found = known.iter().find(|kernel| kernel.file == file && kernel.process == process);
    Ok(found.and_then(|kernel| kernel.server.upgrade()))
}

/// Makes a kernel of the file.
fn serve(file: &Path) -> Result<Arc<Spawned>, Failure> {
    let simulation = Simulation::open(file).map_err(|error| unreadable(&error))?;
    let server = Server::spawn(Served::new(simulation), ServerOptions::default());
    let server = Arc::new(server.map_err(|error| unreadable(&error))?);
    let weak = Arc::downgrade(&server);
    let process = std::process::id();
    lock(&KNOWN)?.push(Known { file: file.to_owned(), process, server: weak });
    Ok(server)
}

fn unreadable(error: &dyn core::fmt::Display) -> Failure {
    let detail = Detail::Said(error.to_string());
    Failure { code: ErrorCode::Socket, errno: Some(Errno(libc::EINVAL)), detail }
}
