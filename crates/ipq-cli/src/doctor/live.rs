//! What the running kernel tells: [`Live`].

use core::time::Duration;
use std::env;
use std::io::IoSlice;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ipq::Errno;
use ipq_proto::netlink::{Flags, Framed, HEADER_LEN, Header, Reply};
use ipq_proto::nfqueue::{CONFIG, FlagsMsg, QueueFlags};
use ipq_sys::{Deadline, NetlinkSocket, Protocol, Received, SocketOptions, Transport};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use zerocopy::{IntoBytes, NativeEndian};

use super::machine::Senses;

/// The kernel and the programs of this machine.
#[derive(Debug)]
pub(super) struct Live;

/// Where programs for root are, which is not in everybody's `PATH`.
const SYSTEM: &str = "/usr/local/sbin:/usr/sbin:/sbin";

impl Senses for Live {
    fn ask(&self, queue: u16) -> Result<Option<Errno>, String> {
        ask(queue)
    }

    fn listing(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let path = path_of(program).ok_or("it is not installed")?;
        output(Command::new(path).args(arguments))
    }

    fn has_program(&self, program: &str) -> bool {
        path_of(program).is_some()
    }

    fn loopback_is_up(&self) -> Option<bool> {
        let loopback = getifaddrs().ok()?.find(|device| {
            // In a network namespace of one's own it is the one that is there from the start.
            device.flags.contains(InterfaceFlags::IFF_LOOPBACK)
        })?;
        Some(loopback.flags.contains(InterfaceFlags::IFF_UP))
    }

    fn network_is_ours(&self) -> Option<bool> {
        ipq_sys::network_is_ours().ok()
    }

    fn unshare(&self) -> Result<(), String> {
        let program = path_of("unshare").ok_or("there is no program unshare")?;
        output(Command::new(program).args(["-Urn", "true"])).map(|_| ())
    }
}

/// The kernel's answer to a request to change no option of a queue.
fn ask(queue: u16) -> Result<Option<Errno>, String> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let failed = |error: ipq_sys::Error| error.to_string();
    let options = SocketOptions::default();
    let mut socket = NetlinkSocket::open(Protocol::Netfilter, options).map_err(failed)?;
    let none = QueueFlags::default();
    let header = Header::new(CONFIG, Flags::REQUEST.union(Flags::ACK), 1, socket.port_id());
    let body = FlagsMsg::<NativeEndian>::new(queue, none, none);
    let request = Framed::new(header, body, 0).map_err(|error| error.to_string())?;
    socket.send(&[IoSlice::new(request.as_bytes())]).map_err(failed)?;

    let mut buffer = [0; 256];
    let end = Deadline::after(socket.now(), Some(PATIENCE));
    let Received::Datagram { len } = socket.receive(&mut buffer, end).map_err(failed)? else {
        return Err("the kernel does not answer".to_owned());
    };
    let body = buffer.get(HEADER_LEN..len).unwrap_or_default();
    let reply = Reply::decode::<NativeEndian>(body).map_err(|error| error.to_string())?;
    Ok(reply.errno())
}

/// Where a program is.
fn path_of(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(env::split_paths(SYSTEM));
    folders.map(|folder| folder.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// What a program prints, or in one line why it failed.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match said.as_slice() {
        [] => Err(output.status.to_string()),
        lines => Err(lines.join("; ")),
    }
}
