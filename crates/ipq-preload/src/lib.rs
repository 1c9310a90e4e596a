//! `libipq_preload.so`, which is put in front of the C library with `LD_PRELOAD`, by `ipq-cli run`, and carries the queue
//! sockets of an unmodified program to a served kernel ([`ipq_sys::unix`]).
//!
//! It knows one thing: the server behind the Unix socket that `IPQ_PRELOAD_SERVER` names. A netlink socket to `ip_queue` or
//! `nfnetlink_queue` becomes a data connection to it, whose descriptor the program holds, and each call on that is carried
//! there. As the descriptor is readable when a message waits, and closes when nobody has it any more, everything that is
//! about descriptors alone is left to the kernel: poll(2), dup(2), fork(2), exec(2), fcntl(2), close(2).
//!
//! Everything else of the program is passed on to the function that comes next, as it came. Until the program has a socket
//! of ours, that costs a look at a flag; then, calls on descriptors cost a system call more, which asks what they are.
//!
//! Nothing here blocks but for the answer of the server, allocates on the way of a message, or lets a panic out. What a
//! signal handler may call, it may call here: while a request is made, signals are blocked.

#![deny(unsafe_op_in_unsafe_fn)]
#![expect(unsafe_code, reason = "it is called by C, with pointers")]
#![cfg(target_os = "linux")]

mod answer;
mod carried;
mod control;
mod files;
mod known;
mod lock;
mod looking;
mod memory;
mod parts;
mod raw;
mod real;
mod receiving;
mod sending;
mod setting;
mod slots;
mod sockets;
mod start;
mod sync;
mod trace;

mod waiting;
