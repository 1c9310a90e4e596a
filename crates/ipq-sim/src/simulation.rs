//! A simulated kernel with all that a file says of it: [`Simulation`].

mod traffic;

use core::fmt;
use core::ops::RangeInclusive;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ipq_proto::{Family, Hook};
use ipq_sys::{Error, Protocol, Transport};

use crate::builder::Builder;
use crate::capture::{CaptureError, Reader};
use crate::device::Device;
use crate::fault::{FaultPlan, Faults, Faulty};
use crate::kernel::Kernel;
use crate::netlink::{SocketKey, UNBOUND};
use crate::replay::Replay;
use crate::rule::{Match, Target};
use crate::scenario::{
    ApplicationNumbers, Expectation, Finding, IpQueueCounter, NfqueueCounter, Number, Plan,
    Scenario, ScenarioError,
};
use crate::socket::{Socket, SocketOptions};
use traffic::{Started, start};

/// A simulated kernel with all that a file says of it, be it a capture or a scenario, and the queue for which a program is
/// still wanted.
///
/// With a capture, its packets come in by the one device `eth0`, each is queued at `PRE_ROUTING`, and whoever accepts it
/// lets this host receive it. The packets are read as the kernel runs: what is wrong with the file further on, the
/// [replays](Self::replays) tell.
#[derive(Debug)]
pub struct Simulation {
    kernel: Kernel,
    queues: Option<RangeInclusive<u16>>,
    is_privileged: bool,
    plan: FaultPlan,
    faults: Vec<Faults>,
    started: Vec<Started>,
    replays: Vec<Replay>,
    expectations: Vec<Expectation>,
    /// Sockets of the program that has queues from the start.
    theirs: Vec<Socket>,
}

/// Why a file makes no simulated kernel.
#[derive(Debug)]
pub enum SimulationError {
    /// It is to be a capture, and cannot be read.
    Capture(CaptureError),
    /// It is to be a scenario, and cannot be read or makes no sense.
    Scenario(ScenarioError),
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(error) => error.fmt(f),
            Self::Scenario(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SimulationError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Capture(error) => Some(error),
            Self::Scenario(error) => Some(error),
        }
    }
}

impl From<CaptureError> for SimulationError {
    fn from(error: CaptureError) -> Self {
        Self::Capture(error)
    }
}

impl From<ScenarioError> for SimulationError {
    fn from(error: ScenarioError) -> Self {
        Self::Scenario(error)
    }
}

impl Simulation {
    /// Opens the file at `path`: a scenario if its name ends in `.toml`, otherwise a capture.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or makes no sense.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SimulationError> {
        let path = path.as_ref();
        if Self::is_scenario(path) {
            let scenario = Scenario::open(path)?;
            return Ok(scenario.start(scenario.seed(), Kernel::builder())?);
        }
        Ok(Self::of_capture(path)?)
    }

    /// Whether a file is taken for a scenario, by its name.
    pub fn is_scenario(path: impl AsRef<Path>) -> bool {
        path.as_ref().extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
    }

    /// Opens the capture at `path`, whatever it is called.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or does not begin as a capture does.
    pub fn of_capture(path: &Path) -> Result<Self, CaptureError> {
        let reader: Reader<BufReader<File>> = Reader::open(path)?;
        let kernel = Kernel::builder().device(Device::ethernet("eth0")).build();
        kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
        let replay = kernel.replay_file("eth0", reader);
        Ok(Self { replays: vec![replay], ..Self::new(kernel, FaultPlan::default()) })
    }

    pub(crate) fn of_scenario(
        plan: &Plan,
        faults: FaultPlan,
        builder: Builder,
        directory: &Path,
    ) -> Result<Self, ScenarioError> {
        let kernel = plan.kernel(builder);
        let theirs = plan.occupy(&kernel)?;
        let (started, replays) = start(plan, &kernel, directory)?;
        Ok(Self {
            queues: plan.application.queues(),
            is_privileged: !plan.application.unprivileged,
            started,
            replays,
            expectations: plan.expectations.clone(),
            theirs,
            ..Self::new(kernel, faults)
        })
    }

    fn new(kernel: Kernel, plan: FaultPlan) -> Self {
        let (faults, started, replays) = (Vec::new(), Vec::new(), Vec::new());
        let (expectations, theirs) = (Vec::new(), Vec::new());
        let (queues, is_privileged) = (None, true);
        Self { kernel, queues, is_privileged, plan, faults, started, replays, expectations, theirs }
    }

    /// A kernel of which no file says anything.
    pub(crate) fn of_kernel(kernel: Kernel) -> Self {
        Self::new(kernel, FaultPlan::default())
    }

    /// Whether anybody will want to know what became of its packets.
    pub(crate) fn expects_anything(&self) -> bool {
        !self.expectations.is_empty()
    }

    /// Whether its program has `CAP_NET_ADMIN`.
    pub(crate) fn is_privileged(&self) -> bool {
        self.is_privileged
    }

    /// The sockets that have queues from the start, by protocol and port id.
    pub(crate) fn programs_of_its_own(&self) -> Vec<(Protocol, u32)> {
        self.theirs.iter().map(|socket| (socket.protocol(), socket.port_id())).collect()
    }

    /// A socket of the program whose conversation meets the faults of the scenario; `None` if there are none.
    pub(crate) fn disturb(&mut self, key: SocketKey, protocol: Protocol) -> Option<Faulty<Socket>> {
        if self.plan.faults().is_empty() {
            return None;
        }
        let model = self.kernel.data_model();
        let socket = Socket::new(self.kernel.clone(), key, protocol, UNBOUND, model);
        let socket = Faulty::new(socket, &self.plan);
        self.faults.push(socket.faults());
        Some(socket)
    }

    /// Its kernel.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The queues of `nfnetlink_queue` that a program is wanted for; `None` if it is `ip_queue`.
    pub fn queues(&self) -> Option<RangeInclusive<u16>> {
        self.queues.clone()
    }

    /// The captures whose packets come in.
    pub fn replays(&self) -> &[Replay] {
        &self.replays
    }

    /// Opens a socket for the program, whose conversation meets the faults of the scenario. Where the scenario says that
    /// the program is unprivileged, it is.
    ///
    /// # Errors
    ///
    /// As [`Kernel::open_socket_for`].
    pub fn open_socket(
        &mut self,
        protocol: Protocol,
        options: SocketOptions,
    ) -> Result<Box<dyn Transport>, Error> {
        let privileged = options.privileged && self.is_privileged;
        let options = SocketOptions { privileged, ..options };
        let socket = self.kernel.open_socket_for(protocol, options)?;
        if self.plan.faults().is_empty() {
            return Ok(Box::new(socket));
        }
        let socket = Faulty::new(socket, &self.plan);
        self.faults.push(socket.faults());
        Ok(Box::new(socket))
    }

    /// What became of each expectation so far.
    pub fn findings(&mut self, application: &ApplicationNumbers) -> Vec<Finding> {
        let expectations = core::mem::take(&mut self.expectations);
        let found = |expectation: &Expectation| {
            expectation.find(self.number(&expectation.number, application))
        };
        let findings = expectations.iter().map(found).collect();
        self.expectations = expectations;
        findings
    }

    fn number(&mut self, number: &Number, application: &ApplicationNumbers) -> u64 {
        match number {
            Number::Total(total) => total(&self.kernel.totals()),
            Number::Milliseconds => {
                u64::try_from(self.kernel.now().as_millis()).unwrap_or(u64::MAX)
            }
            Number::Fate(fate) => self.kernel.count_outcomes(|its| its.to_string() == *fate),
            Number::Traffic(index, what) => self.started[*index].number(what),
            Number::Application(number) => number(application),
            Number::Fault(name) => {
                let counts = self.faults.iter().map(Faults::counts);
                let tallies = counts.flat_map(|counts| counts.faults);
                let named = tallies.filter(|tally| tally.planned.fault().name() == name);
                named.map(|tally| tally.done).sum()
            }
            Number::IpQueue(family, counter) => self.ip_queue_counter(*family, *counter),
            Number::Nfqueue(queue, counter) => self.nfqueue_counter(*queue, *counter),
        }
    }

    fn ip_queue_counter(&self, family: Family, counter: IpQueueCounter) -> u64 {
        self.kernel.ip_queue_status(family).map_or(0, |status| match counter {
            IpQueueCounter::Length => status.queue_length,
            IpQueueCounter::QueueDropped => status.queue_dropped.into(),
            IpQueueCounter::NetlinkDropped => status.netlink_dropped.into(),
        })
    }

    fn nfqueue_counter(&self, number: u16, counter: NfqueueCounter) -> u64 {
        let statuses = self.kernel.nfqueue_status();
        let status = statuses.iter().find(|status| status.queue == number);
        status.map_or(0, |status| match counter {
            NfqueueCounter::Length => status.queue_length,
            NfqueueCounter::QueueDropped => status.queue_dropped.into(),
            NfqueueCounter::UserDropped => status.user_dropped.into(),
            NfqueueCounter::LastId => status.last_id.into(),
        })
    }
}
