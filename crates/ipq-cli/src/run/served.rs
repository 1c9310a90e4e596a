//! The kernel that the program is to see: [`Served`].

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ipq::TransportName;
use ipq_sim::{ApplicationNumbers, Finding, Simulation};
use ipq_sys::Protocol;
use ipq_sys::unix::{Client, Server, ServerOptions, Spawned};

use super::trouble::Trouble;
use crate::complain;

/// The kernel that the program is to see.
pub(super) enum Served {
    /// That of this machine, as it is.
    Here,
    /// One that another process serves, with these protocols.
    There { path: PathBuf, protocols: Vec<Protocol> },
    /// A simulated one, served by this process.
    Simulated { server: Spawned, simulation: Simulation },
}

impl Served {
    /// Finds or makes the kernel of this name.
    pub(super) fn start(transport: &TransportName) -> Result<Self, Trouble> {
        match transport {
            TransportName::Unix(path) => {
                // The program may change its directory.
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                let client = Client::connect(&path)
                    .map_err(|errno| Trouble::Connect(path.clone(), errno))?;
                Ok(Self::There { path, protocols: client.info().protocols.clone() })
            }
            TransportName::Sim(file) => {
                let simulation = Simulation::open(file)?;
                let kernel = ipq_sim::Served::new(simulation.kernel().clone());
                let server = Server::spawn(kernel, ServerOptions::default());
                Ok(Self::Simulated { server: server.map_err(Trouble::Serve)?, simulation })
            }
            TransportName::IpQueue => Ok(Self::Here),
            name => Err(Trouble::Transport(name.clone(), "not here yet")),
        }
    }

    /// Where the server is, and what it serves; `None` if nothing is to be carried.
    pub(super) fn server(&self) -> Option<(&Path, Vec<Protocol>)> {
        match self {
            Self::Here => None,
            Self::There { path, protocols } => Some((path, protocols.clone())),
            Self::Simulated { server, .. } => Some((
                server.path(),
                vec![Protocol::Firewall, Protocol::Netfilter, Protocol::Ip6Firewall],
            )),
        }
    }

    /// A descriptor that becomes readable when nothing can come any more.
    pub(super) fn end(&self) -> Result<Option<OwnedFd>, Trouble> {
        let Some((path, _)) = self.server() else { return Ok(None) };
        let failed = |errno| Trouble::Connect(path.to_owned(), errno);
        let mut client = Client::connect(path).map_err(failed)?;
        let opened = client.open(Protocol::Netfilter, true, true).map_err(failed)?;
        // Nobody is at work here.
        client.waiting(opened.cookie).map_err(failed)?;
        Ok(Some(opened.descriptor))
    }

    /// Ends the server, says what was wrong with what it was fed with, and if that is asked for, which expectations hold;
    /// returns whether all do.
    pub(super) fn stop(self, check: bool) -> Result<bool, Trouble> {
        let Self::Simulated { server, mut simulation } = self else { return Ok(true) };
        server.stop().map_err(Trouble::Serve)?;
        for replay in simulation.replays() {
            replay.take_malformed().iter().for_each(|malformed| complain(malformed));
            if let Some(error) = replay.take_error() {
                complain(&error);
            }
        }
        if !check {
            return Ok(true);
        }
        let findings = simulation.findings(&ApplicationNumbers::default());
        let known: Vec<_> = findings.iter().filter(|finding| is_known(finding)).collect();
        for finding in &known {
            complain(finding);
        }
        Ok(known.iter().all(|finding| finding.holds))
    }
}

/// Whether it can be known: a program does not tell what it counts, and meets none of the faults.
fn is_known(finding: &Finding) -> bool {
    !["application.", "fault."].iter().any(|prefix| finding.that.starts_with(prefix))
}

/// Makes the file that the program's calls are written to, empty or with the head of a capture.
pub(super) fn make_trace(path: &Path) -> Result<PathBuf, Trouble> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const VERSION: [u16; 2] = [2, 4];
    /// No offset of the time zone, no accuracy, the longest record, `LINKTYPE_NETLINK`.
    const REST: [u32; 4] = [0, 0, 262_144, 253];
    let failed = |error| Trouble::Trace(path.to_owned(), error);
    let mut file = File::create(path).map_err(failed)?;
    if path.as_os_str().as_encoded_bytes().ends_with(b".pcap") {
        let [version, rest] =
            [VERSION.map(u16::to_ne_bytes).concat(), REST.map(u32::to_ne_bytes).concat()];
        let head = [&MAGIC.to_ne_bytes()[..], &version, &rest].concat();
        file.write_all(&head).map_err(failed)?;
    }
    // The program may change its directory.
    fs::canonicalize(path).map_err(failed)
}
