//! Whom a session talks to: [`Kernel`].

use std::io::IoSlice;
use std::sync::Arc;

use ipq_bridge::Bridge;
use ipq_proto::{Errno, Family};
use ipq_sys::unix::{Spawned, UnixSocket};
use ipq_sys::{NetlinkSocket, Operation, Transport};

use crate::error::{ErrorCode, Failure};
use crate::open;
use crate::sorter::{self, Sorter};

/// A transport that speaks `ip_queue`.
#[derive(Debug)]
pub(crate) enum Kernel {
    /// One whose kernel does.
    Plain(Box<dyn Transport>),
    /// One in this process.
    Simulated {
        socket: UnixSocket,
        #[expect(dead_code, reason = "serves the kernel for as long as it is here")]
        server: Arc<Spawned>,
    },
    /// One that makes it of `nfnetlink_queue`.
    Bridged(Box<Bridged>),
}

/// A bridge, and whoever sorts the packets that come over it.
#[derive(Debug)]
pub(crate) struct Bridged {
    bridge: Bridge<NetlinkSocket>,
    sorter: Option<Arc<Sorter>>,
}

impl Kernel {
    pub(crate) fn transport(&mut self) -> &mut dyn Transport {
        match self {
            Self::Plain(transport) => &mut **transport,
            Self::Simulated { socket, .. } => socket,
            Self::Bridged(bridged) => &mut bridged.bridge,
        }
    }

    /// A kernel behind a bridge.
    pub(crate) fn bridged(bridge: Bridge<NetlinkSocket>) -> Self {
        Self::Bridged(Box::new(Bridged { bridge, sorter: None }))
    }

    /// Shares the queue `number`, which this kernel has for the family that is not `family`, with a bridge that was opened
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// If the queue cannot be sorted. If it is this kernel's own, it may then have been closed.
    pub(crate) fn share(
        &mut self,
        number: u16,
        family: Family,
        with: Bridge<NetlinkSocket>,
    ) -> Result<Self, Failure> {
        let Self::Bridged(bridged) = self else {
            let words = "the queue is not of nfnetlink_queue";
            return Err(Failure::new(ErrorCode::Bind, Errno::EADDRINUSE, words));
        };
        let sorter = if let Some(sorter) = &bridged.sorter {
            sorter.redirect(family, with.number());
            Arc::clone(sorter)
        } else {
            sorter::move_anywhere(&mut bridged.bridge).map_err(|error| open::unclaimed(&error))?;
            let (here, there) = (bridged.bridge.number(), with.number());
            let queues = if family == Family::Ipv4 { [there, here] } else { [here, there] };
            Arc::clone(bridged.sorter.insert(Arc::new(Sorter::start(number, queues)?)))
        };
        Ok(Self::Bridged(Box::new(Bridged { bridge: with, sorter: Some(sorter) })))
    }

    /// Sends a verdict that gives the packet a mark.
    ///
    /// # Errors
    ///
    /// As [`Transport::send`]; and `EOPNOTSUPP` where verdicts have none.
    pub(crate) fn send_marked(
        &mut self,
        verdict: &[IoSlice<'_>],
        mark: u32,
    ) -> Result<(), ipq_sys::Error> {
        match self {
            Self::Bridged(bridged) => bridged.bridge.send_marked(verdict, mark),
            Self::Plain(_) | Self::Simulated { .. } => {
                let (operation, errno) = (Operation::Send, Errno::EOPNOTSUPP);
                Err(ipq_sys::Error { operation, protocol: self.transport().protocol(), errno })
            }
        }
    }
}
