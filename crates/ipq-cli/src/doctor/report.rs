//! What is printed: [`text`] and [`json`](fn@json).

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Diagnosis;
use super::commands::Recipe;
use super::finding::{Finding, Level};
use super::rules::Rule;

/// For people.
pub(super) fn text(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    for Finding { topic, level, message, remedy, .. } in &diagnosis.findings {
        writeln!(out, "{:10}  {:7}  {message}", topic.name(), level.name())?;
        if let Some(remedy) = remedy {
            writeln!(out, "{:10}  {:7}  -> {remedy}", "", "")?;
        }
    }
    for recipe in &diagnosis.recipes {
        writeln!(out, "\nwith {}:", recipe.tool)?;
        if let Some(obstacle) = &recipe.obstacle {
            writeln!(out, "  # not here: {}", obstacle.problem)?;
        }
        for line in &recipe.install {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "  {}    # takes it out again", recipe.remove)?;
    }
    if let Some(passer) = &diagnosis.passer {
        writeln!(out, "\nor, for as long as it runs:\n  {passer}")?;
    }
    writeln!(out, "\n{}", verdict(diagnosis))
}

/// The last line.
fn verdict(diagnosis: &Diagnosis) -> String {
    let queue = diagnosis.queue;
    let messages = |wanted: Level| {
        let found = diagnosis.findings.iter().filter(move |finding| finding.level == wanted);
        found.map(|finding| finding.message.as_str()).collect::<Vec<_>>()
    };
    match (messages(Level::Missing).as_slice(), messages(Level::Warning).len()) {
        ([], 0) => format!("queue {queue}: all that is essential is there"),
        ([], n) => format!("queue {queue}: all that is essential is there, with warnings: {n}"),
        (missing, _) => format!("queue {queue} cannot work yet: {}", missing.join("; ")),
    }
}

/// For programs: one object a line.
pub(super) fn json(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let findings = diagnosis.findings.iter().map(finding);
    let rules = diagnosis.rules.iter().map(rule);
    let recipes = diagnosis.recipes.iter().map(recipe);
    for object in findings.chain(rules).chain(recipes) {
        writeln!(out, "{object}")?;
    }
    let count = |level| diagnosis.findings.iter().filter(|finding| finding.level == level).count();
    let summary = json!({
        "event": "summary",
        "queue": diagnosis.queue,
        "missing": count(Level::Missing),
        "warnings": count(Level::Warning),
        "unknown": count(Level::Unknown),
        "works": diagnosis.works(),
    });
    writeln!(out, "{summary}")
}

fn finding(finding: &Finding) -> Value {
    json!({
        "event": "finding",
        "topic": finding.topic.name(),
        "name": finding.name,
        "level": finding.level.name(),
        "message": finding.message,
        "remedy": finding.remedy,
    })
}

fn rule(rule: &Rule) -> Value {
    json!({
        "event": "rule",
        "program": rule.program,
        "family": rule.family,
        "table": rule.table,
        "chain": rule.chain,
        "queues": rule.queues.as_ref().map(|queues| [queues.start(), queues.end()]),
        "bypass": rule.bypass,
        "rule": rule.text,
    })
}

fn recipe(recipe: &Recipe) -> Value {
    json!({
        "event": "command",
        "tool": recipe.tool,
        "install": recipe.install,
        "remove": recipe.remove,
        "obstacle": recipe.obstacle.as_ref().map(|obstacle| &obstacle.problem),
    })
}
