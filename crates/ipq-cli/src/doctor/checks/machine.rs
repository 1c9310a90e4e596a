//! What the kernel and its programs can do.

use crate::doctor::commands::Recipe;
use crate::doctor::facts::Facts;
use crate::doctor::finding::{Finding, Level, Topic};
use crate::doctor::kernel::{Part, Presence};

/// The queues themselves.
pub(super) fn kernel(facts: &Facts<'_>) -> Vec<Finding> {
    let finding =
        |level, message: String| Finding::new(Topic::Kernel, Part::NFQUEUE.module, level, message);
    let release = &facts.kernel.release;
    let nfqueue = match facts.nfqueue {
        Presence::BuiltIn => {
            finding(Level::Ok, format!("nfnetlink_queue is built into Linux {release}"))
        }
        Presence::Loaded => {
            finding(Level::Ok, format!("nfnetlink_queue is loaded, in Linux {release}"))
        }
        Presence::Loadable => finding(
            Level::Ok,
            format!("nfnetlink_queue is a module of Linux {release}, loaded when a queue is opened"),
        ),
        Presence::Absent => {
            let level = if facts.has_only_ip_queue() { Level::Note } else { Level::Missing };
            finding(level, format!("Linux {release} does not have nfnetlink_queue"))
                .remedy(facts.kernel.remedy(Part::NFQUEUE))
        }
        Presence::Unknown => finding(
            Level::Unknown,
            format!(
                "whether Linux {release} has nfnetlink_queue cannot be told: it is not loaded, and there is neither a \
                 configuration of the kernel nor a list of its modules"
            ),
        )
        .remedy("modprobe nfnetlink_queue"),
    };
    vec![nfqueue, ip_queue(facts)]
}

fn ip_queue(facts: &Facts<'_>) -> Finding {
    let finding =
        |level, message| Finding::new(Topic::Kernel, Part::IP_QUEUE.module, level, message);
    match facts.ip_queue() {
        Presence::BuiltIn | Presence::Loaded => finding(Level::Ok, "ip_queue is loaded"),
        Presence::Loadable => finding(Level::Note, "ip_queue is a module that is not loaded"),
        Presence::Absent | Presence::Unknown => finding(
            Level::Note,
            "there is no ip_queue, which Linux 2.4 to 3.4 have: the transport auto is nfqueue:0",
        ),
    }
}

/// What makes rules that lead to them.
pub(super) fn targets(recipes: &[Recipe]) -> Vec<Finding> {
    let finding = |recipe: &Recipe| match &recipe.obstacle {
        None => {
            let message = format!("{} can make rules that lead to a queue", recipe.tool);
            Finding::new(Topic::Target, recipe.tool, Level::Ok, message)
        }
        Some(obstacle) => {
            let message = format!(
                "{} cannot make rules that lead to a queue: {}",
                recipe.tool, obstacle.problem
            );
            Finding::new(Topic::Target, recipe.tool, Level::Note, message).remedy(&*obstacle.remedy)
        }
    };
    let mut findings: Vec<_> = recipes.iter().map(finding).collect();
    if recipes.iter().all(|recipe| recipe.obstacle.is_some()) {
        let message = "nothing here can make a rule that leads to a queue";
        findings.push(Finding::new(Topic::Target, "any", Level::Missing, message));
    }
    findings
}
