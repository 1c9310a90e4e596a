//! From facts to findings, a topic after the other: [`findings`].

mod machine;
mod queues;
mod rights;
mod rules;

use super::commands::Recipe;
use super::facts::Facts;
use super::finding::Finding;
use crate::args::DoctorArgs;

/// All there is to say.
pub(super) fn findings(facts: &Facts<'_>, recipes: &[Recipe], args: &DoctorArgs) -> Vec<Finding> {
    [
        machine::kernel(facts),
        rights::capability(facts),
        rights::namespaces(facts),
        machine::targets(recipes),
        rules::rules(facts, args),
        queues::queues(facts, args),
        queues::buffers(facts, args),
    ]
    .concat()
}
