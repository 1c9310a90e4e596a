//! The target `shared_session` of [`ipq_fuzz::TARGETS`].
#![cfg_attr(fuzzing, no_main)]
#![forbid(unsafe_code)]

ipq_fuzz::target!(shared_session);
