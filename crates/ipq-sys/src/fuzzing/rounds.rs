//! A server round by round, with its clients on the same thread.

use core::time::Duration;
use std::io;

use crate::unix::{ServedKernel, Server, ServerStatistics};

/// One round of the server's loop, in which it waits for nobody; says whether it would go on.
///
/// # Errors
///
/// If poll(2) fails.
pub fn round<K: ServedKernel>(server: &mut Server<K>) -> io::Result<bool> {
    server.round(None, Some(Duration::ZERO))
}

/// The end of a server: its kernel, with all sockets closed, and what was seen.
pub fn end<K: ServedKernel>(server: Server<K>) -> (K, ServerStatistics) {
    server.end()
}
