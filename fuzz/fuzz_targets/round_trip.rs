//! See [`ipq_fuzz::round_trip`].
#![cfg_attr(fuzzing, no_main)]
#![forbid(unsafe_code)]

ipq_fuzz::target!(round_trip);
