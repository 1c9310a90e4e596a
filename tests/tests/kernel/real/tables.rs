//! Rules by iptables.

use ipq::{Family, Hook};
use ipq_tests::namespace::tool;

use crate::network::{Protocol, Rule, Skipped, Table, Target};

/// Adds a rule: by nftables, or else, for targets that only the older iptables has, by that.
pub(super) fn add(rule: &Rule) -> Result<(), Skipped> {
    let arguments = arguments(rule);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let [nft, legacy] = match rule.family {
        Family::Ipv4 => ["iptables-nft", "iptables-legacy"],
        Family::Ipv6 => ["ip6tables-nft", "ip6tables-legacy"],
    };
    let first = if rule.target == Target::Queue { legacy } else { nft };
    tool(first, &arguments).or_else(|reason| match first {
        _ if first == legacy => Err(reason),
        _ => tool(legacy, &arguments).map_err(|_| reason),
    })
}

fn arguments(rule: &Rule) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut say = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
    say(&["-w", "-t"]);
    say(&[match rule.table {
        Table::Mangle => "mangle",
        Table::Filter => "filter",
    }]);
    say(&["-A", chain(rule.hook), "-p"]);
    say(&[match (rule.protocol, rule.family) {
        (Protocol::Icmp, Family::Ipv4) => "icmp",
        (Protocol::Icmp, Family::Ipv6) => "icmpv6",
        (Protocol::Tcp, _) => "tcp",
        (Protocol::Udp, _) => "udp",
    }]);
    if let Some(port) = rule.to_port {
        say(&["--dport", &port.to_string()]);
    }
    if let Some(device) = &rule.input {
        say(&["-i", device]);
    }
    if let Some(mark) = rule.mark {
        say(&["-m", "mark", "--mark", &mark.to_string()]);
    }
    if let Some(mark) = rule.not_mark {
        say(&["-m", "mark", "!", "--mark", &mark.to_string()]);
    }
    match rule.target {
        Target::Queue => say(&["-j", "QUEUE"]),
        Target::Nfqueue(first, last) if first == last => {
            say(&["-j", "NFQUEUE", "--queue-num", &first.to_string()]);
        }
        Target::Nfqueue(first, last) => {
            say(&["-j", "NFQUEUE", "--queue-balance", &format!("{first}:{last}")]);
        }
        Target::NfqueueOrPass(number) => {
            say(&["-j", "NFQUEUE", "--queue-num", &number.to_string(), "--queue-bypass"]);
        }
        Target::Mark(mark) => say(&["-j", "MARK", "--set-mark", &mark.to_string()]),
        Target::Drop => say(&["-j", "DROP"]),
    }
    arguments
}

fn chain(hook: Hook) -> &'static str {
    match hook {
        Hook::PreRouting => "PREROUTING",
        Hook::LocalIn => "INPUT",
        Hook::Forward => "FORWARD",
        Hook::LocalOut => "OUTPUT",
        Hook::PostRouting => "POSTROUTING",
        other => panic!("no chain is at {other}"),
    }
}
