//! The target `round_trip` of [`ipq_fuzz::TARGETS`].
#![cfg_attr(fuzzing, no_main)]
#![forbid(unsafe_code)]

ipq_fuzz::target!(round_trip);
