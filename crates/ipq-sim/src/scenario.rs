//! Scenario files: a network, what happens in it, and what is to come of that: [`Scenario`].

mod expectation;
mod format;
mod traffic;

use core::fmt;
use core::ops::RangeInclusive;
use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::CaptureError;
use crate::device::Device;
use crate::fault::FaultPlan;
use crate::host::Host;
use crate::kernel::Kernel;

pub use expectation::Finding;
pub use format::{Application, Work};
use format::{File, QueueName};
use traffic::Started;

/// A scenario: devices, rules, hosts, traffic, faults and expectations, read from a TOML file.
///
/// The format is described in docs/scenarios.md of the project.
///
/// ```
/// use ipq_sim::Scenario;
///
/// let scenario = Scenario::parse(r#"
///     [[rule]]
///     hook = "LOCAL_OUT"
///     target = "drop"
///
///     [[traffic]]
///     ping = { from = "here", to = "here", count = 3 }
///
///     [[expect]]
///     that = "dropped: by a rule at LOCAL_OUT"
///     equals = 3
/// "#)?;
/// let running = scenario.start(None)?;
/// running.kernel().run();
/// assert!(running.findings(|_| None).iter().all(|finding| finding.holds));
/// # Ok::<(), ipq_sim::ScenarioError>(())
/// ```
#[derive(Debug)]
pub struct Scenario {
    file: File,
    /// Where it was read from; paths in it count from its directory.
    path: Option<PathBuf>,
}

/// A scenario whose kernel has been made and whose traffic is under way. It happens as the kernel runs.
#[derive(Debug)]
pub struct Running<'s> {
    scenario: &'s Scenario,
    kernel: Kernel,
    started: Vec<Started>,
}

/// What is wrong with a scenario.
#[derive(Debug)]
pub struct ScenarioError {
    path: Option<PathBuf>,
    problem: String,
}

impl ScenarioError {
    fn new(problem: impl Into<String>) -> Self {
        Self { path: None, problem: problem.into() }
    }

    fn in_file(self, path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_owned), ..self }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.problem)
    }
}

impl core::error::Error for ScenarioError {}

impl From<CaptureError> for ScenarioError {
    fn from(error: CaptureError) -> Self {
        Self::new(error.to_string())
    }
}

impl Scenario {
    /// Reads the scenario at `path`.
    ///
    /// # Errors
    ///
    /// If it cannot be read or makes no sense: the error names the file and the place in it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path)
            .map_err(|error| ScenarioError::new(format!("reading it: {error}")))
            .and_then(|text| Self::parse(&text));
        let scenario = text.map_err(|error| error.in_file(Some(path)))?;
        Ok(Self { path: Some(path.to_owned()), ..scenario })
    }

    /// Reads a scenario from text. Paths in it count from the present directory.
    ///
    /// # Errors
    ///
    /// If it makes no sense: the error names the place.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let file: File =
            toml::from_str(text).map_err(|error| ScenarioError::new(error.to_string()))?;
        file.expect.iter().try_for_each(expectation::check).map_err(ScenarioError::new)?;
        file.application.check().map_err(ScenarioError::new)?;
        Ok(Self { file, path: None })
    }

    /// What it is about, in words; empty if it does not say.
    pub fn description(&self) -> &str {
        &self.file.description
    }

    /// The seed that it runs with unless another is given.
    pub fn seed(&self) -> u64 {
        self.file.seed
    }

    /// What the program at its queue does.
    pub fn application(&self) -> &Application {
        &self.file.application
    }

    /// The queues of `nfnetlink_queue` that its program has; `None` if it is a program for `ip_queue`.
    pub fn queues(&self) -> Option<RangeInclusive<u16>> {
        match self.file.application.queue {
            QueueName::IpQueue => None,
            QueueName::Nfqueue(first, last) => Some(first..=last),
        }
    }

    /// What goes wrong between the program and its kernel, with this seed.
    pub fn faults(&self, seed: u64) -> FaultPlan {
        let mut plan = FaultPlan::new(seed);
        plan.extend(self.file.fault.iter().copied());
        plan
    }

    /// Makes its kernel and starts its traffic, which goes on as the kernel runs. The program is to open its queue and
    /// set its mode before that.
    ///
    /// # Errors
    ///
    /// If it names a device or host that is not there, or a capture that cannot be read.
    pub fn start(&self, seed: Option<u64>) -> Result<Running<'_>, ScenarioError> {
        self.try_start(seed).map_err(|error| error.in_file(self.path.as_deref()))
    }

    fn try_start(&self, seed: Option<u64>) -> Result<Running<'_>, ScenarioError> {
        let mut builder = Kernel::builder().seed(seed.unwrap_or(self.file.seed)).trace();
        for device in &self.file.device {
            builder = builder.device(Device::try_from(device)?);
        }
        for route in &self.file.route {
            self.known_device(&route.device)?;
            builder = builder.route(route.to, &route.device);
        }
        let kernel = builder.build();
        for rule in &self.file.rule {
            let (hook, target) = (rule.hook()?, rule.target()?);
            kernel.rule_in(rule.table(), hook, rule.condition()?, target);
        }
        let mut hosts: Vec<(&str, Host)> = vec![("here", kernel.local_host())];
        for host in &self.file.host {
            self.known_device(&host.device)?;
            if hosts.iter().any(|(name, _)| *name == host.name) {
                return Err(ScenarioError::new(format!("there are two hosts {:?}", host.name)));
            }
            let addresses = host.addresses.iter().copied();
            hosts.push((&host.name, kernel.host(&host.device, addresses)));
        }
        for event in &self.file.event {
            if let Some(device) = event.action.device() {
                self.known_device(device)?;
            }
            kernel.at(event.at, event.action.clone());
        }
        let directory =
            self.path.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new(""));
        let traffic = self.file.traffic.iter();
        let started = traffic.map(|traffic| {
            if let Some(capture) = &traffic.capture {
                self.known_device(&capture.device)?;
            }
            Started::new(traffic, &kernel, &hosts, directory)
        });
        let started = started.collect::<Result<_, _>>()?;
        Ok(Running { scenario: self, kernel, started })
    }

    /// That there is a device of this name.
    fn known_device(&self, name: &str) -> Result<(), ScenarioError> {
        let known = name == "lo" || self.file.device.iter().any(|device| device.name == name);
        known
            .then_some(())
            .ok_or_else(|| ScenarioError::new(format!("there is no device {name:?}")))
    }
}

impl Running<'_> {
    /// Its kernel.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What became of each expectation. `number` says what of the program's is called by a name such as
    /// `application.packets` or `fault.lose`, if it is anything.
    pub fn findings(&self, number: impl Fn(&str) -> Option<u64>) -> Vec<Finding> {
        let outcomes = self.kernel.outcomes();
        let known = |name: &str| {
            let own = expectation::of_kernel(name, &self.kernel, &outcomes);
            let of_traffic = || self.started.iter().find_map(|started| started.number(name));
            own.or_else(of_traffic).or_else(|| number(name))
        };
        self.scenario.file.expect.iter().map(|expect| expect.find(known(&expect.that))).collect()
    }
}
