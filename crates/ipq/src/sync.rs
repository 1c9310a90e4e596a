//! What threads share: as the standard library has it, or, for the models in `tests/models.rs`, as loom has it.

#[cfg(not(ipq_loom))]
mod real {
    pub(crate) use core::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
}

#[cfg(ipq_loom)]
mod real {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
}

pub(crate) use real::*;
