//! The files of a served kernel: [`KernelFile`].

use std::io;
use std::path::Path;

use ipq_proto::{Errno, Family};

use super::Client;
use crate::KernelStatus;

/// A file of a kernel about its queues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KernelFile {
    /// What an `ip_queue` says of itself.
    #[doc(alias("/proc/net/ip_queue", "/proc/net/ip6_queue"))]
    Status(Family),
    /// How many packets may wait in it.
    #[doc(alias("ip_queue_maxlen", "ip6_queue_maxlen"))]
    MaxLength(Family),
    /// What `nfnetlink_queue` says of its queues.
    #[doc(alias = "/proc/net/netfilter/nfnetlink_queue")]
    Queues,
}

impl KernelFile {
    /// The file of this name, whether or not a kernel has it now.
    pub fn named(name: &str) -> Option<Self> {
        let of_network = ["/proc/net/", "/proc/self/net/", "/proc/thread-self/net/"];
        let rest = of_network.iter().find_map(|directory| name.strip_prefix(directory));
        match rest.unwrap_or(name) {
            "ip_queue" => Some(Self::Status(Family::Ipv4)),
            "ip6_queue" => Some(Self::Status(Family::Ipv6)),
            "netfilter/nfnetlink_queue" => Some(Self::Queues),
            "/proc/sys/net/ipv4/ip_queue_maxlen" => Some(Self::MaxLength(Family::Ipv4)),
            "/proc/sys/net/ipv6/ip6_queue_maxlen" => Some(Self::MaxLength(Family::Ipv6)),
            _ => None,
        }
        .filter(|file| rest.is_some() != matches!(file, Self::MaxLength(_)))
    }

    /// The queue whose maximum length this is.
    ///
    /// # Errors
    ///
    /// `EACCES` if it is another file: nothing else is to be written.
    pub fn writable(self) -> Result<Family, Errno> {
        match self {
            Self::MaxLength(family) => Ok(family),
            Self::Status(_) | Self::Queues => Err(Errno::EACCES),
        }
    }
}

impl Client {
    /// What the kernel says of its queues in its files.
    ///
    /// # Errors
    ///
    /// `ECONNRESET` if the server is gone. A file that cannot be read, or makes no sense, is among the
    /// [`problems`](KernelStatus::problems).
    pub fn kernel_status(&mut self) -> Result<KernelStatus, Errno> {
        let mut is_gone = false;
        let status = KernelStatus::read_with(Path::new("/"), |path| {
            let path = path.to_str().ok_or(io::ErrorKind::NotFound)?;
            let contents = self.read_file(path).map_err(|errno| {
                is_gone |= errno == Errno::ECONNRESET;
                io::Error::from_raw_os_error(errno.0)
            })?;
            String::from_utf8(contents).map_err(io::Error::other)
        });
        if is_gone { Err(Errno::ECONNRESET) } else { Ok(status) }
    }
}

/// The number that is written to a sysctl; `None` for nothing at all, which changes nothing. What follows it behind a blank
/// counts for nothing.
///
/// # Errors
///
/// `EINVAL` if it is no number, or one that an `int` cannot hold.
pub fn sysctl_number(contents: &[u8]) -> Result<Option<i32>, Errno> {
    let text = core::str::from_utf8(contents).map_err(|_| Errno::EINVAL)?;
    let Some(number) = text.split_ascii_whitespace().next() else {
        return if text.is_empty() { Ok(None) } else { Err(Errno::EINVAL) };
    };
    number.trim_end_matches('\0').parse().map(Some).map_err(|_| Errno::EINVAL)
}
