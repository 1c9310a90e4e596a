//! Operations against the simulated kernel, with a model that says what comes of each.

use arbitrary::Unstructured;

use ipq_sys::fuzzing::in_words;

use super::operation::Session;
use super::run::Run;

/// The kernel and the operations in words.
pub fn operations_in_words(data: &[u8]) -> Option<Vec<String>> {
    let Session { setup, operations } = Session::draw(&mut Unstructured::new(data)).ok()?;
    Some(in_words(format!("{setup:?}"), &operations))
}

/// Does what `data` says to a simulated kernel and to a model of it.
///
/// # Panics
///
/// If the two differ in an answer, a message, a file, a counter or the end of a packet.
pub fn operations(data: &[u8]) {
    let Ok(Session { setup, operations }) = Session::draw(&mut Unstructured::new(data)) else {
        return;
    };
    let mut run = Run::new(&setup);
    for operation in &operations {
        run.apply(operation);
    }
    run.end();
}
