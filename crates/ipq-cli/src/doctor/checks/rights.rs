//! What this program may do, and where it is.

use crate::doctor::facts::Facts;
use crate::doctor::finding::{Finding, Level, Topic};

/// `CAP_NET_ADMIN`, here or in a network of one's own.
pub(super) fn capability(facts: &Facts<'_>) -> Vec<Finding> {
    let finding = |level, message| Finding::new(Topic::Capability, "cap_net_admin", level, message);
    let unshare = facts.machine.senses.unshare();
    let own_network = match &unshare {
        Ok(()) => ", or in a network of one's own: unshare -Urn",
        Err(_) => "",
    };
    let capability = match (facts.may_queue(), facts.capability) {
        (Some(true), _) => finding(Level::Ok, "CAP_NET_ADMIN is effective in this network"),
        (Some(false), Some(true)) => finding(
            Level::Missing,
            "CAP_NET_ADMIN is effective, but not in this network, which belongs to another user namespace",
        )
        .remedy("make a network together with the user namespace: unshare -Urn"),
        (Some(false), _) => finding(Level::Missing, "CAP_NET_ADMIN is not effective")
            .remedy(format!("run as root{own_network}")),
        (None, _) => finding(
            Level::Unknown,
            "whether CAP_NET_ADMIN is effective cannot be told: /proc/self/status cannot be read",
        ),
    };
    let finding = |level, message: &str| Finding::new(Topic::Capability, "unshare", level, message);
    let unshare = match unshare {
        Ok(()) => {
            finding(Level::Ok, "unshare -Urn works: anybody here can have a queue of their own")
        }
        Err(reason) => {
            let finding =
                finding(Level::Note, &format!("unshare -Urn does not work here: {reason}"));
            match forbidden_by(facts) {
                Some(remedy) => finding.remedy(remedy),
                None => finding,
            }
        }
    };
    vec![capability, unshare]
}

/// The setting that forbids user namespaces, as the command that allows them.
fn forbidden_by(facts: &Facts<'_>) -> Option<&'static str> {
    let settings = [
        ("proc/sys/user/max_user_namespaces", 0, "sysctl -w user.max_user_namespaces=10000"),
        ("proc/sys/user/max_net_namespaces", 0, "sysctl -w user.max_net_namespaces=10000"),
        (
            "proc/sys/kernel/unprivileged_userns_clone",
            0,
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            1,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ];
    let forbids = |(path, value, _): &(&str, u64, &str)| facts.machine.number(path) == Some(*value);
    settings.into_iter().find(forbids).map(|(.., remedy)| remedy)
}

/// Which namespaces these are, and what there is in them.
pub(super) fn namespaces(facts: &Facts<'_>) -> Vec<Finding> {
    let link = |path| facts.machine.link(path);
    let finding =
        |name, level, message: String| Finding::new(Topic::Namespace, name, level, message);
    let network = match (link("proc/self/ns/net"), link("proc/1/ns/net")) {
        (None, _) => {
            finding("network", Level::Unknown, "this kernel shows no namespaces".to_owned())
        }
        (Some(own), Some(first)) if own == first => {
            finding("network", Level::Ok, format!("the network is that of process 1 ({own})"))
        }
        (Some(own), Some(_)) => {
            finding("network", Level::Ok, format!("the network is one of its own ({own})"))
        }
        (Some(own), None) => finding(
            "network",
            Level::Ok,
            format!("the network is {own}; whether process 1 has the same cannot be seen"),
        ),
    };
    let user = match facts.is_initial_user {
        Some(true) => finding("user", Level::Ok, "the user namespace is the first one".to_owned()),
        Some(false) => finding(
            "user",
            Level::Ok,
            "the user namespace is one of its own: /proc may not list queues here, and iptables-nft works where \
             iptables-legacy does not"
                .to_owned(),
        ),
        None => finding("user", Level::Unknown, "the user namespace cannot be told".to_owned()),
    };
    let loopback = match facts.machine.senses.loopback_is_up() {
        Some(true) => finding("loopback", Level::Ok, "the loopback device is up".to_owned()),
        Some(false) => finding(
            "loopback",
            Level::Warning,
            "the loopback device is down: nothing reaches 127.0.0.1 or ::1".to_owned(),
        )
        .remedy("ip link set lo up"),
        None => {
            finding("loopback", Level::Unknown, "the loopback device cannot be found".to_owned())
        }
    };
    vec![network, user, loopback]
}
