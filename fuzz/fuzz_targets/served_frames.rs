//! See [`ipq_fuzz::served_frames`].
#![cfg_attr(fuzzing, no_main)]
#![forbid(unsafe_code)]

ipq_fuzz::target!(served_frames);
