//! The socket that a server listens on: [`Listener`].

use core::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use nix::sys::stat::{Mode, fchmod};

/// A Unix socket in the file system that only its owner may connect to. The file is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    descriptor: OwnedFd,
    path: PathBuf,
    /// Device and inode of the file: nobody else's is removed.
    file: (u64, u64),
}

/// Why a server cannot listen at a path.
#[derive(Debug)]
pub struct ListenError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    /// Another server listens there.
    Taken,
    /// There is a file that is no socket.
    NotASocket,
    /// The path does not fit into an address.
    TooLong,
    System(&'static str, io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listening on {}: ", self.path.display())?;
        match &self.problem {
            Problem::Taken => f.write_str("another server listens there; end it, or choose another path"),
            Problem::NotASocket => f.write_str("there is a file, and it is no socket; choose another path"),
            Problem::TooLong => f.write_str(
                "the path is too long for a Unix socket, which has room for 107 bytes; choose a shorter one, or change \
                 into its directory",
            ),
            Problem::System(attempt, error) => write!(f, "{attempt}: {error}"),
        }
    }
}

impl core::error::Error for ListenError {}

impl Listener {
    /// Listens at `path`. The socket of a server that has died is replaced; one that is in use, or another kind of file,
    /// is not.
    ///
    /// # Errors
    ///
    /// If there is something that is not to be replaced, or the file cannot be made.
    pub fn bind(path: impl AsRef<Path>) -> Result<Self, ListenError> {
        let path = path.as_ref().to_owned();
        match try_bind(&path) {
            Ok((descriptor, file)) => Ok(Self { descriptor, path, file }),
            Err(problem) => Err(ListenError { path, problem }),
        }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // If it cannot be removed, the next server will replace it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn try_bind(path: &Path) -> Result<(OwnedFd, (u64, u64)), Problem> {
    let failed = |attempt| move |errno: Errno| Problem::System(attempt, errno.into());
    let address = UnixAddr::new(path).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Problem::TooLong,
        errno => Problem::System("using the path", errno.into()),
    })?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)
        .map_err(failed("opening a socket"))?;
    // On Linux the file that bind(2) makes has the mode of the socket, so that there is no moment at which others may
    // connect.
    fchmod(&descriptor, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed("setting its mode"))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    let directory =
        File::open(directory).map_err(|error| Problem::System("opening the directory", error))?;
    // Of two servers that find the same dead socket, one must not remove the socket of the other.
    let locked = Flock::lock(directory, FlockArg::LockExclusive)
        .map_err(|(_, errno)| Problem::System("locking the directory", errno.into()))?;
    remove_dead(path, &address)?;
    bind(descriptor.as_raw_fd(), &address).map_err(failed("making the socket"))?;
    listen(&descriptor, Backlog::MAXCONN).map_err(failed("listening"))?;
    drop(locked);
    let permissions = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, permissions)
        .map_err(|error| Problem::System("setting its mode", error))?;
    let file = identity(path).map_err(|error| Problem::System("looking at it", error))?;
    Ok((descriptor, file))
}

/// Removes the socket that a server which has died left at `path`.
fn remove_dead(path: &Path, address: &UnixAddr) -> Result<(), Problem> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Problem::System("looking at it", error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(Problem::NotASocket),
        Ok(_) => (),
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)
        .map_err(|errno| Problem::System("opening a socket", errno.into()))?;
    match connect(probe.as_raw_fd(), address) {
        Err(Errno::ECONNREFUSED) => {
            fs::remove_file(path).map_err(|error| Problem::System("removing a dead socket", error))
        }
        Err(Errno::EACCES) => Err(Problem::System("connecting to it", Errno::EACCES.into())),
        // Even one of another type, or one that is too busy, is somebody's.
        _ => Err(Problem::Taken),
    }
}

/// Device and inode of a file.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
