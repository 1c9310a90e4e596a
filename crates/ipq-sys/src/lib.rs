//! Datagram transports for userspace packet queuing: the [`Transport`] trait, and the netlink socket of a real
//! kernel, [`NetlinkSocket`].
//!
//! A transport moves datagrams and looks at nothing in them. What the bytes mean is the business of `ipq-proto`;
//! what to do with them that of `ipq`. Simulated kernels implement the trait in `ipq-sim`.

mod ask;
mod batch;
mod claim;
mod devices;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod namespace;
mod netlink_socket;
mod owner;
mod status;
mod syscall;
mod transport;
pub mod unix;
mod wait;
#[cfg(feature = "tokio")]
mod watch;

pub use ask::ask;
pub use batch::Batch;
pub use claim::{Claim, ClaimError, claim, release};
pub use devices::Devices;
pub use error::{Error, Operation};
pub use namespace::network_is_ours;
pub use netlink_socket::{NetlinkSocket, SocketOptions};
pub use owner::{Owner, Process, queue_owner};
pub use status::{IpQueueStatus, KernelStatus, NfqueueStatus, ParseStatusError};
pub use transport::{Clock, Deadline, DeviceInfo, Protocol, Received, Stepped, Transport};
pub use wait::{MAX_TRANSPORTS, Waited, wait_any, wait_readable};
#[cfg(feature = "tokio")]
pub use watch::Watched;
