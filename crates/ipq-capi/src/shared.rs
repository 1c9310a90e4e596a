//! What handles of one process share, by the file that it came from: [`shared`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::critical::lock;
use crate::error::Failure;
use crate::sync::Mutex;

/// What there is, as long as somebody needs it.
#[derive(Debug)]
pub(crate) struct Known<T>(Vec<Origin<T>>);

#[derive(Debug)]
struct Origin<T> {
    file: PathBuf,
    process: u32,
    made: Weak<T>,
}

impl<T> Known<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// What this process has of a file. What nobody needs any more is forgotten.
    fn find(&mut self, file: &Path) -> Option<Arc<T>> {
        let process = std::process::id();
        self.0.retain(|origin| origin.made.strong_count() > 0);
        let found = self.0.iter().find(|origin| origin.file == file && origin.process == process);
        found.and_then(|origin| origin.made.upgrade())
    }
}

/// What this process has of a file, or what `make` makes of it.
///
/// Making takes its time, and so nobody is locked out meanwhile: of two threads that make the same, one gets what the other
/// one has made.
///
/// # Errors
///
/// What `make` says.
pub(crate) fn shared<T>(
    known: &Mutex<Known<T>>,
    file: &Path,
    make: impl FnOnce(&Path) -> Result<T, Failure>,
) -> Result<Arc<T>, Failure> {
    let found = lock(known)?.find(file);
    if let Some(found) = found {
        return Ok(found);
    }
    let fresh = Arc::new(make(file)?);
    let mut known = lock(known)?;
    if let Some(found) = known.find(file) {
        // The fresh one ends without the lock.
        drop(known);
        return Ok(found);
    }
    let (file, process) = (file.to_owned(), std::process::id());
    known.0.push(Origin { file, process, made: Arc::downgrade(&fresh) });
    Ok(fresh)
}
