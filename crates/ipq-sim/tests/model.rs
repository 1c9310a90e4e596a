//! The simulated kernel against an independent model of it, told the same.
//!
//! Both are told what bytes say, which is what the fuzz targets do: the bytes that a failure prints can be kept as a seed
//! of the target. `PROPTEST_CASES` makes the run longer, `PROPTEST_RNG_SEED` another one.

use ipq_sim::fuzzing::{operations, user_bytes};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn kernel_and_model_say_the_same_of_any_operations(data in vec(any::<u8>(), 0..3000)) {
        operations(&data);
    }

    #[test]
    fn kernel_and_model_say_the_same_of_any_bytes(data in vec(any::<u8>(), 0..600)) {
        user_bytes(&data);
    }
}
