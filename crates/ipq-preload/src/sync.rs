//! What threads share, for the modules that `tests/models.rs` builds a second time, with loom's in the place of these.

pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
