//! Structured inputs: how they are read, and how they are told.

use core::fmt::Debug;
use core::iter::once;

use arbitrary::{Arbitrary, Unstructured};

/// What the bytes of an input mean; `None` if they are too few to mean anything.
pub fn structure<'a, T: Arbitrary<'a>>(data: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(data)).ok()
}

/// An input in words: a line about the whole, and one for each step.
///
/// `arbitrary` tells the variants of an enumeration by their order, and so the meaning of every seed changes with it. That
/// is seen in the words.
pub fn in_words(whole: String, steps: &[impl Debug]) -> Vec<String> {
    once(whole).chain(steps.iter().map(|step| format!("{step:?}"))).collect()
}
