//! Simulated kernels of this process, for `sim:FILE`: [`open`].
//!
//! A simulated kernel has no descriptor, and runs only while somebody waits for it. So it is served on a thread, as
//! `ipq-cli sim serve` serves one to other processes, and the handles of this process are its clients.

use std::path::Path;
use std::sync::Arc;

use ipq_proto::{Errno, Family};
use ipq_sim::{Served, Simulation};
use ipq_sys::SocketOptions;
use ipq_sys::unix::{Server, ServerOptions, Spawned, UnixSocket};

use crate::error::{Detail, ErrorCode, Failure};
use crate::shared::{self, shared};
use crate::sync::{Mutex, locked};

/// The kernels of this process, by the files that they came from.
pub(crate) type Known = shared::Known<Spawned>;

locked! {
    /// Those there are: handles on the same file are handles on the same kernel.
    KNOWN: Known = Known::new()
}

/// Opens the `ip_queue` of `family` in the kernel of `file`. The kernel ends when nobody has what is returned beside the
/// socket any more.
pub(crate) fn open(
    file: &Path,
    family: Family,
    options: SocketOptions,
) -> Result<(UnixSocket, Arc<Spawned>), Failure> {
    let server = shared(&KNOWN, file, serve)?;
    let protocol = ipq_sys::Protocol::ip_queue(family);
    let socket = UnixSocket::open(server.path(), protocol, options);
    let socket = socket.map_err(|error| Failure::transport(ErrorCode::Socket, error))?;
    Ok((socket, server))
}

/// Makes a kernel of the file.
fn serve(file: &Path) -> Result<Spawned, Failure> {
    let simulation = Simulation::open(file).map_err(|error| unreadable(&error))?;
    let server = Server::spawn(Served::new(simulation), ServerOptions::default());
    server.map_err(|error| unreadable(&error))
}

/// Which there are, locked, for fork(2).
pub(crate) fn known() -> &'static Mutex<Known> {
    &KNOWN
}

fn unreadable(error: &dyn core::fmt::Display) -> Failure {
    let detail = Detail::Said(error.to_string());
    Failure { code: ErrorCode::Socket, errno: Some(Errno(libc::EINVAL)), detail }
}
