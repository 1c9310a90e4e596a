//! The rules that lead to a queue, and whether somebody is at its end.

use ipq::Owner;

use crate::args::DoctorArgs;
use crate::doctor::facts::{Facts, Listener};
use crate::doctor::finding::{Finding, Level, Topic};
use crate::doctor::rules::Rule;

/// What there is to say of each rule, of programs that do not tell, and of a queue that no rule leads to.
pub(super) fn rules(facts: &Facts<'_>, args: &DoctorArgs) -> Vec<Finding> {
    let rules = &facts.rules;
    let mut findings: Vec<_> = rules.found.iter().map(|rule| one(facts, rule)).collect();
    for (program, reason) in &rules.unlisted {
        let message = format!("{program} does not list its rules: {reason}");
        findings.push(Finding::new(Topic::Rule, "listing", Level::Unknown, message));
    }
    if !rules.found.iter().any(|rule| rule.leads_to(args.queue)) {
        findings.push(none(facts, args));
    }
    findings
}

/// That no rule leads to the queue, as far as it can be seen.
fn none(facts: &Facts<'_>, args: &DoctorArgs) -> Finding {
    let finding = |level, message| Finding::new(Topic::Rule, "none", level, message);
    let queue = args.queue;
    if !facts.rules.unlisted.is_empty() {
        return finding(
            Level::Unknown,
            format!("whether a rule leads to queue {queue} cannot be seen"),
        );
    }
    let level = if args.no_rule { Level::Note } else { Level::Missing };
    finding(level, format!("no rule leads to queue {queue}"))
        .remedy("make one with a command below")
}

/// How many queues of a rule are looked at one by one.
const MOST_QUEUES: usize = 64;

fn one(facts: &Facts<'_>, rule: &Rule) -> Finding {
    let finding = |level, says: &str| {
        let message = format!("{}: {} {says}", rule.program, place(rule));
        Finding::new(Topic::Rule, "rule", level, message)
    };
    let Some(queues) = rule.queues.clone() else {
        return finding(Level::Unknown, "leads to queues that depend on the packet");
    };
    let name = match (queues.start(), queues.end()) {
        (first, last) if first == last => format!("queue {first}"),
        (first, last) => format!("queues {first} to {last}"),
    };
    let listeners: Vec<_> =
        queues.clone().take(MOST_QUEUES).map(|queue| (queue, facts.listener(queue))).collect();
    let vacant: Vec<_> = listeners
        .iter()
        .filter(|(_, listener)| *listener == Listener::Nobody)
        .map(|(queue, _)| queue.to_string())
        .collect();
    if !vacant.is_empty() {
        let which = if vacant.len() == queues.len() {
            format!("{name}, which nobody has")
        } else {
            format!("{name}, of which nobody has {}", vacant.join(", "))
        };
        return if rule.bypass {
            finding(Level::Ok, &format!("leads to {which}: packets pass (bypass)"))
        } else {
            finding(Level::Warning, &format!("leads to {which}: packets are dropped"))
                .remedy("start a program that reads the queue, or add bypass to the rule")
        };
    }
    if listeners.iter().any(|(_, listener)| *listener == Listener::Unknown) {
        let says = format!("leads to {name}; whether a program has it cannot be seen");
        return finding(Level::Unknown, &says);
    }
    let who = match &listeners[..] {
        [(_, Listener::Program(owner))] => reader(owner.as_ref()),
        _ => "programs".to_owned(),
    };
    finding(Level::Ok, &format!("leads to {name}, which {who} reads"))
}

/// Where a rule is, and what it says.
fn place(rule: &Rule) -> String {
    let Rule { table, text, .. } = rule;
    if rule.program == "nft" { text.clone() } else { format!("table {table}: {text}") }
}

/// A program that has a queue, in words.
pub(super) fn reader(owner: Option<&Owner>) -> String {
    match owner {
        Some(Owner { process: Some(process), .. }) => {
            format!("process {} ({})", process.pid, process.name.escape_default())
        }
        Some(owner) => format!("a program that cannot be seen from here ({owner})"),
        None => "a program that cannot be seen from here".to_owned(),
    }
}
