//! The kernel behind the transport `sim:FILE`: [`capture_kernel`].

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ipq_proto::Hook;

use crate::capture::{CaptureError, Reader};
use crate::device::Device;
use crate::kernel::Kernel;
use crate::replay::Replay;
use crate::rule::{Match, Target};

/// A kernel with the one device `eth0`, by which the packets of the capture at `path` come in, and one rule, which
/// queues every packet at `PRE_ROUTING`. Accepted, they are received by this host.
///
/// The packets are read as the kernel runs: what is wrong with the file further on, the [`Replay`] tells.
///
/// # Errors
///
/// If the file cannot be opened, or does not begin as a capture does.
pub fn capture_kernel(path: &Path) -> Result<(Kernel, Replay), CaptureError> {
    let reader: Reader<BufReader<File>> = Reader::open(path)?;
    let kernel = Kernel::builder().device(Device::ethernet("eth0")).build();
    kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
    let replay = kernel.replay("eth0", reader);
    Ok((kernel, replay))
}
