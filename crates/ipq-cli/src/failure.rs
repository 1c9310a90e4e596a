//! What ends a command before its time: [`Failure`].

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ipq::{Error, TransportName};
use ipq_sim::ScenarioError;
use ipq_sim::capture::CaptureError;
use ipq_sys::unix::ListenError;

/// What ends a command before its time.
#[derive(Debug)]
pub(crate) enum Failure {
    Session(Error),
    Output(io::Error),
    Creating(PathBuf, io::Error),
    Capture(CaptureError),
    /// A file cannot be read, or makes no sense.
    Input {
        path: PathBuf,
        problem: String,
    },
    /// A file cannot be written.
    Written {
        path: PathBuf,
        error: io::Error,
    },
    /// No rule of the firewall could be put in.
    Rule(String),
    Signals(io::Error),
    Waiting(io::Error),
    Listening(ListenError),
    /// The server of the transport `unix:PATH` has ended.
    Gone(PathBuf),
    /// The terminal cannot be drawn on, or read from.
    Terminal(io::Error),
    Scenario(ScenarioError),
    /// Two runs with the same seed differ, first in this event.
    NotRepeatable {
        seed: u64,
        line: usize,
    },
}

impl Failure {
    /// The same; of a server that is gone, it says where that was.
    pub(crate) fn on(self, transport: &TransportName) -> Self {
        match (self, transport) {
            (Self::Session(Error::Transport(error)), TransportName::Unix(path))
                if error.is_gone() =>
            {
                Self::Gone(path.clone())
            }
            (failure, _) => failure,
        }
    }

    /// A file cannot be read, or makes no sense.
    pub(crate) fn reading(path: &Path, problem: impl fmt::Display) -> Self {
        Self::Input { path: path.to_owned(), problem: problem.to_string() }
    }

    /// A file cannot be written.
    pub(crate) fn writing(path: &Path, error: io::Error) -> Self {
        Self::Written { path: path.to_owned(), error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Creating(path, error) => write!(f, "creating {}: {error}", path.display()),
            Self::Output(error) => write!(f, "writing the output: {error}"),
            Self::Capture(error) => error.fmt(f),
            Self::Written { path, error } => write!(f, "writing {}: {error}", path.display()),
            Self::Input { path, problem } => write!(f, "reading {}: {problem}", path.display()),
            Self::Rule(problem) => write!(f, "putting in the rule: {problem}"),
            Self::Waiting(error) => write!(f, "waiting: {error}"),
            Self::Signals(error) => write!(f, "installing a signal handler: {error}"),
            Self::Listening(error) => error.fmt(f),
            Self::Gone(path) => {
                write!(
                    f,
                    "the simulated kernel at {} is gone: its server has ended",
                    path.display()
                )
            }
            Self::Terminal(error) => write!(f, "using the terminal: {error}"),
            Self::Scenario(error) => error.fmt(f),
            Self::NotRepeatable { seed, line } => write!(
                f,
                "two runs with seed {seed:#x} differ in event {line}: a bug of the simulator, see them with --trace"
            ),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        Self::Scenario(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        Self::Capture(error)
    }
}
