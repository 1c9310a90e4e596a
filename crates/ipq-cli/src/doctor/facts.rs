//! What is known of the machine before anything is said of it: [`Facts`].

use ipq::{Errno, Family, KernelStatus, Owner};
use ipq_sys::Protocol;

use super::kernel::{Kernel, Part, Presence};
use super::machine::Machine;
use super::rules::Rules;

/// What is known of the machine.
#[derive(Debug)]
pub(super) struct Facts<'m> {
    pub(super) machine: &'m Machine<'m>,
    pub(super) kernel: Kernel,
    pub(super) rules: Rules,
    /// The queues of the kernel, and who has them.
    pub(super) queues: KernelStatus,
    /// How `nfnetlink_queue` is there.
    pub(super) nfqueue: Presence,
    /// Whether `queues` has all of those of `nfnetlink_queue`.
    lists_queues: bool,
    /// Whether `CAP_NET_ADMIN` is in the effective set; `None` if that cannot be read.
    pub(super) capability: Option<bool>,
    /// Whether the network belongs to our user namespace.
    pub(super) network_is_ours: Option<bool>,
    /// Whether this is the user namespace that the machine started with.
    pub(super) is_initial_user: Option<bool>,
}

/// Who gets the packets of a queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Listener {
    Nobody,
    /// A program, which perhaps cannot be seen from here.
    Program(Option<Owner>),
    Unknown,
}

/// Where the kernel lists the queues of `nfnetlink_queue`.
const NFQUEUES: &str = "proc/self/net/netfilter/nfnetlink_queue";

/// The number of the first user namespace, the same in every kernel.
const INITIAL_USER: &str = "user:[4026531837]";

const CAP_NET_ADMIN: u64 = 1 << 12;

impl<'m> Facts<'m> {
    pub(super) fn of(machine: &'m Machine<'m>) -> Self {
        let kernel = Kernel::of(machine);
        // While the module is loaded, the file is there.
        let nfqueue = match kernel.presence(Part::NFQUEUE) {
            Presence::BuiltIn => Presence::BuiltIn,
            _ if machine.has(NFQUEUES) => Presence::Loaded,
            presence => presence,
        };
        let status = machine.text("proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
        Self {
            machine,
            rules: Rules::of(machine, &kernel),
            queues: KernelStatus::read_below(&machine.root),
            lists_queues: machine.text(NFQUEUES).is_ok(),
            nfqueue,
            kernel,
            capability: effective.map(|set| set & CAP_NET_ADMIN != 0),
            network_is_ours: machine.senses.network_is_ours(),
            is_initial_user: machine.link("proc/self/ns/user").map(|link| link == INITIAL_USER),
        }
    }

    /// Whether the capability is there, and counts in this network.
    pub(super) fn may_queue(&self) -> Option<bool> {
        match (self.capability, self.network_is_ours) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), _) => Some(true),
            (None, _) => None,
        }
    }

    /// Whether the queues of this kernel are those of `ip_queue`, because it has no others.
    pub(super) fn has_only_ip_queue(&self) -> bool {
        !self.nfqueue.is_possible() && self.ip_queue().is_possible()
    }

    /// How `ip_queue` is there.
    pub(super) fn ip_queue(&self) -> Presence {
        match self.queues.ip_queues.is_empty() {
            false => Presence::Loaded,
            true if self.kernel.is_at_least((3, 5, 0)) == Some(true) => Presence::Absent,
            true => self.kernel.presence(Part::IP_QUEUE),
        }
    }

    /// Who gets the packets of a queue. Number 0 is that of `ip_queue` as well, where there is one.
    pub(super) fn listener(&self, queue: u16) -> Listener {
        let by_ip_queue = self.queues.ip_queues.iter().find(|status| status.peer_port_id != 0);
        if let (0, Some(status)) = (queue, by_ip_queue) {
            let protocol = Protocol::ip_queue(status.family);
            return Listener::Program(Some(self.owner(protocol, status.peer_port_id)));
        }
        if !self.nfqueue.is_here() {
            let sees_network = self.machine.has("proc/self/net");
            return if sees_network { Listener::Nobody } else { Listener::Unknown };
        }
        if self.lists_queues {
            let status = self.queues.nfqueues.iter().find(|status| status.queue == queue);
            return status.map_or(Listener::Nobody, |status| {
                Listener::Program(Some(self.owner(Protocol::Netfilter, status.port_id)))
            });
        }
        // The kernel says EPERM for both a missing right and a queue that another program has.
        match self.machine.senses.ask(queue) {
            Ok(Some(Errno::ENODEV)) => Listener::Nobody,
            Ok(Some(Errno::EPERM | Errno::EBUSY)) if self.may_queue() == Some(true) => {
                Listener::Program(None)
            }
            _ => Listener::Unknown,
        }
    }

    /// Who has the socket with this port id.
    pub(super) fn owner(&self, protocol: Protocol, port_id: u32) -> Owner {
        Owner::of(&self.machine.root, protocol, port_id)
    }

    /// Whether the target NFQUEUE is there for the iptables of a family.
    pub(super) fn target(&self, family: Family) -> Presence {
        let file = match family {
            Family::Ipv4 => "proc/self/net/ip_tables_targets",
            Family::Ipv6 => "proc/self/net/ip6_tables_targets",
        };
        let targets = self.machine.text(file).unwrap_or_default();
        match self.kernel.presence(Part::TARGET) {
            Presence::BuiltIn => Presence::BuiltIn,
            _ if targets.lines().any(|target| target == "NFQUEUE") => Presence::Loaded,
            presence => presence,
        }
    }
}
