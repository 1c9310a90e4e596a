//! A receiver over the `nfq` crate, as its readme shows it.

#![forbid(unsafe_code)]

use std::fs;
use std::io;

use ipq_bench::options::Options;
use ipq_bench::reporter::Reporter;
use nfq::{Queue, Verdict};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let options = Options::from_args()?;
    // NETLINK_NO_ENOBUFS is on, and packets are wanted whole, unless it is told otherwise.
    let mut queue = Queue::open()?;
    set_receive_buffer(options.rcvbuf)?;
    queue.bind(options.queue)?;
    queue.set_queue_max_len(options.queue, options.maxlen)?;
    queue.set_recv_gso(options.queue, options.gso)?;
    let mut reporter = Reporter::start()?;
    loop {
        let mut message = queue.recv()?;
        reporter.count(1);
        message.set_verdict(Verdict::Accept);
        queue.verdict(message)?;
    }
}

/// Sets the receive buffer of this program's sockets. The crate does not give away its descriptor, so a second one for
/// the same socket is asked of the kernel.
fn set_receive_buffer(size: u32) -> io::Result<()> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let size = usize::try_from(size).map_err(io::Error::other)?;
    for number in sockets()? {
        let socket = pidfd_getfd(&this, number, PidfdGetfdFlags::empty())?;
        // Beyond the system's limit only with privileges that a user namespace does not give.
        set_socket_recv_buffer_size_force(&socket, size)
            .or_else(|_| set_socket_recv_buffer_size(&socket, size))?;
    }
    Ok(())
}

/// The descriptors of this program that are sockets, but for the standard ones.
fn sockets() -> io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // The folder itself is among them, and closed by now or about to be.
        let is_socket = fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        numbers.extend(number.filter(|&number: &i32| is_socket && number > 2));
    }
    Ok(numbers)
}
