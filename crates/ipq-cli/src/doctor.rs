//! `ipq-cli doctor`: what is missing to make a queue work here.
//!
//! It looks, and changes nothing. Facts are read from a [`Machine`], so that kernels which are not here
//! can be looked at in tests.

mod checks;
mod commands;
mod facts;
mod finding;
mod kernel;
mod live;
mod machine;
mod report;
mod rules;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::args::DoctorArgs;
use crate::failure::Failure;
use commands::Recipe;
use facts::Facts;
use finding::{Finding, Level};
use live::Live;
use machine::Machine;
use rules::Rule;

/// All that is said of a machine.
#[derive(Debug)]
struct Diagnosis {
    queue: u16,
    findings: Vec<Finding>,
    rules: Vec<Rule>,
    recipes: [Recipe; 3],
    /// A command that makes a rule for as long as it runs, where a rule can be made.
    passer: Option<String>,
}

/// Runs the command; says whether all that is essential is there.
pub(crate) fn run(args: &DoctorArgs) -> Result<bool, Failure> {
    let machine = Machine { root: "/".into(), senses: &Live };
    let diagnosis = Diagnosis::of(&machine, args);
    let mut out = io::stdout().lock();
    if args.json {
        report::json(&mut out, &diagnosis)?;
    } else {
        report::text(&mut out, &diagnosis)?;
    }
    out.flush()?;
    Ok(diagnosis.works())
}

impl Diagnosis {
    fn of(machine: &Machine<'_>, args: &DoctorArgs) -> Self {
        let facts = Facts::of(machine);
        let recipes = Recipe::all(&facts, args);
        let findings = checks::findings(&facts, &recipes, args);
        let has_recipe = recipes[..2].iter().any(|recipe| recipe.obstacle.is_none());
        let passer = (has_recipe && !facts.has_only_ip_queue()).then(|| commands::passer(args));
        Self { queue: args.queue, findings, rules: facts.rules.found, recipes, passer }
    }

    /// Whether all that is essential is there, as far as it can be seen.
    fn works(&self) -> bool {
        !self.findings.iter().any(|finding| finding.level == Level::Missing)
    }
}
