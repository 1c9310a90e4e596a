//! The queues, who has them, and the buffers between them and their programs.

use ipq::{CopyMode, NfqueueStatus, Options};
use ipq_sys::Protocol;

use super::rules::reader;
use crate::args::DoctorArgs;
use crate::doctor::facts::{Facts, Listener};
use crate::doctor::finding::{Finding, Level, Topic};

/// The queue that is asked for, and all others that programs have.
pub(super) fn queues(facts: &Facts<'_>, args: &DoctorArgs) -> Vec<Finding> {
    let queue = args.queue;
    let mut findings = Vec::new();
    let asked = match facts.listener(queue) {
        Listener::Nobody => Some((Level::Ok, "is free: no program has it".to_owned())),
        Listener::Unknown => {
            Some((Level::Unknown, "may have a program: it cannot be seen from here".to_owned()))
        }
        Listener::Program(owner) => {
            Some((Level::Ok, format!("is read by {}", reader(owner.as_ref()))))
        }
    };
    let is_listed = facts.queues.nfqueues.iter().any(|status| status.queue == queue);
    if let Some((level, says)) = asked.filter(|_| !is_listed) {
        findings.push(Finding::new(Topic::Queue, "queue", level, format!("queue {queue} {says}")));
    }
    findings.extend(facts.queues.nfqueues.iter().map(|status| nfqueue(facts, status)));
    for status in &facts.queues.ip_queues {
        let protocol = Protocol::ip_queue(status.family);
        let lost = u64::from(status.queue_dropped) + u64::from(status.netlink_dropped);
        let who = match status.peer_port_id {
            0 => "no program".to_owned(),
            port_id => reader(Some(&facts.owner(protocol, port_id))),
        };
        let (waiting, longest) = (status.queue_length, status.queue_max_length);
        let says =
            format!("{protocol}: {waiting} of {longest} packets wait for {who}, {lost} lost");
        let level = if lost == 0 { Level::Ok } else { Level::Warning };
        findings.push(Finding::new(Topic::Queue, "ip_queue", level, says));
    }
    findings
}

fn nfqueue(facts: &Facts<'_>, status: &NfqueueStatus) -> Finding {
    let NfqueueStatus { queue, port_id, queue_length, queue_dropped, user_dropped, .. } = status;
    let who = reader(Some(&facts.owner(Protocol::Netfilter, *port_id)));
    let says = format!("queue {queue} is read by {who}; {queue_length} packets wait in it");
    if *queue_dropped == 0 && *user_dropped == 0 {
        return Finding::new(Topic::Queue, "queue", Level::Ok, says);
    }
    let message = format!(
        "{says}; {queue_dropped} were lost because it was full, {user_dropped} because the receive buffer was full"
    );
    Finding::new(Topic::Queue, "queue", Level::Warning, message).remedy(
        "let more packets wait (--queue-maxlen) or let them pass (--fail-open), and make the receive buffer larger \
         (--rcvbuf)",
    )
}

/// Whether a receive buffer that holds a full queue can be had.
pub(super) fn buffers(facts: &Facts<'_>, args: &DoctorArgs) -> Vec<Finding> {
    let finding = |level, message| Finding::new(Topic::Buffer, "rmem_max", level, message);
    let options = Options { max_length: Some(args.queue_maxlen), ..Options::default() };
    let wanted = options.receive_buffer_len(CopyMode::Packet { range: args.range });
    let full =
        format!("{} packets in a queue want a receive buffer of {wanted} bytes", args.queue_maxlen);
    let setting = |name: &str| facts.machine.number(&format!("proc/sys/net/core/{name}"));
    let (largest, default) = (setting("rmem_max"), setting("rmem_default"));
    let default = default.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
    // SO_RCVBUFFORCE asks for the capability in the first user namespace.
    if facts.capability == Some(true) && facts.is_initial_user == Some(true) {
        let message = format!(
            "{full}, which root may have whatever net.core.rmem_max says (default {default})"
        );
        return vec![finding(Level::Ok, message)];
    }
    vec![match largest {
        None => finding(Level::Unknown, format!("{full}; net.core.rmem_max cannot be read")),
        Some(largest) if largest < wanted as u64 => finding(
            Level::Warning,
            format!(
                "{full}, but net.core.rmem_max is {largest} (default {default}): packets are lost when many come at once"
            ),
        )
        .remedy(format!(
            "sysctl -w net.core.rmem_max={wanted}, outside of user namespaces; or ask for less with --range or --queue-maxlen"
        )),
        Some(largest) => finding(Level::Ok, format!("{full}, and net.core.rmem_max is {largest}")),
    }]
}
