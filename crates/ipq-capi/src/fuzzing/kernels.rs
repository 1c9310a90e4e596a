//! The kernels that sessions of the target talk to.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};

use ipq_proto::{DataModel, Family, Hook};
use ipq_sim::{Kernel as SimulatedKernel, Match, Target};
use ipq_sys::fuzzing::Script;
use ipq_sys::{Clock, Deadline, Error, Protocol, Received, Transport};

use crate::error::Failure;
use crate::handle::Handle;
use crate::kernel::Kernel;
use crate::registry;
use crate::session::{Opened, Session};

/// What is behind a session.
#[derive(Debug)]
pub(super) enum Behind {
    Script(Script),
    Simulated(SimulatedKernel),
}

impl Behind {
    /// A simulated kernel whose packets are queued, or one that says what it is told to.
    pub(super) fn new(is_simulated: bool) -> Self {
        if is_simulated {
            let kernel = SimulatedKernel::builder().build();
            kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
            return Self::Simulated(kernel);
        }
        let script = Script::new(Protocol::Firewall, DataModel::NATIVE);
        script.state().has_descriptor = true;
        Self::Script(script)
    }

    /// A session with it, as one that was opened by `ipq_create_handle`.
    pub(super) fn open(&self) -> Result<*mut Handle, Failure> {
        let transport: Box<dyn Transport> = match self {
            Self::Script(script) => Box::new(script.clone()),
            Self::Simulated(kernel) => Box::new(Readable {
                socket: kernel.socket(Family::Ipv4),
                null: File::open("/dev/null").expect("/dev/null is there"),
            }),
        };
        let process = std::process::id();
        let opened = Opened { process, family: Family::Ipv4, number: None, is_sole: false };
        registry::add(Session::new(Kernel::Plain(transport), opened)?)
    }
}

/// A simulated kernel's socket with a descriptor, which is always readable: looking at it lets the kernel run.
#[derive(Debug)]
struct Readable {
    socket: ipq_sim::Socket,
    null: File,
}

impl Transport for Readable {
    fn send(&mut self, datagram: &[IoSlice<'_>]) -> Result<(), Error> {
        self.socket.send(datagram)
    }

    fn receive(&mut self, buffer: &mut [u8], _: Deadline) -> Result<Received, Error> {
        self.socket.receive(buffer, Deadline::Never)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.null.as_fd())
    }

    fn protocol(&self) -> Protocol {
        self.socket.protocol()
    }

    fn port_id(&self) -> u32 {
        self.socket.port_id()
    }

    fn now(&self) -> Clock {
        self.socket.now()
    }
}
