//! What threads share: as the standard library has it, or, for the models in `models.rs`, as loom has it.

#[cfg(not(ipq_loom))]
mod real {
    pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
}

#[cfg(ipq_loom)]
mod real {
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
}

pub(crate) use real::*;

/// Something behind a lock that all threads have.
macro_rules! locked {
    ($(#[$meta:meta])* $name:ident: $type:ty = $value:expr) => {
        $(#[$meta])*
        #[cfg(not(ipq_loom))]
        static $name: $crate::sync::Mutex<$type> = $crate::sync::Mutex::new($value);

        #[cfg(ipq_loom)]
        loom::lazy_static! {
            static ref $name: $crate::sync::Mutex<$type> = $crate::sync::Mutex::new($value);
        }
    };
}

/// Something that each thread has of its own.
macro_rules! of_thread {
    ($($(#[$meta:meta])* $name:ident: $type:ty = $value:expr;)+) => {
        #[cfg(not(ipq_loom))]
        std::thread_local! {
            $($(#[$meta])* static $name: $type = const { $value };)+
        }

        #[cfg(ipq_loom)]
        loom::thread_local! {
            $(static $name: $type = $value;)+
        }
    };
}

pub(crate) use {locked, of_thread};
