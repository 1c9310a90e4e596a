//! See [`ipq_fuzz::decode_any`].
#![cfg_attr(fuzzing, no_main)]
#![forbid(unsafe_code)]

ipq_fuzz::target!(decode_any);
