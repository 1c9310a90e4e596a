//! The kernel that the program is to see: [`Served`].

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ipq::TransportName;
use ipq_bridge::BridgedKernel;
use ipq_sim::Simulation;
use ipq_sys::unix::Client;
use ipq_sys::{NetlinkSocket, Protocol, SocketOptions};

use super::host::Host;
use super::trouble::Trouble;
use crate::complain;

/// The kernel that the program is to see.
pub(super) enum Served {
    /// That of this machine, as it is.
    Here,
    /// One that another process serves, with these protocols.
    There { path: PathBuf, protocols: Vec<Protocol> },
    /// A simulated one, served by this process.
    Simulated(Host<ipq_sim::Served>),
    /// The `nfnetlink_queue` of this machine, told as `ip_queue`.
    Bridged(Host<BridgedKernel<NetlinkSocket>>),
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
                let kernel = ipq_sim::Served::new(Simulation::open(file)?);
                Host::start(kernel).map(Self::Simulated).map_err(Trouble::Serve)
            }
            TransportName::IpQueue => Ok(Self::Here),
            TransportName::Auto if has_ip_queue() => Ok(Self::Here),
            TransportName::Nfqueue { first, last } => Self::bridged([*first, *last]),
            _ => Self::bridged([0, 0]),
        }
    }

    /// The queues of `nfnetlink_queue` for IPv4 and for IPv6, told as those of `ip_queue`.
    fn bridged(queues: [u16; 2]) -> Result<Self, Trouble> {
        let kernel = BridgedKernel::on_this_kernel(queues, ipq_bridge::Options::default());
        Host::start(kernel).map(Self::Bridged).map_err(Trouble::Serve)
    }

    /// Where the server is, and what it serves; `None` if nothing is to be carried.
    pub(super) fn server(&self) -> Option<(&Path, Vec<Protocol>)> {
        match self {
            Self::Here => None,
            Self::There { path, protocols } => Some((path, protocols.clone())),
            Self::Simulated(host) => Some((
                host.path(),
                vec![Protocol::Firewall, Protocol::Netfilter, Protocol::Ip6Firewall],
            )),
            Self::Bridged(host) => {
                Some((host.path(), vec![Protocol::Firewall, Protocol::Ip6Firewall]))
            }
        }
    }

    /// A descriptor that becomes readable when nothing can come any more.
    pub(super) fn end(&self) -> Result<Option<OwnedFd>, Trouble> {
        // One of flesh and blood never ends.
        if matches!(self, Self::Bridged(_)) {
            return Ok(None);
        }
        let Some((path, _)) = self.server() else { return Ok(None) };
        let failed = |errno| Trouble::Connect(path.to_owned(), errno);
        let mut client = Client::connect(path).map_err(failed)?;
        let opened = client.open(Protocol::Netfilter, true, true).map_err(failed)?;
        // Nobody is at work here.
        client.waiting(opened.cookie).map_err(failed)?;
        Ok(Some(opened.descriptor))
    }

    /// Ends the server, says what was wrong with what it was fed with or what it could not have, and if that is asked for,
    /// which expectations hold; returns whether all do.
    pub(super) fn stop(self, check: bool) -> Result<bool, Trouble> {
        match self {
            Self::Here | Self::There { .. } => Ok(true),
            Self::Bridged(host) => {
                let kernel = host.stop().map_err(Trouble::Serve)?;
                kernel.problems().iter().for_each(|problem| complain(problem));
                Ok(true)
            }
            Self::Simulated(host) => {
                let report = host.stop().map_err(Trouble::Serve)?.finish();
                if let Some(error) = &report.failure {
                    complain(error);
                }
                if check {
                    report.findings.iter().for_each(|finding| complain(finding));
                }
                Ok(!check || report.findings.iter().all(|finding| finding.holds))
            }
        }
    }
}

/// Whether this kernel has `ip_queue` itself, so that nothing has to be carried.
fn has_ip_queue() -> bool {
    NetlinkSocket::open(Protocol::Firewall, SocketOptions::default()).is_ok()
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
