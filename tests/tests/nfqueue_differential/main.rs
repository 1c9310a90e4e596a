//! The simulated kernel's `nfnetlink_queue` beside that of the kernel that runs the tests: both are told the same, byte
//! for byte, and both must answer the same, byte for byte.
//!
//! Each test has a user and a network namespace of its own, and what the machine does not allow is said on standard
//! error: `skipped: <test>: <reason>`. The real kernel is that of Linux 6.18; an older one may know fewer messages.
//!
//! Where the two differ the simulated kernel is wrong, but for these rules:
//!
//! - It has only this subsystem of netfilter. Messages to any other one are answered `EOPNOTSUPP`, whatever a real kernel
//!   has loaded, and none is sent here.
//! - It has no connection tracking unless it is given one. The test that asks for it needs a real kernel that has none
//!   either.
//! - Packets are no longer than a device sends: none is to be cut up by hardware (GSO).
//! - What a message costs in a receive buffer depends on the real kernel's build, so that a full one is compared by what
//!   is counted and not by when.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

/// Makes tests of these functions, each in a network of its own.
macro_rules! in_own_networks {
    ($($body:ident),+ $(,)?) => {
        mod in_a_network_of_its_own {
            $(
                #[test]
                fn $body() {
                    let name = concat!(module_path!(), "::", stringify!($body));
                    ipq_tests::namespace::run(name, super::$body);
                }
            )+
        }
    };
}

mod kernels;
mod network;
mod packets;
mod queueing;
mod random;
mod request;
mod verdicts;
mod written;
