//! The commands that make and remove a rule: [`Recipe`].

use ipq::Family;

use super::facts::Facts;
use super::kernel::{Part, Presence};
use crate::args::{DoctorArgs, HookArg, TrafficArg};

/// How one program makes a rule, and removes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Recipe {
    /// `iptables`, `ip6tables` or `nft`.
    pub(super) tool: &'static str,
    /// In order.
    pub(super) install: Vec<String>,
    pub(super) remove: String,
    /// Why it does not work here, if that is known, and what part of the kernel to blame.
    pub(super) obstacle: Option<Obstacle>,
}

/// Why a program cannot make the rule here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Obstacle {
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl Recipe {
    /// One for each program.
    pub(super) fn all(facts: &Facts<'_>, args: &DoctorArgs) -> [Self; 3] {
        let [ipv4, ipv6] = Family::ALL.map(|family| Self::iptables(facts, args, family));
        [ipv4, ipv6, Self::nft(facts, args)]
    }

    fn iptables(facts: &Facts<'_>, args: &DoctorArgs, family: Family) -> Self {
        let tool = match family {
            Family::Ipv4 => "iptables",
            Family::Ipv6 => "ip6tables",
        };
        let (program, obstacle) = match program(facts, tool, family) {
            Ok(program) => (program, None),
            Err(obstacle) => (tool.to_owned(), Some(obstacle)),
        };
        let (table, packets) = packets(args, family);
        let rule = format!("{packets} -j {}", target(facts, args.queue));
        Self {
            tool,
            install: vec![format!("{program} {table}-I {rule}")],
            remove: format!("{program} {table}-D {rule}"),
            obstacle,
        }
    }

    fn nft(facts: &Facts<'_>, args: &DoctorArgs) -> Self {
        let hook = match args.hook {
            HookArg::Prerouting => "prerouting",
            HookArg::Input => "input",
            HookArg::Forward => "forward",
            HookArg::Output => "output",
            HookArg::Postrouting => "postrouting",
        };
        let protocol = match args.protocol {
            TrafficArg::All => "",
            TrafficArg::Icmp => "meta l4proto { icmp, ipv6-icmp } ",
            TrafficArg::Tcp => "meta l4proto tcp ",
            TrafficArg::Udp => "meta l4proto udp ",
        };
        let queue = args.queue;
        let install = vec![
            "nft add table inet ipq".to_owned(),
            format!("nft 'add chain inet ipq {hook} {{ type filter hook {hook} priority 0; }}'"),
            format!("nft 'add rule inet ipq {hook} {protocol}queue num {queue} bypass'"),
        ];
        let remove = "nft delete table inet ipq".to_owned();
        Self { tool: "nft", install, remove, obstacle: nft_obstacle(facts) }
    }
}

/// The table, where it is not the usual one, and the packets, in the words of iptables.
fn packets(args: &DoctorArgs, family: Family) -> (&'static str, String) {
    let (table, chain) = match args.hook {
        HookArg::Prerouting => ("-t mangle ", "PREROUTING"),
        HookArg::Input => ("", "INPUT"),
        HookArg::Forward => ("", "FORWARD"),
        HookArg::Output => ("", "OUTPUT"),
        HookArg::Postrouting => ("-t mangle ", "POSTROUTING"),
    };
    let protocol = match (args.protocol, family) {
        (TrafficArg::All, _) => "",
        (TrafficArg::Icmp, Family::Ipv4) => " -p icmp",
        (TrafficArg::Icmp, Family::Ipv6) => " -p ipv6-icmp",
        (TrafficArg::Tcp, _) => " -p tcp",
        (TrafficArg::Udp, _) => " -p udp",
    };
    (table, format!("{chain}{protocol}"))
}

/// The command that makes the rule itself, and passes what it queues.
pub(super) fn passer(args: &DoctorArgs) -> String {
    let (table, packets) = packets(args, Family::Ipv4);
    format!("ipq-cli passer --transport nfqueue:{} --install '{table}{packets}'", args.queue)
}

/// Where packets go: to a queue, and on where no program has it, as far as the kernel knows how.
fn target(facts: &Facts<'_>, queue: u16) -> String {
    if facts.has_only_ip_queue() {
        return "QUEUE".to_owned();
    }
    let bypass = match facts.kernel.is_at_least((2, 6, 39)) {
        Some(false) => "",
        _ => " --queue-bypass",
    };
    format!("NFQUEUE --queue-num {queue}{bypass}")
}

/// The iptables to use, if one can do it. In a user namespace the legacy one usually cannot: its lock belongs to root.
fn program(facts: &Facts<'_>, tool: &str, family: Family) -> Result<String, Obstacle> {
    if !facts.has_only_ip_queue() && !facts.target(family).is_possible() {
        return Err(missing(facts, Part::TARGET, "the target NFQUEUE"));
    }
    let tables = match family {
        Family::Ipv4 => Part::IP_TABLES,
        Family::Ipv6 => Part::IP6_TABLES,
    };
    let can = |part| facts.kernel.presence(part).is_possible();
    let (legacy, nft) = (can(tables), can(Part::NF_TABLES) && can(Part::NFT_COMPAT));
    let candidates = match facts.is_initial_user {
        Some(false) => ["-nft", "", "-legacy"],
        _ => ["", "-nft", "-legacy"],
    };
    let works = |suffix: &&&str| match **suffix {
        "-nft" => nft,
        "-legacy" => legacy,
        _ => legacy || nft,
    };
    if !legacy && !nft {
        return Err(missing(facts, tables, tool));
    }
    let names = candidates.iter().filter(works).map(|suffix| format!("{tool}{suffix}"));
    names.into_iter().find(|name| facts.machine.senses.has_program(name)).ok_or_else(|| Obstacle {
        problem: format!("there is no program {tool}"),
        remedy: "install the package iptables".to_owned(),
    })
}

fn nft_obstacle(facts: &Facts<'_>) -> Option<Obstacle> {
    let is_absent = |part| facts.kernel.presence(part) == Presence::Absent;
    if is_absent(Part::NF_TABLES) {
        return Some(missing(facts, Part::NF_TABLES, "nf_tables"));
    }
    if is_absent(Part::NFT_QUEUE) {
        return Some(missing(facts, Part::NFT_QUEUE, "nft's statement queue"));
    }
    (!facts.machine.senses.has_program("nft")).then(|| Obstacle {
        problem: "there is no program nft".to_owned(),
        remedy: "install the package nftables".to_owned(),
    })
}

fn missing(facts: &Facts<'_>, part: Part, what: &str) -> Obstacle {
    Obstacle {
        problem: format!("this kernel does not have {what}"),
        remedy: facts.kernel.remedy(part),
    }
}
