//! The files of a simulated kernel: what `/proc` shows of its queues.

use core::fmt::Write;

use ipq_proto::{Errno, Family};
use ipq_sys::unix::{KernelFile, sysctl_number};

use crate::kernel::Kernel;

/// The file of this name, if the module that it belongs to is loaded.
fn file(kernel: &Kernel, name: &str) -> Result<KernelFile, Errno> {
    let file = KernelFile::named(name).ok_or(Errno::ENOENT)?;
    let is_there = match file {
        KernelFile::Status(family) | KernelFile::MaxLength(family) => {
            kernel.ip_queue_status(family).is_some()
        }
        KernelFile::Queues => kernel.lock().nfqueues.is_some(),
    };
    if is_there { Ok(file) } else { Err(Errno::ENOENT) }
}

/// What is in a file.
pub(super) fn read(kernel: &Kernel, name: &str) -> Result<String, Errno> {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match file(kernel, name)? {
        KernelFile::Status(family) => {
            let status = kernel.ip_queue_status(family).ok_or(Errno::ENOENT)?;
            write!(text, "{status}")
        }
        KernelFile::MaxLength(family) => {
            let status = kernel.ip_queue_status(family).ok_or(Errno::ENOENT)?;
            writeln!(text, "{}", status.queue_max_length.cast_signed())
        }
        KernelFile::Queues => {
            kernel.nfqueue_status().iter().try_for_each(|status| writeln!(text, "{status}"))
        }
    };
    Ok(text)
}

/// Whether a file is there and may be written.
pub(super) fn check_writable(kernel: &Kernel, name: &str) -> Result<(), Errno> {
    writable(kernel, name).map(|_| ())
}

fn writable(kernel: &Kernel, name: &str) -> Result<Family, Errno> {
    file(kernel, name)?.writable()
}

/// Writes to a file.
pub(super) fn write(kernel: &Kernel, name: &str, contents: &[u8]) -> Result<(), Errno> {
    let family = writable(kernel, name)?;
    if let Some(number) = sysctl_number(contents)? {
        kernel.set_queue_max_length(family, number.cast_unsigned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LENGTH: &str = "/proc/sys/net/ipv4/ip_queue_maxlen";

    #[test]
    fn has_the_files_of_the_modules_that_are_loaded() {
        let kernel = Kernel::builder().build();
        assert_eq!(read(&kernel, "/proc/net/ip_queue"), Err(Errno::ENOENT));
        assert_eq!(read(&kernel, "/proc/net/netfilter/nfnetlink_queue").as_deref(), Ok(""));
        kernel.load_ip_queue(Family::Ipv4);
        let text = read(&kernel, "/proc/self/net/ip_queue").unwrap();
        assert!(text.starts_with("Peer PID          : 0\n"), "{text}");
        assert_eq!(read(&kernel, MAX_LENGTH).as_deref(), Ok("1024\n"));
        for other in [
            "",
            "ip_queue",
            "/proc/net/",
            "/proc/net/ip6_queue",
            "/proc/net//proc/sys/net/ipv4/ip_queue_maxlen",
        ] {
            assert_eq!(read(&kernel, other), Err(Errno::ENOENT), "{other}");
        }
    }

    #[test]
    fn takes_the_numbers_that_a_sysctl_takes() {
        let kernel = Kernel::builder().build();
        assert_eq!(write(&kernel, MAX_LENGTH, b"5"), Err(Errno::ENOENT));
        kernel.load_ip_queue(Family::Ipv4);
        for (written, reads) in [("5", "5\n"), (" 7\n", "7\n"), ("-1\n", "-1\n"), ("0 9", "0\n")] {
            assert_eq!(write(&kernel, MAX_LENGTH, written.as_bytes()), Ok(()), "{written:?}");
            assert_eq!(read(&kernel, MAX_LENGTH).as_deref(), Ok(reads));
        }
        for wrong in ["x", "5x", "99999999999", "\n"] {
            assert_eq!(
                write(&kernel, MAX_LENGTH, wrong.as_bytes()),
                Err(Errno::EINVAL),
                "{wrong:?}"
            );
        }
        assert_eq!(write(&kernel, MAX_LENGTH, b"\xff"), Err(Errno::EINVAL));
        assert_eq!(write(&kernel, "/proc/net/ip_queue", b"5"), Err(Errno::EACCES));
    }
}
