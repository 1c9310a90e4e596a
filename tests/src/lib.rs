//! What the tests across the crates of ipq share: the recordings of a real kernel as values and their replay, and networks
//! of the real kernel to be alone in, with other hosts at the end of a wire, and the programs that are run there.

#![forbid(unsafe_code)]

pub mod conformance;
pub mod host;
pub mod namespace;
pub mod programs;
pub mod recording;
pub mod running;
pub mod seeds;

/// Makes tests of these functions, on each kernel that there is: `real::run` and `simulated::run` of the test crate give
/// them its network.
#[expect(clippy::crate_in_macro_def, reason = "meant: each test crate has kernels of its own")]
#[macro_export]
macro_rules! on_every_kernel {
    ($($body:ident),+ $(,)?) => {
        mod on_the_real_kernel {
            $(
                #[test]
                fn $body() {
                    let name = concat!(module_path!(), "::", stringify!($body));
                    crate::real::run(name, |network| super::$body(network));
                }
            )+
        }
        mod on_a_simulated_kernel {
            $(
                #[test]
                fn $body() {
                    let name = concat!(module_path!(), "::", stringify!($body));
                    crate::simulated::run(name, |network| super::$body(network));
                }
            )+
        }
    };
}
