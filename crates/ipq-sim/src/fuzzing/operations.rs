//! Operations against the simulated kernel, with a model that says what comes of each.

use arbitrary::Unstructured;

use super::operation::Session;
use super::run::Run;

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
