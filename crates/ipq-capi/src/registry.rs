//! The sessions that are open, by the address of their handle: a pointer that is not here is no handle.

use ipq_proto::{Errno, Family};

use crate::critical::lock;
use crate::error::{ErrorCode, Failure};
use crate::handle::Handle;
use crate::session::{Opened, Session};
use crate::sync::{Arc, Mutex, locked};

locked! {
    /// Few, so that looking at all of them is the quickest way.
    SESSIONS: Vec<Arc<Session>> = Vec::new()
}

/// The session of a handle.
pub(crate) fn find(handle: *const Handle) -> Result<Option<Arc<Session>>, Failure> {
    let sessions = lock(&SESSIONS)?;
    Ok(sessions.iter().find(|session| session.is_of(handle)).cloned())
}

/// Takes in a session, whose handle is good from here on.
pub(crate) fn add(session: Session) -> Result<*mut Handle, Failure> {
    let handle = session.handle();
    lock(&SESSIONS)?.push(Arc::new(session));
    Ok(handle)
}

/// Takes out the session of a handle. It closes when the last call about it returns.
pub(crate) fn remove(handle: *const Handle) -> Result<Option<Arc<Session>>, Failure> {
    let mut sessions = lock(&SESSIONS)?;
    let found = sessions.iter().position(|session| session.is_of(handle));
    Ok(found.map(|index| sessions.remove(index)))
}

/// Refuses a second session of a family in a process, as the kernel did, which had one address for it.
pub(crate) fn refuse_second(family: Family) -> Result<(), Failure> {
    let process = std::process::id();
    let sessions = lock(&SESSIONS)?;
    let is_one =
        |opened: Opened| opened.process == process && opened.family == family && opened.is_sole;
    if sessions.iter().any(|session| is_one(session.opened())) {
        let words = "this process has a handle of this protocol already; ipq_create_handle_with opens further ones, on \
                     queues of their own";
        return Err(Failure::new(ErrorCode::Bind, Errno::EADDRINUSE, words));
    }
    Ok(())
}

/// The session by which this process has the queue `number` of `nfnetlink_queue` for the other family than this one, and
/// not for this one.
pub(crate) fn sharing(number: u16, family: Family) -> Result<Option<Arc<Session>>, Failure> {
    let process = std::process::id();
    let sessions = lock(&SESSIONS)?;
    let has_it = |opened: Opened| opened.process == process && opened.number == Some(number);
    let mut having = sessions.iter().filter(|session| has_it(session.opened()));
    Ok(match (having.next(), having.next()) {
        (Some(session), None) if session.opened().family != family => Some(Arc::clone(session)),
        _ => None,
    })
}

/// All of them, locked, for fork(2).
pub(crate) fn sessions() -> &'static Mutex<Vec<Arc<Session>>> {
    &SESSIONS
}
