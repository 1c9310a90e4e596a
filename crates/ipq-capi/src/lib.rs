//! libipq for C: the API of libipq(3) over any [`Transport`](ipq_sys::Transport).
//!
//! `cargo xtask install-c` makes `libipq.so.0` and `libipq.a` of this crate and installs them with headers and manual
//! pages. The functions are in [`calls`] and [`additions`]; `include/libipq.h` is what C sees of them, and
//! `libipq.map` what the shared library exports.
//!
//! There is no logic of queues here, only the conventions of C: pointers, numbers of errors, `errno`, signals, threads
//! and fork(2). A panic never reaches the caller: it becomes an error.

#![expect(unsafe_code, reason = "the boundary to C")]

pub mod additions;
mod boundary;
pub mod calls;
mod critical;
mod error;
mod fork;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod kernel;
mod message;
#[cfg(all(test, ipq_loom))]
mod models;
mod open;
mod registry;
mod send;
mod session;
mod shared;
mod simulated;
mod sorter;
mod statistics;
mod sync;
mod text;
mod wait;

pub use error::{ErrorCode, ErrorText, ipq_errmap};
pub use handle::Handle;
