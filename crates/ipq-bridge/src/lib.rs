//! `ip_queue` carried over `nfnetlink_queue`: a program for the old queue, on a kernel that has only the new one.
//!
//! A [`Bridge`] is made of a [`Transport`](ipq_sys::Transport) that speaks `nfnetlink_queue` and has one of its queues.
//! It is a transport itself, and speaks `ip_queue`: it takes `IPQM_MODE` and `IPQM_VERDICT`, well-formed or not, and
//! hands out `IPQM_PACKET` and `NLMSG_ERROR`, byte for byte as the kernels did that had the module.
//!
//! ```no_run
//! use ipq_bridge::Options;
//! use ipq_proto::Family;
//! use ipq_sys::{Deadline, Transport};
//!
//! let mut socket = ipq_bridge::open(0, Family::Ipv4, Options::default())?;
//! let mut buffer = [0; 2048];
//! let received = socket.receive(&mut buffer, Deadline::Never)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The descriptor
//!
//! It is the one of the socket below, and readable when there is something to receive. That includes what the bridge has
//! to say itself, such as the refusal of a bad request, because it has the kernel say it: the request goes down in an
//! attribute that no kernel knows, in a message that the kernel has to answer, and the answer, which repeats it, comes
//! up in its place among the packets. So nothing is remembered of a request, and nothing can be lost but as on any
//! netlink socket.
//!
//! # What is not as it was
//!
//! - At most 65,531 bytes of a packet are copied, and a replacement longer than that is a packet dropped: an attribute
//!   has no room for more.
//! - A packet that the hardware would have cut up comes cut up already, each piece with its checksums filled in.
//! - Packets of the other family, which come where rules for both name the same queue, make the descriptor readable
//!   until they are received, which drops and [counts](Statistics) them.
//! - A fragment that this host makes itself is told with protocol 0, like what is no fragment, where no payload shows that it
//!   is one.
//! - When a packet arrived is often not said any more. Then it is the time at which it is received from the queue.
//! - A program that writes another port id than its own into its requests becomes a peer that gets no packets, as it
//!   should, but they are not counted.

#![forbid(unsafe_code)]

mod bridge;
mod carried;
mod cut;
mod kernel;
mod moving;
mod open;
mod packet;
mod station;

pub use bridge::{Bridge, Statistics};
pub use kernel::BridgedKernel;
pub use open::{Options, open};
