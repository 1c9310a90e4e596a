//! Why a program is not run: [`Trouble`].

use core::fmt;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use ipq_sim::SimulationError;

/// Why a program is not run. One line each: what was attempted, what came back, what to do.
#[derive(Debug)]
pub(super) enum Trouble {
    NoProgram,
    /// An argument or the environment has a NUL in it.
    Nul,
    NotFound(OsString),
    NotExecutable(PathBuf),
    /// It cannot be read, so nobody knows what it is.
    Unreadable(PathBuf, io::Error),
    Static(PathBuf),
    Musl(PathBuf),
    OtherUser(PathBuf, &'static str),
    OtherMachine {
        program: PathBuf,
        program_is: String,
        library: PathBuf,
        library_is: String,
    },
    NotAProgram(PathBuf, String),
    NoLibrary(Vec<PathBuf>),
    BadLibrary(PathBuf, String),
    Start(PathBuf, io::Error),
    Trace(PathBuf, io::Error),
    Signals(io::Error),
    Serve(io::Error),
    Connect(PathBuf, ipq::Errno),
    Simulation(SimulationError),
}

impl Trouble {
    /// The exit status, as env(1) and its kin have it.
    pub(super) const fn status(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable(_)
            | Self::Unreadable(..)
            | Self::Static(_)
            | Self::Musl(_)
            | Self::OtherUser(..)
            | Self::OtherMachine { .. }
            | Self::NotAProgram(..)
            | Self::Start(..) => 126,
            Self::NoProgram
            | Self::Nul
            | Self::NoLibrary(_)
            | Self::BadLibrary(..)
            | Self::Trace(..)
            | Self::Signals(_)
            | Self::Serve(_)
            | Self::Connect(..)
            | Self::Simulation(_) => 125,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram => f.write_str("running a program: none is given"),
            Self::Nul => f.write_str("running a program: an argument has a NUL in it"),
            Self::NotFound(name) => {
                write!(f, "running {}: there is no such program", name.display())
            }
            Self::NotExecutable(path) => {
                write!(f, "running {}: it is no file that may be executed", path.display())
            }
            Self::Unreadable(path, error) => {
                write!(
                    f,
                    "looking at {}: {error}; whether it can be carried shows only its file",
                    path.display()
                )
            }
            Self::Static(path) => write!(
                f,
                "running {}: it is statically linked, and no library can be loaded into it; link it dynamically, or with \
                 the libipq of this project",
                path.display()
            ),
            Self::Musl(path) => write!(
                f,
                "running {}: it uses the C library musl, and ours is for glibc; link it with the libipq of this project",
                path.display()
            ),
            Self::OtherUser(path, why) => write!(
                f,
                "running {}: {why}, so that no library of yours is loaded into it; run it as a copy without, or with the \
                 rights that it wants",
                path.display()
            ),
            Self::OtherMachine { program, program_is, library, library_is } => write!(
                f,
                "running {}: it is {program_is}, and {} is {library_is}; build the library for it, and name it with \
                 IPQ_PRELOAD_LIBRARY",
                program.display(),
                library.display()
            ),
            Self::NotAProgram(path, why) => write!(f, "running {}: {why}", path.display()),
            Self::NoLibrary(places) => {
                f.write_str("looking for libipq_preload.so: it is at none of ")?;
                for (number, place) in places.iter().enumerate() {
                    let separator = if number == 0 { "" } else { ", " };
                    write!(f, "{separator}{}", place.display())?;
                }
                f.write_str("; build it with cargo build -p ipq-preload, or name it with IPQ_PRELOAD_LIBRARY")
            }
            Self::BadLibrary(path, why) => {
                write!(f, "looking at the library {}: {why}", path.display())
            }
            Self::Start(path, error) => write!(f, "running {}: {error}", path.display()),
            Self::Trace(path, error) => write!(f, "writing the trace {}: {error}", path.display()),
            Self::Signals(error) => write!(f, "looking after signals: {error}"),
            Self::Serve(error) => write!(f, "serving the kernel: {error}"),
            Self::Connect(path, errno) => write!(
                f,
                "connecting to the kernel at {}: {errno}; start one with ipq-cli sim serve",
                path.display()
            ),
            Self::Simulation(error) => error.fmt(f),
        }
    }
}

impl From<SimulationError> for Trouble {
    fn from(error: SimulationError) -> Self {
        Self::Simulation(error)
    }
}
