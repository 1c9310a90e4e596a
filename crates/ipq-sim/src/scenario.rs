//! Scenario files: a network, what happens in it, and what is to come of that: [`Scenario`].

mod application;
mod error;
mod expectation;
mod format;
mod hosts;
mod plan;
mod rule;
mod traffic;

use core::ops::RangeInclusive;
use std::fs;
use std::path::{Path, PathBuf};

use crate::builder::Builder;
use crate::fault::FaultPlan;
use crate::simulation::Simulation;

pub(crate) use application::Queues;
pub use application::{Application, ApplicationName, ApplicationNumbers};
pub use error::ScenarioError;
pub use expectation::Finding;
pub(crate) use expectation::{Expectation, IpQueueCounter, NfqueueCounter, Number};
pub(crate) use hosts::HERE;
pub(crate) use plan::Plan;
pub(crate) use traffic::{Payload, Traffic};

/// A scenario: devices, rules, hosts, traffic, faults and expectations, read from a TOML file.
///
/// The format is described in docs/scenarios.md of the project.
///
/// ```
/// use ipq_sim::{ApplicationNumbers, Kernel, Scenario};
///
/// let scenario = Scenario::parse(r#"
///     [[rule]]
///     hook = "LOCAL_OUT"
///     target = "drop"
///
///     [[traffic]]
///     kind = "ping"
///     from = "here"
///     to = "here"
///     count = 3
///
///     [[expect]]
///     that = "dropped: by a rule at LOCAL_OUT"
///     equals = 3
/// "#)?;
/// let mut simulation = scenario.start(scenario.seed(), Kernel::builder())?;
/// simulation.kernel().run();
/// let findings = simulation.findings(&ApplicationNumbers::default());
/// assert!(findings.iter().all(|finding| finding.holds));
/// # Ok::<(), ipq_sim::ScenarioError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scenario {
    plan: Plan,
    /// Where it was read from; paths in it count from its directory.
    path: Option<PathBuf>,
}

impl Scenario {
    /// Reads the scenario at `path`. Paths in it count from its directory.
    ///
    /// # Errors
    ///
    /// If it cannot be read or makes no sense: the error names the file and the place in it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path)
            .map_err(|error| ScenarioError::new(format!("reading the scenario: {error}")))
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
        let plan = Plan::parse(text).map_err(|problem| problem.of_text(text))?;
        Ok(Self { plan, path: None })
    }

    /// What it is about, in words; empty if it does not say.
    pub fn description(&self) -> &str {
        &self.plan.description
    }

    /// The seed that it says it runs with; 0 if it says none.
    pub fn seed(&self) -> u64 {
        self.plan.seed
    }

    /// The same scenario with another built-in program, which has the queue and the options of its own one.
    ///
    /// # Errors
    ///
    /// If it says too little for that program.
    pub fn with_application(mut self, name: ApplicationName) -> Result<Self, ScenarioError> {
        self.plan.application.name = name;
        let checked = self.plan.application.check().map_err(|problem| problem.of_text(""));
        checked.map_err(|error| error.in_file(self.path.as_deref()))?;
        Ok(self)
    }

    /// The program at its queue.
    pub fn application(&self) -> &Application {
        &self.plan.application
    }

    /// The queues of `nfnetlink_queue` that its program has; `None` if it is a program for `ip_queue`.
    pub fn queues(&self) -> Option<RangeInclusive<u16>> {
        self.plan.application.queues()
    }

    /// What goes wrong between the program and its kernel, with this seed.
    pub fn faults(&self, seed: u64) -> FaultPlan {
        let mut plan = FaultPlan::new(seed);
        plan.extend(self.plan.faults.iter().copied());
        plan
    }

    /// Whether anything is expected of this number, which is called so.
    pub fn expects(&self, name: &str) -> bool {
        self.plan.expectations.iter().any(|expectation| expectation.name() == name)
    }

    /// Makes its kernel from what it says and what `builder` has already, and has its traffic start, which goes on as the
    /// kernel runs. Whoever is to have its packets opens the queue before that.
    ///
    /// # Errors
    ///
    /// If a capture cannot be read.
    pub fn start(&self, seed: u64, builder: Builder) -> Result<Simulation, ScenarioError> {
        let directory = self.path.as_deref().and_then(Path::parent);
        let started = Simulation::of_scenario(
            &self.plan,
            self.faults(seed),
            builder.seed(seed),
            directory.unwrap_or_else(|| Path::new("")),
        );
        started.map_err(|error| error.in_file(self.path.as_deref()))
    }
}
