//! The simulated kernel's `nfnetlink_queue` beside that of the kernel that runs the tests: both are told the same, byte
//! for byte, and both must answer the same, byte for byte.
//!
//! Each test has a user and a network namespace of its own, and what the machine does not allow is said on standard
//! error: `skipped: <test>: <reason>`. The real kernel is that of Linux 6.18; an older one may know fewer messages.
//!
//! Where the two differ the simulated kernel is wrong, but for the rules that its module `nfqueue` begins with: nothing
//! that they except is sent here.

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

mod arrival_times;
mod forwarding;
mod kernels;
mod network;
mod packets;
mod queueing;
mod random;
mod request;
mod verdicts;
mod written;
