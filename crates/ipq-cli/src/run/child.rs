//! The running program: [`Signals::run`].

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_hook::low_level::emulate_default_handler;

/// Signals that are for the program, although this one gets them.
const FORWARDED: [Signal; 7] = [
    Signal::SIGCONT,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// How often a program is asked to end, and how long it is given each time: one that looks for the signal just before it
/// waits, and not while it does, misses the first.
const ASKED: u32 = 5;
const ASKED_EVERY_MS: u16 = 1000;

/// How the program is started: what execve(2) takes.
pub(super) struct Call {
    pub(super) path: CString,
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
}

/// The signals of this program, while the other runs: none is delivered, all can be read.
pub(super) struct Signals {
    descriptor: SignalFd,
    /// The mask that the program gets, as it would have without us.
    before: SigSet,
}

impl Signals {
    /// To be called before there is another thread.
    pub(super) fn take() -> nix::Result<Self> {
        let mut signals: SigSet = FORWARDED.into_iter().collect();
        signals.add(Signal::SIGCHLD);
        let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self { descriptor: SignalFd::with_flags(&signals, flags)?, before })
    }

    /// Runs the program until it ends. When `end` becomes readable, it is asked to; returns how it has ended, and whether
    /// it was asked to.
    pub(super) fn run(
        &self,
        call: &Call,
        mut end: Option<OwnedFd>,
    ) -> nix::Result<(WaitStatus, bool)> {
        let program = self.start(call)?;
        let mut asked = 0;
        loop {
            if let Some(status) = self.forward(program)? {
                return Ok((status, asked > 0));
            }
            let signals = PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN);
            let watched = end.as_ref().map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
            let mut fds: Vec<_> = [signals].into_iter().chain(watched).collect();
            let is_being_asked = (1..ASKED).contains(&asked);
            let timeout =
                if is_being_asked { PollTimeout::from(ASKED_EVERY_MS) } else { PollTimeout::NONE };
            let ready = match poll(&mut fds, timeout) {
                Err(Errno::EINTR) => continue,
                ready => ready?,
            };
            if fds.get(1).is_some_and(|fd| fd.any().unwrap_or(false)) {
                end = None;
            } else if ready > 0 || !is_being_asked {
                continue;
            }
            asked += 1;
            let _ = kill(program, Signal::SIGTERM);
        }
    }

    fn start(&self, call: &Call) -> nix::Result<Pid> {
        let Call { path, arguments, environment } = call;
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(
            PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
        )?;
        attributes.set_sigmask(&self.before)?;
        // Which every Rust program ignores, and other programs do not.
        attributes.set_sigdefault(&[Signal::SIGPIPE].into_iter().collect())?;
        let files = PosixSpawnFileActions::init()?;
        let started = posix_spawn(path.as_c_str(), &files, &attributes, arguments, environment);
        if started != Err(Errno::ENOEXEC) {
            return started;
        }
        // A script without a first line, as a shell has it.
        let shell = [c"sh".to_owned(), path.clone()];
        let arguments: Vec<_> = shell.iter().chain(arguments.iter().skip(1)).collect();
        posix_spawn(c"/bin/sh", &files, &attributes, &arguments, environment)
    }

    /// Forwards what has come, unless the program has ended.
    fn forward(&self, program: Pid) -> nix::Result<Option<WaitStatus>> {
        loop {
            match waitpid(program, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive => (),
                ended => return Ok(Some(ended)),
            }
            let Some(came) = self.descriptor.read_signal()? else { return Ok(None) };
            let number = i32::try_from(came.ssi_signo).ok();
            match number.and_then(|number| Signal::try_from(number).ok()) {
                Some(Signal::SIGCHLD) | None => (),
                // What a terminal sends, it sends to the program too.
                Some(_) if came.ssi_code > 0 => (),
                // It has not been waited for, so the number is still its own.
                Some(signal) => _ = kill(program, signal),
            }
        }
    }
}

/// Ends this program as the other has ended: with its exit status, or by the same signal.
pub(super) fn end_like(status: WaitStatus) -> ExitCode {
    if let WaitStatus::Signaled(_, signal, _) = status {
        let signal = signal as i32;
        // The program has left a core dump if it was to; one of this program would be of no use.
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        let _ = emulate_default_handler(signal);
        // It was not to be: a shell says the same of such an end.
        return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    match status {
        WaitStatus::Exited(_, code) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        // Nothing else is waited for.
        _ => ExitCode::FAILURE,
    }
}

/// Whether the program says that it has done what it should.
pub(super) fn is_success(status: WaitStatus) -> bool {
    matches!(status, WaitStatus::Exited(_, 0))
}

/// Whether the signal has ended it by which it was asked to end: it has no handler, and nothing else was wrong.
pub(super) fn is_by_request(status: WaitStatus) -> bool {
    matches!(status, WaitStatus::Signaled(_, Signal::SIGTERM, _))
}
