//! Who is measured: [`Receiver`].

use core::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

/// How many messages the bare batched loop receives at once.
const BATCH: &str = "64";

/// A program that takes packets off a queue and accepts them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Receiver {
    /// `ipq`.
    Ours,
    /// `ipq`, which reads and decides one packet at a time.
    OursOneByOne,
    /// libipq for C, which does the same.
    Libipq,
    /// The callback API of `libnetfilter_queue`.
    LibnetfilterQueue,
    /// The `nfq` crate.
    NfqCrate,
    /// System calls alone, two for each packet.
    Bare,
    /// System calls alone, many packets at once.
    BareBatched,
}

impl Receiver {
    /// Its program, where `rust` has those in Rust and `c` those in C.
    pub(crate) fn program(self, rust: &Path, c: &Path) -> PathBuf {
        match self {
            Self::Ours => rust.join("ours"),
            Self::OursOneByOne => rust.join("one_by_one"),
            Self::Libipq => c.join("libipq"),
            Self::NfqCrate => rust.join("nfq_crate"),
            Self::LibnetfilterQueue => c.join("callback"),
            Self::Bare | Self::BareBatched => c.join("bare"),
        }
    }

    /// What its program wants to know beyond what all want to know.
    pub(crate) fn extra_args(self) -> &'static [&'static str] {
        if self == Self::BareBatched { &[BATCH] } else { &[] }
    }

    /// Whether it can take packets as large as the stack has them. Its messages are those of `ip_queue`, or it is compared
    /// with one whose messages are.
    pub(crate) fn takes_gso(self) -> bool {
        !matches!(self, Self::OursOneByOne | Self::Libipq)
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ours => "ipq",
            Self::OursOneByOne => "ipq, one by one",
            Self::Libipq => "libipq, one by one",
            Self::LibnetfilterQueue => "libnetfilter_queue",
            Self::NfqCrate => "nfq crate",
            Self::Bare => "bare loop, one by one",
            Self::BareBatched => "bare loop, batched",
        })
    }
}
