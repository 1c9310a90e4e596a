//! The rules of the firewall that lead to a queue: [`Rule`] and [`Rules`].

mod iptables;
mod nft;

use core::ops::RangeInclusive;

use super::kernel::{Kernel, Part, Presence};
use super::machine::Machine;

/// A rule that leads to a queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rule {
    /// The program that lists it.
    pub(super) program: &'static str,
    /// `ip`, `ip6`, `inet`, `bridge`, as nft has it.
    pub(super) family: String,
    pub(super) table: String,
    pub(super) chain: String,
    /// Its queues; `None` if they depend on the packet.
    pub(super) queues: Option<RangeInclusive<u16>>,
    /// Whether packets pass where no program has the queue.
    pub(super) bypass: bool,
    /// As it is listed.
    pub(super) text: String,
}

impl Rule {
    /// Whether it can lead to this queue.
    pub(super) fn leads_to(&self, queue: u16) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(&queue))
    }
}

/// All that was found, and what could not be listed.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) found: Vec<Rule>,
    /// What could not be listed, with the reason.
    pub(super) unlisted: Vec<(&'static str, String)>,
}

/// What holds rules of iptables: the part of the kernel, the family, and the programs that list them, one of which is
/// enough.
const IPTABLES: [(Part, &str, &[&str]); 4] = [
    (Part::IP_TABLES, "ip", &["iptables-legacy-save", "iptables-save"]),
    (Part::NF_TABLES, "ip", &["iptables-nft-save"]),
    (Part::IP6_TABLES, "ip6", &["ip6tables-legacy-save", "ip6tables-save"]),
    (Part::NF_TABLES, "ip6", &["ip6tables-nft-save"]),
];

impl Rules {
    /// Those of the machine, as far as they can be seen. Nothing is asked that would load a module: what is not loaded
    /// has no rules.
    pub(super) fn of(machine: &Machine<'_>, kernel: &Kernel) -> Self {
        let mut rules = Self::default();
        let may_be_here = |part| {
            let presence = kernel.presence(part);
            presence.is_here() || presence == Presence::Unknown
        };
        let is_here = |program: &&&str| machine.senses.has_program(program);
        for (part, family, programs) in IPTABLES {
            if !may_be_here(part) {
                continue;
            }
            match programs.iter().find(is_here) {
                Some(program) => rules.list(machine, program, &[], |text| {
                    Ok(iptables::rules(program_of(program), family, text))
                }),
                // What the others make, nft lists as well.
                None if part.module == Part::NF_TABLES.module => (),
                None => rules.unlisted.push((programs[0], "it is not installed".to_owned())),
            }
        }
        if may_be_here(Part::NF_TABLES) {
            let shows_targets = !machine.senses.has_program("iptables-nft-save");
            if machine.senses.has_program("nft") {
                let arguments = ["-j", "list", "ruleset"];
                rules.list(machine, "nft", &arguments, |text| nft::rules(text, shows_targets));
            } else {
                rules.unlisted.push(("nft", "it is not installed".to_owned()));
            }
        }
        rules
    }

    /// Adds the rules that a program lists.
    fn list(
        &mut self,
        machine: &Machine<'_>,
        program: &'static str,
        arguments: &[&str],
        parse: impl FnOnce(&str) -> Result<Vec<Rule>, String>,
    ) {
        match machine.senses.listing(program, arguments).and_then(|text| parse(&text)) {
            Ok(found) => self.found.extend(found),
            Err(reason) => self.unlisted.push((program, reason)),
        }
    }
}

/// The program that changes what this one lists.
fn program_of(save: &'static str) -> &'static str {
    save.strip_suffix("-save").unwrap_or(save)
}
