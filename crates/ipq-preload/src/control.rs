//! The connection over which the served kernel is asked: [`Control`].

use core::ffi::c_int;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use ipq_proto::Errno;
use ipq_sys::unix::{Answer, Call, Greeting, Opening, Request, Welcome};

use crate::lock::Lock;
use crate::parts::{Incoming, Outgoing};
use crate::raw;
use crate::setting::Setting;
use crate::sync::AtomicU32;

/// The lowest numbers that a control connection asks for, in turn: the first that are beyond select(2) and what programs
/// use, and where fewer descriptors are allowed, others.
const LOWEST: [c_int; 3] = [1024, 256, 64];

/// What a server that is gone is to the program: a netlink socket whose module is gone says the same.
const GONE: Errno = Errno::ECONNREFUSED;

/// An answer that makes no sense.
const BROKEN: Errno = Errno(libc::EPROTO);

/// The connection of this process. It is made when it is first needed, and again when the program has closed it.
pub(crate) struct Control(NonNull<State>);

/// What is known of the connection. It lies in memory that is all zero in a new process, so that the child of a fork(2) has
/// no connection and no lock, whatever its parent's other threads were doing.
#[repr(C)]
struct State {
    /// Had by the thread that has the connection.
    lock: Lock,
    /// The descriptor; 0 if there is none.
    fd: AtomicI32,
    /// The cookie of what it is. If the descriptor has another one now, the program has closed ours.
    cookie: AtomicU64,
    /// The sequence number of the last request.
    sequence: AtomicU32,
}

// SAFETY: the memory is never given back, and all in it is atomic.
unsafe impl Send for Control {}
// SAFETY: as above.
unsafe impl Sync for Control {}

/// A call, the cookie of the socket it is about, and what it says further.
pub(crate) type Question = (Call, u64, [u32; 2]);

impl Control {
    /// Room for a connection; `None` if there is no memory, or this kernel is older than 4.14.
    pub(crate) fn new() -> Option<Self> {
        let memory = raw::forgetful_memory(size_of::<State>()).ok()?;
        NonNull::new(memory.cast()).map(Self)
    }

    fn state(&self) -> &State {
        // SAFETY: `new` has made this memory, zeroed and aligned to a page, and nobody gives it back. Zero is a value of
        // each field.
        unsafe { self.0.as_ref() }
    }

    /// Asks, with these parts behind the question, and has what comes behind the answer put into `into`; returns the answer
    /// and how many bytes came behind it.
    pub(crate) fn ask(
        &self,
        setting: &Setting,
        (call, socket, arguments): Question,
        mut more: Outgoing<'_>,
        mut into: Incoming<'_>,
    ) -> Result<(Answer, usize), Errno> {
        let hold = Hold::new(self.state());
        let fd = hold.connection(setting)?;
        let request = Request::new(call, socket, arguments, hold.next_sequence());
        more.send(fd, request.as_head()).map_err(|errno| hold.failed(fd, errno))?;
        let mut head = [0; Answer::LEN];
        let len = into.receive(fd, &mut head).map_err(|errno| hold.failed(fd, errno))?;
        if len == 0 {
            return Err(hold.failed(fd, GONE));
        }
        match Answer::parse(&head) {
            Ok((answer, _)) if answer.sequence() == request.sequence() && len >= Answer::LEN => {
                Ok((answer, len - Answer::LEN))
            }
            // What is said over it from now on would be misunderstood.
            _ => Err(hold.failed(fd, BROKEN)),
        }
    }

    /// Asks what can be said and answered with a head alone.
    pub(crate) fn question(&self, setting: &Setting, question: Question) -> Result<Answer, Errno> {
        self.ask(setting, question, Outgoing::new(), Incoming::new()).map(|(answer, _)| answer)
    }

    /// Says something that has no answer. If it cannot be said, nothing is lost but a little time.
    pub(crate) fn tell(&self, setting: &Setting, (call, socket, arguments): Question) {
        let hold = Hold::new(self.state());
        let Ok(fd) = hold.connection(setting) else { return };
        let request = Request::new(call, socket, arguments, hold.next_sequence());
        let sent = Outgoing::new().send(fd, request.as_head());
        let _ = sent.map_err(|errno| hold.failed(fd, errno));
    }

    /// Opens another connection to the server: a descriptor with these flags.
    pub(crate) fn open(
        setting: &Setting,
        flags: c_int,
        opening: impl FnOnce(u64) -> Opening<'static>,
    ) -> Result<(c_int, u64), Errno> {
        let _signals = Blocked::new();
        let fd = raw::unix_socket(libc::SOCK_SEQPACKET | flags)?;
        let greeted =
            raw::cookie(fd).and_then(|cookie| greet(setting, fd, opening(cookie)).map(|()| cookie));
        match greeted {
            Ok(cookie) => Ok((fd, cookie)),
            Err(errno) => {
                raw::close(fd);
                Err(errno)
            }
        }
    }
}

/// Connects a socket to the server and says what for.
fn greet(setting: &Setting, fd: c_int, opening: Opening<'_>) -> Result<(), Errno> {
    raw::connect(fd, &setting.address, setting.address_len).map_err(|errno| match errno.0 {
        libc::ENOENT => GONE,
        _ => errno,
    })?;
    let mut name = Outgoing::new();
    if let Opening::File { name: text } = opening {
        name.push(text.as_bytes());
    }
    name.send(fd, Greeting::new(opening).as_frame())?;
    let mut welcome = [0; size_of::<Welcome>()];
    let len = raw::receive(fd, &mut welcome, 0)?;
    if len == 0 {
        return Err(GONE);
    }
    Welcome::parse(welcome.get(..len).unwrap_or_default()).map_err(|_| BROKEN)?.map(drop)
}

/// This thread's signals are blocked. What is to be done in one go must not be left in the middle, or begun again in it.
struct Blocked(raw::SignalMask);

impl Blocked {
    fn new() -> Self {
        Self(raw::set_signal_mask(!0))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        raw::set_signal_mask(self.0);
    }
}

/// This thread has the connection.
struct Hold<'a> {
    state: &'a State,
    _signals: Blocked,
}

impl<'a> Hold<'a> {
    fn new(state: &'a State) -> Self {
        let signals = Blocked::new();
        state.lock.take();
        Self { state, _signals: signals }
    }

    fn next_sequence(&self) -> u32 {
        self.state.sequence.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The descriptor of the connection.
    fn connection(&self, setting: &Setting) -> Result<c_int, Errno> {
        let fd = self.state.fd.load(Ordering::Relaxed);
        let is_ours = || raw::cookie(fd) == Ok(self.state.cookie.load(Ordering::Relaxed));
        if fd != 0 && is_ours() {
            return Ok(fd);
        }
        let (low, cookie) = Control::open(setting, libc::SOCK_CLOEXEC, |_| Opening::Control)?;
        let high = LOWEST.iter().find_map(|&lowest| raw::duplicate_from(low, lowest).ok());
        let fd = high.map_or(low, |high| {
            raw::close(low);
            high
        });
        self.state.fd.store(fd, Ordering::Relaxed);
        self.state.cookie.store(cookie, Ordering::Relaxed);
        Ok(fd)
    }

    /// Gives up the connection, whose next answer would not be that to the next question; returns what to tell the program.
    fn failed(&self, fd: c_int, errno: Errno) -> Errno {
        // The program's memory was at fault before anything was sent.
        raw::close(fd);
        self.state.fd.store(0, Ordering::Relaxed);
        match errno.0 {
            libc::EPIPE | libc::ECONNRESET => GONE,
            _ => errno,
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.state.lock.give_back();
    }
}
