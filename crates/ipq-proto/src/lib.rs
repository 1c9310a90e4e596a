//! The wire format of userspace packet queuing: netlink framing and the messages of `ip_queue`, both sides of the
//! conversation, for kernels of either word size and either byte order.
//!
//! Bytes to typed values and back, and nothing else: no I/O, no clock, no allocation, no `std`. What is on the
//! wire is described by generic structures of alignment 1 ([`ip_queue::PacketMsg`] and its like); what it means,
//! free of word size and byte order, by plain ones ([`ip_queue::Packet`]). A number that is received is an open
//! newtype with constants ([`Verdict`], [`Hook`], [`Errno`]); one that is only sent is an enumeration
//! ([`CopyMode`]).
//!
//! # Hostile input
//!
//! Any bytes may be given to any decoder. Lengths that lie, missing bytes, odd alignment and unknown numbers are
//! errors or plain values, never a panic, a read outside the slice or an allocation.
//!
//! # Reading a datagram
//!
//! ```
//! use ipq_proto::DataModel;
//! use ipq_proto::ip_queue::{Message, datagram};
//!
//! // What a 64-bit little-endian kernel answers to a verdict for an unknown packet.
//! let bytes = [
//!     36, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 41, 0, 0, 0, // header: NLMSG_ERROR
//!     0xfe, 0xff, 0xff, 0xff, // -ENOENT
//!     40, 0, 0, 0, 0x12, 0, 1, 0, 7, 0, 0, 0, 41, 0, 0, 0, // the request's header
//! ];
//! let (header, message) = datagram(DataModel::Lp64Little, &bytes)?;
//! assert_eq!(header.sequence, 7);
//! assert_eq!(message.to_string(), "ENOENT (no such file or directory) for seq 7");
//! # Ok::<(), ipq_proto::DecodeError>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::indexing_slicing)]

#[cfg(feature = "fuzzing")]
extern crate std;

pub mod abi;
mod errno;
mod error;
mod family;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hardware;
pub mod ip_queue;
mod netfilter;
pub mod netlink;
pub mod nfqueue;

pub use abi::{Abi, DataModel, Ilp32, Lp64, Native};
pub use errno::Errno;
pub use error::{DecodeError, EncodeError, Problem};
pub use family::{EtherType, Family};
pub use hardware::{HardwareAddress, HardwareType};
pub use netfilter::{CopyMode, DeviceName, Hook, Verdict};
